/* limits.c - everything is bounded, and over a bound is a clear status. */
#include "config.h"

#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tests/integration/classic.h"

static void
a_full_queue_is_503_at_once(struct stack *s)
{
	struct client *c[10];
	struct response r;
	int waiting = 0, refused = 0;

	classic_new(s);
	for (int i = 0; i < 10; i++)
		c[i] = stack_send(s, "GET", "/x", "");
	for (int i = 0; i < 10; i++) {
		response_read_head(c[i], "GET", &r, PATIENCE_MS);
		if (r.status == 503) {
			refused++;
			check(response_field(&r, "Retry-After") != NULL,
			    "no Retry-After");
		}
		waiting += r.status == 504;
		response_clear(&r);
		client_free(c[i]);
	}
	check(refused == 6 && waiting == 4, "%d refused, %d waited", refused,
	    waiting);
}
TEST_EACH_WEB(limits, a_full_queue_is_503_at_once, .agents = STACK_NO_AGENT,
    .worker_options = { "--queue-limit=4", "--queue-timeout=2s" })

/* Two are under way, and another address is not kept out. */
static void
a_client_over_its_limit_is_429(struct stack *s)
{
	struct client *c[2], *other;
	struct response r;

	for (int i = 0; i < 2; i++) {
		c[i] = stack_send(s, "GET", "/never", "");
		wait_for(backend_count(s->backend, "/never") == (size_t)i + 1,
		    PATIENCE_MS, "a request does not arrive");
	}
	r = stack_get(s, "/ready");
	check(r.status == 429 && response_field(&r, "Retry-After") != NULL,
	    "%d", r.status);
	response_clear(&r);
	check(process_log_has(s->worker, "limit=--client-limit"),
	    "the operator is not told");
	other = client_new_from(s->port, "127.0.0.2");
	client_printf(other, "GET /ready HTTP/1.1\r\nHost: proxy.test\r\n"
	    "Connection: close\r\n\r\n");
	r = stack_receive(other, "GET");
	check(r.status == 200, "another client: %d", r.status);
	response_clear(&r);
	for (int i = 0; i < 2; i++)
		client_free(c[i]);
}
TEST_EACH_WEB(limits, a_client_over_its_limit_is_429,
    .worker_options = { "--client-limit=2" })

static void
waiting_too_long_in_the_queue_is_504(struct stack *s)
{
	long long start;

	classic_new(s);
	start = now_ms();
	stack_expect(s, "/x", 504);
	check(now_ms() - start >= 900 && now_ms() - start < 3000,
	    "after %lld ms", now_ms() - start);
	/* ... and it is taken out of the queue */
	check(stack_redis_number(s, "llen ip:{b:b1}:queue") == 0,
	    "it is still queued");
}
TEST_EACH_WEB(limits, waiting_too_long_in_the_queue_is_504,
    .agents = STACK_NO_AGENT, .worker_options = { "--queue-timeout=1s" })

static void
a_backend_without_agent_is_503(struct stack *s)
{
	long long start = now_ms();
	struct response r = stack_get(s, "/x");

	check(r.status == 503 && response_field(&r, "Retry-After") != NULL,
	    "%d", r.status);
	check(now_ms() - start < 3000, "after %lld ms", now_ms() - start);
	response_clear(&r);
}
TEST_EACH_WEB(limits, a_backend_without_agent_is_503,
    .agents = STACK_NO_AGENT)

static void
an_absent_agent_is_noticed(struct stack *s)
{
	process_stop(s->agent[0]);
	wait_for(stack_status(s, "/ready") == 503, PATIENCE_MS,
	    "the absence is not noticed");
	stack_start_agent(s, 0);
	stack_wait_ready(s);
}
TEST_EACH_WEB(limits, an_absent_agent_is_noticed, .worker_options = {
    "--agent-absence=1s", "--queue-timeout=500ms" })

