/* soak.c - a mixed load for a long time, while an agent, a worker or Redis'
 * connections are killed at random: every request has one answer, its own, and
 * nothing is left when all is quiet again. */
#include "config.h"

#include <dirent.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>

#include "tests/faults/fault.h"

enum {
	WORKERS = 2,
	AGENTS = 2,
	EVERY_MS = 3000,
	GROWTH_KIB = 16 * 1024,
	SETTLE_MS = 90000,	/* what expires, has expired */
};

struct figures {
	long worker_kib, agent_kib;
	size_t worker_fds, agent_fds;
	long keys;
};

static size_t
count_fds(pid_t pid)
{
	DIR *dir = opendir(harness_name("/proc/%d/fd", (int)pid));
	size_t n = 0;

	while (dir != NULL && readdir(dir) != NULL)
		n++;
	if (dir != NULL)
		closedir(dir);
	return n;
}

static long
count_keys(struct stack *s)
{
	char *size = stack_redis(s, "dbsize");
	long n = strtol(size, NULL, 10);

	free(size);
	return n;
}

/* The largest of its kind: processes are replaced. */
static struct figures
look(struct stack *s)
{
	struct figures f = { .keys = count_keys(s) };
	pid_t child[16];
	size_t n = process_children(s->worker, child, 16);

	for (size_t i = 0; i < n; i++) {
		long kib = process_rss_kib(child[i]);
		size_t fds = count_fds(child[i]);

		f.worker_kib = kib > f.worker_kib ? kib : f.worker_kib;
		f.worker_fds = fds > f.worker_fds ? fds : f.worker_fds;
	}
	for (int i = 0; i < AGENTS; i++) {
		long kib = process_rss_kib(s->agent[i]->pid);
		size_t fds = count_fds(s->agent[i]->pid);

		f.agent_kib = kib > f.agent_kib ? kib : f.agent_kib;
		f.agent_fds = fds > f.agent_fds ? fds : f.agent_fds;
	}
	return f;
}

static void
pause_until(long long ms)
{
	while (now_ms() < ms)
		harness_pause();
}

static void
kill_something(struct stack *s, unsigned round)
{
	pid_t child[16];
	size_t n;
	int agent = (int)(round / 4 % AGENTS);

	switch (round % 4) {
	case 0:
		process_kill(s->agent[agent]);
		stack_start_agent(s, agent);
		break;
	case 1:
		n = process_children(s->worker, child, 16);
		if (n > 0)
			kill(child[round / 4 % n], SIGKILL);
		break;
	case 2:
		free(stack_redis(s, "client kill type normal"));
		break;
	case 3:
		free(stack_redis(s, "client kill type pubsub"));
		break;
	}
}

static bool
is_as_before(struct stack *s, const struct figures *before)
{
	struct figures now = look(s);
	/* Apache keeps connections to the workers, for each of its threads. */
	size_t kept = s->web == WEB_APACHE ? 128 : 8;

	return now.keys <= before->keys + 4 &&
	    now.worker_fds <= before->worker_fds + kept &&
	    now.agent_fds <= before->agent_fds + 8 &&
	    now.worker_kib <= before->worker_kib + GROWTH_KIB &&
	    now.agent_kib <= before->agent_kib + GROWTH_KIB;
}

static void
show(const char *when, const struct figures *f)
{
	fprintf(stderr, "%s: worker %ld KiB, %zu descriptors; agent %ld KiB, "
	    "%zu descriptors; %ld keys\n", when, f->worker_kib, f->worker_fds,
	    f->agent_kib, f->agent_fds, f->keys);
}

static void
mixed(struct stack *s)
{
	const char *wanted = getenv("INVERTING_PROXY_FAULTS_SOAK");
	unsigned seconds = wanted != NULL ? (unsigned)strtoul(wanted, NULL,
	    10) : fault_size(20, 1800);
	struct load_plan plan = { .connections = 64, .post_percent = 40,
		.work_ms = 30, .rate = 150, .patience_ms = 150000 };
	struct figures before, after;
	char text[48];
	struct load *l;
	long long at, over_ms;

	wait_for(look(s).keys > 0, PATIENCE_MS, "no keys");
	before = look(s);
	l = load_start(s, &plan);
	at = now_ns();
	for (unsigned round = 0; now_ns() - at < seconds * 1000000000LL;
	    round++) {
		long long next = now_ms() + EVERY_MS;

		kill_something(s, round);
		pause_until(next);
	}
	long long over = now_ns();
	unsigned begun = load_begun(l);

	wait_for(load_begun(l) > begun + 300, PATIENCE_MS, "no load");
	load_stop(l);
	show("before", &before);
	over_ms = now_ms() + SETTLE_MS;
	while (!is_as_before(s, &before) && now_ms() < over_ms)
		pause_until(now_ms() + 500);
	after = look(s);
	show("after", &after);
	check(is_as_before(s, &before), "something is left");
	snprintf(text, sizeof(text), "150/s, %u s", seconds);
	/* A request that is begun as the last fault is over has the lease. */
	fault_report(s, "soak: kills of agent, worker, links", text, l, at,
	    over, &(struct fault_promise){ .may_502_posts = true,
	    .may_deny = true, .may_503 = true, .may_break_off = true,
	    .may_repeat = true, .recovery_ms = 5000 });
}
FAULT_EACH_WEB(soak, mixed, .workers = WORKERS, .agents = AGENTS,
    .worker_options = { "--log-level=info" })
