/* web.c - the web server is reloaded, and restarted: agents and clients go
 * on. */
#include "config.h"

#include <signal.h>

#include "tests/faults/fault.h"

static struct load *
start(struct stack *s)
{
	struct load_plan plan = { .connections = 32, .post_percent = 40,
		.work_ms = 20, .rate = 200, .patience_ms = 40000 };
	struct load *l = load_start(s, &plan);

	wait_for(load_ended(l) > 100, PATIENCE_MS, "no load");
	return l;
}

static void
reloaded(struct stack *s)
{
	struct load *l = start(s);
	long long at = now_ns();

	/* Graceful, to both. */
	process_signal(s->web_process, SIGUSR1);
	load_go_on(l, 800);
	load_stop(l);
	fault_report(s, "web server reloaded gracefully", "32 clients, 200/s",
	    l, at, at, &(struct fault_promise){ 0 });
}
FAULT_EACH_WEB(web, reloaded, .workers = 2, .agents = 2,
    .worker_options = { "--log-level=info" })

static void
restarted(struct stack *s)
{
	struct load *l = start(s);
	long long at = now_ns();

	/* With whatever status it ends; Apache takes its time. */
	s->web_process->may_fail = true;
	process_signal(s->web_process, SIGTERM);
	process_wait(s->web_process, 3 * PATIENCE_MS);
	stack_start_web(s);
	long long back = now_ns();

	load_go_on(l, 1000);
	load_stop(l);
	/* Who is cut off is: a POST that was begun stays so. */
	fault_report(s, "web server restarted", "32 clients, 200/s", l, at,
	    back, &(struct fault_promise){ .may_break_off = true,
	    .may_503 = true, .recovery_ms = 2000 });
}
FAULT_EACH_WEB(web, restarted, .workers = 2, .agents = 2,
    .worker_options = { "--log-level=info" })
