/* lease.c - agents that have exchanges of this worker: alive or lost. */
#include "config.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <uthash.h>

#include "common/hex.h"
#include "common/log.h"
#include "fcgi/lease.h"
#include "fcgi/store_keys.h"

struct lease {
	struct leases *all;
	unsigned char instance[AGENT_INSTANCE_LEN];
	TAILQ_HEAD(, lease_item) items;
	ev_tstamp seen;
	bool doubted;
	bool asking;		/* Redis, for the sign */
	UT_hash_handle hh;
};

struct leases {
	struct ev_loop *loop;
	struct store *store;
	double seconds;
	struct lease_handler handler;
	struct lease *by_instance;
	ev_tstamp down_since;	/* Redis; 0: it is there */
	ev_timer timer;
};

/* Who asked may be gone when the answer comes. */
struct question {
	struct leases *all;
	unsigned char instance[AGENT_INSTANCE_LEN];
};

static struct store_key
sign_key(const unsigned char *instance)
{
	char hex[2 * AGENT_INSTANCE_LEN + 1];

	hex_encode(instance, AGENT_INSTANCE_LEN, hex);
	return store_key_agent_alive(span_str(hex));
}

long
lease_sign_ms(long lease_ms)
{
	/* Leaves the owner the time to look for it within the lease. */
	return lease_ms * 6 / 10;
}

void
lease_sign(struct store *store, const unsigned char *instance, long lease_ms)
{
	struct store_key key = sign_key(instance);
	char ttl[24];

	snprintf(ttl, sizeof ttl, "%ld", lease_sign_ms(lease_ms));
	struct span argv[] = { span_str("SET"), store_key_span(&key),
	    span_str("1"), span_str("PX"), span_str(ttl) };

	store_command(store, NULL, NULL, 5, argv);
}

static struct lease *
find(const struct leases *all, const unsigned char *instance)
{
	struct lease *lease;

	HASH_FIND(hh, all->by_instance, instance, AGENT_INSTANCE_LEN, lease);
	return lease;
}

static void
lose(struct lease *lease)
{
	struct leases *all = lease->all;
	struct lease_item *item;

	/* Those who learn of it may join another lease, not this one. */
	HASH_DELETE(hh, all->by_instance, lease);
	all->handler.gone(all->handler.arg, lease->instance);
	while ((item = TAILQ_FIRST(&lease->items)) != NULL) {
		TAILQ_REMOVE(&lease->items, item, link);
		item->lease = NULL;
		all->handler.lost(all->handler.arg, item);
	}
	free(lease);
}

static void
answered(void *arg, const struct store_reply *reply)
{
	struct question *q = arg;
	struct leases *all = q->all;
	struct lease *lease = find(all, q->instance);

	free(q);
	if (lease == NULL)
		return;
	lease->asking = false;
	if (reply->kind != STORE_INTEGER)
		return;
	if (reply->integer == 1) {
		/* It was set within its time to live. */
		if (lease->seen < ev_now(all->loop) - all->seconds / 4)
			lease->seen = ev_now(all->loop) - all->seconds / 4;
		lease->doubted = false;
	} else if (ev_now(all->loop) - lease->seen > all->seconds * 0.6) {
		lose(lease);
	}
}

static void
ask(struct lease *lease)
{
	struct question *q = malloc(sizeof *q);
	struct store_key key = sign_key(lease->instance);
	struct span argv[] = { span_str("EXISTS"), store_key_span(&key) };

	if (q == NULL)
		fatal("lease: out of memory");
	q->all = lease->all;
	memcpy(q->instance, lease->instance, AGENT_INSTANCE_LEN);
	lease->asking = true;
	store_command(lease->all->store, answered, q, 2, argv);
}

