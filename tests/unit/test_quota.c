/* test_quota.c - places are counted by party. */
#include "config.h"

#include <criterion/criterion.h>

#include "fcgi/quota.h"

static const struct span alice = { "alice", 5 }, al = { "alice", 2 };

Test(quota, gives_each_party_its_places_and_no_more)
{
	struct quota *q = quota_new(2);
	struct quota_place *p[3], *other, *none = NULL;

	cr_assert(quota_take(q, alice, &p[0]));
	cr_assert(quota_take(q, alice, &p[1]));
	cr_assert_not(quota_take(q, alice, &none));
	cr_assert_null(none);
	cr_assert(quota_take(q, al, &other));
	quota_give_back(p[0]);
	cr_assert(quota_take(q, alice, &p[2]));
	cr_assert_not(quota_take(q, alice, &none));
	quota_give_back(p[1]);
	quota_give_back(p[2]);
	quota_give_back(other);
	quota_give_back(none);
	quota_free(q);
}

Test(quota, has_no_limit_at_0)
{
	struct quota *q = quota_new(0);
	struct quota_place *p;

	for (int i = 0; i < 1000; i++) {
		cr_assert(quota_take(q, alice, &p));
		cr_assert_null(p);
	}
	quota_free(q);
}

Test(quota, may_end_before_its_places)
{
	struct quota *q = quota_new(5);
	struct quota_place *p;

	cr_assert(quota_take(q, alice, &p));
	quota_free(q);
	quota_give_back(p);
}

/* A web server that does not say where its client is. */
Test(quota, counts_nobody_in_particular_as_one)
{
	struct quota *q = quota_new(1);
	struct quota_place *p, *none;

	cr_assert(quota_take(q, span_of(NULL, 0), &p));
	cr_assert_not(quota_take(q, span_of(NULL, 0), &none));
	quota_give_back(p);
	quota_free(q);
}
