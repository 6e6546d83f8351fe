/* traces.c - nothing stays behind: Redis keys, descriptors and memory return
 * to where they were. */
#include "config.h"

#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tests/integration/stack.h"

static int
descriptors(pid_t pid)
{
	char path[64];
	DIR *d;
	int n = 0;

	snprintf(path, sizeof(path), "/proc/%d/fd", (int)pid);
	d = opendir(path);
	check(d != NULL, "%s", path);
	while (readdir(d) != NULL)
		n++;
	closedir(d);
	return n;
}

static pid_t
worker_pid(const struct stack *s)
{
	pid_t child;

	return process_children(s->worker, &child, 1) == 1 ? child :
	    s->worker->pid;
}

static void
some_of_everything(struct stack *s)
{
	struct client *c[10];

	stack_expect(s, "/bytes/300000", 200);
	stack_expect(s, "/chunked/300000", 200);
	stack_expect(s, "/status/404", 404);
	stack_expect(s, "/break-head", 502);
	for (int i = 0; i < 10; i++)
		c[i] = stack_send(s, "GET", i % 2 == 0 ? "/slow/20" :
		    "/break/1000/10", "");
	for (int i = 0; i < 10; i++) {
		struct response r = stack_receive(c[i], "GET");

		response_clear(&r);
	}
}

static void
keys_and_descriptors_return(struct stack *s)
{
	int agent, worker;
	long keys, rss;

	/* Connections, caches and mailboxes that stay are made first. */
	for (int i = 0; i < 3; i++)
		some_of_everything(s);
	agent = descriptors(s->agent[0]->pid);
	worker = descriptors(worker_pid(s));
	keys = stack_redis_number(s, "dbsize");
	rss = process_rss_kib(worker_pid(s));
	for (int i = 0; i < 15; i++)
		some_of_everything(s);
	wait_for(descriptors(s->agent[0]->pid) <= agent + 4, PATIENCE_MS,
	    "the agent keeps %d descriptors, had %d",
	    descriptors(s->agent[0]->pid), agent);
	/* Apache keeps as many connections as were busy at once. */
	wait_for(descriptors(worker_pid(s)) <= worker +
	    (s->web == WEB_APACHE ? 40 : 8), PATIENCE_MS,
	    "the worker keeps %d descriptors, had %d",
	    descriptors(worker_pid(s)), worker);
	wait_for(stack_redis_number(s, "dbsize") <= keys + 1,
	    PATIENCE_MS, "keys stay: %s", stack_redis(s, "keys *"));
	check(process_rss_kib(worker_pid(s)) - rss < 8192 + SANITIZER_KIB,
	    "the worker grew by %ld KiB",
	    process_rss_kib(worker_pid(s)) - rss);
}
TEST_EACH(traces, keys_and_descriptors_return)

/* Each key expires or has an owner that deletes it: the registry's and the
 * workers' own are all that may stay for good. */
static void
keys_expire(struct stack *s)
{
	char *keys, *rest, *key;

	some_of_everything(s);
	keys = rest = stack_redis(s, "keys *");
	while ((key = strsep(&rest, "\n")) != NULL) {
		char *ttl;

		if (key[0] == '\0' || strstr(key, "{registry}") != NULL ||
		    strstr(key, "{workers}") != NULL)
			continue;
		ttl = stack_redis(s, harness_name("ttl %s", key));
		check(strtol(ttl, NULL, 10) != -1, "%s never expires", key);
	}
	free(keys);
}
TEST_EACH(traces, keys_expire)
