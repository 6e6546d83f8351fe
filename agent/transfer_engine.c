/* transfer_engine.c - libcurl's multi socket interface on libev.
 *
 * libcurl forbids adding and removing handles inside its callbacks.  So each
 * wish is noted in the transfer, which is queued, and carried out by
 * transfer_engine_run at the end of the loop turn. */
#include "config.h"

#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdlib.h>
#include <sys/socket.h>

#include "agent/transfer_private.h"
#include "common/log.h"

/* More of them would let the proxy, the backend and the clients wait together,
 * and then come back together. */
enum { EVENTS_AT_ONCE = 16 };

/* One socket of libcurl's. */
struct transfer_watch {
	ev_io io;
	int events;
	bool acks_at_once;
	struct transfer_watch *next;	/* in the list of spare ones */
};

/* --- sockets and time --- */

/* A server that writes head and content one after the other, with Nagle's
 * algorithm as it is by default, waits with the second for this, and the
 * kernel would take its time (40 ms).  So it is done where more is to come:
 * when libcurl has read what an event told of and still watches the socket, and
 * when it begins to watch it after a head that it read without an event. */
static void
acknowledge(int fd)
{
	int on = 1;

	(void)setsockopt(fd, IPPROTO_TCP, TCP_QUICKACK, &on, sizeof(on));
}

static void
on_io(struct ev_loop *loop, ev_io *io, int revents)
{
	struct transfer_watch *w = (struct transfer_watch *)io;
	struct transfer_engine *e = io->data;
	int running, bits = 0, fd = io->fd;

	(void)loop;
	if (revents & EV_READ)
		bits |= CURL_CSELECT_IN;
	if (revents & EV_WRITE)
		bits |= CURL_CSELECT_OUT;
	(void)curl_multi_socket_action(e->multi, fd, bits, &running);
	/* Even a spare one is still there. */
	if ((revents & EV_READ) && w->acks_at_once && ev_is_active(io) &&
	    io->fd == fd)
		acknowledge(fd);
	e->has_finished = true;
	if (++e->events >= EVENTS_AT_ONCE && e->between != NULL)
		e->between(e->between_arg);
}

/* NULL: a handle of libcurl's own. */
static struct transfer *
transfer_of(CURL *easy)
{
	struct transfer *t = NULL;

	if (curl_easy_getinfo(easy, CURLINFO_PRIVATE, (char **)&t) !=
	    CURLE_OK)
		return NULL;
	return t;
}

/* libcurl drops a socket.  When the server has closed it while the request's
 * content is paused, libcurl waits for that content and says nothing: make
 * it ask, so that on_send can break the transfer off. */
static void
notice_close(struct transfer *t, curl_socket_t fd)
{
	char byte;

	if (t == NULL || !t->is_added || !t->send_paused ||
	    recv(fd, &byte, 1, MSG_PEEK | MSG_DONTWAIT) != 0)
		return;
	t->server_closed = true;
	transfer_resume_send(t);
}

static int
on_socket(CURL *easy, curl_socket_t fd, int what, void *arg, void *socket_arg)
{
	struct transfer_engine *e = arg;
	struct transfer_watch *w = socket_arg;
	struct transfer *t = transfer_of(easy);
	int events;

	if (what == CURL_POLL_REMOVE) {
		notice_close(t, fd);
		if (w != NULL) {
			ev_io_stop(e->loop, &w->io);
			(void)curl_multi_assign(e->multi, fd, NULL);
			w->next = e->spare;
			e->spare = w;
		}
		return 0;
	}
	events = ((what & CURL_POLL_IN) ? EV_READ : 0) |
	    ((what & CURL_POLL_OUT) ? EV_WRITE : 0);
	if (w == NULL) {
		if ((w = e->spare) != NULL)
			e->spare = w->next;
		else if ((w = malloc(sizeof(*w))) == NULL)
			fatal("out of memory");
		ev_io_init(&w->io, on_io, fd, events);
		w->io.data = e;
		w->acks_at_once = t != NULL &&
		    t->peer->settings.acks_at_once;
		(void)curl_multi_assign(e->multi, fd, w);
	} else if (events != w->events) {
		ev_io_stop(e->loop, &w->io);
		ev_io_set(&w->io, fd, events);
	}
	w->events = events;
	ev_io_start(e->loop, &w->io);
	if (w->acks_at_once && t != NULL && t->head_done)
		acknowledge(fd);
	return 0;
}

