/* responder.c - accepts FastCGI connections, and what ends each loop turn.
 *
 * A turn: what arrived is read and told to the handler at once; what the
 * handler writes is gathered and written when the turn ends, one write for
 * each connection; then what is over is freed.  So nothing is ever freed
 * inside a handler that was called for it.  A handler that is told something
 * while the turn ends may leave work to others, whose turn has been: then the
 * next turn does not wait for an event. */
#include "config.h"

#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "common/log.h"
#include "fcgi/responder_private.h"

/* Other workers wait at the same socket. */
enum { ACCEPTS_PER_TURN = 16 };

#define HEAD_TIMEOUT 10.0	/* from a head's first byte to its last */
#define LINGER_TIMEOUT 30.0	/* without progress after the response */
#define IDLE_CLOSE_AFTER 0.5	/* when stopping */
#define STOPPING_LOOK 0.1
#define ACCEPT_PAUSE 0.1	/* when descriptors have run out */
#define UNCLAIMED_AFTER 0.5	/* when stopping */
#define UNCLAIMED_LOOK 0.05

void
responder_accept(struct responder *r)
{
	if (r->listen_fd < 0 || r->is_stopping ||
	    r->connections >= r->max_connections)
		return;
	if (!ev_is_active(&r->accept_pause))
		ev_io_start(r->loop, &r->acceptable);
	if (r->pass_from >= 0)
		ev_io_start(r->loop, &r->passed);
}

void
responder_take_another_turn(struct responder *r)
{
	ev_idle_start(r->loop, &r->again);
}

static void
reap(struct responder *r)
{
	struct call *call;
	struct conn *c;
	while ((call = SLIST_FIRST(&r->retired_calls)) != NULL) {
		SLIST_REMOVE_HEAD(&r->retired_calls, link);
		fastcgi_free(call->fastcgi);
		free(call);
	}
	while ((c = LIST_FIRST(&r->retired)) != NULL) {
		LIST_REMOVE(c, link);
		conn_free(c);
	}
}

static void
on_turn(struct ev_loop *loop, ev_prepare *w, int events)
{
	struct responder *r = w->data;
	/* Once each: a handler that writes when told `drained` comes back in
	 * the next turn, after the others. */
	size_t count = r->dirty_count;
	(void)loop;
	(void)events;
	while (count-- > 0 && !TAILQ_EMPTY(&r->dirty)) {
		struct conn *c = TAILQ_FIRST(&r->dirty);
		conn_unmark_dirty(c);
		conn_flush(c);
	}
	if (!TAILQ_EMPTY(&r->dirty))
		responder_take_another_turn(r);
	reap(r);
	if (r->cgi != NULL && r->connections == 0)
		cgi_done(r);
}

static void
on_again(struct ev_loop *loop, ev_idle *w, int events)
{
	(void)events;
	ev_idle_stop(loop, w);
}

static void
pause_accepting(struct responder *r)
{
	if (!r->accept_failed)
		log_warn(NULL, "can't accept FastCGI connections for now: %s "
		    "(raise the limit of open files)", strerror(errno));
	r->accept_failed = true;
	ev_io_stop(r->loop, &r->acceptable);
	ev_timer_set(&r->accept_pause, ACCEPT_PAUSE, 0.);
	ev_timer_start(r->loop, &r->accept_pause);
}

/* Where no other worker takes them, idle connections are closed; but a web
 * server may be about to send a request on one, and takes its end for a failure
 * then.  So they are kept for a moment; one that is used is closed after its
 * response. */
static void
on_stopping(struct ev_loop *loop, ev_timer *timer, int events)
{
	struct responder *r = timer->data;
	struct conn *c, *next;

	(void)events;
	responder_pass_idle(r);
	if (responder_can_pass(r) ||
	    ev_now(loop) - r->stopped_at < IDLE_CLOSE_AFTER)
		return;
	for (c = LIST_FIRST(&r->open); c != NULL; c = next) {
		next = LIST_NEXT(c, link);
		if (c->state == CONN_WAITS_FOR_REQUEST && !c->is_cgi &&
		    conn_is_silent(c))
			conn_close(c);
	}
}

static void
on_accept_pause(struct ev_loop *loop, ev_timer *w, int events)
{
	(void)loop;
	(void)events;
	responder_accept(w->data);
}

void
responder_adopt(struct responder *r, int fd, bool is_unclaimed)
{
	struct conn *c = conn_new(r, fd, fd);

	c->is_unclaimed = is_unclaimed;
	conn_on_readable(r->loop, &c->readable, EV_READ);
}

static void
accepted(struct responder *r, int fd)
{
	r->accept_failed = false;
	if (!responder_peer_is_allowed(fd, r->allowed_peers)) {
		log_warn(NULL, "closing a FastCGI connection: "
		    "FCGI_WEB_SERVER_ADDRS does not name its peer");
		close(fd);
		return;
	}
	/* It is read at once: the request is mostly there already. */
	responder_adopt(r, fd, r->is_stopping);
}

static void
accept_some(struct responder *r)
{
	for (int i = 0; i < ACCEPTS_PER_TURN; i++) {
		if (r->connections >= r->max_connections) {
			ev_io_stop(r->loop, &r->acceptable);
			return;
		}
		int fd = accept4(r->listen_fd, NULL, NULL,
		    SOCK_NONBLOCK | SOCK_CLOEXEC);
		if (fd >= 0) {
			accepted(r, fd);
		} else if (errno == EAGAIN) {
			return;
		} else if (errno != EINTR && errno != ECONNABORTED) {
			pause_accepting(r);
			return;
		}
	}
}

