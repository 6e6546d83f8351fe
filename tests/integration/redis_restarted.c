/* redis_restarted.c - while Redis is away everybody is told so in bounded
 * time; when it is back everything goes on by itself. */
#include "config.h"

#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tests/integration/classic.h"

/* What is there now is there again after a restart. */
static char *
save(struct stack *s)
{
	free(stack_redis(s, "save"));
	return harness_path("dump.rdb");
}

static void
clients_and_agents_get_503(struct stack *s)
{
	struct classic agent = { .port = s->port, .backend_id = "b1",
	    .token = s->agent_token };
	struct client *c;
	struct response r;
	long long start;

	process_kill(s->redis);
	start = now_ms();
	/* What meets in one worker may still pass for a moment. */
	wait_for(stack_status(s, "/ready") == 503, 3000,
	    "clients are not told");
	r = stack_get(s, "/ready");
	check(r.status == 503 && response_field(&r, "Retry-After") != NULL,
	    "client: %d", r.status);
	response_clear(&r);
	c = client_new(s->port);
	classic_send_head(c, &agent, "GET", "pending", NULL);
	client_printf(c, "\r\n");
	r = stack_receive(c, "GET");
	check(r.status == 503 && response_field(&r, "Retry-After") != NULL,
	    "agent: %d", r.status);
	response_clear(&r);
	check(stack_status(s, ADMIN_MOUNT "healthz") == 503, "healthz");
	check(now_ms() - start < 5000, "after %lld ms", now_ms() - start);
}
TEST_EACH_WEB(redis_restarted, clients_and_agents_get_503)

static void
everything_goes_on_by_itself(struct stack *s)
{
	long long back;

	save(s);
	for (int i = 0; i < 3; i++) {
		process_kill(s->redis);
		wait_for(stack_status(s, "/ready") == 503, PATIENCE_MS,
		    "not noticed");
		stack_start_redis(s);
		back = now_ms();
		stack_wait_ready(s);
		check(now_ms() - back < 6000, "ready after %lld ms",
		    now_ms() - back);
	}
	for (int i = 0; i < 20; i++)
		stack_expect(s, "/bytes/100000", 200);
}
TEST_EACH(redis_restarted, everything_goes_on_by_itself, .workers = 2)

static void
in_the_middle_of_a_body(struct stack *s)
{
	struct client *c = stack_send(s, "GET", "/bytes/200000000", "");
	struct response r;

	save(s);
	response_read_head(c, "GET", &r, 2 * PATIENCE_MS);
	check(r.status == 200, "%d", r.status);
	while (r.content_len < 1000000)
		check(response_read_piece(c, &r, PATIENCE_MS).len > 0,
		    "the download stops");
	process_kill(s->redis);
	stack_start_redis(s);
	/* Whole and right, or visibly cut; never hung, never wrong. */
	response_read_content(c, &r);
	check(!r.whole || r.hash == hash_pattern(200000000),
	    "content was lost silently");
	response_clear(&r);
	client_free(c);
	stack_wait_ready(s);
}
TEST_EACH(redis_restarted, in_the_middle_of_a_body, .workers = 2)

static void
answer_when_told(struct backend_connection *c, void *arg)
{
	atomic_bool *told = arg;

	wait_for(atomic_load(told), PATIENCE_MS, "not told to answer");
	backend_printf(c, "HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nlate");
}

static unsigned
count_in_log(const struct process *p, const char *text)
{
	char *log = file_read(p->log, NULL);
	unsigned n = 0;

	for (const char *at = log; at != NULL && (at = strstr(at, text)) !=
	    NULL; at++)
		n++;
	free(log);
	return n;
}

/* Its agent has it in hand, and tries for longer than a moment; unless its post
 * meets the client's worker, which needs no Redis for that. */
static void
a_response_waits_for_it(struct stack *s)
{
	atomic_bool told = false;
	struct client *c;
	struct response r;

	backend_script(s->backend, "/late", answer_when_told, &told);
	save(s);
	c = stack_send(s, "GET", "/late", "");
	wait_for(backend_count(s->backend, "/late") == 1, PATIENCE_MS,
	    "the request does not arrive");
	process_kill(s->redis);
	atomic_store(&told, true);
	wait_for(count_in_log(s->agent[0], "trying again") >= 4 ||
	    count_in_log(s->worker, "target=/late") > 0, PATIENCE_MS,
	    "the agent does not try again");
	stack_start_redis(s);
	r = stack_receive(c, "GET");
	check(r.status == 200 && strcmp(response_text(&r), "late") == 0,
	    "%d %s", r.status, response_text(&r));
	response_clear(&r);
}
STACK_TEST(redis_restarted, a_response_waits_for_it, WEB_LIGHTTPD, "classic",
    lighttpd_classic, .workers = 3)
STACK_TEST(redis_restarted, a_response_waits_for_it, WEB_APACHE, "classic",
    apache_classic, .workers = 3)

