/* agent_killed.c - an agent dies with exchanges in hand: what was not begun or
 * may be repeated goes to another agent, the rest is 502, nothing hangs. */
#include "config.h"

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tests/integration/classic.h"

#define LEASE "--lease=1s"

/* Answers the second time only. */
static void
second_time(struct backend_connection *c, void *arg)
{
	const char *target = c->request->target;

	(void)arg;
	if (backend_count(c->backend, target) == 1)
		backend_wait_gone(c, 20000);
	else
		backend_printf(c, "HTTP/1.1 200 OK\r\n"
		    "Content-Length: 6\r\n\r\nsecond");
}

static void
idempotent_requests_are_done_again(struct stack *s)
{
	struct client *c;
	struct response r;

	backend_script(s->backend, "/again", second_time, NULL);
	c = stack_send(s, "GET", "/again", "");
	wait_for(backend_count(s->backend, "/again") == 1, PATIENCE_MS,
	    "the request does not arrive");
	process_kill(s->agent[0]);
	stack_start_agent(s, 1);
	r = stack_receive(c, "GET");
	check(r.status == 200 && strcmp(response_text(&r), "second") == 0,
	    "%d %s", r.status, response_text(&r));
	check(backend_count(s->backend, "/again") == 2, "%zu executions",
	    backend_count(s->backend, "/again"));
	response_clear(&r);
}
TEST_EACH_WEB(agent_killed, idempotent_requests_are_done_again,
    .worker_options = { LEASE })

static void
a_begun_post_is_502(struct stack *s)
{
	struct client *c = stack_send(s, "POST", "/never",
	    "Content-Length: 0\r\n");
	long long start;
	struct response r;

	wait_for(backend_count(s->backend, "/never") == 1, PATIENCE_MS,
	    "the request does not arrive");
	process_kill(s->agent[0]);
	start = now_ms();
	stack_start_agent(s, 1);
	r = stack_receive(c, "POST");
	check(r.status == 502, "%d", r.status);
	check(now_ms() - start < 5000, "after %lld ms", now_ms() - start);
	check(backend_count(s->backend, "/never") == 1, "done twice");
	response_clear(&r);
}
TEST_EACH_WEB(agent_killed, a_begun_post_is_502, .worker_options = { LEASE })

static void
a_response_that_had_begun_is_cut(struct stack *s)
{
	struct client *c;
	struct response r;

	if (!stack_streams_responses(s))
		return;		/* nothing begins for this client */
	c = stack_send(s, "GET", "/sse/1000/50", "");
	response_read_head(c, "GET", &r, PATIENCE_MS);
	check(response_read_piece(c, &r, PATIENCE_MS).len > 0, "no event");
	process_kill(s->agent[0]);
	response_read_content(c, &r);
	check(r.ended && !r.whole, "a clean end");
	response_clear(&r);
	client_free(c);
}
TEST_EACH(agent_killed, a_response_that_had_begun_is_cut,
    .worker_options = { LEASE })

/* Handed out but never fetched: any method goes to the next agent. */
static void
what_was_not_fetched_goes_on(struct stack *s)
{
	struct classic agent = classic_new(s);
	struct client *c = stack_send(s, "POST", "/hash",
	    "Content-Length: 5\r\n");
	char id[CLASSIC_ID_LEN];
	struct response r;

	client_printf(c, "hello");
	classic_take(&agent, id);	/* and nothing else from this agent */
	stack_start_agent(s, 0);
	r = stack_receive(c, "POST");
	check(r.status == 200, "%d %s", r.status, response_text(&r));
	check(backend_count(s->backend, "/hash") == 1, "%zu executions",
	    backend_count(s->backend, "/hash"));
	response_clear(&r);
	/* The lost one comes late. */
	check(classic_post_str(&agent, id, "HTTP/1.1 200 OK\r\n"
	    "Content-Length: 4\r\n\r\nlate") == 404, "a late answer is taken");
}
TEST_EACH(agent_killed, what_was_not_fetched_goes_on,
    .agents = STACK_NO_AGENT, .worker_options = { LEASE })

