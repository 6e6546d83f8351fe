/* two_workers.c - any worker takes any call: clients and agents meet through
 * Redis, and one that dies takes only its own clients with it. */
#include "config.h"

#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tests/integration/classic.h"

static void
any_worker_serves_any_call(struct stack *s)
{
	struct client *c[60];

	for (unsigned i = 0; i < 60; i++) {
		char target[64];

		snprintf(target, sizeof(target), "/bytes/%u", i * 5003);
		c[i] = stack_send(s, "GET", target, "");
	}
	for (unsigned i = 0; i < 60; i++) {
		struct response r = stack_receive(c[i], "GET");

		check(r.status == 200 && r.whole &&
		    r.hash == hash_pattern(i * 5003), "number %u: %d, %llu", i,
		    r.status, r.content_len);
		response_clear(&r);
	}
}
TEST_EACH(two_workers, any_worker_serves_any_call, .workers = 3)

static void
uploads_cross_workers(struct stack *s)
{
	for (int i = 0; i < 10; i++) {
		struct client *c = stack_send(s, "POST", "/hash",
		    "Content-Length: 700000\r\n");
		struct response r;
		char want[64];

		client_send_pattern(c, 700000, false);
		r = stack_receive(c, "POST");
		snprintf(want, sizeof(want), "700000 %016llx\n",
		    (unsigned long long)hash_pattern(700000));
		check(r.status == 200 && strcmp(response_text(&r), want) == 0,
		    "%d %s", r.status, response_text(&r));
		response_clear(&r);
	}
}
TEST_EACH(two_workers, uploads_cross_workers, .workers = 3)

static size_t
log_count(const struct stack *s, const char *text)
{
	const char *at = file_read(s->worker->log, NULL);
	size_t n = 0;

	while (at != NULL && (at = strstr(at, text)) != NULL) {
		at += strlen(text);
		n++;
	}
	return n;
}

/* How often the worker has this process in its log. */
static size_t
log_lines(const struct stack *s, pid_t pid)
{
	return log_count(s, harness_name("worker[%d]", (int)pid));
}

/* Killed under load: its clients see a break or an error, all others are
 * served, the parent starts another one. */
static void
one_that_is_killed_takes_only_its_own(struct stack *s)
{
	enum { MANY = 40 };
	struct client *c[MANY];
	pid_t child[8], again[8], victim;
	int served = 0;

	check(process_children(s->worker, child, 8) == 2, "not two workers");
	for (int i = 0; i < MANY; i++)
		c[i] = stack_send(s, "GET", "/slow/500", "");
	wait_for(backend_count(s->backend, "/slow") > MANY / 2, PATIENCE_MS,
	    "nothing arrives");
	/* Sometimes one has all clients: the other leaves some to serve. */
	victim = child[log_lines(s, child[0]) > log_lines(s, child[1])];
	kill(victim, SIGKILL);
	for (int i = 0; i < MANY; i++) {
		struct response r = stack_receive(c[i], "GET");

		check(r.status == 200 || r.status >= 500 || !r.whole,
		    "number %d: %d", i, r.status);
		served += r.status == 200 && r.whole;
		response_clear(&r);
	}
	check(served > 0, "nobody was served");
	wait_for(process_children(s->worker, again, 8) == 2 &&
	    again[0] != victim && again[1] != victim, PATIENCE_MS,
	    "the parent does not start another");
	stack_wait_ready(s);
	for (int i = 0; i < 30; i++)
		stack_expect(s, "/ready", 200);
}
TEST_EACH(two_workers, one_that_is_killed_takes_only_its_own, .workers = 2)

/* All but the one that has most clients, which may have all. */
static void
kill_idle(const struct stack *s, const pid_t *child, size_t n)
{
	size_t most = 0;

	for (size_t i = 1; i < n; i++)
		if (log_lines(s, child[i]) > log_lines(s, child[most]))
			most = i;
	for (size_t i = 0; i < n; i++)
		if (i != most)
			kill(child[i], SIGKILL);
}

/* Begins to answer when it is told to. */
struct late {
	atomic_bool told;
	unsigned len;
};

static void
answer_late(struct backend_connection *c, void *arg)
{
	struct late *late = arg;
	char piece[10000];

	wait_for(atomic_load(&late->told), PATIENCE_MS, "not told to answer");
	backend_printf(c, "HTTP/1.1 200 OK\r\n"
	    "Transfer-Encoding: chunked\r\n\r\n");
	for (unsigned at = 0; at < late->len; at += sizeof(piece)) {
		pattern_fill(piece, at, sizeof(piece));
		backend_printf(c, "%zx\r\n", sizeof(piece));
		backend_send(c, piece, sizeof(piece));
		backend_printf(c, "\r\n");
	}
	backend_printf(c, "0\r\n\r\n");
}

