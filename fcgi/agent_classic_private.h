/* agent_classic_private.h - what the three calls of the classic protocol
 * share. */
#ifndef FCGI_AGENT_CLASSIC_PRIVATE_H
#define FCGI_AGENT_CLASSIC_PRIVATE_H

#include <sys/queue.h>
#include <uthash.h>

#include "fcgi/agent_classic.h"

struct poll;

/* First member of each kind of call. */
struct classic_call {
	struct agent_call agent;	/* first */
	struct agent_classic *all;
	struct call *call;		/* NULL: answered or gone */
	unsigned long long number;
	/* Who is calling, as far as that can be told. */
	unsigned char instance[AGENT_INSTANCE_LEN];
	void (*take)(struct classic_call *c, const struct frame *frame);
	UT_hash_handle hh;
};

struct agent_classic {
	struct agent_parts *parts;
	struct classic_call *by_number;
	TAILQ_HEAD(, poll) polls;
	TAILQ_HEAD(, poll) dirty;
	struct classic_agent *agents;
	ev_timer sweep;
	struct buf scratch;
};

/* When a sign of life of an agent was last left in Redis. */
struct classic_agent {
	unsigned char instance[AGENT_INSTANCE_LEN];
	ev_tstamp signed_at;
	UT_hash_handle hh;
};

/* The agent is there: its exchanges stay with it. */
void classic_call_sign(struct classic_call *c);

/* Checks the backend; false: answered with 400, 403 or 429, and there is
 * nothing to clear. */
bool classic_call_init(struct classic_call *c, struct agent_classic *all,
    struct call *call, const struct agent_caller *caller,
    const struct agent_call_handler *handler);

/* The exchange id of the call; false: answered with 400 or 404. */
bool classic_call_read_id(struct call *call, struct exchange_id *id);
void classic_call_clear(struct classic_call *c);

/* The call leaves the struct, to be finished or aborted by who gets it. */
struct call *classic_call_release(struct classic_call *c);

/* A frame to the owner of this exchange, from this call.  done gets c. */
void classic_call_send(struct classic_call *c, const struct exchange_id *id,
    struct frame *frame, mailbox_done_fn *done);

void classic_must(int r);

#endif