static void
on_timer(struct ev_loop *loop, ev_timer *timer, int events)
{
	struct leases *all = timer->data;
	struct lease *lease, *next;

	(void)events;
	HASH_ITER(hh, all->by_instance, lease, next) {
		if (TAILQ_EMPTY(&lease->items)) {
			if (!lease->asking &&
			    ev_now(loop) - lease->seen > all->seconds) {
				HASH_DELETE(hh, all->by_instance, lease);
				free(lease);
			}
			continue;
		}
		if (lease->asking || !store_is_up(all->store))
			continue;
		/* One turn of the timer is left for what doubt brings. */
		if (!lease->doubted && ev_now(loop) - lease->seen >
		    all->seconds * 0.45) {
			lease->doubted = true;
			all->handler.doubt(all->handler.arg,
			    TAILQ_FIRST(&lease->items));
		} else if (lease->doubted && ev_now(loop) - lease->seen >
		    all->seconds * 0.6) {
			ask(lease);
		}
	}
	if (all->by_instance == NULL)
		ev_timer_stop(loop, timer);
}

void
lease_join(struct leases *all, struct lease_item *item,
    const unsigned char *instance)
{
	struct lease *lease = find(all, instance);

	if (lease == NULL) {
		if ((lease = calloc(1, sizeof *lease)) == NULL)
			fatal("lease: out of memory");
		lease->all = all;
		memcpy(lease->instance, instance, AGENT_INSTANCE_LEN);
		TAILQ_INIT(&lease->items);
		HASH_ADD(hh, all->by_instance, instance, AGENT_INSTANCE_LEN,
		    lease);
	}
	if (TAILQ_EMPTY(&lease->items)) {
		lease->seen = ev_now(all->loop);
		lease->doubted = false;
	}
	TAILQ_INSERT_TAIL(&lease->items, item, link);
	item->lease = lease;
	if (!ev_is_active(&all->timer))
		ev_timer_again(all->loop, &all->timer);
}

void
lease_leave(struct leases *all, struct lease_item *item)
{
	(void)all;
	if (item->lease == NULL)
		return;
	TAILQ_REMOVE(&item->lease->items, item, link);
	item->lease = NULL;
}

void
leases_seen(struct leases *all, const unsigned char *instance)
{
	struct lease *lease = find(all, instance);

	if (lease == NULL)
		return;
	lease->seen = ev_now(all->loop);
	lease->doubted = false;
}

void
leases_store_down(struct leases *all)
{
	if (all->down_since <= 0.)
		all->down_since = ev_now(all->loop);
}

void
leases_store_up(struct leases *all)
{
	ev_tstamp now = ev_now(all->loop);
	/* Nobody was heard meanwhile, and a sign may have been lost; but a
	 * Redis that goes and comes all the time keeps no dead agent alive. */
	double more = all->seconds * 0.2 +
	    (all->down_since > 0. ? now - all->down_since : 0.);
	struct lease *lease, *next;

	all->down_since = 0.;
	HASH_ITER(hh, all->by_instance, lease, next) {
		lease->seen = lease->seen + more < now ? lease->seen + more :
		    now;
		lease->doubted = false;
	}
}

struct leases *
leases_new(struct ev_loop *loop, struct store *store, long lease_ms,
    const struct lease_handler *handler)
{
	struct leases *all = calloc(1, sizeof *all);

	if (all == NULL)
		fatal("lease: out of memory");
	all->loop = loop;
	all->store = store;
	all->seconds = (double)lease_ms / 1000;
	all->handler = *handler;
	ev_timer_init(&all->timer, on_timer, 0, all->seconds / 8);
	all->timer.data = all;
	return all;
}

/* Every item has left, and the store gives no more answers. */
void
leases_free(struct leases *all)
{
	struct lease *lease, *next;

	if (all == NULL)
		return;
	ev_timer_stop(all->loop, &all->timer);
	HASH_ITER(hh, all->by_instance, lease, next) {
		HASH_DELETE(hh, all->by_instance, lease);
		free(lease);
	}
	free(all);
}
