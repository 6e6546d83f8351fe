/* withdrawal.h - exchanges to be taken out of their backend's queue that Redis
 * could not be told about, because it was away: they are when it is back, so
 * that what a client was told has failed is not done all the same. */
#ifndef FCGI_WITHDRAWAL_H
#define FCGI_WITHDRAWAL_H

#include "fcgi/store.h"
#include "fcgi/store_keys.h"

struct withdrawals;

/* store is borrowed, and freed first. */
struct withdrawals *withdrawals_new(struct store *store);
void withdrawals_free(struct withdrawals *w);

/* Takes an element (copied) out of a queue, now or when Redis is back.  Of
 * those that wait for it 64 MiB are kept, the latest. */
void withdrawals_add(struct withdrawals *w, const struct store_key *queue,
    struct span element);

void withdrawals_store_up(struct withdrawals *w);

#endif