static void
connections_and_scripts_are_lost(struct stack *s)
{
	for (int i = 0; i < 5; i++) {
		free(stack_redis(s, "script flush"));
		free(stack_redis(s, "client kill type normal"));
		free(stack_redis(s, "client kill type pubsub"));
		stack_wait_ready(s);
	}
	for (int i = 0; i < 20; i++)
		stack_expect(s, "/ready", 200);
}
TEST_EACH(redis_restarted, connections_and_scripts_are_lost, .workers = 2)

static void
a_redis_that_hangs_counts_as_lost(struct stack *s)
{
	struct response r;

	process_signal(s->redis, SIGSTOP);
	r = stack_get(s, "/ready");
	/* With a parked agent in the same worker it may even be served. */
	check(r.status == 503 || r.status == 200 || r.status == 504, "%d",
	    r.status);
	response_clear(&r);
	wait_for(stack_status(s, ADMIN_MOUNT "healthz") == 503, PATIENCE_MS,
	    "not noticed");
	process_signal(s->redis, SIGCONT);
	stack_wait_healthy(s);
	stack_wait_ready(s);
}
TEST_EACH(redis_restarted, a_redis_that_hangs_counts_as_lost,
    .worker_options = { "--redis-timeout=500ms" })

/* A worker that starts first waits for it. */
static void
a_worker_may_start_before_redis(struct stack *s)
{
	save(s);
	process_stop(s->worker);
	process_kill(s->redis);
	stack_start_worker(s);
	check(stack_status(s, "/ready") == 503, "%d",
	    stack_status(s, "/ready"));
	stack_start_redis(s);
	stack_wait_ready(s);
}
TEST_EACH_WEB(redis_restarted, a_worker_may_start_before_redis)

/* Without persistence it comes back empty: the workers give it the registry,
 * and both tokens and backends are valid as before. */
static void
one_that_forgot_everything_is_told(struct stack *s)
{
	for (int i = 0; i < 3; i++) {
		process_kill(s->redis);
		stack_start_redis(s);
		wait_for(stack_status(s, ADMIN_MOUNT "healthz") == 200,
		    PATIENCE_MS, "not noticed");
		stack_wait_ready(s);
	}
	check(strstr(admin(s, "backend", "list"), "b1") != NULL,
	    "Redis has no b1");
	/* A new worker knows only what Redis has. */
	process_stop(s->worker);
	stack_start_worker(s);
	stack_wait_ready(s);
}
TEST_EACH_WEB(redis_restarted, one_that_forgot_everything_is_told,
    .workers = 2)

/* Nobody's connection ends: that all is gone only shows. */
static void
one_that_was_emptied_is_told(struct stack *s)
{
	enum { CLIENTS = 6 };
	struct client *slow, *c[CLIENTS];
	struct response r;

	for (int i = 0; i < 3; i++) {
		slow = stack_send(s, "POST", "/slow/2000",
		    "Content-Length: 0\r\n");
		wait_for(backend_count(s->backend, "/slow/") == (size_t)i + 1,
		    PATIENCE_MS, "it does not arrive");
		free(stack_redis(s, "flushall"));
		for (int j = 0; j < CLIENTS; j++)
			c[j] = stack_send(s, "GET", "/echo", "");
		r = stack_receive(slow, "POST");
		check(r.status == 200, "what was under way: %d", r.status);
		response_clear(&r);
		for (int j = 0; j < CLIENTS; j++) {
			r = stack_receive(c[j], "GET");
			check(r.status == 200 || r.status == 503, "%d",
			    r.status);
			response_clear(&r);
		}
		stack_wait_ready(s);
	}
	wait_for(strstr(admin(s, "backend", "list"), "b1") != NULL,
	    PATIENCE_MS, "Redis has no b1");
}
TEST_EACH_WEB(redis_restarted, one_that_was_emptied_is_told, .workers = 2,
    .worker_options = { "--lease=4s" })

static void
a_full_one_counts_as_lost(struct stack *s)
{
	free(stack_redis(s, "config set maxmemory 1"));
	wait_for(stack_status(s, ADMIN_MOUNT "healthz") == 503, PATIENCE_MS,
	    "not noticed");
	check(stack_status(s, "/ready") == 503, "%d",
	    stack_status(s, "/ready"));
	free(stack_redis(s, "config set maxmemory 0"));
	stack_wait_healthy(s);
	stack_wait_ready(s);
}
TEST_EACH_WEB(redis_restarted, a_full_one_counts_as_lost)

/* The queue survives where Redis persists it; the clients have been told, by
 * either worker, and the agent may call the other one. */
