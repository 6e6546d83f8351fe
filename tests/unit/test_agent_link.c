/* test_agent_link.c - how long an agent waits for a proxy that is away. */
#include "config.h"

#include <criterion/criterion.h>

#include "agent/link.h"

Test(agent_link, doubles_the_delay_up_to_three_seconds)
{
	struct link link;
	double wanted = .001;

	link_init(&link, "proxy", 1);
	for (int i = 0; i < 100; i++) {
		double delay = link_failed(&link, 0, "test");

		cr_assert_geq(delay, wanted * .899, "%d: %f", i, delay);
		cr_assert_leq(delay, wanted * 1.101, "%d: %f", i, delay);
		wanted = wanted * 2 > 3. ? 3. : wanted * 2;
	}
}

Test(agent_link, begins_small_again_after_a_call_that_worked)
{
	struct link link;

	link_init(&link, "proxy", 100);
	for (int i = 0; i < 10; i++)
		(void)link_failed(&link, 503, NULL);
	link_worked(&link);
	cr_assert_lt(link_failed(&link, 0, "test"), .12);
}

static double
answered(struct link *link, int times, double seconds, bool is_empty)
{
	double rest = 0.;

	for (int i = 0; i < times; i++)
		rest = link_answered(link, seconds, is_empty);
	return rest;
}

static bool
is_near(double a, double b)
{
	return a > b - 1e-9 && a < b + 1e-9;
}

Test(agent_link, rests_from_a_proxy_that_answers_at_once_with_nothing)
{
	struct link link;

	link_init(&link, "the proxy", 50);
	cr_assert(is_near(answered(&link, 15, 0., true), 0.));
	cr_assert(is_near(answered(&link, 1, 0., true), .01));
	cr_assert(is_near(answered(&link, 1, 0., true), .02));
	cr_assert(is_near(answered(&link, 100, 0., true), 2.56));
	/* Work, or a wait for it, is what is wanted. */
	cr_assert(is_near(answered(&link, 1, 0., false), 0.));
	cr_assert(is_near(answered(&link, 15, 0., true), 0.));
	cr_assert(is_near(answered(&link, 100, 1., true), 0.));
}
