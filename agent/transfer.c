/* transfer.c - the door to libcurl: its multi socket interface on libev.
 *
 * libcurl forbids adding and removing handles inside its callbacks.  So each
 * wish is noted in the transfer, which is queued, and carried out by
 * transfer_engine_run at the end of the loop turn. */
#include "config.h"

#include <curl/curl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include "agent/transfer.h"
#include "common/log.h"

enum {
	IDLE_HANDLES_MAX = 256,
	/* Read from a socket at once, and so held back when paused. */
	RECEIVE_SIZE = 64 * 1024,
	/* How long a kept connection may have been idle.  Servers close
	 * theirs after 5 s and more; a request that must not be repeated
	 * can't afford to meet that. */
	MAX_IDLE_S = 55,
	MAX_IDLE_UNREPEATABLE_S = 3,
	/* A peer that vanished is noticed after 15 + 3 * 5 s. */
	KEEPALIVE_IDLE_S = 15,
	KEEPALIVE_INTERVAL_S = 5,
	KEEPALIVE_PROBES = 3,
};

/* One socket of libcurl's. */
struct watch {
	ev_io io;
	int events;
	struct watch *next;	/* in the list of spare ones */
};

struct transfer_engine {
	struct ev_loop *loop;
	CURLM *multi;
	ev_timer timer;
	bool is_due;			/* libcurl wants to run now */
	bool has_finished;		/* finished ones may be waiting */
	struct transfer *queue, **queue_end;
	struct watch *spare;
};

struct transfer_peer {
	struct transfer_engine *engine;
	struct transfer_peer_settings settings;	/* strings owned */
	CURLU *url;			/* read once, for all requests */
	struct transfer *idle;
	size_t idle_count;
};

struct transfer {
	struct transfer_peer *peer;
	CURL *easy;
	const struct transfer_handler *handler;	/* NULL: aborted */
	void *arg;
	struct transfer *next;		/* in the queue, or among the idle */
	bool is_queued, is_added;
	bool receive_paused, send_paused;
	bool receive_wanted, send_wanted;	/* to be resumed */
	bool kill_connection;
	bool server_closed;		/* before it had all of the request */
	bool may_repeat;
	bool head_done;
	unsigned attempts;
	int status;
	size_t sent;
	struct buf head;
	struct buf text;		/* of the lines and the target */
	struct curl_slist *lines;
	size_t lines_cap;
	ev_timer deadline;
	bool deadline_is_total;		/* to the end, not only to the head */
	bool timed_out;
	const char *reason;		/* of ours for breaking it off */
	char error[CURL_ERROR_SIZE];
};

/* --- sockets and time --- */

static void
on_io(struct ev_loop *loop, ev_io *io, int revents)
{
	struct transfer_engine *e = io->data;
	int running, bits = 0;

	(void)loop;
	if (revents & EV_READ)
		bits |= CURL_CSELECT_IN;
	if (revents & EV_WRITE)
		bits |= CURL_CSELECT_OUT;
	(void)curl_multi_socket_action(e->multi, io->fd, bits, &running);
	e->has_finished = true;
}

/* libcurl drops a socket.  When the server has closed it while the request's
 * content is paused, libcurl waits for that content and says nothing: make
 * it ask, so that on_send can break the transfer off. */
static void
notice_close(CURL *easy, curl_socket_t fd)
{
	struct transfer *t = NULL;
	char byte;

	if (curl_easy_getinfo(easy, CURLINFO_PRIVATE, (char **)&t) !=
	    CURLE_OK || t == NULL || !t->is_added || !t->send_paused ||
	    recv(fd, &byte, 1, MSG_PEEK | MSG_DONTWAIT) != 0)
		return;
	t->server_closed = true;
	transfer_resume_send(t);
}

