/* loss.c - loss at any point is harmless: between agent and web server calls
 * and answers are lost, cut, repeated and delayed at random, and still each
 * exchange is done once and arrives whole, both ways.
 * INVERTING_PROXY_TEST_LOSS says how many exchanges; 300 without it. */
#include "config.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "common/http1_body.h"
#include "tests/integration/relay.h"
#include "tests/integration/stack.h"

enum {
	CLIENTS = 32,
	COUNT = 300,
	LARGEST = 10 * 1024 * 1024,
	SEED = 1,
	SILENCE_S = 60,		/* then an exchange hangs */
	TEST_S = 4 * 3600,
	HEAD_MAX = 65536,
	PIECE = 65536,
};

/* In thousandths: one call in four meets with something. */
static const unsigned chance[RELAY_FAULTS] = {
	[RELAY_LOSE_CALL] = 40,
	[RELAY_CUT_CALL] = 40,
	[RELAY_ABANDON_CALL] = 40,
	[RELAY_LOSE_ANSWER] = 40,
	[RELAY_CUT_ANSWER] = 40,
	[RELAY_REPEAT_CALL] = 40,
	[RELAY_DELAY_CALL] = 40,
	[RELAY_DELAY_ANSWER] = 40,
};

/* What is to be sent, all of it given by the number of the exchange. */
struct plan {
	unsigned id;
	bool is_post;
	bool up_chunked, down_chunked;
	unsigned long long up, down;
};

struct trial {
	struct stack *stack;
	unsigned count;
	atomic_uint next;
	atomic_uint *executions;	/* of each */
	atomic_ullong bytes;
	pthread_mutex_t lock;		/* for what follows */
	unsigned failures;
	char first[512];		/* the first of them */
	long long slowest_ms;
	unsigned slowest_id;
};

/* --- what is sent --- */

/* Mostly small; around the sizes of frames, records and windows; seldom
 * large. */
static unsigned long long
any_size(uint64_t *random)
{
	static const unsigned long long edges[] = { 1, 8192, 65535, 65536,
		65537, 131072, 524288, 524289 };
	static const struct {
		unsigned share, most;	/* of 100 */
	} sizes[] = { { 40, 4096 }, { 20, 65536 }, { 14, 300000 },
		{ 5, 2 * 1024 * 1024 }, { 1, LARGEST } };
	unsigned dice = (unsigned)(relay_random(random) % 100);

	for (size_t i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
		if (dice < sizes[i].share)
			return relay_random(random) % (sizes[i].most + 1);
		dice -= sizes[i].share;
	}
	return dice < 10 ? 0 : edges[relay_random(random) % 8];
}

static struct plan
plan_of(unsigned id)
{
	uint64_t random = SEED + id;
	struct plan p = { .id = id };
	unsigned dice;

	relay_random(&random);
	p.up = any_size(&random);
	p.down = any_size(&random);
	dice = (unsigned)relay_random(&random);
	p.is_post = dice & 1;
	p.down_chunked = dice & 4;
	if (id < 3) {		/* the largest is among few, too */
		p.is_post = id != 1;
		p.up = id != 1 ? LARGEST : 0;
		p.down = id != 0 ? LARGEST : 0;
	}
	if (!p.is_post)
		p.up = 0;
	p.up_chunked = p.is_post && dice & 2;
	return p;
}

/* Another beginning for each: content that gets into another exchange is
 * seen. */
static void
fill(char *piece, unsigned id, unsigned long long at, size_t len)
{
	pattern_fill(piece, id * 7919ULL + at, len);
}

static size_t
piece_len(unsigned long long left)
{
	return left > PIECE ? PIECE : (size_t)left;
}

static uint64_t
expected_hash(unsigned id, unsigned long long len)
{
	uint64_t hash = HASH_INIT;
	char piece[PIECE];

	for (unsigned long long at = 0; at < len; at += PIECE) {
		fill(piece, id, at, piece_len(len - at));
		hash = hash_add(hash, piece, piece_len(len - at));
	}
	return hash;
}

/* --- the backend --- */

