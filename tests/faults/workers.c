/* workers.c - one of several workers is killed; all are restarted, one by one
 * and by a new binary, while requests come. */
#include "config.h"

#include <signal.h>
#include <stdlib.h>
#include <string.h>

#include "tests/faults/fault.h"

enum { WORKERS = 3, CHILDREN_MAX = 16 };

static bool
has_changed(struct stack *s, pid_t gone)
{
	pid_t child[CHILDREN_MAX];
	size_t n = process_children(s->worker, child, CHILDREN_MAX);

	for (size_t i = 0; i < n; i++)
		if (child[i] == gone)
			return false;
	return n >= WORKERS;
}

static unsigned
workers_of(const struct stack *s)
{
	return s->workers == 0 ? 1 : (unsigned)s->workers;
}

static unsigned
count_stopped(const struct stack *s)
{
	char *log = file_read(s->worker->log, NULL);
	unsigned n = 0;

	for (const char *at = log; at != NULL &&
	    (at = strstr(at, "worker stopped")) != NULL; at++)
		n++;
	free(log);
	return n;
}

static void
killed(struct stack *s)
{
	struct load_plan plan = { .connections = 60, .post_percent = 40,
		.work_ms = 200, .rate = 200 };
	struct load *l = load_start(s, &plan);
	pid_t child[CHILDREN_MAX];
	long long at = 0;

	for (int round = 0; round < 2; round++) {
		unsigned begun = load_begun(l);

		wait_for(load_begun(l) > begun + 100, PATIENCE_MS, "no load");
		process_children(s->worker, child, CHILDREN_MAX);
		kill(child[round], SIGKILL);
		at = now_ns();
		wait_for(has_changed(s, child[round]), PATIENCE_MS,
		    "the parent does not start another");
	}
	unsigned begun = load_begun(l);

	wait_for(load_begun(l) > begun + 200, PATIENCE_MS, "no load");
	load_stop(l);
	/* The web server tells a client whose worker died so: 500 to 503. */
	fault_report(s, "worker killed (-9), 1 of 3, twice", "60 clients", l,
	    at, at, &(struct fault_promise){ .may_break_off = true,
	    .may_503 = true, .may_502_posts = true, .recovery_ms = 500 });
}
FAULT_EACH_WEB(workers, killed, .workers = WORKERS, .agents = 2,
    .worker_options = { "--log-level=info" })

static void
restarted_one_by_one(struct stack *s)
{
	struct load_plan plan = { .connections = 32, .post_percent = 50,
		.work_ms = 5, .requests = fault_size(2000, 10000),
		.rate = fault_size(400, 400) };
	struct load *l = load_start(s, &plan);
	pid_t child[CHILDREN_MAX];
	long long at = now_ns();

	while (load_ended(l) < plan.requests * 8 / 10)
		for (int i = 0; i < WORKERS; i++) {
			size_t n = process_children(s->worker, child,
			    CHILDREN_MAX);

			check(n == WORKERS, "%zu workers", n);
			kill(child[0], SIGTERM);
			wait_for(has_changed(s, child[0]), 2 * PATIENCE_MS,
			    "worker %d is not replaced", (int)child[0]);
		}
	load_wait(l);
	fault_report(s, "rolling restart (SIGTERM one by one)", "32 clients",
	    l, at, at, &(struct fault_promise){ 0 });
}
FAULT_EACH_WEB(workers, restarted_one_by_one, .workers = WORKERS, .agents = 2,
    .worker_options = { "--log-level=info", "--drain-timeout=20s" })

/* The program is executed again, under load, several times. */
static void
upgrade(struct stack *s, const char *fault)
{
	struct load_plan plan = { .connections = 32, .post_percent = 50,
		.work_ms = 5, .requests = fault_size(2000, 10000),
		.rate = 400 };
	struct load *l = load_start(s, &plan);
	long long at = now_ns();
	unsigned rounds = 0;

	while (load_ended(l) < plan.requests * 8 / 10) {
		process_signal(s->worker, SIGUSR2);
		rounds++;
		wait_for(count_stopped(s) == rounds * workers_of(s),
		    3 * PATIENCE_MS, "the former workers do not end");
		/* Time for the last one to be gone. */
		unsigned begun = load_begun(l);

		wait_for(load_begun(l) > begun + 100 ||
		    load_begun(l) == plan.requests, PATIENCE_MS, "no load");
	}
	load_wait(l);
	check(rounds > 1, "%u rounds", rounds);
	fault_report(s, fault, "32 clients", l, at, at,
	    &(struct fault_promise){ 0 });
}

static void
upgraded(struct stack *s)
{
	upgrade(s, "new program (SIGUSR2), 3 workers");
}
FAULT_EACH_WEB(workers, upgraded, .workers = WORKERS, .agents = 2,
    .worker_options = { "--log-level=info", "--drain-timeout=20s" })

static void
upgraded_alone(struct stack *s)
{
	upgrade(s, "new program (SIGUSR2), 1 worker");
}
FAULT_EACH_WEB(workers, upgraded_alone, .agents = 2,
    .worker_options = { "--log-level=info", "--drain-timeout=20s" })
