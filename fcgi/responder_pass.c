/* responder_pass.c - a worker that stops passes its kept connections on to the
 * workers beside it.
 *
 * It can't close one without risk: a web server that has just seen that the
 * connection is open may be about to send its next request on it, and answers
 * that one with 503 when it finds it reset.  So the descriptor goes to another
 * worker, through a socket that all of them share, with whatever request has
 * arrived on it meanwhile.  When nobody takes it there (all of them stop), the
 * worker that stops takes it back, and closes it once it is silent. */
#include "config.h"

#include <errno.h>
#include <stdint.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "fcgi/responder_private.h"

/* All of those who could take a connection wait for just that. */
#define UNTAKEN_SECONDS 0.5

enum { TAKEN_PER_TURN = 16 };

/* One message: when it was passed on, and the descriptor. */
struct passage {
	double since;
	struct msghdr header;
	struct iovec data;
	union {
		struct cmsghdr head;	/* for its alignment */
		char room[CMSG_SPACE(sizeof(int))];
	} control;
};

static double
monotonic_seconds(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (double)now.tv_sec + (double)now.tv_nsec / 1e9;
}

static struct msghdr *
passage_header(struct passage *p)
{
	p->data = (struct iovec){ &p->since, sizeof(p->since) };
	p->header = (struct msghdr){ .msg_iov = &p->data, .msg_iovlen = 1,
	    .msg_control = &p->control,
	    .msg_controllen = sizeof(p->control.room) };
	return &p->header;
}

bool
responder_pass_open(int ends[2])
{
	return socketpair(AF_UNIX,
	    SOCK_SEQPACKET | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, ends) == 0;
}

/* false: it can't be passed on now, or (nobody_takes) ever. */
static bool
send_descriptor(struct responder *r, int fd)
{
	struct passage p = { .since = monotonic_seconds() };
	struct msghdr *header = passage_header(&p);
	struct cmsghdr *control = CMSG_FIRSTHDR(header);

	control->cmsg_level = SOL_SOCKET;
	control->cmsg_type = SCM_RIGHTS;
	control->cmsg_len = CMSG_LEN(sizeof(fd));
	memcpy(CMSG_DATA(control), &fd, sizeof(fd));
	if (sendmsg(r->pass_into, header, MSG_NOSIGNAL) >= 0)
		return true;
	if (errno != EAGAIN && errno != EINTR)
		r->nobody_takes = true;
	return false;
}

/* -1: there is none. */
static int
receive_descriptor(struct responder *r)
{
	struct passage p;
	struct msghdr *header = passage_header(&p);
	struct cmsghdr *control;
	int fd;

	if (recvmsg(r->pass_from, header, MSG_CMSG_CLOEXEC) < 0 ||
	    (control = CMSG_FIRSTHDR(header)) == NULL ||
	    control->cmsg_level != SOL_SOCKET ||
	    control->cmsg_type != SCM_RIGHTS ||
	    control->cmsg_len != CMSG_LEN(sizeof(fd)))
		return -1;
	memcpy(&fd, CMSG_DATA(control), sizeof(fd));
	return fd;
}

/* For how long has the first one waited; below 0: there is none. */
static double
first_waits(const struct responder *r)
{
	double since;

	if (recv(r->pass_from, &since, sizeof(since), MSG_PEEK) !=
	    (ssize_t)sizeof(since))
		return -1;
	return monotonic_seconds() - since;
}

bool
conn_pass_on(struct conn *c)
{
	struct responder *r = c->responder;

	if (!responder_can_pass(r) || buf_len(&c->in) > 0 ||
	    !send_descriptor(r, c->fd))
		return false;
	conn_close(c);
	return true;
}

/* As many as there is room for; the rest waits for others, or for room. */
static void
on_passed(struct ev_loop *loop, ev_io *w, int events)
{
	struct responder *r = w->data;
	int fd;

	(void)events;
	for (int i = 0; i < TAKEN_PER_TURN; i++) {
		if (r->connections >= r->max_connections) {
			ev_io_stop(loop, w);
			return;
		}
		if ((fd = receive_descriptor(r)) < 0)
			return;
		responder_adopt(r, fd, false);
	}
}

void
responder_pass(struct responder *r, const int ends[2])
{
	r->pass_into = ends[0];
	r->pass_from = ends[1];
	ev_io_init(&r->passed, on_passed, r->pass_from, EV_READ);
	r->passed.data = r;
	responder_accept(r);
}

void
responder_pass_no_more(struct responder *r)
{
	if (r->pass_from >= 0)
		ev_io_stop(r->loop, &r->passed);
	r->pass_into = r->pass_from = -1;
}

bool
responder_can_pass(const struct responder *r)
{
	return r->is_stopping && r->pass_into >= 0 && !r->nobody_takes;
}

void
responder_pass_idle(struct responder *r)
{
	struct conn *c, *next;
	int fd;

	if (r->pass_from < 0)
		return;
	for (c = LIST_FIRST(&r->open); c != NULL; c = next) {
		next = LIST_NEXT(c, link);
		if (c->state == CONN_WAITS_FOR_REQUEST)
			(void)conn_pass_on(c);
	}
	while (first_waits(r) > UNTAKEN_SECONDS) {
		r->nobody_takes = true;
		if ((fd = receive_descriptor(r)) >= 0)
			responder_adopt(r, fd, false);
	}
}

bool
responder_is_done(const struct responder *r)
{
	return r->calls == 0 && r->connections == 0 &&
	    (r->pass_from < 0 || first_waits(r) < 0);
}
