/* exchange_private.h - shared by exchange.c (the client's side and the life of
 * an exchange), exchange_offer.c (how it finds an agent) and exchange_agent.c
 * (what agents send for it). */
#ifndef FCGI_EXCHANGE_PRIVATE_H
#define FCGI_EXCHANGE_PRIVATE_H

#include <uthash.h>

#include "common/stream.h"
#include "fcgi/exchange.h"
#include "fcgi/lease.h"

enum exchange_state {
	EXCHANGE_WAITS_FOR_CONTENT,
	EXCHANGE_WAITS_FOR_AGENT,
	EXCHANGE_WAITS_FOR_ACCEPT,
	EXCHANGE_WAITS_FOR_RESPONSE,
	EXCHANGE_ANSWERS,
};

enum {
	/* Content that travels with the head; also what an agent takes before
	 * its first WINDOW (PROTOCOL.md). */
	EXCHANGE_INLINE_MAX = FRAME_DATA_MAX,
};

struct exchange {
	struct exchanges *all;
	struct exchange_id id;
	char id_text[EXCHANGE_ID_TEXT + 1];
	enum exchange_state state;
	struct call *call;	/* the client's */
	struct quota_place *place;	/* with the backend */
	char *backend;
	char *user;		/* "" for an anonymous client */
	struct span method;	/* views into wire */
	struct span target;
	bool is_idempotent;
	bool has_length;
	unsigned long long length;
	uint64_t start_ns;
	ev_tstamp began;

	struct buf wire;	/* the head, HTTP/1.1 */
	struct stream_out request;
	uint64_t content_read;	/* from the client */
	size_t inline_len;	/* content inside OPEN */
	bool inline_end;

	struct held held;	/* waits for an agent's next call */
	struct line *line;	/* in the backend's queue, as far as we know;
				 * NULL: it is not */
	TAILQ_ENTRY(exchange) line_link;
	ev_tstamp seen_queued;	/* when that was last known to be so */
	bool missing;		/* taken from there, and no word of by whom */
	bool classic;		/* its id was listed to a classic agent */
	unsigned deliveries;	/* hand-outs after which it may have been done */
	struct address agent;	/* who has it: gets the request's frames */
	struct address answerer; /* who sends the response */
	ev_tstamp answerer_seen; /* a classic agent's post; 0: there was none */
	unsigned looks;		/* for it, since then */
	bool is_posted_again;	/* while a part of it is at the client */
	struct lease_item lease;

	struct stream_in response;
	int status;		/* 0: no head yet */
	bool has_content;
	bool has_response_length;
	unsigned long long response_length;
	struct buf early;	/* content that overtook the head */
	bool gap;		/* content is missing in the middle */

	unsigned resends;	/* of OPEN */
	bool paused;		/* refused by an agent: offered again soon */
	uint64_t resent_from;	/* request content, the last time */
	ev_tstamp resent_at;
	unsigned resent_times;	/* since then */
	ev_timer timer;		/* what it waits for takes too long */
	ev_tstamp active;	/* last progress */
	uint64_t moved;		/* request content until then, in and out */
	UT_hash_handle hh;
};

struct exchanges {
	struct exchanges_parts parts;
	struct exchange *by_id;
	size_t count;
	struct leases *leases;
	struct line *lines;	/* by backend */
	ev_timer line_timer;
	struct buf scratch;	/* frames being encoded */
	struct buf content;	/* content in order, on its way to a client */
	ev_timer down_timer;	/* Redis has been away for too long */
};

struct exchange *exchange_find(const struct exchanges *all,
    const struct exchange_id *id);

/* The next one, the random part plus one: no frame about the former gets here
 * any more. */
void exchange_renew_id(struct exchange *x);

void exchange_set_state(struct exchange *x, enum exchange_state state);

/* (Re)starts the timer of the state. */
void exchange_set_timer(struct exchange *x, double seconds);

/* No longer than this: meanwhile a classic agent's post must be heard of. */
double exchange_watch_seconds(const struct exchange *x, double seconds);

/* One frame to an agent; the exchange's id is filled in. */
void exchange_send(struct exchange *x, const struct address *to,
    struct frame *frame);
void exchange_send_reset(struct exchange *x, enum frame_reset code);

/* The OPEN of this exchange, encoded into all->scratch; *open (may be NULL)
 * gets it decoded. */
struct span exchange_encode_open(struct exchange *x, struct frame *open);

/* Request content as far as the agent allows. */
void exchange_send_content(struct exchange *x);

/* A classic agent's post is there. */
void exchange_answerer_seen(struct exchange *x);

/* Before any of it has gone to the client: the response begins anew. */
void exchange_forget_response(struct exchange *x);

/* Asks for the response's content again from where it is whole, and looks
 * after it until the gap is closed. */
void exchange_ask_again(struct exchange *x);

/* Takes it out of the backend's queue, if it may be there. */
void exchange_withdraw(struct exchange *x);

/* It is there no more: somebody has it. */
void exchange_left_queue(struct exchange *x);

/* The time is over in which an agent would have said that it has it. */
void exchange_stays_missing(struct exchange *x);

/* Gives it to agents (again). */
void exchange_offer(struct exchange *x);

/* The agent that had it is gone, or will not do it (not_started). */
void exchange_agent_lost(struct exchange *x, bool not_started,
    const char *why);

/* A look at what is queued. */
void exchanges_on_line_timer(struct ev_loop *loop, ev_timer *timer,
    int events);

/* Redis has been away for longer than exchanges wait for it. */
void exchanges_on_down_timer(struct ev_loop *loop, ev_timer *timer,
    int events);

/* The ends.  After each of them the exchange is no more. */
void exchange_fail(struct exchange *x, int status, const char *why);
void exchange_break_off(struct exchange *x, const char *why);
void exchange_finish(struct exchange *x);

#endif
