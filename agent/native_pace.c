/* native_pace.c - the native protocol: how much is on its way to the proxy.
 *
 * Calls that carry content queue up in the line's buffers, and with them what
 * comes later: the beginning of other responses, and the calls that keep the
 * lease.  So what is under way is held to a budget.  It widens while calls
 * return about as quickly as the quickest did, and narrows when they take much
 * longer (as TCP Vegas does it), or fail. */
#include "config.h"

#include "agent/native_private.h"

enum {
	BUDGET_FIRST = 256 * 1024,
	BUDGET_MIN = 32 * 1024,
	BUDGET_MAX = 8 * NATIVE_CALL_FULL,
	FRAME_MIN = 8 * 1024,
};

/* Longer than the quickest call: not yet a queue, and surely one.  And in any
 * case: on a slow line the quickest, too, took most of its time for content. */
static const double grow_s = .1;
static const double grow_max_s = .8;
static const double queue_s = .4;
static const double queue_max_s = 1.5;

void
native_pace_init(struct native_pace *pace)
{
	*pace = (struct native_pace){ .budget = BUDGET_FIRST,
	    .quickest = 1e9 };
}

size_t
native_pace_room(const struct native_pace *pace)
{
	size_t room = pace->budget > pace->carried ?
	    pace->budget - pace->carried : 0;

	/* Crumbs are not worth a call. */
	if (pace->carried > 0 && room < BUDGET_MIN / 2)
		return 0;
	return room < NATIVE_CALL_FULL ? room : NATIVE_CALL_FULL;
}

size_t
native_pace_frame(const struct native_pace *pace)
{
	size_t len = pace->budget / 4;

	return len < FRAME_MIN ? FRAME_MIN :
	    len < FRAME_DATA_MAX ? len : FRAME_DATA_MAX;
}

void
native_pace_began(struct native_pace *pace, size_t len)
{
	pace->carried += len;
}

static void
narrow(struct native_pace *pace, unsigned long newest)
{
	pace->budget = pace->budget / 2 > BUDGET_MIN ? pace->budget / 2 :
	    BUDGET_MIN;
	/* The calls that are under way say nothing about this. */
	pace->narrowed_at = newest;
}

void
native_pace_ended(struct native_pace *pace, unsigned long number,
    unsigned long newest, size_t len, double seconds)
{
	pace->carried -= len;
	if (seconds >= 0. && seconds < pace->quickest)
		pace->quickest = seconds;
	if (number <= pace->narrowed_at)
		return;
	if (seconds < 0. || seconds > queue_max_s ||
	    seconds > 2 * pace->quickest + queue_s) {
		narrow(pace, newest);
	} else if (seconds <= grow_max_s &&
	    seconds <= 2 * pace->quickest + grow_s) {
		pace->budget = BUDGET_MAX - pace->budget > len ?
		    pace->budget + len : BUDGET_MAX;
	}
	/* The way may have become longer. */
	if (seconds > pace->quickest)
		pace->quickest += (seconds - pace->quickest) / 256;
}
