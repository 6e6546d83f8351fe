/* agents.c - an agent dies, or sleeps, with a hundred exchanges in hand, and
 * there is a second one. */
#include "config.h"

#include <signal.h>

#include "tests/faults/fault.h"

/* A hundred are at the backend, through both agents, when the first one is
 * lost; each client that has its answer asks again. */
static struct load *
start(struct stack *s)
{
	struct load_plan plan = { .connections = 100, .requests = 300,
		.post_percent = 40, .work_ms = 3000 };
	struct load *l = load_start(s, &plan);

	wait_for(load_running(l) == 100, PATIENCE_MS,
	    "only %u are at the backend", load_running(l));
	return l;
}

static void
killed(struct stack *s)
{
	struct load *l = start(s);
	long long at = now_ns();

	process_kill(s->agent[0]);
	load_wait(l);
	/* The lease, and what the second agent needs for it. */
	fault_report(s, "agent killed (-9), a second one", "100 in flight",
	    l, at, at, &(struct fault_promise){ .may_502_posts = true,
	    .may_repeat = true, .recovery_ms = 10000, .decided_ms = 14000 });
}
FAULT_EACH_WEB(agents, killed, .agents = 2)

static void
stopped(struct stack *s)
{
	struct load *l = start(s);
	long long at = now_ns();

	process_signal(s->agent[0], SIGSTOP);
	load_wait(l);
	process_signal(s->agent[0], SIGCONT);
	/* What it has to say now is refused, and it is of use again. */
	for (int i = 0; i < 50; i++)
		stack_expect(s, "/ready", 200);
	fault_report(s, "agent stopped, continued", "100 in flight", l, at,
	    at, &(struct fault_promise){ .may_502_posts = true,
	    .may_repeat = true, .may_overlap = true, .recovery_ms = 10000,
	    .decided_ms = 14000 });
}
FAULT_EACH_WEB(agents, stopped, .agents = 2)
