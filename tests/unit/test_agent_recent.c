/* test_agent_recent.c - the ids an agent has taken lately. */
#include "config.h"

#include <criterion/criterion.h>
#include <stdio.h>

#include "agent/recent.h"

static struct span
name(int n)
{
	static char text[32];

	(void)snprintf(text, sizeof(text), "exchange-%d", n);
	return span_str(text);
}

Test(agent_recent, knows_what_was_added)
{
	struct recent *r = recent_new(10);

	cr_assert_not(recent_has(r, name(1)));
	recent_add(r, name(1));
	cr_assert(recent_has(r, name(1)));
	cr_assert_not(recent_has(r, name(2)));
	recent_free(r);
}

Test(agent_recent, remembers_so_many_and_forgets_the_oldest)
{
	struct recent *r = recent_new(1000);

	for (int i = 0; i < 5000; i++)
		recent_add(r, name(i));
	for (int i = 0; i < 4000; i++)
		cr_assert_not(recent_has(r, name(i)), "%d", i);
	for (int i = 4000; i < 5000; i++)
		cr_assert(recent_has(r, name(i)), "%d", i);
	recent_free(r);
}

Test(agent_recent, tells_long_names_apart)
{
	char a[200], b[200];
	struct recent *r = recent_new(4);

	memset(a, 'x', sizeof(a));
	memset(b, 'x', sizeof(b));
	b[199] = 'y';
	recent_add(r, span_of(a, sizeof(a)));
	cr_assert(recent_has(r, span_of(a, sizeof(a))));
	cr_assert_not(recent_has(r, span_of(b, sizeof(b))));
	recent_add(r, span_of("", 0));
	cr_assert_not(recent_has(r, span_of("", 0)));
	recent_free(r);
}
