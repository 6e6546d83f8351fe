/* network.c - the line between agent and proxy is cut without a word, and comes
 * back: the agent and its backend are in a network namespace of their own, and
 * a router between it and the proxy stops forwarding. */
#include "config.h"

#include <fcntl.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "tests/faults/fault.h"

enum { CUT_MS = 30000, DEAD_LINK_MS = 15000, LEASE_MS = 10000 };

struct line {
	pid_t router, far;	/* processes that hold the namespaces */
	int number;		/* nobody else's: for names and addresses */
};

static bool
has_own_netns(pid_t pid)
{
	char ours[64], theirs[64];
	ssize_t n = readlink("/proc/self/ns/net", ours, sizeof(ours));

	return n > 0 && readlink(harness_name("/proc/%d/ns/net", (int)pid),
	    theirs, sizeof(theirs)) == n && memcmp(ours, theirs,
	    (size_t)n) != 0;
}

/* Lasts as long as its process, which ends with the test. */
static pid_t
netns_new(const char *name)
{
	struct process *p = process_new(name);

	process_arg(p, "unshare");
	process_arg(p, "--net");
	process_arg(p, "sleep");
	process_arg(p, "100000");
	process_start(p);
	wait_for(has_own_netns(p->pid), PATIENCE_MS, "no network namespace");
	fault_run(p->pid, "ip link set lo up");
	return p->pid;
}

static const char *
address(const struct line *l, int host)
{
	return harness_name("10.%d.%d.%d", 64 + l->number / 256,
	    l->number % 256, host);
}

/* proxy .1 -- .2 router .5 -- .6 agent */
static struct line
line_new(void)
{
	struct line l = { .number = harness_port() - 20000 };
	const char *up = harness_name("ipu%d", l.number);

	l.router = netns_new("router");
	l.far = netns_new("far");
	fault_run(0, harness_name("ip link add %s type veth peer name north "
	    "netns %d", up, (int)l.router));
	fault_run(l.router, harness_name("ip link add south type veth peer "
	    "name north netns %d", (int)l.far));
	fault_run(0, harness_name("ip address add %s/30 dev %s", address(&l, 1),
	    up));
	fault_run(l.router, harness_name("ip address add %s/30 dev north",
	    address(&l, 2)));
	fault_run(l.router, harness_name("ip address add %s/30 dev south",
	    address(&l, 5)));
	fault_run(l.far, harness_name("ip address add %s/30 dev north",
	    address(&l, 6)));
	fault_run(0, harness_name("ip link set dev %s up", up));
	fault_run(l.router, "ip link set dev north up");
	fault_run(l.router, "ip link set dev south up");
	fault_run(l.far, "ip link set dev north up");
	fault_run(0, harness_name("ip route add %s/30 via %s", address(&l, 4),
	    address(&l, 2)));
	fault_run(l.far, harness_name("ip route add default via %s",
	    address(&l, 5)));
	return l;
}

static void
line_set(const struct line *l, bool is_whole)
{
	fault_run(l->router, harness_name("sysctl -q -w net.ipv4.ip_forward=%d",
	    is_whole));
}

/* Its connections come from beside the agent. */
static void
move_backend(struct backend *b, const struct line *l)
{
	int ours = open("/proc/self/ns/net", O_RDONLY | O_CLOEXEC);
	int far = open(harness_name("/proc/%d/ns/net", (int)l->far),
	    O_RDONLY | O_CLOEXEC);

	check(ours >= 0 && far >= 0, "no namespaces");
	backend_stop(b);
	check(setns(far, CLONE_NEWNET) == 0, "setns");
	backend_resume(b);
	check(setns(ours, CLONE_NEWNET) == 0, "setns back");
	close(ours);
	close(far);
}

static bool
has_lost_proxy(const struct stack *s)
{
	return process_log_has(s->agent[0], "no work from the proxy");
}

static void
cut(enum web_server web)
{
	struct stack s = { .web = web, .protocol = "native",
		.agents = STACK_NO_AGENT, .workers = 2,
		.worker_options = { "--log-level=info",
		"--poll-timeout=30s" } };
	struct load_plan plan = { .connections = 1000, .post_percent = 40,
		.work_ms = 300, .rate = 20, .patience_ms = 60000 };
	struct line line;
	long long at, noticed;
	struct load *l;

	harness_start();
	line = line_new();
	s.address = address(&line, 1);
	s.agents_netns = line.far;
	line_set(&line, true);
	stack_start(&s);
	move_backend(s.backend, &line);
	stack_start_agent(&s, 0);
	stack_wait_ready(&s);
	l = load_start(&s, &plan);
	wait_for(load_ended(l) > 60, PATIENCE_MS, "no load");
	line_set(&line, false);
	at = now_ns();
	wait_for(has_lost_proxy(&s), DEAD_LINK_MS + 5000,
	    "the agent does not notice");
	noticed = now_ms() - at / 1000000;
	while (now_ns() - at < CUT_MS * 1000000LL)
		harness_pause();
	line_set(&line, true);
	long long back = now_ns();
	unsigned begun = load_begun(l);

	wait_for(load_begun(l) > begun + 300, 3 * PATIENCE_MS, "no load");
	load_stop(l);
	fprintf(stderr, "noticed after %lld ms\n", noticed);
	/* Waiting for an agent ends after --queue-timeout, 30 s. */
	fault_report(&s, "line to the agent cut for 30 s", "20/s", l, at, back,
	    &(struct fault_promise){ .may_502_posts = true,
	    .may_deny = true, .may_504 = true,
	    .may_repeat = true, .recovery_ms = 8000, .decided_ms = 45000 });
	stack_stop(&s);
}

static bool
is_possible(void)
{
	if (system("unshare --net true 2>/dev/null") == 0)
		return true;
	fprintf(stderr, "network: skipped, since namespaces need root\n");
	return false;
}

Test(network, cut_lighttpd, .timeout = 300)
{
	if (is_possible())
		cut(WEB_LIGHTTPD);
}

Test(network, cut_apache, .timeout = 300)
{
	if (is_possible())
		cut(WEB_APACHE);
}
