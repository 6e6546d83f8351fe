/* agent_greedy.c - an agent of the right identity that asks for more than it
 * takes does not fill Redis. */
#include "config.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tests/integration/native.h"

static long long
redis_bytes(struct stack *s)
{
	const char *text = strstr(stack_redis(s, "info memory"),
	    "used_memory:");

	check(text != NULL, "Redis does not say it");
	return strtoll(text + strlen("used_memory:"), NULL, 10);
}

/* It confirms byte by byte and asks for all the rest each time, in calls that
 * are never parked: what comes for it goes to Redis. */
static void
asking_again_brings_no_flood(struct stack *s)
{
	enum { LEN = 400000, TIMES = 2000 };
	struct native a = native_new(s, 7);
	long long before, after;
	struct frame open;
	struct client *c;

	check(native_call(&a, false) == 200, "the agent is not let in");
	before = redis_bytes(s);
	c = stack_send(s, "PUT", "/x", "Content-Length: 400000\r\n");
	client_send_pattern(c, LEN, false);
	native_wait(&a, FRAME_OPEN, &open);
	a.in_flight = 1;
	native_add(&a, &(struct frame){ .type = FRAME_WINDOW, .id = open.id,
		.offset = open.content.len, .limit = LEN });
	check(native_call(&a, false) == 200, "WINDOW");
	for (int i = 1; i < TIMES; i++)
		native_add(&a, &(struct frame){ .type = FRAME_WINDOW,
			.flags = FRAME_FLAG_RESEND, .id = open.id,
			.offset = open.content.len + (uint64_t)i,
			.limit = LEN });
	check(native_call(&a, false) == 200, "WINDOW with RESEND");
	after = redis_bytes(s);
	check(after - before < 16 * LEN, "%lld bytes more", after - before);
	/* ... and what was left for it goes when it is lost, long before it
	 * would expire. */
	wait_for(redis_bytes(s) - before < LEN / 2, PATIENCE_MS,
	    "its content is still there");
	client_free(c);
}
TEST_EACH_WEB(agent_greedy, asking_again_brings_no_flood,
    .agents = STACK_NO_AGENT, .worker_options = { "--lease=1s" })