static void
what_was_refused_is_not_done_later(struct stack *s)
{
	enum { CLIENTS = 12 };
	struct client *c[CLIENTS];

	stack_expect(s, "/ready", 200);
	process_stop(s->agent[0]);
	for (int i = 0; i < CLIENTS; i++) {
		c[i] = stack_send(s, "POST", "/hash", "Content-Length: 5\r\n");
		client_printf(c[i], "hello");
	}
	wait_for(stack_redis_number(s, "llen ip:{b:b1}:queue") == CLIENTS,
	    PATIENCE_MS, "the requests are not queued");
	save(s);
	process_kill(s->redis);
	for (int i = 0; i < CLIENTS; i++) {
		struct response r = stack_receive(c[i], "POST");

		check(r.status == 503, "%d", r.status);
		response_clear(&r);
	}
	stack_start_agent(s, 0);
	stack_start_redis(s);
	stack_wait_ready(s);
	wait_for(stack_redis_number(s, "llen ip:{b:b1}:queue") == 0,
	    PATIENCE_MS, "the queue is not taken from");
	/* What waited came before this. */
	stack_expect(s, "/ready", 200);
	check(backend_count(s->backend, "/hash") == 0, "%d done all the same",
	    (int)backend_count(s->backend, "/hash"));
}
TEST_EACH_WEB(redis_restarted, what_was_refused_is_not_done_later,
    .workers = 2)

/* Frames go with the connections.  Whoever waits for one asks again. */
static void
nobody_waits_for_what_was_lost(struct stack *s)
{
	enum { MANY = 40 };
	struct client *c[MANY];
	long long start = now_ms(), next = start;
	char target[32];

	for (int i = 0; i < MANY; i++) {
		snprintf(target, sizeof(target), "/slow/%d", 100 + i * 50);
		c[i] = stack_send(s, "POST", target, "Content-Length: 0\r\n");
	}
	while (now_ms() < start + 2500) {
		if (now_ms() >= next) {
			free(stack_redis(s, "client kill type normal"));
			next += 400;
		}
		harness_pause();
	}
	for (int i = 0; i < MANY; i++) {
		struct response r = stack_receive(c[i], "POST");

		check(r.status == 200 || r.status == 503, "number %d: %d %s",
		    i, r.status, response_text(&r));
		response_clear(&r);
	}
	check(now_ms() - start < 20000, "after %lld ms", now_ms() - start);
	check(backend_count(s->backend, "/slow") <= MANY, "%zu executions",
	    backend_count(s->backend, "/slow"));
}
TEST_EACH(redis_restarted, nobody_waits_for_what_was_lost, .workers = 2)

/* Which of the worker processes has an exchange of this id in hand. */
static pid_t
owner_of(const struct stack *s, const char *id)
{
	char *log = file_read(s->worker->log, NULL);
	pid_t child[4];
	size_t n = process_children(s->worker, child, 4);

	for (size_t i = 0; i < n; i++)
		if (strstr(log, harness_name("worker[%d] [%s]",
		    (int)child[i], id)) != NULL)
			return child[i];
	check(false, "%s is nobody's", id);
	return 0;
}

/* The owner's mail is gone before it is read, as when Redis is restarted.
 * (Apache may call a worker that is stopped.) */
static void
a_fetch_asks_again(struct stack *s)
{
	struct classic agent = classic_new(s);
	struct client *c = stack_send(s, "POST", "/x",
	    "Content-Length: 0\r\n"), *fetch = client_new(s->port);
	char id[CLASSIC_ID_LEN], *mail;
	struct response r;
	unsigned there;
	pid_t owner;

	classic_take(&agent, id);
	wait_for(process_log_has(s->worker, "waits for accept"), PATIENCE_MS,
	    "not known to be listed");
	owner = owner_of(s, id);
	mail = harness_name("ip:{w:%.16s}:mail", id);
	check(kill(owner, SIGSTOP) == 0, "SIGSTOP");
	there = count_in_log(s->worker, "redis.sock is there");
	free(stack_redis(s, "client kill type normal"));
	/* The other one is back soon. */
	wait_for(count_in_log(s->worker, "redis.sock is there") > there,
	    PATIENCE_MS, "nobody comes back");
	classic_send_head(fetch, &agent, "GET", "request", id);
	client_printf(fetch, "\r\n");
	wait_for(stack_redis_number(s, harness_name("llen %s", mail)) == 1,
	    PATIENCE_MS, "no mail");
	free(stack_redis(s, harness_name("del %s", mail)));
	check(kill(owner, SIGCONT) == 0, "SIGCONT");
	response_read_head(fetch, "GET", &r, 5000);
	check(r.status == 200, "%d %s", r.status, response_text(&r));
	response_clear(&r);
	client_free(fetch);
	check(classic_post_str(&agent, id, "HTTP/1.1 200 OK\r\n"
	    "Content-Length: 2\r\n\r\nok") == 200, "not taken");
	r = stack_receive(c, "POST");
	check(r.status == 200, "%d %s", r.status, response_text(&r));
	response_clear(&r);
}
STACK_TEST(redis_restarted, a_fetch_asks_again, WEB_LIGHTTPD, "classic",
    lighttpd, .agents = STACK_NO_AGENT, .workers = 2)
