/* exchange.h - one exchange in the agent: the client's request goes to the
 * backend, the response comes back.  Independent of the protocol that brought
 * it, which is the carrier.
 *
 *	          begin                 head            end
 *	NEW ------------> WAITS_FOR_HEAD ----> RESPONDS ----> OVER
 *	                        |                 |            ^
 *	                        +-----------------+------------+
 *	                           failed, or exchange_cancel
 */
#ifndef AGENT_EXCHANGE_H
#define AGENT_EXCHANGE_H

#include <ev.h>
#include <stdbool.h>
#include <stdint.h>

#include "agent/agent.h"
#include "common/buf.h"
#include "common/frame.h"
#include "common/span.h"

struct exchange;

/*
 * What the carrier is told.
 *
 * head:	the response's head is in exchange->head, to be sent.
 * content:	takes response content; false: not now, it goes on after
 *		exchange_resume.
 * ended:	the response is complete.
 * failed:	it is not, and never will be: one of UNREACHABLE, BROKEN,
 *		TIMEOUT, with a text for people.
 * took:	the backend has taken request content: there is room.
 */
struct exchange_carrier {
	bool chunked;	/* heads announce the chunked coding */
	void (*head)(struct exchange *x);
	bool (*content)(struct exchange *x, struct span content);
	void (*ended)(struct exchange *x);
	void (*failed)(struct exchange *x, enum frame_reset code,
	    const char *text);
	void (*took)(struct exchange *x);
};

enum exchange_state {
	EXCHANGE_NEW,
	EXCHANGE_WAITS_FOR_HEAD,
	EXCHANGE_RESPONDS,
	EXCHANGE_OVER,
};

/* Embedded in what the carrier keeps. */
struct exchange {
	struct agent *agent;
	const struct backend *backend;
	const struct exchange_carrier *carrier;
	enum exchange_state state;
	const char *id;			/* as text, borrowed from the carrier */
	struct span method, target;	/* in request_head */
	struct buf request_head;
	struct transfer *transfer;	/* NULL: none, or over */
	struct http1_framing request_framing;
	struct buf request;		/* content not yet taken by the backend */
	uint64_t request_taken;
	bool request_ended;
	bool request_waits;		/* libcurl waits for more of it */
	bool response_waits;		/* libcurl waits for exchange_resume */
	bool is_counted;		/* in agent->in_flight, or waiting */
	bool is_waiting;		/* ... for its client */
	struct http1_framing response_framing;
	struct buf head;		/* of the response, for the carrier */
	int status;
	uint64_t response_len;
	ev_tstamp began_at;
	const char *refusal;		/* why we broke the response off */
};

/* window: ceiling for request content held. */
void exchange_init(struct exchange *x, struct agent *agent,
    const struct exchange_carrier *carrier, const char *id, size_t window);

/* Frees what it holds and aborts what goes on, without a word. */
void exchange_clear(struct exchange *x);

/* Sends the request to the backend; its content follows.  head: in wire form,
 * copied.  head_timeout_ms: besides the setting's, 0: none.  A wire_error when
 * the head is no request to forward; nothing has begun then. */
int exchange_begin(struct exchange *x, const struct backend *backend,
    struct span user, struct span head, long head_timeout_ms) WIRE_MUSTCHECK;

/* Content was appended to x->request; with ended, it was the last. */
void exchange_request_arrived(struct exchange *x, bool ended);

/* The carrier can take response content again. */
void exchange_resume(struct exchange *x);

/* The client has left, or the proxy does not want it any more: aborts the
 * request to the backend.  why: for the log. */
void exchange_cancel(struct exchange *x, const char *why);

/* Counts as in flight; exchange_begin does it by itself.  And no longer. */
void exchange_count(struct exchange *x);
void exchange_uncount(struct exchange *x);

/* Its client takes no more of the response, or sends no more of the request:
 * meanwhile it does not count as in flight. */
void exchange_set_waiting(struct exchange *x, bool is_waiting);

#endif