static void
on_timer(struct ev_loop *loop, ev_timer *timer, int revents)
{
	struct transfer_engine *e = timer->data;

	(void)loop;
	(void)revents;
	e->is_due = true;
}

static int
on_timeout_change(CURLM *multi, long timeout_ms, void *arg)
{
	struct transfer_engine *e = arg;

	(void)multi;
	ev_timer_stop(e->loop, &e->timer);
	e->is_due = timeout_ms == 0;
	if (timeout_ms > 0) {
		ev_timer_set(&e->timer, (double)timeout_ms / 1e3, 0.);
		ev_timer_start(e->loop, &e->timer);
	}
	return 0;
}

/* --- the queue of wishes --- */

void
transfer_enqueue(struct transfer *t)
{
	struct transfer_engine *e = t->peer->engine;

	if (t->is_queued)
		return;
	t->is_queued = true;
	t->next = NULL;
	*e->queue_end = t;
	e->queue_end = &t->next;
}

/* Out of libcurl's hands. */
static void
detach(struct transfer *t)
{
	curl_socket_t fd = CURL_SOCKET_BAD;

	if (!t->is_added)
		return;
	if (t->kill_connection && curl_easy_getinfo(t->easy,
	    CURLINFO_ACTIVESOCKET, &fd) == CURLE_OK && fd != CURL_SOCKET_BAD)
		(void)shutdown(fd, SHUT_RDWR);
	t->is_added = false;
	(void)curl_multi_remove_handle(t->peer->engine->multi, t->easy);
}

/* Tells the handler.  t may be queued still: then the queue frees it. */
static void
finish(struct transfer *t, enum transfer_outcome outcome, const char *why)
{
	const struct transfer_handler *handler = t->handler;
	struct transfer_result result = { outcome, t->head_done ? t->status : 0,
		why };

	t->handler = NULL;
	ev_timer_stop(t->peer->engine->loop, &t->deadline);
	if (handler != NULL)
		handler->done(t->arg, &result);
	if (!t->is_queued)
		transfer_free(t);
}

static bool
was_connected(struct transfer *t)
{
	curl_off_t us = 0;

	return t->attempts > 0 || (curl_easy_getinfo(t->easy,
	    CURLINFO_PRETRANSFER_TIME_T, &us) == CURLE_OK && us > 0);
}

/* Was it answered, as far as can be known? */
static bool
has_whole_response(struct transfer *t)
{
	curl_off_t length = -1, received = 0;

	return t->head_done && curl_easy_getinfo(t->easy,
	    CURLINFO_CONTENT_LENGTH_DOWNLOAD_T, &length) == CURLE_OK &&
	    curl_easy_getinfo(t->easy, CURLINFO_SIZE_DOWNLOAD_T,
	    &received) == CURLE_OK && length >= 0 && length == received;
}

static enum transfer_outcome
outcome_of(struct transfer *t, CURLcode code)
{
	switch (code) {
	case CURLE_OK:
		return t->head_done ? TRANSFER_COMPLETE : TRANSFER_BROKEN;
	case CURLE_OPERATION_TIMEDOUT:
		return was_connected(t) ? TRANSFER_TIMEOUT :
		    TRANSFER_UNREACHABLE;
	case CURLE_COULDNT_RESOLVE_HOST:
	case CURLE_COULDNT_RESOLVE_PROXY:
	case CURLE_COULDNT_CONNECT:
	case CURLE_SSL_CONNECT_ERROR:
	case CURLE_PEER_FAILED_VERIFICATION:
		return TRANSFER_UNREACHABLE;
	case CURLE_ABORTED_BY_CALLBACK:
		return t->server_closed && has_whole_response(t) ?
		    TRANSFER_COMPLETE : TRANSFER_BROKEN;
	default:
		return was_connected(t) ? TRANSFER_BROKEN :
		    TRANSFER_UNREACHABLE;
	}
}

static const char *
why_of(const struct transfer *t, CURLcode code)
{
	if (t->reason != NULL)
		return t->reason;
	if (code == CURLE_OK)
		return t->head_done ? "answered" : "the response's head "
		    "breaks off";
	return t->error[0] != '\0' ? t->error : curl_easy_strerror(code);
}