static void
answer(struct backend_connection *c, void *arg)
{
	struct trial *t = arg;
	struct backend_request *q = c->request;
	unsigned id = (unsigned)strtoul(q->target + strlen("/loss/"), NULL,
	    10);
	struct plan p = plan_of(id);
	char piece[PIECE];

	if (id >= t->count)
		return;
	atomic_fetch_add(&t->executions[id], 1);
	backend_read_content(c);
	backend_printf(c, "HTTP/1.1 200 OK\r\nX-Received: %llu %016llx\r\n",
	    q->content_len, (unsigned long long)q->content_hash);
	buf_clear(&q->content);		/* there will be many */
	if (p.down_chunked)
		backend_printf(c, "Transfer-Encoding: chunked\r\n\r\n");
	else
		backend_printf(c, "Content-Length: %llu\r\n\r\n", p.down);
	for (unsigned long long at = 0; at < p.down; at += PIECE) {
		size_t len = piece_len(p.down - at);

		fill(piece, id, at, len);
		if (p.down_chunked)
			backend_printf(c, "%zx\r\n", len);
		backend_send(c, piece, len);
		if (p.down_chunked)
			backend_printf(c, "\r\n");
	}
	if (p.down_chunked)
		backend_printf(c, "0\r\n\r\n");
}

/* --- the clients: threads, so no check() here --- */

static void
failed(struct trial *t, const struct plan *p, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

static void
failed(struct trial *t, const struct plan *p, const char *format, ...)
{
	char what[256];
	va_list ap;

	va_start(ap, format);
	vsnprintf(what, sizeof(what), format, ap);
	va_end(ap);
	pthread_mutex_lock(&t->lock);
	if (t->failures++ == 0)
		snprintf(t->first, sizeof(t->first), "/loss/%u (%s, %llu "
		    "bytes%s up, %llu%s down): %s", p->id,
		    p->is_post ? "POST" : "GET", p->up,
		    p->up_chunked ? " chunked" : "", p->down,
		    p->down_chunked ? " chunked" : "", what);
	pthread_mutex_unlock(&t->lock);
}

static int
connect_client(const struct trial *t)
{
	struct sockaddr_in a = harness_loopback(t->stack->port);
	struct timeval silence = { .tv_sec = SILENCE_S };
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

	setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &silence, sizeof(silence));
	setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &silence, sizeof(silence));
	if (connect(fd, (struct sockaddr *)&a, sizeof(a)) == 0)
		return fd;
	close(fd);
	return -1;
}

static bool
send_request(struct client *c, const struct plan *p)
{
	bool chunked = p->up_chunked, sent;
	char piece[PIECE];

	sent = client_printf(c, "%s /loss/%u HTTP/1.1\r\nHost: proxy.test\r\n"
	    "Connection: close\r\n", p->is_post ? "POST" : "GET", p->id);
	if (chunked)
		sent = sent && client_printf(c,
		    "Transfer-Encoding: chunked\r\n\r\n");
	else
		sent = sent && client_printf(c,
		    "Content-Length: %llu\r\n\r\n", p->up);
	for (unsigned long long at = 0; at < p->up && sent; at += PIECE) {
		size_t len = piece_len(p->up - at);

		fill(piece, p->id, at, len);
		if (chunked)
			sent = client_printf(c, "%zx\r\n", len);
		sent = sent && client_send(c, piece, len);
		if (chunked)
			sent = sent && client_printf(c, "\r\n");
	}
	return sent && (!chunked || client_printf(c, "0\r\n\r\n"));
}

/* More bytes into c->in; false at the end, or when none come for too long. */
static bool
receive(struct client *c)
{
	char *room = buf_reserve(&c->in, PIECE);
	ssize_t n = room == NULL ? -1 : recv(c->fd, room, PIECE, 0);

	if (n > 0)
		buf_commit(&c->in, (size_t)n);
	return n > 0;
}

static const char *
read_head(struct client *c, struct response *r)
{
	struct http1_framing framing;
	size_t len;
	int found;

	while ((found = http1_head_find_end(buf_span(&c->in), 0, HEAD_MAX,
	    &len)) == WIRE_MORE)
		if (!receive(c))
			return "no head";
	if (found != WIRE_DONE ||
	    buf_append(&r->head, buf_data(&c->in), len) != 0 ||
	    http1_response_decode(buf_span(&r->head), 100, &r->decoded) != 0)
		return "not a head";
	buf_drain(&c->in, len);
	r->status = r->decoded.status;
	if (http1_response_framing(&r->decoded, span_str("GET"),
	    &framing) != 0)
		return "its length is unclear";
	http1_body_init(&r->body, framing);
	return NULL;
}