/* Its poll takes longer than an absence may. */
static void
an_agent_that_waits_is_not_absent(struct stack *s)
{
	long long end = now_ms() + 3000;

	for (int i = 0; now_ms() < end; i++) {
		check(stack_redis_number(s, "EXISTS ip:{b:b1}:attended") == 1,
		    "it is, after %d looks", i);
		harness_pause();
	}
	check(stack_status(s, "/ready") == 200, "it is not served");
}
TEST_EACH(limits, an_agent_that_waits_is_not_absent,
    .worker_options = { "--agent-absence=1s" }, .workers = 2)

/* A request waits for an agent that is briefly away. */
static void
a_request_waits_for_its_agent(struct stack *s)
{
	struct client *c;
	struct response r;

	process_stop(s->agent[0]);
	c = stack_send(s, "POST", "/hash", "Content-Length: 5\r\n");
	client_printf(c, "hello");
	stack_start_agent(s, 0);
	r = stack_receive(c, "POST");
	check(r.status == 200, "%d", r.status);
	response_clear(&r);
}
/* Behind Apache the poll of an agent that left looks alive: what it was given
 * goes on after the lease. */
TEST_EACH(limits, a_request_waits_for_its_agent,
    .worker_options = { "--lease=1s" })

static void
no_backend_is_404(struct stack *s)
{
	admin(s, "backend", "remove", "b1");
	wait_for(stack_status(s, "/x") == 404, 1500,
	    "a removed backend is not 404");
}
TEST_EACH_WEB(limits, no_backend_is_404, .agents = STACK_NO_AGENT)

struct gauge {
	atomic_int now, most;
};

static void
slowly(struct backend_connection *c, void *arg)
{
	struct gauge *gauge = arg;
	int now = ++gauge->now;

	if (now > gauge->most)
		gauge->most = now;
	backend_wait_gone(c, 50);
	gauge->now--;
	backend_printf(c, "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n");
}

/* More at once than the agent takes: the rest waits its turn. */
static void
more_than_the_agent_takes_wait_their_turn(struct stack *s)
{
	enum { MANY = 30 };
	static struct gauge gauge;
	struct client *c[MANY];

	backend_script(s->backend, "/gauge", slowly, &gauge);
	for (int i = 0; i < MANY; i++)
		c[i] = stack_send(s, "GET", "/gauge", "");
	for (int i = 0; i < MANY; i++) {
		struct response r = stack_receive(c[i], "GET");

		check(r.status == 200, "number %d: %d", i, r.status);
		response_clear(&r);
	}
	check(gauge.most <= 4, "%d at once", gauge.most);
}
TEST_EACH(limits, more_than_the_agent_takes_wait_their_turn,
    .agent_options = { "--max-in-flight=4" })

static void
for_a_second(struct backend_connection *c, void *arg)
{
	(void)arg;
	backend_wait_gone(c, 1000);
	backend_printf(c, "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n");
}

/* The calls that are parked while it is full say that it takes nothing: it must
 * not wait for their end. */
static void
room_that_comes_back_is_used_at_once(struct stack *s)
{
	struct client *slow[2], *c;
	struct response r;

	backend_script(s->backend, "/slow", for_a_second, NULL);
	for (int i = 0; i < 2; i++)
		slow[i] = stack_send(s, "GET", "/slow", "");
	wait_for(backend_count(s->backend, "/slow") == 2, PATIENCE_MS,
	    "the agent is not full");
	c = stack_send(s, "GET", "/ready", "");
	for (int i = 0; i < 2; i++) {
		r = stack_receive(slow[i], "GET");
		check(r.status == 200, "slow: %d", r.status);
		response_clear(&r);
	}
	r = stack_receive(c, "GET");
	check(r.status == 200, "%d", r.status);
	response_clear(&r);
}
TEST_EACH(limits, room_that_comes_back_is_used_at_once,
    .agent_options = { "--max-in-flight=2" },
    .worker_options = { "--lease=60s", "--queue-timeout=3s" })
