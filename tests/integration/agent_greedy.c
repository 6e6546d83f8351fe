/* agent_greedy.c - an agent of the right identity that asks for more than it
 * takes does not fill Redis. */
#include "config.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/hex.h"
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

/* Frames for two workers by turns, about exchanges that none has. */
static void
turns_between_workers_bring_no_flood(struct stack *s)
{
	enum { CALLS = 12, TURNS = 120000 };
	const char *ids = stack_redis(s, "zrange ip:{workers}:alive 0 -1");
	struct frame accept[2] = { { .type = FRAME_ACCEPT },
		{ .type = FRAME_ACCEPT } };
	struct client *c[CALLS];
	struct native a[CALLS];

	check(strlen(ids) >= 33 && ids[16] == '\n', "workers: %s", ids);
	check(hex_decode(span_of(ids, 16), accept[0].id.byte, 8) &&
	    hex_decode(span_of(ids + 17, 16), accept[1].id.byte, 8),
	    "workers: %s", ids);
	for (int i = 0; i < CALLS; i++) {
		a[i] = native_new(s, (unsigned char)(i + 1));
		for (int turn = 0; turn < TURNS; turn++)
			native_add(&a[i], &accept[turn % 2]);
		c[i] = native_send(&a[i], false);
	}
	for (int i = 0; i < CALLS; i++)
		check(native_receive(&a[i], c[i]) == 200, "call %d", i);
	check(!process_log_has(s->worker, "is lost"), "Redis is lost");
}
TEST_EACH_WEB(agent_greedy, turns_between_workers_bring_no_flood,
    .agents = STACK_NO_AGENT, .workers = 2)
