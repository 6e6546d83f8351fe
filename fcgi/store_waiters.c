/* store_waiters.c - those who wait for a reply of Redis: a ring that doubles.
 * Nothing is allocated for each. */
#include "config.h"

#include <stdlib.h>

#include "common/log.h"
#include "fcgi/store_waiters.h"

void
store_waiters_push(struct store_waiters *w, struct store_waiter waiter)
{
	if (w->count == w->cap) {
		const size_t cap = w->cap == 0 ? 64 : w->cap * 2;
		struct store_waiter *ring = malloc(cap * sizeof(*ring));

		if (ring == NULL)
			fatal("out of memory");
		for (size_t i = 0; i < w->count; i++)
			ring[i] = w->ring[(w->head + i) & (w->cap - 1)];
		free(w->ring);
		*w = (struct store_waiters){ ring, 0, w->count, cap };
	}
	w->ring[(w->head + w->count++) & (w->cap - 1)] = waiter;
}

bool
store_waiters_shift(struct store_waiters *w, struct store_waiter *waiter)
{
	if (w->count == 0)
		return false;
	*waiter = w->ring[w->head];
	w->head = (w->head + 1) & (w->cap - 1);
	w->count--;
	return true;
}

void
store_waiters_lose(struct store_waiters *w)
{
	static const struct store_reply lost = { .kind = STORE_LOST };
	struct store_waiter waiter;

	/* Those who come to wait while this runs have their own turn. */
	for (size_t n = w->count; n > 0 && store_waiters_shift(w, &waiter); n--)
		if (waiter.fn != NULL)
			waiter.fn(waiter.arg, &lost);
}

void
store_waiters_clear(struct store_waiters *w)
{
	free(w->ring);
	*w = (struct store_waiters){ .ring = NULL };
}
