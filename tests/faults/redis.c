/* redis.c - Redis goes away, forgets, hangs, is full, drops its connections:
 * clients are told so, and everything works again by itself. */
#include "config.h"

#include <signal.h>
#include <stdlib.h>

#include "tests/faults/fault.h"

/* Three workers: most exchanges go through Redis. */
#define MANY_WORKERS .workers = 3, .agents = 2, .worker_options = \
	{ "--log-level=info" }

/* What Redis may do to an exchange; all is well again 2 s after its return. */
static const struct fault_promise promise = { .may_502_posts = true,
	.may_503 = true, .may_break_off = true, .may_repeat = true,
	.recovery_ms = 2000 };

static struct load *
start(struct stack *s)
{
	struct load_plan plan = { .connections = 48, .post_percent = 40,
		.work_ms = 20, .rate = 200, .patience_ms = 40000 };
	struct load *l = load_start(s, &plan);

	wait_for(load_ended(l) > 100, PATIENCE_MS, "no load");
	return l;
}

/* The load goes on for 4 s after the return, at least. */
static void
report(struct stack *s, const char *fault, struct load *l, long long at,
    long long back)
{
	load_go_on(l, 800);
	load_stop(l);
	fault_report(s, fault, "48 clients, 200/s", l, at, back, &promise);
}

static void
restarted(struct stack *s)
{
	struct load *l = start(s);
	long long at = now_ns();

	process_kill(s->redis);
	stack_start_redis(s);
	report(s, "Redis restarted", l, at, now_ns());
}
FAULT_EACH_WEB(redis, restarted, .persistent = true, MANY_WORKERS)

static void
restarted_empty(struct stack *s)
{
	struct load *l = start(s);
	long long at = now_ns();

	process_kill(s->redis);
	stack_start_redis(s);
	report(s, "Redis restarted empty", l, at, now_ns());
}
FAULT_EACH_WEB(redis, restarted_empty, MANY_WORKERS)

static void
away_for_10s(struct stack *s)
{
	struct load *l = start(s);
	long long at = now_ns();

	process_kill(s->redis);
	load_go_on(l, 2000);		/* at 200 a second */
	stack_start_redis(s);
	report(s, "Redis killed for 10 s", l, at, now_ns());
}
FAULT_EACH_WEB(redis, away_for_10s, .persistent = true, MANY_WORKERS)

static void
paused_for_5s(struct stack *s)
{
	struct load *l = start(s);
	long long at = now_ns();

	free(stack_redis(s, "client pause 5000"));
	load_go_on(l, 1000);
	report(s, "Redis: CLIENT PAUSE 5 s", l, at, now_ns());
}
FAULT_EACH_WEB(redis, paused_for_5s, MANY_WORKERS)

static void
full(struct stack *s)
{
	struct load *l = start(s);
	long long at = now_ns();

	free(stack_redis(s, "config set maxmemory 1"));
	load_go_on(l, 2600);		/* longer than a worker may be silent */
	free(stack_redis(s, "config set maxmemory 0"));
	report(s, "Redis: maxmemory for 13 s", l, at, now_ns());
}
FAULT_EACH_WEB(redis, full, MANY_WORKERS)

static void
connections_killed(struct stack *s)
{
	struct load *l = start(s);
	long long at = now_ns();

	for (int i = 0; i < 3; i++) {
		free(stack_redis(s, "client kill type normal"));
		free(stack_redis(s, "client kill type pubsub"));
		load_go_on(l, 100);
	}
	report(s, "Redis: CLIENT KILL of all, thrice", l, at, now_ns());
}
FAULT_EACH_WEB(redis, connections_killed, MANY_WORKERS)

static void
scripts_flushed(struct stack *s)
{
	static const struct fault_promise nothing_is_seen = { 0 };
	struct load *l = start(s);
	long long at = now_ns();

	for (int i = 0; i < 5; i++) {
		free(stack_redis(s, "script flush"));
		load_go_on(l, 50);
	}
	load_stop(l);
	fault_report(s, "Redis: SCRIPT FLUSH, 5 times", "48 clients, 200/s",
	    l, at, now_ns(), &nothing_is_seen);
}
FAULT_EACH_WEB(redis, scripts_flushed, MANY_WORKERS)
