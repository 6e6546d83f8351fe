/* mailbox.h - how workers talk: frames put into Redis lists, each taken by one
 * worker in order; messages to this very process never leave it.
 *
 * It also knows which workers are alive (a heartbeat in Redis), so that
 * nothing is sent to one that is not. */
#ifndef FCGI_MAILBOX_H
#define FCGI_MAILBOX_H

#include <ev.h>

#include "common/frame.h"
#include "fcgi/store.h"

/* Where frames of an exchange go to or come from. */
enum address_kind {
	ADDRESS_NONE,
	ADDRESS_OWNER,	/* the worker that owns the exchange */
	ADDRESS_CALL,	/* one call of a classic agent, at a worker */
	ADDRESS_AGENT,	/* a native agent, wherever it calls */
};

struct address {
	enum address_kind kind;
	unsigned char worker[WORKER_ID_LEN];	/* OWNER, CALL */
	unsigned long long call;		/* CALL */
	unsigned char instance[AGENT_INSTANCE_LEN];	/* CALL, AGENT */
};

struct address address_owner(const struct exchange_id *id);
struct address address_agent(const unsigned char *instance);
bool address_is(const struct address *a, const struct address *b);

struct mailbox;

/* What arrives.  backends: the ones the sender proved to be allowed for, as
 * encoded in HELLO (see frame_next_backend). */
struct mailbox_handler {
	void (*to_owner)(void *arg, const struct address *from,
	    struct span backends, const struct frame *frame);
	void (*to_call)(void *arg, unsigned long long call,
	    const struct frame *frame);
	/* Redis does not know this worker any more: it has lost all it had */
	void (*forgotten)(void *arg);
	/* false: that agent has no call parked here */
	bool (*to_agent)(void *arg, const unsigned char *instance,
	    struct span frames);
	void *arg;
};

enum mailbox_result {
	MAILBOX_SENT,	/* in the hands of the receiving worker (or its list) */
	MAILBOX_DEAD,	/* that worker is not alive: its exchanges are gone */
	MAILBOX_LOST,	/* Redis is away: may or may not arrive */
};
typedef void mailbox_done_fn(void *arg, enum mailbox_result result);

/* handler is copied.  Draws this worker's id. */
struct mailbox *mailbox_new(struct ev_loop *loop, struct store *store,
    const struct mailbox_handler *handler);
void mailbox_free(struct mailbox *m);

/* Takes this worker off the list of the living and deletes its list. */
void mailbox_retire(struct mailbox *m);

const unsigned char *mailbox_worker_id(const struct mailbox *m);

/* The address of one of this worker's calls, by this agent. */
struct address mailbox_call_address(const struct mailbox *m,
    unsigned long long call, const unsigned char *instance);

/* From the store's handler. */
void mailbox_store_up(struct mailbox *m);
void mailbox_popped(struct mailbox *m, struct span element);

/* Sends encoded frames (copied).  done (may be NULL) is called later from the
 * loop, never from inside.  Messages between the same two ends arrive in
 * order. */
void mailbox_send(struct mailbox *m, const struct address *to,
    const struct address *from, struct span backends, struct span frames,
    mailbox_done_fn *done, void *arg);

/* Puts frames for a native agent where every worker finds them. */
void mailbox_store_for_agent(struct mailbox *m, const unsigned char *instance,
    struct span frames);

/* Delivers what was sent to this process, until nothing is left. */
void mailbox_deliver_local(struct mailbox *m);

/* No other worker is known to be alive. */
bool mailbox_is_alone(const struct mailbox *m);

/* False only when that worker is known not to be alive. */
bool mailbox_worker_may_live(const struct mailbox *m,
    const unsigned char *worker);

/* True only when it is known to be alive (or is this one). */
bool mailbox_worker_lives(const struct mailbox *m,
    const unsigned char *worker);

#endif
