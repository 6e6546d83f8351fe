/* lease.h - which native agents have exchanges of this worker, and whether
 * they are still there.  An agent says so by calling any worker; that worker
 * leaves a sign in Redis, which is looked for when nothing was heard here. */
#ifndef FCGI_LEASE_H
#define FCGI_LEASE_H

#include <ev.h>
#include <sys/queue.h>

#include "common/frame.h"
#include "fcgi/store.h"

struct leases;
struct lease;

/* Part of what is leased. */
struct lease_item {
	TAILQ_ENTRY(lease_item) link;
	struct lease *lease;	/* NULL: not leased */
};

/*
 * doubt: nothing was heard of an agent for half of the lease; item is one of
 * what it has.
 * gone: it is lost now.
 * lost: called for each of its items, after gone; the item is not leased any
 * more.
 */
struct lease_handler {
	void (*doubt)(void *arg, struct lease_item *item);
	void (*gone)(void *arg, const unsigned char *instance);
	void (*lost)(void *arg, struct lease_item *item);
	void *arg;
};

struct leases *leases_new(struct ev_loop *loop, struct store *store,
    long lease_ms, const struct lease_handler *handler);
void leases_free(struct leases *all);

void lease_join(struct leases *all, struct lease_item *item,
    const unsigned char *instance);
void lease_leave(struct leases *all, struct lease_item *item);

/* Redis is away, and with it the signs: when it is back everybody has so much
 * longer, and a fifth of the lease. */
void leases_store_down(struct leases *all);
void leases_store_up(struct leases *all);

/* The agent was heard of. */
void leases_seen(struct leases *all, const unsigned char *instance);

/* For the worker that an agent calls: leaves the sign.  The caller limits how
 * often (every lease / 8 is enough). */
void lease_sign(struct store *store, const unsigned char *instance,
    long lease_ms);

/* Of the lease: how long the sign lasts; what agents are told to keep to. */
long lease_sign_ms(long lease_ms);

#endif
