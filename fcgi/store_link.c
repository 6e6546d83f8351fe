/* store_link.c - a byte stream to Redis that comes back by itself.
 * Sockets and time only; the protocol is store.c's. */
#include "config.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <netdb.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdint.h>
#include <string.h>
#include <sys/random.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "fcgi/store_link.h"

/* Over this Redis is so slow that waiting helps nobody: the link is lost. */
enum { OUT_MAX = 64 * 1024 * 1024 };

enum { READ_SIZE = 64 * 1024, READS_PER_TURN = 16 };

static const double BACKOFF_FIRST = 0.050, BACKOFF_LAST = 0.5;

/* A connection that was open for so many seconds was worth making. */
static const double GOOD_SECONDS = 1;

static void link_connect(struct store_link *link);

/* Half to the whole of `seconds`, so that many workers do not come at once. */
static double
with_jitter(double seconds)
{
	uint32_t random = 0;

	if (getrandom(&random, sizeof(random), GRND_NONBLOCK) < 0)
		random = (uint32_t)getpid() * 2654435761U;
	return seconds * (0.5 + 0.5 * (double)random / (double)UINT32_MAX);
}

static void
watch_events(struct store_link *link, int events)
{
	if ((link->io.events & (EV_READ | EV_WRITE)) == events &&
	    ev_is_active(&link->io))
		return;
	ev_io_stop(link->loop, &link->io);
	ev_io_set(&link->io, link->fd, events);
	ev_io_start(link->loop, &link->io);
}

static void
link_close(struct store_link *link)
{
	ev_io_stop(link->loop, &link->io);
	ev_timer_stop(link->loop, &link->timer);
	ev_prepare_stop(link->loop, &link->flush);
	if (link->fd >= 0)
		close(link->fd);
	link->fd = -1;
	buf_clear(&link->out);
	link->doomed = NULL;
	link->state = STORE_LINK_WAITING;
}

void
store_link_lose(struct store_link *link, const char *why)
{
	if (link->state == STORE_LINK_OPEN &&
	    ev_now(link->loop) - link->opened_at >= GOOD_SECONDS)
		link->backoff = BACKOFF_FIRST;
	link_close(link);
	ev_timer_set(&link->timer, with_jitter(link->backoff), 0.);
	ev_timer_start(link->loop, &link->timer);
	link->backoff *= 2;
	if (link->backoff > BACKOFF_LAST)
		link->backoff = BACKOFF_LAST;
	link->handler->lost(link->arg, why);
}

static void
link_opened(struct store_link *link)
{
	const int one = 1;

	ev_timer_stop(link->loop, &link->timer);
	if (!link->address->is_unix) {
		/* Many small messages; a dead peer shows by our own timeouts,
		 * on an idle connection by keepalive. */
		(void)setsockopt(link->fd, IPPROTO_TCP, TCP_NODELAY, &one,
		    sizeof(one));
		(void)setsockopt(link->fd, SOL_SOCKET, SO_KEEPALIVE, &one,
		    sizeof(one));
	}
	link->state = STORE_LINK_OPEN;
	link->opened_at = ev_now(link->loop);
	watch_events(link, EV_READ);
	ev_prepare_start(link->loop, &link->flush);
	link->handler->open(link->arg);
}

void
store_link_read(struct store_link *link)
{
	static char bytes[READ_SIZE];

	for (int i = 0; i < READS_PER_TURN && link->state == STORE_LINK_OPEN;
	    i++) {
		ssize_t n = recv(link->fd, bytes, sizeof(bytes), 0);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0 && (errno == EAGAIN || errno == EWOULDBLOCK))
			return;
		if (n < 0) {
			store_link_lose(link, strerror(errno));
			return;
		}
		if (n == 0) {
			store_link_lose(link, "Redis closed the connection");
			return;
		}
		link->handler->bytes(link->arg, span_of(bytes, (size_t)n));
		if ((size_t)n < sizeof(bytes))
			return;
	}
}

static void
link_write(struct store_link *link)
{
	while (buf_len(&link->out) > 0) {
		ssize_t n = send(link->fd, buf_data(&link->out),
		    buf_len(&link->out), MSG_NOSIGNAL);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0 && (errno == EAGAIN || errno == EWOULDBLOCK)) {
			watch_events(link, EV_READ | EV_WRITE);
			return;
		}
		if (n < 0) {
			store_link_lose(link, strerror(errno));
			return;
		}
		buf_drain(&link->out, (size_t)n);
	}
	watch_events(link, EV_READ);
}

