/* native_protocol.c - frames in, frames out, as PROTOCOL.md has it.  The test
 * is the agent. */
#include "config.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tests/integration/native.h"

#define HEAD_OK "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n"

/* So that the backend is attended: else clients get 503 at once. */
static struct native
attending(struct stack *s)
{
	struct native a = native_new(s, 1);
	struct frame f;

	check(native_call(&a, false) == 200, "the first call fails");
	check(native_take(&a, &f) && f.type == FRAME_WELCOME &&
	    f.version == FRAME_VERSION && f.park_ms > 0 && f.lease_ms > 0,
	    "no WELCOME first");
	check(!native_take(&a, &f), "more than WELCOME: %u", f.type);
	return a;
}

static void
a_small_exchange_takes_two_calls(struct stack *s)
{
	struct native a = attending(s);
	struct client *c = stack_send(s, "POST", "/x?y",
	    "Content-Length: 5\r\n");
	struct frame open;
	struct response r;

	client_printf(c, "hello");
	native_wait(&a, FRAME_OPEN, &open);
	check(open.flags == FRAME_FLAG_END && open.content.len == 5 &&
	    memcmp(open.content.data, "hello", 5) == 0 &&
	    span_is(open.backend, span_str("b1")) && open.user.len == 0 &&
	    open.limit > 0 && open.deadline_ms > 0 && open.start_ns > 0 &&
	    strncmp(open.head.data, "POST /x?y HTTP/1.1\r\n", 20) == 0,
	    "OPEN: %.*s", (int)open.head.len, open.head.data);
	native_answer(&a, open.id, HEAD_OK, "ok");
	check(native_call(&a, false) == 200, "the answer is not taken");
	r = stack_receive(c, "POST");
	check(r.status == 200 && strcmp(response_text(&r), "ok") == 0,
	    "%d %s", r.status, response_text(&r));
	response_clear(&r);
}
TEST_EACH_WEB(native_protocol, a_small_exchange_takes_two_calls,
    .agents = STACK_NO_AGENT)

static void
a_parked_call_is_answered_at_once(struct stack *s)
{
	struct native a = attending(s);
	struct client *parked = native_send(&a, true), *c;
	struct frame f;
	bool opened = false;
	long long late;

	c = stack_send(s, "GET", "/x", "");
	check(native_receive(&a, parked) == 200, "parked call");
	late = (now_ns() - c->sent_ns) / 1000000;
	while (native_take(&a, &f))
		opened = opened || f.type == FRAME_OPEN;
	check(opened && late < 500, "after %lld ms, %s", late,
	    opened ? "opened" : "empty");
	client_free(c);
}
TEST_EACH_WEB(native_protocol, a_parked_call_is_answered_at_once,
    .agents = STACK_NO_AGENT, .worker_options = { "--poll-timeout=5s" })

static void
content_flows_under_windows(struct stack *s)
{
	enum { LEN = 300000 };
	struct native a = attending(s);
	struct client *c = stack_send(s, "PUT", "/up",
	    "Content-Length: 300000\r\n");
	uint64_t received, hash = HASH_INIT;
	struct frame f;
	struct exchange_id id;
	struct response r;
	bool end = false;

	client_send_pattern(c, LEN, false);
	native_wait(&a, FRAME_OPEN, &f);
	id = f.id;
	received = f.content.len;
	hash = hash_add(hash, f.content.data, f.content.len);
	a.in_flight = 1;
	while (!end) {
		native_add(&a, &(struct frame){ .type = FRAME_WINDOW,
			.id = id, .offset = received,
			.limit = received + 70000 });
		native_wait(&a, FRAME_DATA, &f);
		check(f.offset <= received, "a gap at %llu",
		    (unsigned long long)received);
		check(f.offset + f.content.len <= received + 70000,
		    "beyond the window");
		if (f.offset == received) {
			hash = hash_add(hash, f.content.data, f.content.len);
			received += f.content.len;
			end = (f.flags & FRAME_FLAG_END) != 0;
		}
	}
	check(received == LEN && hash == hash_pattern(LEN), "%llu bytes",
	    (unsigned long long)received);
	native_answer(&a, id, HEAD_OK, "ok");
	check(native_call(&a, false) == 200, "answer");
	r = stack_receive(c, "PUT");
	check(r.status == 200, "%d", r.status);
	response_clear(&r);
}
TEST_EACH_WEB(native_protocol, content_flows_under_windows,
    .agents = STACK_NO_AGENT)

