/* test_agent_pace.c - how much is on its way to the proxy. */
#include "config.h"

#include <criterion/criterion.h>

#include "agent/native_private.h"

/* A line: fills the budget with calls, which return one after the other. */
struct trial {
	struct native_pace pace;
	unsigned long number;
	double rate;		/* bytes a second */
	double round_trip;	/* seconds */
};

static struct trial
trial_new(double rate, double round_trip)
{
	struct trial t = { .rate = rate, .round_trip = round_trip };

	native_pace_init(&t.pace);
	return t;
}

/* What waits before a call in the line's buffers; the last call's seconds. */
static double
run(struct trial *t, int rounds)
{
	double seconds = 0.;

	for (int round = 0; round < rounds; round++) {
		size_t len[64], calls = 0, before = 0, room;

		while (calls < 8 && (room = native_pace_room(&t->pace)) > 0) {
			native_pace_began(&t->pace, room);
			len[calls++] = room;
		}
		cr_assert_gt(calls, 0);
		for (size_t i = 0; i < calls; i++) {
			before += len[i];
			seconds = t->round_trip + (double)before / t->rate;
			native_pace_ended(&t->pace, t->number + i + 1,
			    t->number + calls, len[i], seconds);
		}
		t->number += calls;
		cr_assert_eq(t->pace.carried, 0);
	}
	return seconds;
}

Test(agent_pace, fills_a_fast_line)
{
	struct trial t = trial_new(200e6, .0005);

	run(&t, 20);
	cr_assert_eq(native_pace_room(&t.pace), NATIVE_CALL_FULL);
	cr_assert_eq(t.pace.budget, 8 * NATIVE_CALL_FULL);
	cr_assert_eq(native_pace_frame(&t.pace), FRAME_DATA_MAX);
}

Test(agent_pace, fills_a_long_line)
{
	struct trial t = trial_new(50e6, .3);

	run(&t, 40);
	cr_assert_gt(t.pace.budget, 4 * NATIVE_CALL_FULL);
}

Test(agent_pace, keeps_the_queue_on_a_slow_line_short)
{
	static const double rates[] = { 100e3, 500e3, 2e6 };

	for (size_t i = 0; i < sizeof(rates) / sizeof(*rates); i++) {
		struct trial t = trial_new(rates[i], .03);

		run(&t, 40);
		for (int round = 0; round < 40; round++)
			cr_assert_lt(run(&t, 1), 1.6, "%g",
			    rates[i]);
	}
}

Test(agent_pace, narrows_once_for_what_is_under_way)
{
	struct native_pace pace;

	native_pace_init(&pace);
	native_pace_ended(&pace, 1, 1, 0, .001);
	size_t budget = pace.budget;

	for (unsigned long number = 2; number <= 9; number++)
		native_pace_began(&pace, 1000);
	for (unsigned long number = 2; number <= 9; number++)
		native_pace_ended(&pace, number, 9, 1000, -1.);
	cr_assert_eq(pace.budget, budget / 2);
}

Test(agent_pace, always_lets_one_call_through)
{
	struct native_pace pace;

	native_pace_init(&pace);
	for (unsigned long number = 1; number < 100; number++) {
		native_pace_began(&pace, 1000);
		native_pace_ended(&pace, number, number, 1000, -1.);
	}
	cr_assert_gt(native_pace_room(&pace), 0);
	cr_assert_gt(native_pace_frame(&pace), 0);
	/* More than the budget is under way: no more for now. */
	native_pace_began(&pace, NATIVE_CALL_FULL);
	cr_assert_eq(native_pace_room(&pace), 0);
}