static int
on_socket(CURL *easy, curl_socket_t fd, int what, void *arg, void *socket_arg)
{
	struct transfer_engine *e = arg;
	struct watch *w = socket_arg;
	int events;

	if (what == CURL_POLL_REMOVE) {
		notice_close(easy, fd);
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
		(void)curl_multi_assign(e->multi, fd, w);
	} else if (events != w->events) {
		ev_io_stop(e->loop, &w->io);
		ev_io_set(&w->io, fd, events);
	}
	w->events = events;
	ev_io_start(e->loop, &w->io);
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

static int
on_socket_made(void *arg, curl_socket_t fd, curlsocktype purpose)
{
	int probes = KEEPALIVE_PROBES;

	(void)arg;
	(void)purpose;
	/* Fails harmlessly on a unix socket. */
	(void)setsockopt(fd, IPPROTO_TCP, TCP_KEEPCNT, &probes, sizeof(probes));
	return CURL_SOCKOPT_OK;
}

/* --- what libcurl calls for one transfer --- */

/* Called each time the request is about to be sent. */
static int
on_request(void *arg, char *peer_ip, char *local_ip, int peer_port,
    int local_port)
{
	struct transfer *t = arg;

	(void)peer_ip;
	(void)local_ip;
	(void)peer_port;
	(void)local_port;
	/* libcurl sends again by itself when a kept connection dies before
	 * the first byte of a response; whether the first was acted on nobody
	 * knows (RFC 9110 9.2.2). */
	if (t->handler == NULL)
		return CURL_PREREQFUNC_ABORT;
	if (t->attempts++ > 0 && !t->may_repeat) {
		t->reason = "the connection died, and the request may not be "
		    "repeated";
		return CURL_PREREQFUNC_ABORT;
	}
	return CURL_PREREQFUNC_OK;
}

static int
on_rewind(void *arg, curl_off_t offset, int origin)
{
	struct transfer *t = arg;

	if (offset == 0 && origin == SEEK_SET && t->sent == 0)
		return CURL_SEEKFUNC_OK;
	return CURL_SEEKFUNC_FAIL;
}

/* "HTTP/1.1 200 OK", "HTTP/2 200 ": always as HTTP/1.1 with a phrase. */
static bool
begin_head(struct transfer *t, struct span line)
{
	const char *space = memchr(line.data, ' ', line.len);
	size_t at;

	buf_drain(&t->head, buf_len(&t->head));
	if (space == NULL || line.len - (size_t)(space - line.data) < 4)
		return false;
	at = (size_t)(space - line.data) + 1;
	for (size_t i = 0; i < 3; i++)
		if (line.data[at + i] < '0' || line.data[at + i] > '9')
			return false;
	t->status = (line.data[at] - '0') * 100 + (line.data[at + 1] - '0') *
	    10 + (line.data[at + 2] - '0');
	if (buf_append_str(&t->head, "HTTP/1.1 ") != 0)
		return false;
	if (line.len > at + 4 && line.data[at + 3] == ' ')
		return buf_append(&t->head, line.data + at, line.len - at) == 0;
	return buf_printf(&t->head, "%03d %s", t->status,
	    http1_reason_phrase(t->status)) == 0;
}

static bool
take_head_line(struct transfer *t, struct span line)
{
	size_t len = buf_len(&t->head);

	if (line.len >= 5 && memcmp(line.data, "HTTP/", 5) == 0 &&
	    (len == 0 || memchr(line.data, ':', line.len) == NULL)) {
		if (!begin_head(t, line))
			return false;
	} else if (line.len > 0 && (*line.data == ' ' || *line.data == '\t') &&
	    len > 2) {
		/* obs-fold: one space instead (RFC 9112 5.2) */
		buf_truncate(&t->head, len - 2);
		if (buf_append_str(&t->head, " ") != 0 ||
		    buf_append_span(&t->head, span_trim(line)) != 0)
			return false;
	} else if (buf_append_span(&t->head, line) != 0) {
		return false;
	}
	return buf_append_str(&t->head, "\r\n") == 0;
}

/* One line with its end; a head ends with an empty one.  What comes after
 * the final head is a trailer section, which is dropped. */
static size_t
on_head_line(char *data, size_t size, size_t count, void *arg)
{
	struct transfer *t = arg;
	struct span line = span_of(data, size * count);

	if (t->handler == NULL)
		return 0;
	if (t->head_done)
		return line.len;
	while (line.len > 0 && (line.data[line.len - 1] == '\n' ||
	    line.data[line.len - 1] == '\r'))
		line.len--;
	if (!take_head_line(t, line)) {
		t->reason = "the response's head is malformed or too large";
		return 0;
	}
	if (line.len > 0 || t->status < 200)
		return size * count;
	t->head_done = true;
	if (!t->deadline_is_total)
		ev_timer_stop(t->peer->engine->loop, &t->deadline);
	if (t->handler->head != NULL &&
	    !t->handler->head(t->arg, t->status, buf_span(&t->head)))
		return 0;
	/* After an error libcurl stops sending, but would wait for a paused
	 * sender for ever. */
	if (t->send_paused && t->status >= 300)
		transfer_resume_send(t);
	return size * count;
}

static size_t
on_content(char *data, size_t size, size_t count, void *arg)
{
	struct transfer *t = arg;

	if (t->handler == NULL)
		return 0;
	if (t->handler->content == NULL ||
	    t->handler->content(t->arg, span_of(data, size * count)))
		return size * count;
	if (t->handler == NULL)
		return 0;
	t->receive_paused = true;
	return CURL_WRITEFUNC_PAUSE;
}

static size_t
on_send(char *into, size_t size, size_t count, void *arg)
{
	struct transfer *t = arg;
	long n;

	if (t->handler == NULL)
		return CURL_READFUNC_ABORT;
	n = t->handler->send(t->arg, into, size * count);
	if (n == TRANSFER_SEND_LATER && t->server_closed) {
		t->reason = "the connection was closed early";
		return CURL_READFUNC_ABORT;
	}
	if (n == TRANSFER_SEND_BREAK)
		return CURL_READFUNC_ABORT;
	if (n == TRANSFER_SEND_LATER) {
		t->send_paused = true;
		return CURL_READFUNC_PAUSE;
	}
	t->sent += (size_t)n;
	if (ev_is_active(&t->deadline) && !t->deadline_is_total)
		ev_timer_again(t->peer->engine->loop, &t->deadline);
	return (size_t)n;
}

/* --- the queue of wishes --- */

static void
enqueue(struct transfer *t)
{
	struct transfer_engine *e = t->peer->engine;

	if (t->is_queued)
		return;
	t->is_queued = true;
	t->next = NULL;
	*e->queue_end = t;
	e->queue_end = &t->next;
}

static void
on_deadline(struct ev_loop *loop, ev_timer *timer, int revents)
{
	struct transfer *t = timer->data;

	(void)revents;
	ev_timer_stop(loop, timer);
	t->timed_out = true;
	enqueue(t);
}

static void
transfer_destroy(struct transfer *t)
{
	curl_easy_cleanup(t->easy);
	buf_clear(&t->head);
	buf_clear(&t->text);
	free(t->lines);
	free(t);
}

/* Back among the idle, for the next request to this peer. */
static void
recycle(struct transfer *t)
{
	struct transfer_peer *peer = t->peer;

	ev_timer_stop(peer->engine->loop, &t->deadline);
	t->handler = NULL;
	buf_drain(&t->head, buf_len(&t->head));
	buf_drain(&t->text, buf_len(&t->text));
	if (peer->idle_count >= IDLE_HANDLES_MAX) {
		transfer_destroy(t);
		return;
	}
	t->next = peer->idle;
	peer->idle = t;
	peer->idle_count++;
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

/* Tells the handler.  t may be queued still: then the queue recycles it. */
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
		recycle(t);
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
		recycle(t);
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
		finish(t, outcome_of(t, code), t->reason != NULL ? t->reason :
		    t->error[0] != '\0' ? t->error : curl_easy_strerror(code));
	}
}

