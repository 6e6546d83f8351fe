/* bodies_large.c - a large upload and download pass in flat memory.
 * INVERTING_PROXY_TEST_MIB says how large; 256 without it. */
#include "config.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tests/integration/stack.h"

enum { GROWTH_MAX_KIB = 48 * 1024 + SANITIZER_KIB };

static unsigned long long
size(void)
{
	const char *mib = getenv("INVERTING_PROXY_TEST_MIB");

	return (mib == NULL ? 256 : strtoull(mib, NULL, 10)) << 20;
}

struct memory {
	long worker, agent, redis;
};

static long
redis_peak_kib(struct stack *s)
{
	char *info = stack_redis(s, "info memory");
	const char *at = strstr(info, "used_memory_peak:");
	long kib = at == NULL ? 0 : strtol(at + 17, NULL, 10) / 1024;

	free(info);
	return kib;
}

/* The worker and what it preforked. */
static long
worker_peak_kib(const struct stack *s)
{
	pid_t child[8];
	size_t n = process_children(s->worker, child, 8);
	long kib = process_peak_kib(s->worker->pid);

	for (size_t i = 0; i < n; i++)
		kib += process_peak_kib(child[i]);
	return kib;
}

static struct memory
memory_peak(struct stack *s)
{
	return (struct memory){ .worker = worker_peak_kib(s),
		.agent = process_peak_kib(s->agent[0]->pid),
		.redis = redis_peak_kib(s) };
}

static void
check_flat(struct stack *s, struct memory before)
{
	struct memory now = memory_peak(s);

	check(now.worker - before.worker < GROWTH_MAX_KIB &&
	    now.agent - before.agent < GROWTH_MAX_KIB &&
	    now.redis - before.redis < GROWTH_MAX_KIB - SANITIZER_KIB,
	    "grew by: worker %ld, agent %ld, Redis %ld KiB",
	    now.worker - before.worker, now.agent - before.agent,
	    now.redis - before.redis);
}

static void
a_large_download_is_flat(struct stack *s)
{
	struct memory before = memory_peak(s);
	struct response r;
	struct client *c;
	char target[64];

	snprintf(target, sizeof(target), "/bytes/%llu", size());
	c = stack_send(s, "GET", target, "");
	/* lighttpd spools what a classic agent posts before it begins. */
	response_read_head(c, "GET", &r, 8 * PATIENCE_MS);
	response_read_content(c, &r);
	client_free(c);
	check(r.status == 200 && r.whole && r.content_len == size(),
	    "%d, %llu bytes", r.status, r.content_len);
	check(r.hash == hash_pattern(size()), "changed on the way");
	response_clear(&r);
	check_flat(s, before);
}
TEST_EACH(bodies_large, a_large_download_is_flat)

static void
a_large_upload_is_flat(struct stack *s)
{
	struct memory before = memory_peak(s);
	char length[64], want[64];
	struct client *c;
	struct response r;

	snprintf(length, sizeof(length), "Content-Length: %llu\r\n", size());
	c = stack_send(s, "PUT", "/hash", length);
	check(client_send_pattern(c, size(), false), "upload refused");
	/* lighttpd has spooled it and begins only now. */
	response_read_head(c, "PUT", &r, 8 * PATIENCE_MS);
	response_read_content(c, &r);
	client_free(c);
	snprintf(want, sizeof(want), "%llu %016llx\n", size(),
	    (unsigned long long)hash_pattern(size()));
	check(r.status == 200 && strcmp(response_text(&r), want) == 0,
	    "%d %s", r.status, response_text(&r));
	response_clear(&r);
	check_flat(s, before);
}
TEST_EACH(bodies_large, a_large_upload_is_flat)

/* The client does not read: what it does not take must stay with the
 * backend, but for windows and the buffers of the kernel. */
static void
a_client_that_does_not_read_holds_up_only_itself(struct stack *s)
{
	struct memory before = memory_peak(s);
	struct client *c;
	char target[64];

	if (!stack_streams_responses(s))
		return;
	snprintf(target, sizeof(target), "/bytes/%llu", size());
	c = stack_send(s, "GET", target, "");
	for (int i = 0; i < 50; i++)
		stack_expect(s, "/bytes/100000", 200);
	check(backend_count_open(s->backend, target) == 1,
	    "the response was taken though nobody read it");
	check_flat(s, before);
	client_free(c);
	wait_for(backend_count_gone(s->backend, target) == 1, PATIENCE_MS,
	    "the backend's connection stays");
}
TEST_EACH(bodies_large, a_client_that_does_not_read_holds_up_only_itself)