/* Everything twice, the pieces backwards: the client sees it once, in order. */
static void
repeats_and_disorder_do_no_harm(struct stack *s)
{
	static const char content[] = "0123456789abcdefghij";
	struct native a = attending(s);
	struct client *c = stack_send(s, "GET", "/x", "");
	struct frame open;
	struct response r;

	native_wait(&a, FRAME_OPEN, &open);
	a.in_flight = 1;
	for (int twice = 0; twice < 2; twice++) {
		for (int i = 3; i >= 0; i--)
			native_add(&a, &(struct frame){ .type = FRAME_DATA,
				.flags = i == 3 ? FRAME_FLAG_END : 0,
				.id = open.id, .offset = (uint64_t)i * 5,
				.content = span_of(content + i * 5, 5) });
		native_add(&a, &(struct frame){ .type = FRAME_HEAD,
			.id = open.id, .head = span_str("HTTP/1.1 200 OK\r\n"
			"Content-Length: 20\r\n\r\n") });
		check(native_call(&a, false) == 200, "call %d", twice);
	}
	r = stack_receive(c, "GET");
	check(r.status == 200 && r.whole &&
	    strcmp(response_text(&r), content) == 0, "%d %s", r.status,
	    response_text(&r));
	response_clear(&r);
}
TEST_EACH_WEB(native_protocol, repeats_and_disorder_do_no_harm,
    .agents = STACK_NO_AGENT)

static void
an_open_is_repeated_until_accepted(struct stack *s)
{
	struct native a = attending(s);
	struct client *c = stack_send(s, "GET", "/x", "");
	struct frame first, again;
	struct response r;

	native_wait(&a, FRAME_OPEN, &first);
	a.in_flight = 0;	/* the answer was lost */
	native_wait(&a, FRAME_OPEN, &again);
	check(memcmp(&first.id, &again.id, sizeof(first.id)) == 0,
	    "another exchange");
	native_answer(&a, again.id, HEAD_OK, "ok");
	check(native_call(&a, false) == 200, "answer");
	r = stack_receive(c, "GET");
	check(r.status == 200, "%d", r.status);
	response_clear(&r);
}
TEST_EACH_WEB(native_protocol, an_open_is_repeated_until_accepted,
    .agents = STACK_NO_AGENT)

static void
resets_become_statuses(struct stack *s)
{
	static const struct {
		unsigned code;
		int status;
	} resets[] = { { FRAME_RESET_UNREACHABLE, 502 },
		{ FRAME_RESET_BROKEN, 502 }, { FRAME_RESET_TIMEOUT, 504 } };
	struct native a = attending(s);

	for (size_t i = 0; i < sizeof(resets) / sizeof(resets[0]); i++) {
		struct client *c = stack_send(s, "GET", "/x", "");
		struct frame open;
		struct response r;

		native_wait(&a, FRAME_OPEN, &open);
		native_add(&a, &(struct frame){ .type = FRAME_RESET,
			.id = open.id, .code = resets[i].code,
			.text = span_str("said by the test") });
		check(native_call(&a, false) == 200, "RESET");
		r = stack_receive(c, "GET");
		check(r.status == resets[i].status, "code %u: %d",
		    resets[i].code, r.status);
		response_clear(&r);
	}
}
TEST_EACH_WEB(native_protocol, resets_become_statuses,
    .agents = STACK_NO_AGENT)

/* The client has no byte of it yet, and behind Apache it would take the next
 * response for its rest. */
static void
a_whole_response_that_is_short_is_502(struct stack *s)
{
	struct native a = attending(s);
	struct client *c = stack_send(s, "GET", "/x", "");
	struct frame open;
	struct response r;

	native_wait(&a, FRAME_OPEN, &open);
	native_answer(&a, open.id, "HTTP/1.1 200 OK\r\n"
	    "Content-Length: 60\r\n\r\n", "abcdef");
	check(native_call(&a, false) == 200, "answer");
	r = stack_receive(c, "GET");
	check(r.status == 502, "%d", r.status);
	response_clear(&r);
}
TEST_EACH_WEB(native_protocol, a_whole_response_that_is_short_is_502,
    .agents = STACK_NO_AGENT)