/* Reads to the end of the connection, which the response must end. */
static const char *
read_content(struct client *c, struct response *r)
{
	int done;

	do {
		struct span in = buf_span(&c->in), content = { NULL, 0 };
		size_t before = in.len;

		done = http1_body_decode(&r->body, &in, &content);
		r->content_len += content.len;
		r->hash = hash_add(r->hash, content.data, content.len);
		buf_drain(&c->in, before - in.len);
		if (done == WIRE_MORE && in.len == before &&
		    content.len == 0 && !receive(c))
			done = http1_body_end(&r->body);
	} while (done == WIRE_MORE);
	if (done != WIRE_DONE)
		return "cut short";
	if (buf_len(&c->in) > 0 || receive(c))
		return "more than one answer";
	return NULL;
}

static void
check_response(struct trial *t, const struct plan *p, struct client *c)
{
	struct response r = { .hash = HASH_INIT };
	char want[64];
	char *got = NULL;
	const char *why;

	buf_init(&r.head, HEAD_MAX);
	snprintf(want, sizeof(want), "%llu %016llx", p->up,
	    (unsigned long long)expected_hash(p->id, p->up));
	if ((why = read_head(c, &r)) == NULL)
		why = read_content(c, &r);
	if (why == NULL && r.status == 200 &&
	    (got = response_field(&r, "X-Received")) == NULL)
		why = "not from the backend";
	if (why != NULL || r.status != 200)
		failed(t, p, "status %d, %llu bytes, %s", r.status,
		    r.content_len, why == NULL ? "whole" : why);
	else if (strcmp(got, want) != 0)
		failed(t, p, "the backend got %s", got);
	else if (r.content_len != p->down ||
	    r.hash != expected_hash(p->id, p->down))
		failed(t, p, "%llu bytes, %s", r.content_len,
		    r.content_len == p->down ? "changed" : "lost");
	atomic_fetch_add(&t->bytes, p->up + r.content_len);
	free(got);
	response_clear(&r);
}

static void
note_time(struct trial *t, unsigned id, long long ms)
{
	pthread_mutex_lock(&t->lock);
	if (ms > t->slowest_ms) {
		t->slowest_ms = ms;
		t->slowest_id = id;
	}
	pthread_mutex_unlock(&t->lock);
}

static void *
client_main(void *arg)
{
	struct trial *t = arg;
	unsigned id;

	while ((id = atomic_fetch_add(&t->next, 1)) < t->count) {
		struct plan p = plan_of(id);
		struct client c = { .fd = connect_client(t) };
		long long start = now_ms();

		buf_init(&c.in, HEAD_MAX + PIECE);
		if (c.fd < 0)
			failed(t, &p, "connect: %s", strerror(errno));
		else if (!send_request(&c, &p))
			failed(t, &p, "the request is not taken");
		else
			check_response(t, &p, &c);
		note_time(t, id, now_ms() - start);
		buf_clear(&c.in);
		if (c.fd >= 0)
			close(c.fd);
	}
	return NULL;
}

/* --- the tests --- */

/* The agent begins after the stack: it must not find the way around the
 * relay. */
static struct relay *
start_behind_relay(struct stack *s, const unsigned chances[RELAY_FAULTS])
{
	struct relay *relay = relay_new(s->port, chances, SEED);

	stack_start_agent_through(s, relay_port(relay));
	return relay;
}

static unsigned
count_asked(void)
{
	const char *count = getenv("INVERTING_PROXY_TEST_LOSS");

	return count == NULL ? COUNT : (unsigned)strtoul(count, NULL, 10);
}

static void
run_clients(struct trial *t)
{
	pthread_t thread[CLIENTS];

	for (int i = 0; i < CLIENTS; i++)
		if (pthread_create(&thread[i], NULL, client_main, t) != 0)
			abort();
	for (int i = 0; i < CLIENTS; i++)
		pthread_join(thread[i], NULL);
}

