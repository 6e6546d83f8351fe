/* responder_conn.c - one FastCGI connection: what arrives becomes a call, what
 * the call writes is sent, and how it ends.
 *
 * libfcgi is called through responder_fastcgi.c only; nothing here waits. */
#include "config.h"

#include <errno.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

#include "common/log.h"
#include "fcgi/responder_private.h"

/* A head with every record it may have. */
enum { IN_MAX = 2 * RECORD_PARAMS_MAX + READ_MAX };

/* Bytes in the time of lingering, both ways together. */
enum { LINGER_LEAST = 4096 };

/* Sent and not yet read by the web server. */
enum { UNREAD_MAX = 64 * 1024 };

#define CUT_AFTER 0.12		/* lighttpd: 100 ms, see call_abort */

void
conn_mark_dirty(struct conn *c)
{
	struct responder *r = c->responder;
	if (c->is_dirty)
		return;
	c->is_dirty = true;
	TAILQ_INSERT_TAIL(&r->dirty, c, dirty_link);
	r->dirty_count++;
}

void
conn_unmark_dirty(struct conn *c)
{
	struct responder *r = c->responder;
	if (!c->is_dirty)
		return;
	c->is_dirty = false;
	TAILQ_REMOVE(&r->dirty, c, dirty_link);
	r->dirty_count--;
}

/* Of its call nothing is left to do. */
static void
end_count(struct conn *c)
{
	void (*over)(void *) = c->over;

	if (c->is_counted)
		c->responder->calls--;
	c->is_counted = false;
	c->over = NULL;
	if (over != NULL)
		over(c->over_arg);
}

static void
end_delay(struct conn *c)
{
	if (c->is_delayed)
		c->responder->delayed--;
	c->is_delayed = false;
}

void
conn_close(struct conn *c)
{
	struct responder *r = c->responder;
	ev_io_stop(r->loop, &c->readable);
	ev_io_stop(r->loop, &c->writable);
	ev_timer_stop(r->loop, &c->timer);
	conn_unmark_dirty(c);
	end_delay(c);
	if (!c->is_cgi)
		close(c->fd);
	end_count(c);
	c->state = CONN_CLOSED;
	LIST_REMOVE(c, link);
	LIST_INSERT_HEAD(&r->retired, c, link);
	r->connections--;
	responder_accept(r);
}

void
conn_retire_call(struct call *call)
{
	struct conn *c = call->conn;
	struct responder *r = c->responder;
	call->conn = NULL;
	c->call = NULL;
	SLIST_INSERT_HEAD(&r->retired_calls, call, link);
}

void
conn_lose(struct conn *c)
{
	struct call *call = c->call;
	struct responder *r = c->responder;
	if (c->state == CONN_CLOSED)
		return;
	if (call != NULL)
		conn_retire_call(call);
	conn_close(c);
	if (call == NULL)
		return;
	r->handler->gone(call, call->data);
	responder_take_another_turn(r);
}

/* Stops reading while the handler leaves too much content untaken.  A CGI
 * request has nothing else to read. */
void
conn_watch_readable(struct conn *c)
{
	struct ev_loop *loop = c->responder->loop;
	bool in_call = c->state == CONN_WAITS_FOR_RESPONSE;
	size_t most = ev_is_active(&c->readable) ? CALL_CONTENT_MAX :
	    CALL_CONTENT_MAX / 2;
	bool is_full = in_call &&
	    (buf_len(&c->in) >= most || c->content >= most);
	if (is_full || (c->is_cgi && (c->content_ended || !in_call)))
		ev_io_stop(loop, &c->readable);
	else
		ev_io_start(loop, &c->readable);
}

/* The peer does something: it has time anew, if that is more than a byte now
 * and then. */
static void
progress(struct conn *c, size_t len)
{
	c->lingered += len;
	if (!ev_is_active(&c->timer) || c->timer.repeat <= 0. ||
	    c->lingered < LINGER_LEAST)
		return;
	c->lingered = 0;
	ev_timer_again(c->responder->loop, &c->timer);
}