static void
what_is_not_frames_is_400(struct stack *s)
{
	static const char zero[64];
	struct native a = attending(s);
	char *large = calloc(1, FRAME_CALL_MAX + 1000);
	int status;

	check(native_call_bytes(&a, "", 0) == 400, "empty");
	check(native_call_bytes(&a, "GET / HTTP/1.1\r\n\r\n", 18) == 400,
	    "text");
	check(native_call_bytes(&a, zero, sizeof(zero)) == 400, "zeros");
	check(native_call_bytes(&a, "\0\0\0\xff\x01\0\0\0", 8) == 400,
	    "a cut frame");
	check(native_call_bytes(&a, "\xff\xff\xff\xff\x01\0\0\0", 8) == 400,
	    "a huge length");
	status = native_call_bytes(&a, large, FRAME_CALL_MAX + 1000);
	check(status == 413, "over 4 MiB: %d", status);
	check(process_log_has(s->worker, "4 MiB of a call"),
	    "the operator is not told");
	check(native_call(&a, false) == 200, "afterwards");
	free(large);
}
TEST_EACH_WEB(native_protocol, what_is_not_frames_is_400,
    .agents = STACK_NO_AGENT)

static void
unknown_types_are_skipped(struct stack *s)
{
	static const char unknown[] = "\0\0\0\x03\xc8\xff\0\0abc";
	struct native a = attending(s);

	check(buf_append(&a.out, unknown, sizeof(unknown) - 1) == 0, "buf");
	check(native_call(&a, false) == 200, "a frame of unknown type");
}
TEST_EACH_WEB(native_protocol, unknown_types_are_skipped,
    .agents = STACK_NO_AGENT)

/* Frames that workers send each other are not an agent's to send. */
static void
frames_of_workers_are_refused(struct stack *s)
{
	struct native a = attending(s);
	struct exchange_id id = { { 0 } };

	native_add(&a, &(struct frame){ .type = FRAME_HANDED, .id = id });
	check(native_call(&a, false) == 400, "HANDED");
	buf_clear(&a.out);
	native_add(&a, &(struct frame){ .type = FRAME_FETCH, .id = id });
	check(native_call(&a, false) == 400, "FETCH");
}
TEST_EACH_WEB(native_protocol, frames_of_workers_are_refused,
    .agents = STACK_NO_AGENT)

static void
unknown_ids_are_reset(struct stack *s)
{
	struct native a = attending(s);
	struct exchange_id id = { { 7 } };
	struct frame f;

	native_answer(&a, id, HEAD_OK, "ok");
	a.in_flight = 1;
	native_wait(&a, FRAME_RESET, &f);
	check(memcmp(&f.id, &id, sizeof(id)) == 0 &&
	    f.code == FRAME_RESET_UNKNOWN, "code %u", f.code);
}
TEST_EACH_WEB(native_protocol, unknown_ids_are_reset,
    .agents = STACK_NO_AGENT)

static void
another_agents_exchange_is_refused(struct stack *s)
{
	struct native a = attending(s), thief = native_new(s, 2);
	struct client *c = stack_send(s, "GET", "/x", "");
	struct frame open, f;
	struct response r;

	native_wait(&a, FRAME_OPEN, &open);
	native_add(&a, &(struct frame){ .type = FRAME_ACCEPT, .id = open.id });
	check(native_call(&a, false) == 200, "ACCEPT");
	thief.capacity = 0;
	thief.in_flight = 1;
	native_answer(&thief, open.id, HEAD_OK, "no");
	native_wait(&thief, FRAME_RESET, &f);
	check(f.code == FRAME_RESET_UNKNOWN, "code %u", f.code);
	native_answer(&a, open.id, HEAD_OK, "ok");
	check(native_call(&a, false) == 200, "HEAD");
	r = stack_receive(c, "GET");
	check(r.status == 200 && strcmp(response_text(&r), "ok") == 0,
	    "%d %s", r.status, response_text(&r));
	response_clear(&r);
}
TEST_EACH_WEB(native_protocol, another_agents_exchange_is_refused,
    .agents = STACK_NO_AGENT)
