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
