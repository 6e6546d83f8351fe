/* line.c - the slow line: two threads for each connection of the agent. */
#include "config.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "tests/integration/harness.h"
#include "tests/integration/line.h"

enum { PIECE = 4096, ROOM = 16 * 1024 };

struct line {
	int listen_fd;
	int port;
	int server_port;
	enum line_way slow;
	size_t rate;
	pthread_mutex_t lock;		/* for what follows */
	size_t bytes;
	bool is_cut;
	pthread_cond_t healed;
	struct timespec free_at;	/* when the line has sent all of that */
};

/* One direction of a connection. */
struct way {
	struct line *line;
	int from, to;
	bool is_slow;
};

/* Takes its turn on the line: returns when len bytes have gone. */
static void
take_turn(struct line *l, size_t len)
{
	struct timespec now, until;

	pthread_mutex_lock(&l->lock);
	clock_gettime(CLOCK_MONOTONIC, &now);
	if (l->free_at.tv_sec < now.tv_sec ||
	    (l->free_at.tv_sec == now.tv_sec &&
	    l->free_at.tv_nsec < now.tv_nsec))
		l->free_at = now;
	l->free_at.tv_nsec += (long)(len * 1000000000ULL / l->rate);
	l->free_at.tv_sec += l->free_at.tv_nsec / 1000000000L;
	l->free_at.tv_nsec %= 1000000000L;
	until = l->free_at;
	l->bytes += len;
	pthread_mutex_unlock(&l->lock);
	while (clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &until,
	    NULL) == EINTR)
		;
}

static void
wait_healed(struct line *l)
{
	pthread_mutex_lock(&l->lock);
	while (l->is_cut)
		pthread_cond_wait(&l->healed, &l->lock);
	pthread_mutex_unlock(&l->lock);
}

static void
set_cut(struct line *l, bool is_cut)
{
	pthread_mutex_lock(&l->lock);
	l->is_cut = is_cut;
	pthread_cond_broadcast(&l->healed);
	pthread_mutex_unlock(&l->lock);
}

void
line_cut(struct line *l)
{
	set_cut(l, true);
}

void
line_heal(struct line *l)
{
	set_cut(l, false);
}

static void *
way_main(void *arg)
{
	struct way *w = arg;
	char bytes[PIECE];
	ssize_t n;

	while ((n = recv(w->from, bytes, sizeof(bytes), 0)) > 0) {
		if (w->is_slow)
			take_turn(w->line, (size_t)n);
		wait_healed(w->line);
		if (send(w->to, bytes, (size_t)n, MSG_NOSIGNAL) != n)
			break;
	}
	shutdown(w->from, SHUT_RDWR);
	shutdown(w->to, SHUT_RDWR);
	close(w->from);
	close(w->to);
	free(w);
	return NULL;
}

static void
start_way(struct line *l, int from, int to, bool is_slow)
{
	struct way *w = calloc(1, sizeof(*w));
	pthread_t thread;

	if (w == NULL)
		abort();
	*w = (struct way){ .line = l, .from = from, .to = to,
	    .is_slow = is_slow };
	if (pthread_create(&thread, NULL, way_main, w) != 0)
		abort();
	pthread_detach(thread);
}

static int
connect_to(int port)
{
	struct sockaddr_in a = harness_loopback(port);
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0), room = ROOM;

	setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &room, sizeof(room));
	if (connect(fd, (struct sockaddr *)&a, sizeof(a)) == 0)
		return fd;
	close(fd);
	return -1;
}

static void *
listen_main(void *arg)
{
	struct line *l = arg;
	int agent, server;

	while ((agent = accept4(l->listen_fd, NULL, NULL, SOCK_CLOEXEC)) >=
	    0) {
		wait_healed(l);
		if ((server = connect_to(l->server_port)) < 0) {
			close(agent);
			continue;
		}
		/* Each way closes its own two descriptors. */
		int agent_too = dup(agent), server_too = dup(server);

		if (agent_too < 0 || server_too < 0)
			abort();
		start_way(l, agent, server, l->slow == LINE_UP);
		start_way(l, server_too, agent_too, l->slow == LINE_DOWN);
	}
	return NULL;
}

struct line *
line_new(int port, enum line_way slow, size_t bytes_per_second)
{
	struct line *l = calloc(1, sizeof(*l));
	struct sockaddr_in a = harness_loopback(0);
	int on = 1, room = ROOM;
	pthread_t thread;

	if (l == NULL)
		abort();
	pthread_mutex_init(&l->lock, NULL);
	pthread_cond_init(&l->healed, NULL);
	l->slow = slow;
	l->rate = bytes_per_second;
	l->server_port = port;
	l->port = harness_port();
	a.sin_port = htons((unsigned short)l->port);
	l->listen_fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	setsockopt(l->listen_fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on));
	setsockopt(l->listen_fd, SOL_SOCKET, SO_RCVBUF, &room, sizeof(room));
	check(bind(l->listen_fd, (struct sockaddr *)&a, sizeof(a)) == 0 &&
	    listen(l->listen_fd, 1024) == 0, "line: %s", strerror(errno));
	if (pthread_create(&thread, NULL, listen_main, l) != 0)
		abort();
	pthread_detach(thread);
	return l;
}

int
line_port(const struct line *l)
{
	return l->port;
}

struct line *
line_start_agent(struct stack *s, enum line_way slow, size_t bytes_per_second)
{
	struct line *l = line_new(s->port, slow, bytes_per_second);

	stack_start_agent_through(s, line_port(l));
	return l;
}

size_t
line_bytes(struct line *l)
{
	size_t bytes;

	pthread_mutex_lock(&l->lock);
	bytes = l->bytes;
	pthread_mutex_unlock(&l->lock);
	return bytes;
}
