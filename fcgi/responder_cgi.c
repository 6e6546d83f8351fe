/* responder_cgi.c - one plain CGI request (RFC 3875) as a call: params from
 * the environment, content from descriptor 0, response to descriptor 1. */
#include "config.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <unistd.h>

#include "common/log.h"
#include "fcgi/responder_private.h"

struct cgi {
	unsigned long long left;	/* content still to read */
	bool until_eof;			/* chunked: the length is not known */
	ev_io broken;			/* nobody reads descriptor 1 */
	int flags[2];			/* of descriptors 0 and 1 before */
	void (*done)(void *);
	void *done_arg;
};

/* false: the content breaks off. */
static bool
cgi_fill(struct conn *c, struct cgi *cgi)
{
	struct responder *r = c->responder;
	size_t most = cgi->left < READ_MAX ? (size_t)cgi->left : READ_MAX;
	ssize_t n = read(c->fd, r->scratch, most);
	if (n < 0)
		return errno == EAGAIN || errno == EINTR;
	if (n == 0) {
		cgi->left = 0;
		return cgi->until_eof;
	}
	if (buf_append(&c->in, r->scratch, (size_t)n) != WIRE_OK)
		fatal("out of memory for content");
	if (!cgi->until_eof)
		cgi->left -= (size_t)n;
	return true;
}

static void
on_content(struct ev_loop *loop, ev_io *w, int events)
{
	struct conn *c = w->data;
	struct cgi *cgi = c->responder->cgi;
	(void)loop;
	if ((events & EV_READ) && !cgi_fill(c, cgi)) {
		conn_lose(c);
		return;
	}
	c->content = buf_len(&c->in);
	c->content_ended = cgi->left == 0;
	if (c->state == CONN_WAITS_FOR_REQUEST)
		conn_begin_call(c, NULL, environ);
	else if (c->state == CONN_WAITS_FOR_RESPONSE)
		conn_tell_content(c);
	if (c->state != CONN_CLOSED)
		conn_watch_readable(c);
}

/* The write end of a pipe is never readable, but an error shows there when
 * its reader is gone. */
static void
on_broken(struct ev_loop *loop, ev_io *w, int events)
{
	struct conn *c = w->data;
	struct pollfd out = { .fd = c->out_fd };
	(void)events;
	ev_io_stop(loop, w);
	if (poll(&out, 1, 0) > 0 && (out.revents & POLLERR))
		conn_lose(c);
}

/* RFC 3875 4.1.2, and what Apache does with a chunked request: there is no
 * length, and the end of the file is the end. */
static void
find_content_length(struct cgi *cgi)
{
	const char *coding = getenv("HTTP_TRANSFER_ENCODING");
	if (span_to_u64(span_str(getenv("CONTENT_LENGTH")), &cgi->left))
		return;
	cgi->left = 0;
	if (coding != NULL && strcasecmp(coding, "chunked") == 0) {
		cgi->left = ULLONG_MAX;
		cgi->until_eof = true;
	}
}

static int
make_nonblocking(int fd)
{
	int flags = fcntl(fd, F_GETFL);
	if (flags >= 0)
		fcntl(fd, F_SETFL, flags | O_NONBLOCK);
	return flags;
}

struct responder *
responder_new_cgi(struct ev_loop *loop,
    const struct responder_handler *handler, void (*done)(void *), void *arg)
{
	struct responder *r = responder_new_common(loop, handler);
	struct cgi *cgi = calloc(1, sizeof(*cgi));
	if (cgi == NULL)
		fatal("out of memory");
	r->cgi = cgi;
	cgi->done = done;
	cgi->done_arg = arg;
	find_content_length(cgi);
	/* A client that left is an error of write, not the end of us. */
	signal(SIGPIPE, SIG_IGN);
	for (int fd = 0; fd <= 1; fd++)
		cgi->flags[fd] = make_nonblocking(fd);

	struct conn *c = conn_new(r, STDIN_FILENO, STDOUT_FILENO);
	c->is_cgi = true;
	ev_set_cb(&c->readable, on_content);
	ev_io_init(&cgi->broken, on_broken, STDOUT_FILENO, EV_READ);
	cgi->broken.data = c;
	ev_io_start(loop, &cgi->broken);
	/* The call begins in the loop, not in here. */
	ev_feed_event(loop, &c->readable, EV_CUSTOM);
	responder_take_another_turn(r);
	return r;
}

void
cgi_done(struct responder *r)
{
	void (*done)(void *) = r->cgi->done;
	ev_io_stop(r->loop, &r->cgi->broken);
	r->cgi->done = NULL;
	if (done != NULL)
		done(r->cgi->done_arg);
}

void
cgi_clear(struct responder *r)
{
	if (r->cgi == NULL)
		return;
	ev_io_stop(r->loop, &r->cgi->broken);
	/* The descriptions may be shared with whoever started us. */
	for (int fd = 0; fd <= 1; fd++)
		if (r->cgi->flags[fd] >= 0)
			fcntl(fd, F_SETFL, r->cgi->flags[fd]);
	free(r->cgi);
}
