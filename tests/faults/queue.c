/* queue.c - a flood for a backend whose agent is away: those over the bound are
 * told at once, the others at their deadline, and nothing is left of them. */
#include "config.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tests/faults/fault.h"

enum { LIMIT = 1000, ABOUT_KIB = 2048 };

/* "At once" to so many who come at once: the web server accepts them in its
 * time, which is counted here, too.  Their deadline is later. */
#define SOON_NS 15000000000LL

static long
redis_kib(struct stack *s)
{
	char *info = stack_redis(s, "info memory");
	const char *at = strstr(info, "used_memory:");
	long kib = at == NULL ? 0 : strtol(at + strlen("used_memory:"), NULL,
	    10) / 1024;

	free(info);
	return kib;
}

static void
flooded(struct stack *s)
{
	unsigned many = fault_size(3000, 10000);
	struct load_plan plan = { .connections = many, .requests = many,
		.post_percent = 50 };
	long long at = now_ns();
	unsigned early = 0, late = 0;
	char text[32];
	struct load *l;
	long kib;

	process_stop(s->agent[0]);
	wait_for(redis_kib(s) > 0, PATIENCE_MS, "no memory figure");
	kib = redis_kib(s);
	l = load_start(s, &plan);
	load_wait(l);
	for (unsigned i = 0; i < many; i++) {
		const struct load_entry *e = load_entry(l, i);

		if (e->status != 503 || !e->has_retry_after)
			continue;
		early += e->ended_ns - e->began_ns < SOON_NS;
		late += e->ended_ns - e->began_ns >= SOON_NS;
	}
	wait_for(stack_redis_number(s, "llen ip:{b:b1}:queue") == 0,
	    PATIENCE_MS, "the queue stays");
	wait_for(redis_kib(s) < kib + ABOUT_KIB, PATIENCE_MS,
	    "Redis has %ld KiB, before it had %ld", redis_kib(s), kib);
	stack_start_agent(s, 0);
	stack_wait_ready(s);
	snprintf(text, sizeof(text), "%u at once", many);
	fault_report(s, "a flood, and no agent", text, l, at, now_ns(),
	    &(struct fault_promise){ .may_503 = true, .may_504 = true });
	check(early >= many - LIMIT, "only %u of %u were told at once, %u "
	    "later", early, many, late);
}
FAULT_EACH_WEB(queue, flooded, .workers = 2, .worker_options =
    { "--queue-timeout=20s", "--log-level=warn" })
