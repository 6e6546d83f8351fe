/* slow.c - thousands of clients that send a head or content byte by byte, or
 * stop reading: the others do not feel them, memory stays, and they time
 * out. */
#include "config.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <pthread.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

#include "tests/faults/fault.h"

enum {
	BYTE_MS = 1000,
	/* What a third of them may cost: a window each in the worker, what is
	 * kept until it is confirmed in the agent. */
	READER_KIB = 2048,
	AFTERWARDS_KIB = 64 * 1024,	/* that it may keep of that */
	FLOOR_MS = 30,		/* below it a p99 is the machine's */
};

enum kind { SLOW_HEAD, SLOW_CONTENT, SLOW_READER, KINDS };

struct slow {
	struct stack *stack;
	unsigned count;
	int *fd;		/* -1: closed by the server */
	atomic_uint open[KINDS];
	atomic_bool stopping;
	pthread_t thread;
};

static const char *const beginnings[KINDS] = {
	[SLOW_HEAD] = "GET /load/ HTTP/1.1\r\nHost: proxy.test\r\nX-Slow: ",
	[SLOW_CONTENT] = "POST /hash HTTP/1.1\r\nHost: proxy.test\r\n"
	    "Content-Length: 100000\r\n\r\n",
	[SLOW_READER] = "GET /bytes/50000000 HTTP/1.1\r\n"
	    "Host: proxy.test\r\n\r\n",
};

static void
slow_begin(struct slow *l, unsigned i)
{
	struct sockaddr_in a = harness_loopback(l->stack->port);
	const char *text = beginnings[i % KINDS];
	int small = 4096;

	l->fd[i] = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	setsockopt(l->fd[i], SOL_SOCKET, SO_RCVBUF, &small, sizeof(small));
	if (connect(l->fd[i], (struct sockaddr *)&a, sizeof(a)) != 0 ||
	    send(l->fd[i], text, strlen(text), MSG_NOSIGNAL) < 0) {
		close(l->fd[i]);
		l->fd[i] = -1;
		return;
	}
	atomic_fetch_add(&l->open[i % KINDS], 1);
}

/* Sends the next byte, and sees whether the server still listens. */
static void
slow_go_on(struct slow *l, unsigned i)
{
	enum kind kind = i % KINDS;
	char byte;
	ssize_t n;

	if (l->fd[i] < 0)
		return;
	if (kind == SLOW_READER)
		n = send(l->fd[i], "", 0, MSG_NOSIGNAL | MSG_DONTWAIT);
	else
		n = send(l->fd[i], "x", 1, MSG_NOSIGNAL | MSG_DONTWAIT);
	if (n >= 0 && kind != SLOW_READER)
		n = recv(l->fd[i], &byte, 1, MSG_DONTWAIT) >= 0 ? -1 : 0;
	else if (n < 0 && errno == EAGAIN)
		n = 0;
	if (n >= 0)
		return;
	close(l->fd[i]);
	l->fd[i] = -1;
	atomic_fetch_sub(&l->open[kind], 1);
}

static void *
slow_main(void *arg)
{
	struct slow *l = arg;

	for (unsigned i = 0; i < l->count; i++)
		slow_begin(l, i);
	/* Each in its turn, all in a second. */
	while (!atomic_load(&l->stopping)) {
		long long begin = now_ms();

		for (unsigned i = 0; i < l->count; i++) {
			slow_go_on(l, i);
			while (now_ms() < begin + BYTE_MS * i / l->count)
				harness_pause();
		}
	}
	for (unsigned i = 0; i < l->count; i++)
		if (l->fd[i] >= 0)
			close(l->fd[i]);
	return NULL;
}

static struct slow *
slow_start(struct stack *s, unsigned count)
{
	struct slow *l = calloc(1, sizeof(*l));

	if (l == NULL || (l->fd = calloc(count, sizeof(*l->fd))) == NULL)
		abort();
	l->stack = s;
	l->count = count;
	check(pthread_create(&l->thread, NULL, slow_main, l) == 0,
	    "no thread for slow clients");
	return l;
}

static void
slow_stop(struct slow *l)
{
	atomic_store(&l->stopping, true);
	pthread_join(l->thread, NULL);
}

/* The same load, with and without them: the best of three, since a busy machine
 * has its moments, and what slow clients cost is there each time. */
static struct load *
measure(struct stack *s)
{
	struct load_plan plan = { .connections = 16, .requests = 400,
		.post_percent = 30, .rate = 100 };
	struct load *best = NULL;

	for (int i = 0; i < 3; i++) {
		struct load *l = load_start(s, &plan);

		load_wait(l);
		if (best == NULL || load_sum(l).p99_ms <
		    load_sum(best).p99_ms)
			best = l;
	}
	return best;
}

/* First each reader is given what the buffers on the way hold: megabytes. */
static bool
is_quiet(const struct stack *s)
{
	for (int i = 0; i < 50; i++) {
		long long begin = now_ms();

		stack_expect(s, "/ready", 200);
		if (now_ms() - begin > FLOOR_MS)
			return false;
	}
	return true;
}