/* The agent is silent for longer than its lease, and then gets it once more:
 * what it still says of the first time is not taken for the second. */
static void
what_comes_again_has_another_id(struct stack *s)
{
	struct native a = attending(s);
	struct client *c = stack_send(s, "GET", "/x", "");
	struct frame first, second, f;
	struct response r;

	native_wait(&a, FRAME_OPEN, &first);
	wait_for(process_log_has(s->worker, "given to another agent"),
	    PATIENCE_MS, "the agent is not missed");
	native_wait(&a, FRAME_OPEN, &second);
	check(memcmp(&first.id, &second.id, sizeof(first.id) - 1) == 0 &&
	    memcmp(&first.id, &second.id, sizeof(first.id)) != 0, "the id");
	a.in_flight = 1;
	native_answer(&a, first.id, HEAD_OK, "no");
	native_wait(&a, FRAME_RESET, &f);
	check(memcmp(&f.id, &first.id, sizeof(f.id)) == 0 &&
	    f.code == FRAME_RESET_UNKNOWN, "code %u", f.code);
	native_answer(&a, second.id, HEAD_OK, "ok");
	check(native_call(&a, false) == 200, "the answer");
	r = stack_receive(c, "GET");
	check(r.status == 200 && strcmp(response_text(&r), "ok") == 0,
	    "%d %s", r.status, response_text(&r));
	response_clear(&r);
}
TEST_EACH_WEB(native_protocol, what_comes_again_has_another_id,
    .agents = STACK_NO_AGENT, .worker_options = { "--lease=1s" })


/* It is gone from the queue, and nobody says that he has it. */
static void
what_was_missing_has_another_id(struct stack *s)
{
	struct native a = attending(s);
	struct client *c = stack_send(s, "GET", "/x", "");
	char id[EXCHANGE_ID_TEXT + 1];
	struct frame open;

	wait_for(stack_redis_number(s, "del ip:{b:b1}:queue") == 1,
	    PATIENCE_MS, "it is not queued");
	wait_for(process_log_has(s->worker, "no word of it"), PATIENCE_MS,
	    "it is not missed");
	native_wait(&a, FRAME_OPEN, &open);
	exchange_id_text(&open.id, id);
	check(process_log_has(s->worker, harness_name("given to another agent "
	    "as %s", id)), "the id is not new");
	client_free(c);
}
TEST_EACH_WEB(native_protocol, what_was_missing_has_another_id,
    .agents = STACK_NO_AGENT, .worker_options = { "--lease=1s" })

static void
a_client_that_left_is_cancelled(struct stack *s)
{
	struct native a = attending(s);
	struct client *c = stack_send(s, "GET", "/x", "");
	struct frame f;

	native_wait(&a, FRAME_OPEN, &f);
	a.in_flight = 1;
	native_add(&a, &(struct frame){ .type = FRAME_HEAD, .id = f.id,
		.head = span_str("HTTP/1.1 200 OK\r\n"
		"Content-Length: 1000000\r\n\r\n"),
		.content = span_str("some content") });
	check(native_call(&a, false) == 200, "HEAD");
	client_reset(c);
	if (!web_facts(s)->sees_client_leave) {
		/* it has to write, more than once */
		native_add(&a, &(struct frame){ .type = FRAME_DATA,
			.id = f.id, .offset = 12, .content = span_str("x") });
		check(native_call(&a, false) == 200, "DATA");
		native_add(&a, &(struct frame){ .type = FRAME_DATA,
			.id = f.id, .offset = 13, .content = span_str("x") });
		check(native_call(&a, false) == 200, "DATA");
	}
	native_wait(&a, FRAME_RESET, &f);
	check(f.code == FRAME_RESET_CANCELLED || f.code == FRAME_RESET_UNKNOWN,
	    "code %u", f.code);
}
TEST_EACH_WEB(native_protocol, a_client_that_left_is_cancelled,
    .agents = STACK_NO_AGENT)