static void
resume(struct transfer *t)
{
	int bits;

	t->receive_paused = t->receive_paused && !t->receive_wanted;
	t->send_paused = t->send_paused && !t->send_wanted;
	t->receive_wanted = t->send_wanted = false;
	if (!t->is_added)
		return;
	/* A failure shows in the transfer itself. */
	bits = (t->receive_paused ? CURLPAUSE_RECV : 0) |
	    (t->send_paused ? CURLPAUSE_SEND : 0);
	(void)curl_easy_pause(t->easy, bits);
}

/* Carries out what was wished of one transfer. */
static void
settle(struct transfer *t)
{
	if (t->handler == NULL) {
		detach(t);
		transfer_free(t);
		return;
	}
	if (t->timed_out) {
		bool connected = was_connected(t);

		t->kill_connection = t->is_added;
		detach(t);
		finish(t, connected ? TRANSFER_TIMEOUT : TRANSFER_UNREACHABLE,
		    connected ? "no answer in time" : "no connection in time");
		return;
	}
	if (!t->is_added) {
		if (curl_multi_add_handle(t->peer->engine->multi, t->easy) !=
		    CURLM_OK)
			fatal("out of memory");
		t->is_added = true;
		return;
	}
	resume(t);
}

static void
collect_finished(struct transfer_engine *e)
{
	CURLMsg *message;
	int left;

	e->has_finished = false;
	while ((message = curl_multi_info_read(e->multi, &left)) != NULL) {
		struct transfer *t = NULL;
		CURLcode code = message->data.result;

		if (message->msg != CURLMSG_DONE)
			continue;
		(void)curl_easy_getinfo(message->easy_handle, CURLINFO_PRIVATE,
		    (char **)&t);
		detach(t);
		finish(t, outcome_of(t, code), why_of(t, code));
	}
}

bool
transfer_engine_run(struct transfer_engine *e)
{
	struct transfer *t = e->queue;
	int running;

	e->events = 0;
	if (t == NULL && !e->is_due && !e->has_finished)
		return false;
	/* Those queued meanwhile have their turn in the next call. */
	e->queue = NULL;
	e->queue_end = &e->queue;
	while (t != NULL) {
		struct transfer *next = t->next;

		t->is_queued = false;
		settle(t);
		t = next;
	}
	if (e->is_due) {
		e->is_due = false;
		ev_timer_stop(e->loop, &e->timer);
		(void)curl_multi_socket_action(e->multi, CURL_SOCKET_TIMEOUT,
		    0, &running);
	}
	collect_finished(e);
	return true;
}

/* --- the engine --- */

struct transfer_engine *
transfer_engine_new(struct ev_loop *loop, size_t max_connections)
{
	struct transfer_engine *e = calloc(1, sizeof(*e));

	if (e == NULL || curl_global_init(CURL_GLOBAL_DEFAULT) != 0 ||
	    (e->multi = curl_multi_init()) == NULL)
		fatal("out of memory");
	e->loop = loop;
	e->queue_end = &e->queue;
	ev_timer_init(&e->timer, on_timer, 0., 0.);
	e->timer.data = e;
	(void)curl_multi_setopt(e->multi, CURLMOPT_SOCKETFUNCTION, on_socket);
	(void)curl_multi_setopt(e->multi, CURLMOPT_SOCKETDATA, e);
	(void)curl_multi_setopt(e->multi, CURLMOPT_TIMERFUNCTION,
	    on_timeout_change);
	(void)curl_multi_setopt(e->multi, CURLMOPT_TIMERDATA, e);
	(void)curl_multi_setopt(e->multi, CURLMOPT_MAXCONNECTS,
	    (long)max_connections);
	return e;
}

void
transfer_engine_set_between(struct transfer_engine *e,
    void (*between)(void *arg), void *arg)
{
	e->between = between;
	e->between_arg = arg;
}

void
transfer_engine_free(struct transfer_engine *e)
{
	if (e == NULL)
		return;
	while (e->queue != NULL)
		(void)transfer_engine_run(e);
	(void)curl_multi_cleanup(e->multi);
	ev_timer_stop(e->loop, &e->timer);
	while (e->spare != NULL) {
		struct transfer_watch *w = e->spare;

		e->spare = w->next;
		free(w);
	}
	free(e);
	curl_global_cleanup();
}