/* lighttpd leaves it to the packet filter to end slow heads.  Ours is that of a
 * network namespace that only this test is in. */
static void
filter_start(const struct stack *s)
{
	static const char ports[] = "{ 80, 443 }";
	const char *path = harness_path("slow-clients.nft");
	char *rules = file_read(harness_source(
	    "deploy/lighttpd/slow-clients.nft"), NULL);
	char *at = strstr(rules, ports);

	check(at != NULL, "no ports in the rules");
	at[0] = '\0';
	file_write(path, harness_name("%s{ %d }%s", rules, s->port,
	    at + strlen(ports)));
	free(rules);
	fault_run(0, harness_name("nft -f %s", path));
}

static void
clients(struct stack *s, bool ends_heads)
{
	unsigned many = fault_size(600, 2000);
	long worker = process_rss_kib(s->worker->pid);
	long agent = process_rss_kib(s->agent[0]->pid);
	struct load_sum alone = load_sum(measure(s)), together;
	struct slow *slow = slow_start(s, many);
	long long at = now_ns();
	struct load *l;
	char text[32];

	wait_for(backend_count_open(s->backend, "/bytes") > many / 3 * 9 / 10,
	    6 * PATIENCE_MS, "readers do not get through");
	wait_for(is_quiet(s), 9 * PATIENCE_MS, "readers do not stand still");
	l = measure(s);
	together = load_sum(l);
	fprintf(stderr, "p50 %ld to %ld ms, p99 %ld to %ld; worker grew by "
	    "%ld KiB, agent by %ld\n", alone.p50_ms, together.p50_ms,
	    alone.p99_ms, together.p99_ms,
	    process_rss_kib(s->worker->pid) - worker,
	    process_rss_kib(s->agent[0]->pid) - agent);
	check(together.p99_ms <= 3 * (alone.p99_ms > FLOOR_MS ? alone.p99_ms :
	    FLOOR_MS), "p99 was %ld ms and is %ld", alone.p99_ms,
	    together.p99_ms);
	check(process_rss_kib(s->worker->pid) - worker < (long)many / 3 *
	    READER_KIB + SANITIZER_KIB && process_rss_kib(s->agent[0]->pid) -
	    agent < (long)many / 3 * READER_KIB + SANITIZER_KIB,
	    "worker grew by %ld KiB, agent by %ld",
	    process_rss_kib(s->worker->pid) - worker,
	    process_rss_kib(s->agent[0]->pid) - agent);
	wait_for(slow->open[SLOW_CONTENT] == 0, 9 * PATIENCE_MS,
	    "%u slow contents have no end", slow->open[SLOW_CONTENT]);
	wait_for(backend_count_open(s->backend, "/bytes") == 0,
	    9 * PATIENCE_MS, "readers have no end");
	if (ends_heads)
		wait_for(slow->open[SLOW_HEAD] == 0, 9 * PATIENCE_MS,
		    "%u slow heads have no end", slow->open[SLOW_HEAD]);
	slow_stop(slow);
	wait_for(process_rss_kib(s->worker->pid) - worker < AFTERWARDS_KIB +
	    SANITIZER_KIB && process_rss_kib(s->agent[0]->pid) - agent <
	    AFTERWARDS_KIB + SANITIZER_KIB, 5 * PATIENCE_MS,
	    "worker keeps %ld KiB, agent %ld",
	    process_rss_kib(s->worker->pid) - worker,
	    process_rss_kib(s->agent[0]->pid) - agent);
	snprintf(text, sizeof(text), "100/s, %u slow", many);
	fault_report(s, "slow heads, contents and readers", text, l, at,
	    now_ns(), &(struct fault_promise){ 0 });
}

static struct stack
slow_stack(enum web_server web)
{
	return (struct stack){ .web = web, .protocol = "native",
	    .worker_options = { "--log-level=info", "--response-timeout=60s",
	    "--idle-timeout=60s" } };
}

Test(slow, clients_lighttpd, .timeout = 7200)
{
	struct stack s = slow_stack(WEB_LIGHTTPD);
	bool has_netns = unshare(CLONE_NEWNET) == 0;
	bool has_filter = has_netns && system(harness_name("nft -c -f %s",
	    harness_source("deploy/lighttpd/slow-clients.nft"))) == 0;

	if (!has_filter)
		fprintf(stderr, "slow: heads are not ended behind lighttpd, "
		    "which needs root and nftables\n");
	harness_start();
	if (has_netns)
		fault_run(0, "ip link set lo up");
	stack_start(&s);
	if (has_filter)
		filter_start(&s);
	clients(&s, has_filter);
	stack_stop(&s);
}

Test(slow, clients_apache, .timeout = 7200)
{
	struct stack s = slow_stack(WEB_APACHE);

	stack_start(&s);
	clients(&s, true);
	stack_stop(&s);
}
