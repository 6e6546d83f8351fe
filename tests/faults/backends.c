/* backends.c - a backend hangs, drips, talks nonsense, sends more or less than
 * it said, resets: each client is told as well as it can be, and nothing
 * grows. */
#include "config.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "tests/faults/fault.h"

enum { MANY = 50, GROWTH_KIB = 16 * 1024 };

/* So many clients at once; each must be answered with this status, whole or
 * visibly broken off.  What breaks before it has begun at the client is 502, or
 * 503 by Apache's word. */
static void
ask(struct stack *s, const char *fault, const char *target, int status,
    bool whole)
{
	struct load_sum sum = { .requests = MANY };
	struct client *c[MANY];
	char verdict[128] = "kept";
	long long begin = now_ms();
	unsigned wrong = 0;

	for (int i = 0; i < MANY; i++)
		c[i] = stack_send(s, "GET", target, "");
	for (int i = 0; i < MANY; i++) {
		struct response r = stack_receive(c[i], "GET");

		sum.ok += r.status == 200 && r.whole;
		sum.status_502 += r.status == 502;
		sum.status_503 += r.status == 503;
		sum.status_504 += r.status == 504;
		sum.broken_off += r.status == 0 || !r.whole;
		wrong += (r.status != status || r.whole != whole) &&
		    (whole || r.status < 502);
		response_clear(&r);
	}
	sum.slowest_ms = (long)(now_ms() - begin);
	if (wrong > 0)
		snprintf(verdict, sizeof(verdict), "%u not as promised",
		    wrong);
	fault_row(s, fault, "50 clients", &sum, 0, verdict);
	check(wrong == 0, "%s: %s", fault, verdict);
	stack_expect(s, "/ready", 200);
}

static void
hangs(struct stack *s)
{
	ask(s, "backend hangs", "/never", 504, true);
}
FAULT_EACH_WEB(backends, hangs, .worker_options =
    { "--response-timeout=2s" })

/* Seen as it comes, at little cost. */
static void
drips(struct stack *s)
{
	long worker = process_rss_kib(s->worker->pid);
	long agent = process_rss_kib(s->agent[0]->pid);

	ask(s, "backend drips (1 byte/s)", "/drip/4/1000", 200, true);
	worker = process_rss_kib(s->worker->pid) - worker;
	agent = process_rss_kib(s->agent[0]->pid) - agent;
	check(worker < GROWTH_KIB + SANITIZER_KIB && agent < GROWTH_KIB +
	    SANITIZER_KIB, "worker grows by %ld KiB, agent by %ld", worker,
	    agent);
}
FAULT_EACH_WEB(backends, drips)

static void
talks_nonsense(struct stack *s)
{
	backend_answer_str(s->backend, "/nonsense",
	    "\x16\x03\x01 this is not HTTP\r\n\r\n");
	ask(s, "backend sends garbage", "/nonsense", 502, true);
}
FAULT_EACH_WEB(backends, talks_nonsense)

static void
sends_less(struct stack *s)
{
	ask(s, "backend sends less than its length", "/break/100000/50000",
	    200, false);
}
FAULT_EACH_WEB(backends, sends_less)

/* The message ends where its length says; what follows is another one, to
 * nobody. */
static void
sends_more(struct stack *s)
{
	backend_answer_str(s->backend, "/more", "HTTP/1.1 200 OK\r\n"
	    "Content-Length: 5\r\n\r\nhello and something more");
	ask(s, "backend sends more than its length", "/more", 200, true);
}
FAULT_EACH_WEB(backends, sends_more)

static void
resets(struct stack *s)
{
	ask(s, "backend resets mid-body", "/break-reset/100000/50000", 200,
	    false);
}
FAULT_EACH_WEB(backends, resets)