/* Reads once.  Level-triggered: what is left brings the next event.  A head is
 * small, and its connection may then wait for long: it gets no more memory
 * than it needs.  Content is read where it will be taken from. */
static bool
conn_fill(struct conn *c)
{
	struct responder *r = c->responder;
	char *room = c->has_head ? buf_reserve(&c->in, READ_MAX) : NULL;
	ssize_t n = read(c->fd, room != NULL ? room : r->scratch, READ_MAX);
	if (n < 0)
		return errno == EAGAIN || errno == EINTR;
	if (n == 0)
		return false;
	if (room != NULL) {
		buf_commit(&c->in, (size_t)n);
	} else if (buf_append(&c->in, r->scratch, (size_t)n) != WIRE_OK) {
		log_warn(NULL, "closing a FastCGI connection: "
		    "the head of a request is too large");
		return false;
	}
	progress(c, (size_t)n);
	return true;
}

/* Skips the content that is there: nobody wants it any more. */
void
conn_discard_content(struct conn *c)
{
	buf_drain(&c->in, c->scanned);
	c->scanned = 0;
	c->reader = (struct record_reader){ 0 };
	c->content = 0;
}

/* Follows the records that have arrived, but not beyond a head that libfcgi
 * has not read yet.  false: the connection is lost. */
static bool
conn_scan(struct conn *c)
{
	struct record record;
	while (c->has_head || c->scan.state < RECORD_SCAN_WAITS_FOR_STDIN) {
		struct span in = buf_span(&c->in);
		in = span_of(in.data + c->scanned, in.len - c->scanned);
		int result = record_scan_next(&c->scan, in, &record);
		if (result == WIRE_MORE)
			break;
		if (result != WIRE_DONE) {
			log_warn(NULL, "closing a FastCGI connection: %s",
			    c->scan.problem);
			return false;
		}
		if (record.kind == RECORD_ABORT)
			return false;
		if (record.kind == RECORD_STALE) {
			buf_drain(&c->in, record.len);
			continue;
		}
		c->scanned += record.len;
		if (record.kind == RECORD_STDIN)
			c->content += record.content_len;
	}
	c->content_ended = c->scan.state == RECORD_SCAN_OVER;
	return true;
}

void
conn_tell_content(struct conn *c)
{
	struct call *call = c->call;
	c->responder->handler->content(call, call->data);
}

void
conn_begin_call(struct conn *c, struct fastcgi *f, char *const *params)
{
	static unsigned long long last_number;
	struct responder *r = c->responder;
	struct call *call = calloc(1, sizeof(*call));
	if (call == NULL)
		fatal("out of memory for a call");
	call->conn = c;
	call->number = ++last_number;
	call->fastcgi = f;
	call->params = params;
	c->call = call;
	c->state = CONN_WAITS_FOR_RESPONSE;
	c->first_sent = 0;
	c->is_counted = true;
	r->calls++;
	r->handler->request(call);
	if (c->call == call && (c->content > 0 || c->content_ended))
		conn_tell_content(c);
}

static void
advance_request(struct conn *c)
{
	struct responder *r = c->responder;
	if (c->scan.state == RECORD_SCAN_WAITS_FOR_BEGIN ||
	    c->scan.state == RECORD_SCAN_WAITS_FOR_PARAMS) {
		if (buf_len(&c->in) > 0 && !ev_is_active(&c->timer)) {
			ev_timer_set(&c->timer, r->head_timeout, 0.);
			ev_timer_start(r->loop, &c->timer);
		}
		return;
	}
	ev_timer_stop(r->loop, &c->timer);
	struct fastcgi *f = fastcgi_accept(c);
	if (f == NULL) {
		log_warn(NULL, "closing a FastCGI connection: "
		    "libfcgi refuses the head of a request");
		conn_lose(c);
		return;
	}
	c->has_head = true;
	if (!conn_scan(c)) {
		fastcgi_free(f);
		conn_lose(c);
		return;
	}
	conn_begin_call(c, f, fastcgi_params(f));
}

