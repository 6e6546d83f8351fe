/* test_agent_native.c - what an agent says to frames it can do nothing with. */
#include "config.h"

#include <criterion/criterion.h>
#include <ev.h>
#include <string.h>

#include "agent/native.h"
#include "agent/native_private.h"
#include "common/frame.h"

static struct settings settings = { .max_in_flight = 4 };
static struct backend backend = { .id = (char *)(uintptr_t)"b1",
	.is_healthy = true };
static struct backend *backends[] = { &backend };
static struct agent agent;
static struct native *native;

static void
on_verdict(void *arg, bool spoken, const struct backend *asked,
    struct span instead)
{
	(void)arg;
	(void)spoken;
	(void)asked;
	(void)instead;
}

static void
setup(void)
{
	agent = (struct agent){
		.loop = ev_loop_new(0),
		.settings = &settings,
		.backends = backends,
		.backend_count = 1,
		.session_count = 1,
	};
	native = native_new(&agent, backends, 1, on_verdict, NULL);
}

static void
teardown(void)
{
	native_free(native);
	ev_loop_destroy(agent.loop);
}

TestSuite(agent_native, .init = setup, .fini = teardown);

/* The answer that waits for a call; type 0: none. */
static struct frame
answer(void)
{
	struct span frames = buf_span(&native->loose);
	struct frame frame = { 0 };

	if (frames.len > 0)
		cr_assert_eq(frame_decode(&frames, &frame), WIRE_DONE);
	cr_assert_eq(frames.len, 0);
	return frame;
}

Test(agent_native, says_that_what_is_over_can_not_be_sent_again)
{
	struct frame window = { .type = FRAME_WINDOW, .id = { "over" },
		.flags = FRAME_FLAG_RESEND, .limit = 65536 };
	struct frame reset;

	native_take_frame(native, &window);
	reset = answer();
	cr_assert_eq(reset.type, FRAME_RESET);
	cr_assert_eq(reset.code, FRAME_RESET_BROKEN);
	cr_assert_eq(memcmp(&reset.id, &window.id, sizeof(reset.id)), 0);
}

Test(agent_native, ignores_a_window_of_what_is_over)
{
	struct frame window = { .type = FRAME_WINDOW, .id = { "over" },
		.offset = 10, .limit = 65536 };

	native_take_frame(native, &window);
	cr_assert_eq(answer().type, 0);
}

static struct frame
open_frame(void)
{
	return (struct frame){ .type = FRAME_OPEN, .id = { "new" },
		.backend = span_str("b1"),
		.head = span_str("GET / HTTP/1.1\r\nHost: x\r\n\r\n"),
		.flags = FRAME_FLAG_END, .limit = 65536 };
}

Test(agent_native, gives_back_what_comes_while_it_ends)
{
	struct frame open = open_frame();

	agent.is_draining = true;
	native_take_frame(native, &open);
	cr_assert_eq(answer().code, FRAME_RESET_NOT_STARTED);
}

Test(agent_native, gives_back_what_comes_for_an_unhealthy_backend)
{
	struct frame open = open_frame();

	backend.is_healthy = false;
	native_take_frame(native, &open);
	backend.is_healthy = true;
	cr_assert_eq(answer().code, FRAME_RESET_NOT_STARTED);
}

/* One answer of the proxy may bring more such frames than replies fit. */
Test(agent_native, lives_with_questions_without_number)
{
	struct frame window = { .type = FRAME_WINDOW, .id = { "over" },
		.flags = FRAME_FLAG_RESEND, .limit = 65536 };
	struct frame open = open_frame();

	agent.in_flight = 4;
	for (int i = 0; i < 40000; i++) {
		native_take_frame(native, &window);
		native_take_frame(native, &open);
	}
	cr_assert_leq(buf_len(&native->loose), FRAME_CALL_MAX / 2);
}

Test(agent_native, gives_back_what_it_has_no_room_for)
{
	struct frame open = open_frame();

	agent.in_flight = 4;
	native_take_frame(native, &open);
	cr_assert_eq(answer().code, FRAME_RESET_NOT_STARTED);
}

/* The proxy repeats OPEN while our word is on its way, and may have given it to
 * another agent since. */
Test(agent_native, gives_back_once_and_for_all)
{
	struct frame open = open_frame();

	agent.in_flight = 4;
	native_take_frame(native, &open);
	cr_assert_eq(answer().code, FRAME_RESET_NOT_STARTED);
	buf_clear(&native->loose);
	agent.in_flight = 0;
	native_take_frame(native, &open);
	cr_assert_null(native_exchange_find(native, &open.id));
	cr_assert_eq(answer().code, FRAME_RESET_NOT_STARTED);
}
