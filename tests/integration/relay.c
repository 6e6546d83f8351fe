/* relay.c - the middlebox that loses things: a thread for each connection of
 * the agent, and one for each copy of a call. */
#include "config.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/queue.h>
#include <sys/socket.h>
#include <unistd.h>

#include "common/buf.h"
#include "common/http1_head.h"
#include "tests/integration/harness.h"
#include "tests/integration/relay.h"

enum {
	MESSAGE_MAX = 8 * 1024 * 1024,
	HEAD_MAX = 65536,
	FIELDS_MAX = 100,
	PIECE = 65536,
	DELAY_MS = 100,		/* mostly less */
	DELAY_MAX_MS = 2500,	/* more than anybody waits for an ACCEPT */
};

struct relay {
	int listen_fd;
	int port;
	int server_port;
	unsigned chance[RELAY_FAULTS];
	pthread_mutex_t lock;		/* for what follows */
	uint64_t random;
	bool is_calm;
	bool hangs_next;
	LIST_HEAD(, pair) pairs;
	size_t calls, hung;
	size_t struck[RELAY_FAULTS];
};

/* A connection of the agent's, and the one to the server that serves it. */
struct pair {
	struct relay *relay;
	LIST_ENTRY(pair) link;
	int agent_fd;
	int server_fd;		/* -1: not connected */
	struct buf call;
	struct buf answer;
};

struct copy {
	struct relay *relay;
	struct buf call;
	bool is_late;
};

const char *
relay_fault_name(enum relay_fault fault)
{
	static const char *const names[] = {
		[RELAY_LOSE_CALL] = "calls lost",
		[RELAY_CUT_CALL] = "calls cut",
		[RELAY_ABANDON_CALL] = "calls abandoned",
		[RELAY_LOSE_ANSWER] = "answers lost",
		[RELAY_CUT_ANSWER] = "answers cut",
		[RELAY_REPEAT_CALL] = "calls repeated",
		[RELAY_DELAY_CALL] = "calls delayed",
		[RELAY_DELAY_ANSWER] = "answers delayed",
	};

	return names[fault];
}

/* --- chance --- */

uint64_t
relay_random(uint64_t *state)
{
	uint64_t z = *state += 0x9e3779b97f4a7c15ULL;

	z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9ULL;
	z = (z ^ (z >> 27)) * 0x94d049bb133111ebULL;
	return z ^ (z >> 31);
}

/* From 0 to below `below`. */
static unsigned
any(struct relay *r, size_t below)
{
	uint64_t n;

	pthread_mutex_lock(&r->lock);
	n = relay_random(&r->random);
	pthread_mutex_unlock(&r->lock);
	return (unsigned)(n % below);
}

static bool
strikes(struct relay *r, enum relay_fault fault)
{
	bool does;

	pthread_mutex_lock(&r->lock);
	does = !r->is_calm &&
	    relay_random(&r->random) % 1000 < r->chance[fault];
	if (does)
		r->struck[fault]++;
	pthread_mutex_unlock(&r->lock);
	return does;
}

static unsigned
any_delay_ms(struct relay *r)
{
	return any(r, any(r, 4) == 0 ? DELAY_MAX_MS : DELAY_MS);
}

/* Not on when all has become calm: the end of a test waits for nobody. */
static void
delay(struct relay *r)
{
	long long end = now_ms() + any_delay_ms(r);
	bool is_calm;

	do {
		harness_pause();
		pthread_mutex_lock(&r->lock);
		is_calm = r->is_calm;
		pthread_mutex_unlock(&r->lock);
	} while (!is_calm && now_ms() < end);
}

/* --- messages --- */

static int
connect_to(int port)
{
	struct sockaddr_in a = harness_loopback(port);
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0), on = 1;

	setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
	if (connect(fd, (struct sockaddr *)&a, sizeof(a)) == 0)
		return fd;
	close(fd);
	return -1;
}

static bool
send_all(int fd, const char *bytes, size_t len)
{
	while (len > 0) {
		ssize_t n = send(fd, bytes, len, MSG_NOSIGNAL);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return false;
		bytes += n;
		len -= (size_t)n;
	}
	return true;
}

/* The length of the message that begins with this head, 0 when only its
 * sender's closing will tell. */