bool
transfer_engine_run(struct transfer_engine *e)
{
	struct transfer *t = e->queue;
	int running;

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

/* --- engine and peers --- */

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
transfer_engine_free(struct transfer_engine *e)
{
	if (e == NULL)
		return;
	while (e->queue != NULL)
		(void)transfer_engine_run(e);
	(void)curl_multi_cleanup(e->multi);
	ev_timer_stop(e->loop, &e->timer);
	while (e->spare != NULL) {
		struct watch *w = e->spare;

		e->spare = w->next;
		free(w);
	}
	free(e);
	curl_global_cleanup();
}

const char *
transfer_library(void)
{
	return curl_version();
}

bool
transfer_url_is_valid(const char *url)
{
	static const CURLUPart refused[] = { CURLUPART_USER, CURLUPART_QUERY,
		CURLUPART_FRAGMENT };
	CURLU *u = curl_url();
	char *scheme = NULL, *part;
	bool ok;

	ok = u != NULL && curl_url_set(u, CURLUPART_URL, url, 0) == CURLUE_OK &&
	    curl_url_get(u, CURLUPART_SCHEME, &scheme, 0) == CURLUE_OK &&
	    (strcmp(scheme, "http") == 0 || strcmp(scheme, "https") == 0);
	for (size_t i = 0; ok && i < sizeof(refused) / sizeof(*refused); i++) {
		part = NULL;
		if (curl_url_get(u, refused[i], &part, 0) == CURLUE_OK)
			ok = false;
		curl_free(part);
	}
	curl_free(scheme);
	curl_url_cleanup(u);
	return ok;
}

static const char *
copy(const char *string)
{
	char *s;

	if (string == NULL)
		return NULL;
	if ((s = strdup(string)) == NULL)
		fatal("out of memory");
	return s;
}

static void
drop(const char *string)
{
	free((void *)(uintptr_t)string);
}

/* libcurl 7.88 can't use a connection of prior knowledge a second time: each
 * request fails with CURLE_HTTP2 (mended in 8.0.0). */
static bool
can_reuse(enum transfer_http http)
{
	unsigned version = curl_version_info(CURLVERSION_NOW)->version_num;

	return http != TRANSFER_HTTP2 || version < 0x075800 ||
	    version >= 0x080000;
}

/* What stays the same for every request of a handle. */
static bool
set_up(CURL *easy, const struct transfer_peer *peer)
{
	const struct transfer_peer_settings *s = &peer->settings;
	long http = s->http == TRANSFER_HTTP2 ?
	    CURL_HTTP_VERSION_2_PRIOR_KNOWLEDGE :
	    s->http == TRANSFER_HTTP2_TLS ? CURL_HTTP_VERSION_2TLS :
	    CURL_HTTP_VERSION_1_1;

#define SET(option, value) \
	(curl_easy_setopt(easy, (option), (value)) == CURLE_OK)
	return SET(CURLOPT_CURLU, peer->url) &&
	    SET(CURLOPT_PROTOCOLS_STR, "http,https") &&
	    SET(CURLOPT_HTTP_VERSION, http) &&
	    (s->unix_path == NULL ||
	    SET(CURLOPT_UNIX_SOCKET_PATH, s->unix_path)) &&
	    (s->use_environment_proxy || SET(CURLOPT_PROXY, "")) &&
	    SET(CURLOPT_SUPPRESS_CONNECT_HEADERS, 1L) &&
	    (s->ca_file == NULL || SET(CURLOPT_CAINFO, s->ca_file)) &&
	    (s->client_cert == NULL ||
	    SET(CURLOPT_SSLCERT, s->client_cert)) &&
	    (s->client_key == NULL || SET(CURLOPT_SSLKEY, s->client_key)) &&
	    /* Streams share a connection instead of each making its own. */
	    (s->http == TRANSFER_HTTP1 || !can_reuse(s->http) ||
	    SET(CURLOPT_PIPEWAIT, 1L)) &&
	    (can_reuse(s->http) || (SET(CURLOPT_FRESH_CONNECT, 1L) &&
	    SET(CURLOPT_FORBID_REUSE, 1L))) &&
	    SET(CURLOPT_CONNECTTIMEOUT_MS, s->connect_timeout_ms) &&
	    SET(CURLOPT_NOSIGNAL, 1L) &&
	    SET(CURLOPT_FOLLOWLOCATION, 0L) &&
	    SET(CURLOPT_HTTP_CONTENT_DECODING, 0L) &&
	    SET(CURLOPT_BUFFERSIZE, (long)RECEIVE_SIZE) &&
	    SET(CURLOPT_UPLOAD_BUFFERSIZE, (long)RECEIVE_SIZE) &&
	    SET(CURLOPT_TCP_NODELAY, 1L) &&
	    SET(CURLOPT_TCP_KEEPALIVE, 1L) &&
	    SET(CURLOPT_TCP_KEEPIDLE, (long)KEEPALIVE_IDLE_S) &&
	    SET(CURLOPT_TCP_KEEPINTVL, (long)KEEPALIVE_INTERVAL_S) &&
	    SET(CURLOPT_SOCKOPTFUNCTION, on_socket_made) &&
	    SET(CURLOPT_HEADERFUNCTION, on_head_line) &&
	    SET(CURLOPT_WRITEFUNCTION, on_content) &&
	    SET(CURLOPT_READFUNCTION, on_send) &&
	    SET(CURLOPT_SEEKFUNCTION, on_rewind) &&
	    SET(CURLOPT_PREREQFUNCTION, on_request);
}

static struct transfer *
transfer_new(struct transfer_peer *peer)
{
	struct transfer *t = calloc(1, sizeof(*t));
	CURL *easy;

	if (t == NULL || (easy = t->easy = curl_easy_init()) == NULL)
		fatal("out of memory");
	t->peer = peer;
	buf_init(&t->head, TRANSFER_HEAD_MAX);
	buf_init(&t->text, 4 * TRANSFER_HEAD_MAX);
	ev_timer_init(&t->deadline, on_deadline, 0., 0.);
	t->deadline.data = t;
	if (!set_up(easy, peer) ||
	    !SET(CURLOPT_PRIVATE, t) || !SET(CURLOPT_ERRORBUFFER, t->error) ||
	    !SET(CURLOPT_HEADERDATA, t) || !SET(CURLOPT_WRITEDATA, t) ||
	    !SET(CURLOPT_READDATA, t) || !SET(CURLOPT_SEEKDATA, t) ||
	    !SET(CURLOPT_PREREQDATA, t)) {
		transfer_destroy(t);
		return NULL;
	}
	return t;
}

struct transfer_peer *
transfer_peer_new(struct transfer_engine *engine,
    const struct transfer_peer_settings *s)
{
	struct transfer_peer *peer = calloc(1, sizeof(*peer));

	if (peer == NULL)
		fatal("out of memory");
	peer->engine = engine;
	peer->settings = *s;
	peer->settings.url = copy(s->url);
	peer->settings.unix_path = copy(s->unix_path);
	peer->settings.ca_file = copy(s->ca_file);
	peer->settings.client_cert = copy(s->client_cert);
	peer->settings.client_key = copy(s->client_key);
	/* The first handle shows whether libcurl takes the settings. */
	if ((peer->url = curl_url()) == NULL ||
	    curl_url_set(peer->url, CURLUPART_URL, s->url, 0) != CURLUE_OK ||
	    (peer->idle = transfer_new(peer)) == NULL) {
		transfer_peer_free(peer);
		return NULL;
	}
	peer->idle_count = 1;
	return peer;
}

void
transfer_peer_free(struct transfer_peer *peer)
{
	if (peer == NULL)
		return;
	while (peer->idle != NULL) {
		struct transfer *t = peer->idle;

		peer->idle = t->next;
		transfer_destroy(t);
	}
	curl_url_cleanup(peer->url);
	drop(peer->settings.url);
	drop(peer->settings.unix_path);
	drop(peer->settings.ca_file);
	drop(peer->settings.client_cert);
	drop(peer->settings.client_key);
	free(peer);
}

/* --- one transfer --- */

/* Appends a NUL-terminated text; its offset goes where a pointer will be:
 * the buffer may still move. */
static void
add_text(struct transfer *t, size_t line, struct span a,
    const char *separator, struct span b)
{
	t->lines[line].data = (char *)(uintptr_t)buf_len(&t->text);
	if (buf_append_span(&t->text, a) != 0 ||
	    buf_append_str(&t->text, separator) != 0 ||
	    buf_append_span(&t->text, b) != 0 ||
	    buf_append(&t->text, "", 1) != 0)
		fatal("out of memory");
}

/* The list of field lines, as libcurl reads it: "Name: value"; "Name;" is
 * an empty value; "Name:" takes out what libcurl would add.  It goes through
 * them all for each field that it may have to add itself. */
static void
set_lines(struct transfer *t, const struct transfer_request *request)
{
	static const char *const unwanted[] = { "Accept", "Expect",
		"Content-Type" };
	const struct fields *f = request->fields;
	const struct span none = span_of("", 0);
	/* The last two come with content only. */
	size_t n = 0, extra = request->framing.kind == HTTP1_FRAMING_NONE ? 1 :
	    sizeof(unwanted) / sizeof(*unwanted);

	if (t->lines_cap < f->count + extra + 1) {
		t->lines_cap = f->count + extra + 16;
		free(t->lines);
		t->lines = calloc(t->lines_cap, sizeof(*t->lines));
		if (t->lines == NULL)
			fatal("out of memory");
	}
	for (size_t i = 0; i < f->count; i++)
		add_text(t, n++, f->line[i].name,
		    f->line[i].value.len == 0 ? ";" : ": ", f->line[i].value);
	for (size_t i = 0; i < extra; i++)
		if (fields_find(f, unwanted[i]) == NULL)
			add_text(t, n++, span_str(unwanted[i]), ":", none);
	/* The last one is the method, outside the list. */
	add_text(t, n, request->method, "", none);
	for (size_t i = 0; i <= n; i++) {
		t->lines[i].data = t->text.data + t->text.off +
		    (uintptr_t)t->lines[i].data;
		t->lines[i].next = i + 1 < n ? &t->lines[i + 1] : NULL;
	}
	(void)curl_easy_setopt(t->easy, CURLOPT_HTTPHEADER, t->lines);
	(void)curl_easy_setopt(t->easy, CURLOPT_CUSTOMREQUEST,
	    t->lines[n].data);
}

static void
set_target(struct transfer *t, struct span target)
{
	size_t at = buf_len(&t->text);

	if (target.len == 0)
		return;
	if (buf_append_span(&t->text, target) != 0 ||
	    buf_append(&t->text, "", 1) != 0)
		fatal("out of memory");
	(void)curl_easy_setopt(t->easy, CURLOPT_REQUEST_TARGET,
	    buf_data(&t->text) + at);
}

static void
set_content(struct transfer *t, const struct transfer_request *request)
{
	CURL *easy = t->easy;
	bool ok = SET(CURLOPT_HTTPGET, 1L);

	if (request->framing.kind == HTTP1_FRAMING_LENGTH &&
	    request->content.data != NULL) {
		ok = ok && SET(CURLOPT_POST, 1L) &&
		    SET(CURLOPT_POSTFIELDS, request->content.data) &&
		    SET(CURLOPT_POSTFIELDSIZE_LARGE,
		    (curl_off_t)request->content.len);
	} else if (request->framing.kind == HTTP1_FRAMING_CHUNKED ||
	    (request->framing.kind == HTTP1_FRAMING_LENGTH &&
	    request->framing.length > 0)) {
		ok = ok && SET(CURLOPT_UPLOAD, 1L) &&
		    SET(CURLOPT_INFILESIZE_LARGE,
		    request->framing.kind == HTTP1_FRAMING_LENGTH ?
		    (curl_off_t)request->framing.length : (curl_off_t)-1);
	} else if (span_is(request->method, span_str("HEAD"))) {
		ok = ok && SET(CURLOPT_NOBODY, 1L);
	}
	ok = ok && SET(CURLOPT_MAXAGE_CONN, request->may_repeat ?
	    (long)MAX_IDLE_S : (long)MAX_IDLE_UNREPEATABLE_S);
	if (!ok)
		fatal("out of memory");
}
#undef SET

struct transfer *
transfer_start(struct transfer_peer *peer,
    const struct transfer_request *request,
    const struct transfer_handler *handler, void *arg)
{
	struct transfer *t = peer->idle;

	if (t != NULL) {
		peer->idle = t->next;
		peer->idle_count--;
	} else if ((t = transfer_new(peer)) == NULL) {
		fatal("out of memory");
	}
	t->handler = handler;
	t->arg = arg;
	t->receive_paused = t->send_paused = false;
	t->receive_wanted = t->send_wanted = false;
	t->kill_connection = t->server_closed = false;
	t->timed_out = t->head_done = false;
	t->may_repeat = request->may_repeat;
	t->attempts = 0;
	t->status = 0;
	t->sent = 0;
	t->error[0] = '\0';
	set_content(t, request);
	set_target(t, request->target);
	set_lines(t, request);
	t->reason = NULL;
	t->deadline_is_total = request->timeout_ms > 0;
	t->deadline.repeat = (double)(t->deadline_is_total ?
	    request->timeout_ms : request->head_timeout_ms) / 1e3;
	if (t->deadline.repeat > 0.)
		ev_timer_again(peer->engine->loop, &t->deadline);
	enqueue(t);
	return t;
}

void
transfer_resume_receive(struct transfer *t)
{
	t->receive_wanted = true;
	enqueue(t);
}

void
transfer_resume_send(struct transfer *t)
{
	t->send_wanted = true;
	enqueue(t);
}

void
transfer_abort(struct transfer *t)
{
	if (t == NULL)
		return;
	t->handler = NULL;
	ev_timer_stop(t->peer->engine->loop, &t->deadline);
	enqueue(t);
}

void
transfer_abort_connection(struct transfer *t)
{
	if (t == NULL)
		return;
	t->kill_connection = true;
	transfer_abort(t);
}