/* Workers die while they hold posts that were opened before there was anything
 * to say, and the web server tells when the response comes.  How many clients
 * of others got no response; nobody waits for long. */
static int
lost_with_their_posts(struct stack *s, unsigned len)
{
	enum { MANY = 30 };
	struct late late = { .len = len };
	struct client *c[MANY];
	size_t posts = log_count(s, "a post begins");
	pid_t child[8];
	long long told;
	int served = 0, lost = 0;

	backend_script(s->backend, "/late", answer_late, &late);
	check(process_children(s->worker, child, 8) == 3, "not three workers");
	for (int i = 0; i < MANY; i++)
		c[i] = stack_send(s, "POST", "/late",
		    "Content-Length: 0\r\n");
	wait_for(backend_count(s->backend, "/late") == MANY, PATIENCE_MS,
	    "they do not arrive");
	if (stack_streams_responses(s))
		wait_for(log_count(s, "a post begins") >= posts + MANY,
		    PATIENCE_MS, "no posts");
	kill_idle(s, child, 3);
	atomic_store(&late.told, true);
	told = now_ms();
	for (int i = 0; i < MANY; i++) {
		struct response r = stack_receive(c[i], "POST");

		if (r.status == 200 && r.whole) {
			check(r.hash == hash_pattern(len), "mixed");
			served++;
		} else if (r.status == 502) {
			lost++;
		} else {
			/* The web server's word, or none. */
			check(r.status == 500 || r.status == 503 || !r.whole,
			    "number %d: %d %s", i, r.status,
			    response_text(&r));
		}
		response_clear(&r);
	}
	check(now_ms() - told < 7000, "after %lld ms", now_ms() - told);
	check(served > 0, "nobody was served");
	check(backend_count(s->backend, "/late") == MANY, "%zu executions",
	    backend_count(s->backend, "/late"));
	return lost;
}

/* The agent has them still. */
static void
small_responses_are_posted_again(struct stack *s)
{
	int lost = lost_with_their_posts(s, 20000);

	check(lost == 0, "%d were lost", lost);
}
STACK_TEST(two_workers, small_responses_are_posted_again, WEB_LIGHTTPD,
    "classic", lighttpd_classic, .workers = 3)
STACK_TEST(two_workers, small_responses_are_posted_again, WEB_APACHE,
    "classic", apache_classic, .workers = 3)

/* It has not, and says so. */
static void
large_responses_are_known_to_be_lost(struct stack *s)
{
	(void)lost_with_their_posts(s, 400000);
}
STACK_TEST(two_workers, large_responses_are_known_to_be_lost, WEB_LIGHTTPD,
    "classic", lighttpd_classic, .workers = 3)
STACK_TEST(two_workers, large_responses_are_known_to_be_lost, WEB_APACHE,
    "classic", apache_classic, .workers = 3)

/* A worker takes it from the queue and dies at once: whoever does that here,
 * it is noticed within the lease. */
static void
what_a_dead_worker_took_is_offered_again(struct stack *s)
{
	static char none[CLASSIC_IDS_MAX][CLASSIC_ID_LEN];
	struct classic agent = classic_new(s);
	struct client *get, *post;
	struct response r;
	long long taken;

	check(classic_pending(&agent, none) == 0, "something was pending");
	get = stack_send(s, "GET", "/ready", "");
	post = stack_send(s, "POST", "/ready", "Content-Length: 0\r\n");
	wait_for(stack_redis_number(s, "llen ip:{b:b1}:queue") == 2,
	    PATIENCE_MS, "nothing is queued");
	free(stack_redis(s, "lpop ip:{b:b1}:queue 2"));
	taken = now_ms();
	stack_start_agent(s, 0);
	r = stack_receive(get, "GET");
	check(r.status == 200, "GET: %d %s", r.status, response_text(&r));
	check(now_ms() - taken < 2000 + 1000, "after %lld ms",
	    now_ms() - taken);
	response_clear(&r);
	/* It may have been done. */
	r = stack_receive(post, "POST");
	check(r.status == 503, "POST: %d %s", r.status, response_text(&r));
	response_clear(&r);
	check(backend_count(s->backend, "/ready") == 1, "%zu executions",
	    backend_count(s->backend, "/ready"));
}
TEST_EACH_WEB(two_workers, what_a_dead_worker_took_is_offered_again,
    .agents = STACK_NO_AGENT, .worker_options = { "--lease=2s" })