/* A request that its agent has begun when it is stopped. */
static struct client *
send_to_sleeper(struct stack *s)
{
	struct client *c;

	backend_script(s->backend, "/again", second_time, NULL);
	c = stack_send(s, "GET", "/again", "");
	wait_for(backend_count(s->backend, "/again") == 1, PATIENCE_MS,
	    "the request does not arrive");
	process_signal(s->agent[0], SIGSTOP);
	return c;
}

static void
expect_second(struct client *c)
{
	struct response r = stack_receive(c, "GET");

	check(r.status == 200 && strcmp(response_text(&r), "second") == 0,
	    "%d %s", r.status, response_text(&r));
	response_clear(&r);
}

/* Stopped for longer than its lease, and then continued. */
static void
a_sleeper_harms_nobody_when_it_wakes(struct stack *s)
{
	struct client *c = send_to_sleeper(s);

	stack_start_agent(s, 1);
	expect_second(c);
	process_signal(s->agent[0], SIGCONT);
	for (int i = 0; i < 20; i++)
		stack_expect(s, "/ready", 200);
}
TEST_EACH_WEB(agent_killed, a_sleeper_harms_nobody_when_it_wakes,
    .worker_options = { LEASE })

/* There is no other agent: when it wakes it is given what it had once more. */
static void
a_sleeper_alone_does_it_again(struct stack *s)
{
	struct client *c = send_to_sleeper(s);

	wait_for(process_log_has(s->worker, "given to another agent"),
	    PATIENCE_MS, "the agent is not missed");
	process_signal(s->agent[0], SIGCONT);
	expect_second(c);
}
/* Lost once more it would be 502: a busy machine gets more time. */
TEST_EACH_WEB(agent_killed, a_sleeper_alone_does_it_again,
    .worker_options = { "--lease=3s" })

/* Of a classic agent that has fetched nothing more is seen than that no
 * response comes: the client gets another agent's, or 504. */
static void
a_classic_agents_death_shows_in_time(struct stack *s)
{
	struct classic agent = classic_new(s);
	struct client *c = stack_send(s, "GET", "/ready", "");
	char id[CLASSIC_ID_LEN];
	struct response r;

	classic_take(&agent, id);
	r = classic_fetch(&agent, id);
	check(r.status == 200, "fetch: %d", r.status);
	response_clear(&r);
	stack_start_agent(s, 0);
	r = stack_receive(c, "GET");
	check(r.status == 200 || r.status == 504, "%d", r.status);
	response_clear(&r);
	check(classic_post_str(&agent, id, "HTTP/1.1 200 OK\r\n"
	    "Content-Length: 4\r\n\r\nlate") == 404, "a late answer is taken");
}
TEST_EACH_WEB(agent_killed, a_classic_agents_death_shows_in_time,
    .agents = STACK_NO_AGENT, .worker_options = { LEASE,
    "--response-timeout=3s" })

/* A backend that thinks for longer than the lease is not a lost agent. */
static void
a_slow_backend_is_not_a_lost_agent(struct stack *s)
{
	struct client *c = stack_send(s, "GET", "/slow/3500", "");
	struct response r = stack_receive(c, "GET");

	check(r.status == 200, "%d %s", r.status, response_text(&r));
	check(backend_count(s->backend, "/slow") == 1, "%zu executions",
	    backend_count(s->backend, "/slow"));
	response_clear(&r);
}
TEST_EACH(agent_killed, a_slow_backend_is_not_a_lost_agent, .agents = 2,
    .worker_options = { LEASE })

/* The same with the existing agents, of which only polls are heard; one that
 * is parked is answered within the lease, and they poll again at once. */