static size_t
message_len(struct span head, bool is_answer)
{
	struct http1_framing framing = { .kind = HTTP1_FRAMING_NONE };
	struct http1_response response;
	struct http1_request request;
	int r = WIRE_MALFORMED;

	if (is_answer && http1_response_decode(head, FIELDS_MAX,
	    &response) == 0) {
		r = http1_response_framing(&response, span_str("POST"),
		    &framing);
		http1_response_clear(&response);
	} else if (!is_answer && http1_request_decode(head, FIELDS_MAX,
	    &request) == 0) {
		r = http1_request_framing(&request, &framing);
		http1_request_clear(&request);
	}
	if (r != 0 || (framing.kind != HTTP1_FRAMING_NONE &&
	    framing.kind != HTTP1_FRAMING_LENGTH))
		return 0;
	return head.len + (size_t)framing.length;
}

/* Does fd have something to read before `other` (-1: none) is closed? */
static bool
wait_readable(int fd, int other)
{
	struct pollfd p[2] = { { .fd = fd, .events = POLLIN },
		{ .fd = other, .events = POLLRDHUP } };

	while (poll(p, 2, -1) < 0)
		if (errno != EINTR)
			return false;
	return p[0].revents != 0;
}

/* Reads one whole message; false when the connection, or the one that waits
 * for it, is closed before.  Nobody sends a second one before this one has
 * been answered. */
static bool
read_message(int fd, int other, struct buf *m, bool is_answer)
{
	size_t head_len, len = 0;

	buf_drain(m, buf_len(m));
	do {
		char *room = buf_reserve(m, PIECE);
		ssize_t n;

		if (room == NULL || !wait_readable(fd, other))
			return false;
		n = recv(fd, room, PIECE, 0);
		if (n <= 0)
			return false;
		buf_commit(m, (size_t)n);
		if (len == 0 && http1_head_find_end(buf_span(m), 0, HEAD_MAX,
		    &head_len) == WIRE_DONE)
			len = message_len(span_of(buf_data(m), head_len),
			    is_answer);
	} while (len == 0 || buf_len(m) < len);
	return true;
}

/* --- copies --- */

static void *
copy_main(void *arg)
{
	struct copy *copy = arg;
	struct buf answer;
	int fd;

	if (copy->is_late)
		delay(copy->relay);
	fd = connect_to(copy->relay->server_port);
	buf_init(&answer, MESSAGE_MAX);
	if (fd >= 0) {
		if (send_all(fd, buf_data(&copy->call), buf_len(&copy->call)))
			(void)read_message(fd, -1, &answer, true);
		close(fd);
	}
	buf_clear(&answer);
	buf_clear(&copy->call);
	free(copy);
	return NULL;
}

static void
start_thread(void *(*main)(void *), void *arg)
{
	pthread_t thread;

	if (pthread_create(&thread, NULL, main, arg) != 0)
		abort();
	pthread_detach(thread);
}

static void
send_copy(struct relay *r, const struct buf *call)
{
	struct copy *copy = calloc(1, sizeof(*copy));

	if (copy == NULL)
		abort();
	copy->relay = r;
	copy->is_late = any(r, 2) == 0;
	buf_init(&copy->call, MESSAGE_MAX);
	if (buf_append_span(&copy->call, buf_span(call)) != 0)
		abort();
	start_thread(copy_main, copy);
}

/* --- calls --- */

/* The call in p->call, on its way there; false when it is not to be answered
 * any more. */
static bool
pass_call(struct pair *p)
{
	struct relay *r = p->relay;
	size_t len = buf_len(&p->call);

	if (strikes(r, RELAY_REPEAT_CALL))
		send_copy(r, &p->call);
	if (strikes(r, RELAY_DELAY_CALL))
		delay(r);
	if (strikes(r, RELAY_LOSE_CALL))
		return false;
	if (p->server_fd < 0 &&
	    (p->server_fd = connect_to(r->server_port)) < 0)
		return false;
	if (strikes(r, RELAY_CUT_CALL)) {
		(void)send_all(p->server_fd, buf_data(&p->call), any(r, len));
		return false;
	}
	return send_all(p->server_fd, buf_data(&p->call), len) &&
	    !strikes(r, RELAY_ABANDON_CALL);
}

static bool
pass_answer(struct pair *p)
{
	struct relay *r = p->relay;
	size_t len;

	if (!read_message(p->server_fd, p->agent_fd, &p->answer, true))
		return false;
	len = buf_len(&p->answer);
	if (strikes(r, RELAY_DELAY_ANSWER))
		delay(r);
	if (strikes(r, RELAY_LOSE_ANSWER))
		return false;
	if (strikes(r, RELAY_CUT_ANSWER)) {
		(void)send_all(p->agent_fd, buf_data(&p->answer), any(r, len));
		return false;
	}
	return send_all(p->agent_fd, buf_data(&p->answer), len);
}