/* Another worker on the socket would have taken what waits there long ago; but
 * one look may see what has only just come. */
static void
on_unclaimed(struct ev_loop *loop, ev_timer *timer, int events)
{
	struct responder *r = timer->data;
	struct pollfd socket = { .fd = r->listen_fd, .events = POLLIN };
	bool waits = poll(&socket, 1, 0) > 0;

	(void)events;
	if (waits && !r->is_alone &&
	    ev_now(loop) - r->unclaimed_since < UNCLAIMED_AFTER)
		return;
	r->is_alone = waits;
	ev_timer_stop(loop, timer);
	ev_io_start(loop, &r->acceptable);
	if (waits)
		accept_some(r);
}

static void
on_acceptable(struct ev_loop *loop, ev_io *w, int events)
{
	struct responder *r = w->data;
	(void)events;
	if (!r->is_stopping) {
		accept_some(r);
		return;
	}
	ev_io_stop(loop, w);
	r->unclaimed_since = ev_now(loop);
	ev_timer_again(loop, &r->unclaimed);
}

struct responder *
responder_new_common(struct ev_loop *loop,
    const struct responder_handler *handler)
{
	struct responder *r = calloc(1, sizeof(*r));
	if (r == NULL || (r->scratch = malloc(READ_MAX)) == NULL)
		fatal("out of memory");
	r->loop = loop;
	r->handler = handler;
	r->listen_fd = r->pass_into = r->pass_from = -1;
	r->head_timeout = HEAD_TIMEOUT;
	r->linger_timeout = LINGER_TIMEOUT;
	LIST_INIT(&r->open);
	LIST_INIT(&r->retired);
	TAILQ_INIT(&r->dirty);
	SLIST_INIT(&r->retired_calls);
	ev_prepare_init(&r->turn, on_turn);
	ev_idle_init(&r->again, on_again);
	ev_init(&r->stopping, on_stopping);
	r->turn.data = r->again.data = r->stopping.data = r;
	/* Last, so that what others write when a turn ends goes with it. */
	ev_set_priority(&r->turn, EV_MINPRI);
	ev_prepare_start(loop, &r->turn);
	return r;
}

struct responder *
responder_new(struct ev_loop *loop, int listen_fd,
    const struct responder_handler *handler, size_t max_connections)
{
	int on = 1;
	fastcgi_start();
	struct responder *r = responder_new_common(loop, handler);
	r->listen_fd = listen_fd;
	r->max_connections = max_connections;
	r->allowed_peers = getenv("FCGI_WEB_SERVER_ADDRS");
	int flags = fcntl(listen_fd, F_GETFL);
	if (flags < 0 || fcntl(listen_fd, F_SETFL, flags | O_NONBLOCK) < 0)
		fatal("the FastCGI socket: %s", strerror(errno));
	/* What is accepted inherits it.  Fails on a unix socket. */
	setsockopt(listen_fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
	ev_io_init(&r->acceptable, on_acceptable, listen_fd, EV_READ);
	ev_init(&r->accept_pause, on_accept_pause);
	ev_timer_init(&r->unclaimed, on_unclaimed, 0., UNCLAIMED_LOOK);
	r->unclaimed.data = r->acceptable.data = r->accept_pause.data = r;
	ev_io_start(loop, &r->acceptable);
	return r;
}

void
responder_set_times(struct responder *r, double head_seconds,
    double linger_seconds)
{
	r->head_timeout = head_seconds;
	r->linger_timeout = linger_seconds;
}

void
responder_stop_accepting(struct responder *r)
{
	if (r->is_stopping)
		return;
	r->is_stopping = true;
	if (r->listen_fd >= 0) {
		ev_io_stop(r->loop, &r->acceptable);
		ev_timer_stop(r->loop, &r->accept_pause);
	}
	if (r->pass_from >= 0)
		ev_io_stop(r->loop, &r->passed);
	responder_pass_idle(r);
	r->stopped_at = ev_now(r->loop);
	r->stopping.repeat = STOPPING_LOOK;
	ev_timer_again(r->loop, &r->stopping);
}

void
responder_take_unclaimed(struct responder *r, bool on)
{
	if (r->listen_fd < 0)
		return;
	ev_timer_stop(r->loop, &r->unclaimed);
	if (on)
		ev_io_start(r->loop, &r->acceptable);
	else
		ev_io_stop(r->loop, &r->acceptable);
}

size_t
responder_calls(const struct responder *r)
{
	return r->calls;
}

size_t
responder_connections(const struct responder *r)
{
	return r->connections;
}

void
responder_free(struct responder *r)
{
	struct conn *c;
	if (r == NULL)
		return;
	responder_pass_no_more(r);
	responder_stop_accepting(r);
	responder_take_unclaimed(r, false);
	ev_timer_stop(r->loop, &r->stopping);
	while ((c = LIST_FIRST(&r->open)) != NULL)
		conn_lose(c);
	reap(r);
	cgi_clear(r);
	ev_prepare_stop(r->loop, &r->turn);
	ev_idle_stop(r->loop, &r->again);
	free(r->scratch);
	free(r);
}