static void
on_io(struct ev_loop *loop, ev_io *io, int revents)
{
	struct store_link *link = io->data;

	(void)loop;
	if (link->state == STORE_LINK_CONNECTING) {
		int error = 0;
		socklen_t len = sizeof(error);

		if (getsockopt(link->fd, SOL_SOCKET, SO_ERROR, &error,
		    &len) != 0)
			error = errno;
		if (error != 0)
			store_link_lose(link, strerror(error));
		else
			link_opened(link);
		return;
	}
	if (revents & EV_READ)
		store_link_read(link);
	if ((revents & EV_WRITE) && link->state == STORE_LINK_OPEN)
		link_write(link);
}

/* Runs before the loop waits, after every other prepare watcher: all that one
 * turn appended goes out in one write. */
static void
on_flush(struct ev_loop *loop, ev_prepare *flush, int revents)
{
	struct store_link *link = flush->data;

	(void)loop;
	(void)revents;
	if (link->doomed != NULL)
		store_link_lose(link, link->doomed);
	/* While the kernel's buffer is full, the descriptor wakes us. */
	else if (buf_len(&link->out) > 0 && !(link->io.events & EV_WRITE))
		link_write(link);
}

static void
on_timer(struct ev_loop *loop, ev_timer *timer, int revents)
{
	struct store_link *link = timer->data;

	(void)loop;
	(void)revents;
	if (link->state == STORE_LINK_CONNECTING)
		store_link_lose(link, strerror(ETIMEDOUT));
	else
		link_connect(link);
}

/* A socket that is connecting or connected, or -1 with errno. */
static int
connect_to(const struct sockaddr *address, socklen_t len)
{
	int fd = socket(address->sa_family,
	    SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);

	if (fd < 0)
		return -1;
	/* EAGAIN: the backlog of a unix socket is full; no wait would tell
	 * when it is not, so the attempt is over. */
	if (connect(fd, address, len) != 0 && errno != EINPROGRESS &&
	    errno != EINTR) {
		int saved = errno;

		close(fd);
		errno = saved;
		return -1;
	}
	return fd;
}

static int
connect_unix(const struct store_address *address)
{
	struct sockaddr_un un = { .sun_family = AF_UNIX };
	const size_t len = strlen(address->host);

	memcpy(un.sun_path, address->host, len + 1);
	return connect_to((const struct sockaddr *)&un, sizeof(un));
}

/* Looking up a name may block: numbers and names of /etc/hosts do not.  A name
 * is looked up at each attempt, since a failover may move it, and its
 * addresses are tried in turn. */
static int
connect_tcp(const struct store_address *address, unsigned attempt,
    const char **why)
{
	const struct addrinfo hints = { .ai_family = AF_UNSPEC,
		.ai_socktype = SOCK_STREAM, .ai_flags = AI_NUMERICSERV };
	struct addrinfo *list, *a;
	unsigned count = 0;
	int r, fd;

	if ((r = getaddrinfo(address->host, address->port, &hints,
	    &list)) != 0) {
		*why = gai_strerror(r);
		return -1;
	}
	for (a = list; a != NULL; a = a->ai_next)
		count++;
	assert(count > 0);
	a = list;
	for (unsigned i = attempt % count; i > 0; i--)
		a = a->ai_next;
	if ((fd = connect_to(a->ai_addr, a->ai_addrlen)) < 0)
		*why = strerror(errno);
	freeaddrinfo(list);
	return fd;
}

static void
link_connect(struct store_link *link)
{
	const char *why = NULL;

	if (link->address->is_unix)
		link->fd = connect_unix(link->address);
	else
		link->fd = connect_tcp(link->address, link->attempt++, &why);
	if (link->fd < 0) {
		store_link_lose(link, why != NULL ? why : strerror(errno));
		return;
	}
	link->state = STORE_LINK_CONNECTING;
	ev_timer_stop(link->loop, &link->timer);
	ev_timer_set(&link->timer, link->timeout, 0.);
	ev_timer_start(link->loop, &link->timer);
	watch_events(link, EV_WRITE);
}

void
store_link_doom(struct store_link *link, const char *why)
{
	link->doomed = why;
}

void
store_link_init(struct store_link *link, struct ev_loop *loop,
    const struct store_address *address, double timeout,
    const struct store_link_handler *handler, void *arg)
{
	*link = (struct store_link){ .loop = loop, .address = address,
		.handler = handler, .arg = arg, .timeout = timeout, .fd = -1,
		.state = STORE_LINK_WAITING, .backoff = BACKOFF_FIRST };
	buf_init(&link->out, OUT_MAX);
	ev_init(&link->io, on_io);
	ev_io_set(&link->io, -1, 0);
	link->io.data = link;
	ev_timer_init(&link->timer, on_timer, 0., 0.);
	link->timer.data = link;
	ev_timer_start(loop, &link->timer);
	ev_prepare_init(&link->flush, on_flush);
	link->flush.data = link;
	ev_set_priority(&link->flush, EV_MINPRI);
}

void
store_link_clear(struct store_link *link)
{
	link_close(link);
}
