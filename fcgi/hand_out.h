/* hand_out.h - which agent's call gets the next exchange of a backend. */
#ifndef FCGI_HAND_OUT_H
#define FCGI_HAND_OUT_H

#include <ev.h>
#include <stdbool.h>
#include <stddef.h>
#include <sys/queue.h>

#include "common/frame.h"
#include "fcgi/registry.h"
#include "fcgi/settings.h"
#include "fcgi/watch.h"

struct hand_out;
struct waiter_seat;

/* A call that waits for exchanges; part of the caller's own struct. */
struct waiter {
	size_t capacity;	/* exchanges it still takes */
	ev_tstamp since;	/* it waits; 0: for how long does not matter */
	/* Takes one: its OPEN, encoded and decoded (both borrowed).  Lowers
	 * capacity; must not leave from inside. */
	void (*give)(struct waiter *w, struct span encoded,
	    const struct frame *open);
	/* Answers the call now, so that its agent calls again and is known to
	 * be alive; NULL when there is no need. */
	void (*recall)(struct waiter *w);
	struct waiter_seat *seats;	/* one for each backend */
	size_t seat_count;
};

struct hand_out *hand_out_new(struct ev_loop *loop, struct store *store,
    struct watches *watches, const struct settings *settings);
void hand_out_free(struct hand_out *h);

/* Is this the only worker?  Asked for each exchange. */
void hand_out_set_alone(struct hand_out *h, bool (*alone)(void *arg),
    void *arg);

/* `alive` says whether a queued exchange may still have an owner. */
void hand_out_set_alive(struct hand_out *h,
    bool (*alive)(void *arg, const struct exchange_id *id), void *arg);

/* An agent of this backend has called: notes that it is attended. */
void hand_out_attend(struct hand_out *h, struct span backend);

/* Redis is back, and may have forgotten who was seen, or kept the exchanges of
 * other workers that their clients were told 503 about. */
void hand_out_store_up(struct hand_out *h);
void hand_out_store_down(struct hand_out *h);

/* The waiter takes exchanges of these backends (HELLO encoding) from now on,
 * until it leaves.  -1 without memory. */
int hand_out_wait(struct hand_out *h, struct waiter *w, struct span backends);

/* The same, for who waits for many backends again and again: they are looked
 * up once, in a list that must not outlive h.  NULL without memory. */
struct hand_out_list;
struct hand_out_list *hand_out_list_new(struct hand_out *h,
    struct span backends);
void hand_out_list_free(struct hand_out_list *list);
int hand_out_wait_by_list(struct waiter *w,
    const struct hand_out_list *list);
void hand_out_leave(struct hand_out *h, struct waiter *w);

/* Gives an exchange to a call that waits in this very process, if there is one
 * and nothing is queued before it: true. */
bool hand_out_offer(struct hand_out *h, struct span backend,
    struct span encoded, const struct frame *open);

/* An exchange that waits for a moment in this process, because an agent was
 * just here and no other worker is there to serve it; part of the caller's own
 * struct.  offer: a call waits now.  give_up: none came. */
struct held {
	TAILQ_ENTRY(held) link;
	struct room *room;	/* NULL: not held */
	void (*offer)(struct held *held);
	void (*give_up)(struct held *held);
};

/* false: it is no use to wait here. */
bool hand_out_hold(struct hand_out *h, struct held *held,
    struct span backend);
void hand_out_release(struct held *held);

/* Queues an exchange in Redis.  done's integer: the place in the queue, or
 * HAND_OUT_UNATTENDED, HAND_OUT_FULL. */
enum { HAND_OUT_UNATTENDED = -1, HAND_OUT_FULL = -2 };
void hand_out_queue(struct hand_out *h, struct span backend,
    struct span encoded, store_reply_fn *done, void *arg);

/* Recalls the waiters of this backend, at every worker. */
void hand_out_roll_call(struct hand_out *h, struct span backend);

/* Is it in the queue?  done's reply: its place, or NIL. */
void hand_out_find(struct hand_out *h, struct span backend,
    struct span encoded, store_reply_fn *done, void *arg);

/* Takes an exchange out of the queue again.  done's integer: how many were
 * removed (0: an agent was quicker). */
void hand_out_withdraw(struct hand_out *h, struct span backend,
    struct span encoded, store_reply_fn *done, void *arg);

/* The same without fail: when Redis is away, once it is back. */
void hand_out_drop(struct hand_out *h, struct span backend,
    struct span encoded);

#endif