static void
a_parked_poll_is_a_sign_of_life(struct stack *s)
{
	static char none[CLASSIC_IDS_MAX][CLASSIC_ID_LEN];
	struct classic agent = { .port = s->port, .backend_id = "b1",
	    .token = s->agent_token };
	struct client *poll = client_new(s->port), *c;
	char id[CLASSIC_ID_LEN];
	struct response r;
	long long fetched;

	classic_send_head(poll, &agent, "GET", "pending", NULL);
	client_printf(poll, "\r\n");
	wait_for(stack_redis_number(s, "exists ip:{b:b1}:attended")
	    == 1, PATIENCE_MS, "the poll did not arrive");
	c = stack_send(s, "GET", "/x", "");
	response_read_head(poll, "GET", &r, PATIENCE_MS);
	response_read_content(poll, &r);
	check(r.content_len == 52, "list: %s", response_text(&r));
	snprintf(id, sizeof(id), "%.48s", response_text(&r) + 2);
	response_clear(&r);
	client_free(poll);
	r = classic_fetch(&agent, id);
	check(r.status == 200, "fetch: %d", r.status);
	response_clear(&r);
	fetched = now_ms();
	while (now_ms() < fetched + 2500)
		check(classic_pending(&agent, none) == 0, "done again");
	check(now_ms() < fetched + 10000, "a poll was not recalled");
	check(classic_post_str(&agent, id, "HTTP/1.1 200 OK\r\n"
	    "Content-Length: 4\r\n\r\nlate") == 200, "not taken any more");
	r = stack_receive(c, "GET");
	check(r.status == 200, "%d %s", r.status, response_text(&r));
	response_clear(&r);
}
TEST_EACH_WEB(agent_killed, a_parked_poll_is_a_sign_of_life,
    .agents = STACK_NO_AGENT, .worker_options = { LEASE,
    "--poll-timeout=20s" })

/* Many in flight, a second agent beside: all are decided. */
static void
everything_is_decided(struct stack *s)
{
	enum { MANY = 60 };
	struct client *c[MANY];
	int ok = 0, bad = 0;

	for (int i = 0; i < MANY; i++)
		c[i] = stack_send(s, i % 3 == 0 ? "POST" : "GET", "/slow/400",
		    i % 3 == 0 ? "Content-Length: 0\r\n" : "");
	wait_for(backend_count(s->backend, "/slow") > 10, PATIENCE_MS,
	    "nothing is done");
	process_kill(s->agent[0]);
	for (int i = 0; i < MANY; i++) {
		struct response r = stack_receive(c[i], "GET");

		ok += r.status == 200;
		bad += r.status == 502 && i % 3 == 0;
		check(r.status == 200 || (r.status == 502 && i % 3 == 0),
		    "number %d: %d %s", i, r.status, response_text(&r));
		response_clear(&r);
	}
	check(ok + bad == MANY && ok >= MANY * 2 / 3, "%d ok, %d 502", ok,
	    bad);
}
TEST_EACH_WEB(agent_killed, everything_is_decided, .agents = 2,
    .worker_options = { LEASE })

/* Its parked call stays at the worker, which can't know: what may not be done
 * twice is not given to it. */
static void
a_post_is_not_given_to_the_dead(struct stack *s)
{
	long long parked;
	struct client *c;
	struct response r;

	stack_expect(s, "/ready", 200);
	parked = now_ms();
	while (now_ms() < parked + 1500)
		harness_pause();
	process_kill(s->agent[0]);
	c = stack_send(s, "POST", "/hash", "Content-Length: 5\r\n");
	client_printf(c, "hello");
	stack_start_agent(s, 1);
	r = stack_receive(c, "POST");
	check(r.status == 200, "%d %s", r.status, response_text(&r));
	check(backend_count(s->backend, "/hash") == 1, "%zu executions",
	    backend_count(s->backend, "/hash"));
	response_clear(&r);
}
TEST_EACH_WEB(agent_killed, a_post_is_not_given_to_the_dead)

/* Each time it comes back everybody gets a little longer, but not for ever. */
static void
a_redis_that_comes_and_goes_saves_nobody(struct stack *s)
{
	struct client *c;
	struct response r;
	long long start, next;

	backend_script(s->backend, "/again", second_time, NULL);
	c = stack_send(s, "GET", "/again", "");
	wait_for(backend_count(s->backend, "/again") == 1, PATIENCE_MS,
	    "the request does not arrive");
	process_kill(s->agent[0]);
	stack_start_agent(s, 1);
	start = next = now_ms();
	while (backend_count(s->backend, "/again") == 1) {
		check(now_ms() - start < 15000, "the agent is not missed");
		if (now_ms() >= next) {
			free(stack_redis(s, "client kill type normal"));
			next += 1000;
		}
		harness_pause();
	}
	r = stack_receive(c, "GET");
	check(r.status == 200, "%d %s", r.status, response_text(&r));
	response_clear(&r);
}
TEST_EACH(agent_killed, a_redis_that_comes_and_goes_saves_nobody,
    .worker_options = { "--lease=2s" })