/* Acts on what has arrived, as the state wants it. */
static void
conn_advance(struct conn *c)
{
	size_t content = c->content;
	bool ended = c->content_ended;
	if (!conn_scan(c)) {
		conn_lose(c);
		return;
	}
	switch (c->state) {
	case CONN_WAITS_FOR_REQUEST:
		advance_request(c);
		break;
	case CONN_WAITS_FOR_RESPONSE:
		if (c->content > content || c->content_ended != ended)
			conn_tell_content(c);
		break;
	case CONN_WAITS_FOR_FINISH:
	case CONN_WAITS_FOR_CUT:
		conn_discard_content(c);
		conn_mark_dirty(c);
		break;
	case CONN_CLOSED:
		return;
	}
	if (c->state == CONN_CLOSED)
		return;
	if (buf_len(&c->in) == 0)
		buf_clear(&c->in);
	conn_watch_readable(c);
}

void
conn_on_readable(struct ev_loop *loop, ev_io *w, int events)
{
	struct conn *c = w->data;
	(void)loop;
	if ((events & EV_READ) && !conn_fill(c))
		conn_lose(c);
	else
		conn_advance(c);
}

static void
conn_on_writable(struct ev_loop *loop, ev_io *w, int events)
{
	(void)events;
	ev_io_stop(loop, w);
	conn_mark_dirty(w->data);
}

/* The end of a delay; or a head that does not end, a peer that takes nothing
 * after the response is over, the moment to break off. */
static void
conn_on_timer(struct ev_loop *loop, ev_timer *w, int events)
{
	struct conn *c = w->data;
	(void)loop;
	(void)events;
	if (c->is_delayed) {
		end_delay(c);
		conn_mark_dirty(c);
		return;
	}
	if (c->state == CONN_WAITS_FOR_REQUEST)
		log_warn(NULL, "closing a FastCGI connection: "
		    "the head of a request took too long");
	conn_lose(c);
}

struct conn *
conn_new(struct responder *r, int fd, int out_fd)
{
	struct conn *c = calloc(1, sizeof(*c));
	if (c == NULL)
		fatal("out of memory for a connection");
	c->responder = r;
	c->fd = fd;
	c->out_fd = out_fd;
	buf_init(&c->in, IN_MAX);
	buf_init(&c->out, SIZE_MAX / 4);
	record_scan_init(&c->scan);
	ev_io_init(&c->readable, conn_on_readable, fd, EV_READ);
	ev_io_init(&c->writable, conn_on_writable, out_fd, EV_WRITE);
	ev_init(&c->timer, conn_on_timer);
	c->readable.data = c->writable.data = c->timer.data = c;
	LIST_INSERT_HEAD(&r->open, c, link);
	r->connections++;
	return c;
}

void
conn_free(struct conn *c)
{
	buf_clear(&c->in);
	buf_clear(&c->out);
	free(c);
}

/* lighttpd reads all there is, and writes to a temporary file what makes its
 * queue for the client longer than 128 KiB; it stops reading at 64 KiB.  So it
 * must never find more than another 64 KiB; Linux doubles the value.  Where
 * the socket is not local this does no good, and no harm. */
static void
limit_unread(struct conn *c)
{
	static const int len = UNREAD_MAX / 2;
	c->is_limited = true;
	if (c->call == NULL || !call_is_from_apache(c->call))
		setsockopt(c->out_fd, SOL_SOCKET, SO_SNDBUF, &len,
		    sizeof(len));
}

/* How much of what is written must go alone: the end of a request, on a
 * connection that is kept.  mod_proxy_fcgi (2.4.71 still) reads the content of
 * END_REQUEST once and takes what it gets for all of it; what came a moment
 * later it would find before the next response ("Got bogus version 0"), and
 * answer that request with 503. */
static size_t
end_len(const struct conn *c)
{
	return c->state == CONN_WAITS_FOR_FINISH && !c->is_cgi &&
	    c->scan.keeps_connection ? RECORD_END_LEN : 0;
}

/* Sends the first len bytes, or as many as the socket takes; false: the peer
 * is gone. */
