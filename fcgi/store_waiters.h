/* store_waiters.h - those who wait for a reply of Redis, oldest first. */
#ifndef FCGI_STORE_WAITERS_H
#define FCGI_STORE_WAITERS_H

#include <ev.h>
#include <stdbool.h>
#include <stddef.h>

#include "fcgi/store.h"

struct store_waiter {
	store_reply_fn *fn;	/* or NULL */
	void *arg;
	ev_tstamp due;
};

/* Zeroed, it is empty. */
struct store_waiters {
	struct store_waiter *ring;
	size_t head, count, cap;
};

void store_waiters_push(struct store_waiters *w, struct store_waiter waiter);
bool store_waiters_shift(struct store_waiters *w,
    struct store_waiter *waiter);

/* Tells those who wait now, not those who come meanwhile, STORE_LOST. */
void store_waiters_lose(struct store_waiters *w);

static inline const struct store_waiter *
store_waiters_oldest(const struct store_waiters *w)
{
	return w->count == 0 ? NULL : &w->ring[w->head];
}

void store_waiters_clear(struct store_waiters *w);

#endif