/* Connections end both ways. */
static void
close_somehow(struct relay *r, int fd)
{
	struct linger reset = { .l_onoff = 1, .l_linger = 0 };

	if (fd < 0)
		return;
	if (any(r, 2) == 0)
		setsockopt(fd, SOL_SOCKET, SO_LINGER, &reset, sizeof(reset));
	close(fd);
}

static void *
pair_main(void *arg)
{
	struct pair *p = arg;
	struct relay *r = p->relay;

	while (read_message(p->agent_fd, -1, &p->call, false)) {
		bool hangs;

		pthread_mutex_lock(&r->lock);
		r->calls++;
		hangs = r->hangs_next;
		r->hangs_next = false;
		r->hung += hangs;
		pthread_mutex_unlock(&r->lock);
		if (hangs)
			(void)wait_readable(p->agent_fd, -1);
		if (hangs || !pass_call(p) || !pass_answer(p))
			break;
	}
	pthread_mutex_lock(&r->lock);
	LIST_REMOVE(p, link);
	pthread_mutex_unlock(&r->lock);
	close_somehow(r, p->agent_fd);
	close_somehow(r, p->server_fd);
	buf_clear(&p->call);
	buf_clear(&p->answer);
	free(p);
	return NULL;
}

static void *
listen_main(void *arg)
{
	struct relay *r = arg;
	int fd, on = 1;

	while ((fd = accept4(r->listen_fd, NULL, NULL, SOCK_CLOEXEC)) >= 0) {
		struct pair *p = calloc(1, sizeof(*p));

		if (p == NULL)
			abort();
		setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
		*p = (struct pair){ .relay = r, .agent_fd = fd,
			.server_fd = -1 };
		buf_init(&p->call, MESSAGE_MAX);
		buf_init(&p->answer, MESSAGE_MAX);
		pthread_mutex_lock(&r->lock);
		LIST_INSERT_HEAD(&r->pairs, p, link);
		pthread_mutex_unlock(&r->lock);
		start_thread(pair_main, p);
	}
	return NULL;
}

struct relay *
relay_new(int port, const unsigned chance[RELAY_FAULTS], uint64_t seed)
{
	struct relay *r = calloc(1, sizeof(*r));
	struct sockaddr_in a = harness_loopback(0);
	int on = 1;

	if (r == NULL)
		abort();
	pthread_mutex_init(&r->lock, NULL);
	memcpy(r->chance, chance, sizeof(r->chance));
	r->random = seed;
	r->server_port = port;
	r->port = harness_port();
	a.sin_port = htons((unsigned short)r->port);
	r->listen_fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	setsockopt(r->listen_fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on));
	check(bind(r->listen_fd, (struct sockaddr *)&a, sizeof(a)) == 0 &&
	    listen(r->listen_fd, 1024) == 0, "relay: %s", strerror(errno));
	start_thread(listen_main, r);
	return r;
}

int
relay_port(const struct relay *r)
{
	return r->port;
}

void
relay_cut_and_hang(struct relay *r)
{
	static const char line[] = "HTTP/1.1 200 OK\r\n";
	struct pair *p;

	pthread_mutex_lock(&r->lock);
	r->hangs_next = true;
	LIST_FOREACH(p, &r->pairs, link) {
		/* libcurl would try again by itself what it got nothing of. */
		(void)send_all(p->agent_fd, line, strlen(line));
		(void)shutdown(p->agent_fd, SHUT_RDWR);
	}
	pthread_mutex_unlock(&r->lock);
}

/* One of the relay's, while its threads count on. */
static size_t
count_of(struct relay *r, const size_t *counter)
{
	size_t n;

	pthread_mutex_lock(&r->lock);
	n = *counter;
	pthread_mutex_unlock(&r->lock);
	return n;
}

size_t
relay_hung(struct relay *r)
{
	return count_of(r, &r->hung);
}

void
relay_calm(struct relay *r)
{
	pthread_mutex_lock(&r->lock);
	r->is_calm = true;
	pthread_mutex_unlock(&r->lock);
}

size_t
relay_calls(struct relay *r)
{
	return count_of(r, &r->calls);
}

size_t
relay_struck(struct relay *r, enum relay_fault fault)
{
	return count_of(r, &r->struck[fault]);
}