/* The figures of a long run are what it is made for. */
static void
report(struct trial *t, struct relay *relay, long long ms)
{
	if (getenv("INVERTING_PROXY_TEST_LOSS") == NULL)
		return;
	fprintf(stderr, "%s, workers %d: %u exchanges, %llu MiB, %lld s; the "
	    "slowest %lld ms (%llu bytes up, %llu down); %u failed; "
	    "%zu calls", web_facts(t->stack)->name, t->stack->workers,
	    t->count, atomic_load(&t->bytes) >> 20, ms / 1000, t->slowest_ms,
	    plan_of(t->slowest_id).up, plan_of(t->slowest_id).down,
	    t->failures, relay_calls(relay));
	for (enum relay_fault f = 0; f < RELAY_FAULTS; f++)
		fprintf(stderr, ", %zu %s", relay_struck(relay, f),
		    relay_fault_name(f));
	fprintf(stderr, "\n");
}

static void
check_trial(struct trial *t, struct relay *relay)
{
	check(t->failures == 0, "%u of %u failed, first %s", t->failures,
	    t->count, t->first);
	for (unsigned id = 0; id < t->count; id++)
		check(t->executions[id] == 1, "/loss/%u (%s) was done %u "
		    "times", id, plan_of(id).is_post ? "POST" : "GET",
		    t->executions[id]);
	for (enum relay_fault f = 0; f < RELAY_FAULTS; f++)
		check(relay_struck(relay, f) > 0, "no %s among %zu calls",
		    relay_fault_name(f), relay_calls(relay));
}

static void
everything_arrives_once(enum web_server web, int workers)
{
	struct stack s = { .web = web, .workers = workers,
		.protocol = "native",
		.agents = STACK_NO_AGENT,
		.worker_options = { "--poll-timeout=30s" } };
	struct trial t = { .stack = &s, .count = count_asked() };
	struct relay *relay;
	long long start;

	stack_start(&s);
	pthread_mutex_init(&t.lock, NULL);
	if ((t.executions = calloc(t.count, sizeof(*t.executions))) == NULL)
		abort();
	backend_script(s.backend, "/loss/", answer, &t);
	relay = start_behind_relay(&s, chance);
	start = now_ms();
	run_clients(&t);
	report(&t, relay, now_ms() - start);
	relay_calm(relay);	/* so that the agent can take its leave */
	check_trial(&t, relay);
	stack_expect(&s, "/ready", 200);
	stack_stop(&s);
}

Test(loss, everything_arrives_once_lighttpd, .timeout = TEST_S)
{
	everything_arrives_once(WEB_LIGHTTPD, 1);
}

Test(loss, everything_arrives_once_apache, .timeout = TEST_S)
{
	everything_arrives_once(WEB_APACHE, 1);
}

/* An exchange's calls go to either of them. */
Test(loss, everything_arrives_once_lighttpd_two_workers, .timeout = TEST_S)
{
	everything_arrives_once(WEB_LIGHTTPD, 2);
}

Test(loss, everything_arrives_once_apache_two_workers, .timeout = TEST_S)
{
	everything_arrives_once(WEB_APACHE, 2);
}

/* After a failure one call asks for all whether the proxy is back.  When that
 * one hangs, the exchanges in hand must not be lost for it. */
static void
a_call_that_hangs_does_not_cost_the_lease(struct stack *s)
{
	static const unsigned never[RELAY_FAULTS];
	struct relay *relay = start_behind_relay(s, never);
	struct client *c = stack_send(s, "POST", "/slow/3500",
	    "Content-Length: 0\r\n");
	struct response r;

	wait_for(backend_count(s->backend, "/slow") == 1, PATIENCE_MS,
	    "the request does not arrive");
	relay_cut_and_hang(relay);
	r = stack_receive(c, "POST");
	check(relay_hung(relay) == 1, "no call hung");
	check(r.status == 200, "%d %s", r.status, response_text(&r));
	check(backend_count(s->backend, "/slow") == 1, "%zu executions",
	    backend_count(s->backend, "/slow"));
	response_clear(&r);
}
TEST_EACH_WEB(loss, a_call_that_hangs_does_not_cost_the_lease,
    .agents = STACK_NO_AGENT, .worker_options = { "--lease=1s" })