static bool
send_first(struct conn *c, size_t len)
{
	/* MSG_EOR: TCP, too, puts what comes later into a packet of its own. */
	ssize_t n = c->is_cgi ? write(c->out_fd, buf_data(&c->out), len) :
	    send(c->out_fd, buf_data(&c->out), len, MSG_NOSIGNAL | MSG_EOR);
	if (n < 0)
		return errno == EAGAIN || errno == EINTR;
	buf_drain(&c->out, (size_t)n);
	if (n > 0 && c->first_sent == 0)
		c->first_sent = ev_time();
	if (n > 0)
		progress(c, (size_t)n);
	return true;
}

/* false: the peer is gone. */
static bool
conn_send(struct conn *c)
{
	struct responder *r = c->responder;
	size_t len = buf_len(&c->out), end = end_len(c);
	if (len == 0)
		return true;
	if (len > UNREAD_MAX / 2 && !c->is_limited)
		limit_unread(c);
	record_seal(&c->writer);
	if (len > end && !send_first(c, len - end))
		return false;
	if (end > 0 && buf_len(&c->out) == end && !send_first(c, end))
		return false;
	if (buf_len(&c->out) == 0)
		buf_clear(&c->out);
	else
		ev_io_start(r->loop, &c->writable);
	return true;
}

/* What is left to do waits for the peer, but not for ever. */
static void
linger(struct conn *c)
{
	if (ev_is_active(&c->timer))
		return;
	c->lingered = 0;
	c->timer.repeat = c->responder->linger_timeout;
	ev_timer_again(c->responder->loop, &c->timer);
}

bool
conn_is_silent(const struct conn *c)
{
	int unread = 0;

	return buf_len(&c->in) == 0 && ioctl(c->fd, FIONREAD, &unread) == 0 &&
	    unread == 0;
}

/* The response is written and the request read to its end. */
static void
settle_finish(struct conn *c)
{
	struct responder *r = c->responder;
	if (buf_len(&c->out) == 0)
		end_count(c);
	if (buf_len(&c->out) > 0 || (!c->content_ended && !c->is_cgi)) {
		linger(c);
		return;
	}
	bool is_kept = !c->is_cgi && c->scan.keeps_connection;
	if (is_kept && conn_pass_on(c))
		return;
	/* When stopping, the next request may have come in the moment since
	 * this one's end was written: it is served, not reset. */
	if (!is_kept || (r->is_stopping && !responder_can_pass(r) &&
	    conn_is_silent(c))) {
		conn_close(c);
		return;
	}
	ev_timer_stop(r->loop, &c->timer);
	record_scan_init(&c->scan);
	c->has_head = false;
	c->content_ended = false;
	c->state = CONN_WAITS_FOR_REQUEST;
	/* The next request may be here already, with no event to come. */
	if (buf_len(&c->in) > 0) {
		ev_feed_event(r->loop, &c->readable, EV_CUSTOM);
		responder_take_another_turn(r);
	}
}

static void
settle_cut(struct conn *c)
{
	struct responder *r = c->responder;
	ev_tstamp left = c->first_sent + CUT_AFTER - ev_time();
	if (buf_len(&c->out) > 0) {
		linger(c);
	} else if (c->first_sent == 0 || left <= 0) {
		conn_close(c);
	} else {
		/* The time of a long turn must not shorten it. */
		ev_now_update(r->loop);
		ev_timer_stop(r->loop, &c->timer);
		ev_timer_set(&c->timer, left, 0.);
		ev_timer_start(r->loop, &c->timer);
	}
}

static void
tell_drained(struct conn *c)
{
	struct call *call = c->call;
	if (!call->is_above || call_unsent(call) > CALL_LOW_WATER)
		return;
	call->is_above = false;
	c->responder->handler->drained(call, call->data);
	responder_take_another_turn(c->responder);
}

void
conn_flush(struct conn *c)
{
	if (c->is_delayed)
		return;
	/* While the peer is slow its event says when to go on. */
	if (!ev_is_active(&c->writable) && !conn_send(c)) {
		conn_lose(c);
		return;
	}
	if (c->state == CONN_WAITS_FOR_FINISH)
		settle_finish(c);
	else if (c->state == CONN_WAITS_FOR_CUT)
		settle_cut(c);
	else if (c->call != NULL)
		tell_drained(c);
}

