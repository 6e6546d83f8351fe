/* native_private.h - what the files of the native protocol share: native.c
 * decides when to call, native_call.c makes the calls, native_exchange.c has
 * the exchanges that their frames are about, native_send.c and
 * native_receive.c the frames. */
#ifndef AGENT_NATIVE_PRIVATE_H
#define AGENT_NATIVE_PRIVATE_H

#include <ev.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/queue.h>

#include "agent/agent.h"
#include "agent/exchange.h"
#include "agent/link.h"
#include "agent/native.h"
#include "agent/recent.h"
#include "common/buf.h"
#include "common/frame.h"
#include "common/stream.h"

enum {
	NATIVE_PARKED_MAX = 2,	/* calls */
	NATIVE_ARRIVING_MAX = 4,	/* answers, beside parked calls */
	/* Content on its way to a backend, of one exchange: at most, at least,
	 * and before it is known how fast it comes. */
	NATIVE_REQUEST_WINDOW = 512 * 1024,
	NATIVE_REQUEST_WINDOW_MIN = 32 * 1024,
	NATIVE_REQUEST_WINDOW_FIRST = 64 * 1024,
	/* Content kept of a response until the proxy has confirmed it. */
	NATIVE_RESPONSE_KEPT = 1024 * 1024,
	/* More is not read from the backend while so much waits for a window:
	 * enough to fill the next one at once. */
	NATIVE_RESPONSE_AHEAD = 128 * 1024,
	/* A call is full with this much, unless WELCOME says less (and then
	 * with this much at least); one that is to be parked earlier: how long
	 * its content took can't be seen. */
	NATIVE_CALL_FULL = 1024 * 1024,
	NATIVE_CALL_FULL_MIN = 16 * 1024,
	NATIVE_PARKED_FULL = 64 * 1024,
};

/* After this long without news one side asks the other. */
#define NATIVE_PATIENCE_S 1.

struct native_exchange {
	struct exchange x;		/* first */
	struct native *native;
	struct exchange_id id;
	char id_text[EXCHANGE_ID_TEXT + 1];
	struct native_exchange *chain;	/* in the table */
	struct stream_in in;		/* request content */
	size_t window;			/* of it, after what was taken */
	uint64_t measured_from;		/* taken, when its rate was last */
	ev_tstamp measured_at;		/* measured */
	struct stream_out out;		/* response content */
	bool is_queued;			/* in the queue: has frames to send */
	bool needs_accept;
	bool needs_window;
	bool needs_resend;		/* the window asks to send again */
	bool needs_probe;
	bool has_head, head_sent;
	bool is_held;			/* the head waits for its content */
	unsigned long head_call;	/* number of the call it went in */
	unsigned long last_call;	/* of the last one with content */
	enum frame_reset reset;		/* to be sent last; 0: none */
	char *reset_text;
	bool is_final;			/* END or RESET is in a call */
	struct native_call *final_call;	/* that one */
	ev_tstamp in_at;		/* content or a request for it */
	ev_tstamp out_at;		/* window or a request for it */
	double probe_patience;		/* before a window is asked for */
	uint64_t advanced_to;		/* of out, at the last tick */
	ev_tstamp advanced_at;		/* when that was last another */
	ev_tstamp gap_at;		/* a gap was first seen, 0: none */
	double patience;		/* before content is asked for again */
	TAILQ_ENTRY(native_exchange) queue;
	TAILQ_ENTRY(native_exchange) accepts;
	TAILQ_ENTRY(native_exchange) holds;
	LIST_ENTRY(native_exchange) finals;
};

/* One POST agent/exchange. */
struct native_call {
	struct native *native;
	unsigned long number;		/* 1, 2, ... */
	struct transfer *transfer;	/* NULL: waits to be sent again */
	struct buf body;		/* HELLO and frames */
	struct buf answer;
	ev_tstamp began_at;
	bool is_parked;
	bool is_arriving;		/* the answer, of a parked one */
	bool is_leaving;		/* HELLO says that we leave */
	bool has_frames;		/* more than HELLO */
	bool is_frames;			/* the answer's content type */
	unsigned capacity;		/* that HELLO says */
	LIST_HEAD(, native_exchange) finals;	/* over when it is answered */
	TAILQ_ENTRY(native_call) link;
};

/* How much may be on its way to the proxy: what the line takes in a moment, so
 * that nothing waits long behind a large response. */
struct native_pace {
	size_t carried;			/* bytes in carrying calls */
	size_t budget;			/* of them */
	double quickest;		/* seconds such a call takes */
	unsigned long narrowed_at;	/* number of the newest call then */
};

enum native_state {
	NATIVE_OFF,
	NATIVE_ASKS,		/* does the proxy speak it? */
	NATIVE_ON,
};

enum native_leave {
	NATIVE_STAYS,
	NATIVE_MUST_SAY,	/* the proxy is to be told that we leave */
	NATIVE_SAYS,		/* a call is telling it */
	NATIVE_WAS_HEARD,	/* parked calls may still bring work */
	NATIVE_HAS_LEFT,
};

struct native {
	struct agent *agent;
	struct backend *const *backends;
	size_t backend_count;
	native_verdict_fn *verdict;
	void *arg;
	enum native_state state;
	enum native_leave leave;
	struct link link;
	struct frame hello;
	struct buf hello_backends;
	size_t hello_len;
	bool *is_refused;		/* by backend: has been said */
	unsigned park_ms, lease_ms;
	size_t call_full;

	TAILQ_HEAD(, native_call) calls;
	TAILQ_HEAD(, native_call) waiting;	/* to be sent again */
	size_t parked, carrying, arriving;	/* of calls */
	struct native_pace pace;
	ev_tstamp called_at, carried_at;
	ev_tstamp heard_at;		/* of the proxy, the last time */
	bool was_lost;			/* an answer was: content may be, too */
	bool is_pressed;		/* ACCEPT must go now */
	bool must_call;			/* the lease, or a second parked call */
	ev_timer rest;			/* no call is parked meanwhile */
	ev_timer retry, press, distance, tick, release, patience;
	unsigned long last_number;

	struct native_exchange **table;
	size_t table_mask;
	size_t count, unfinished;	/* exchanges; those without END */
	TAILQ_HEAD(, native_exchange) queue;	/* with frames to send */
	TAILQ_HEAD(, native_exchange) accepts;
	TAILQ_HEAD(, native_exchange) holds;	/* oldest first */
	struct buf loose;		/* frames of no exchange */
	ev_tstamp declined_at;		/* lines about it are counted since */
	unsigned declined;
	struct recent *taken;		/* ids */
	struct recent *given_back;
};

/* --- native.c --- */

/* From now on; one that runs is stopped. */
void native_start_timer(struct native *n, ev_timer *timer, double seconds);

/* --- native_pace.c --- */

void native_pace_init(struct native_pace *pace);

/* What one more call may carry; 0: none now. */
size_t native_pace_room(const struct native_pace *pace);

/* Content of one frame: the slower the line, the smaller, for others to get
 * their turn. */
size_t native_pace_frame(const struct native_pace *pace);

/* A carrying call of so many bytes begins; it was answered after so many
 * seconds, or (less than 0) it was not. */
void native_pace_began(struct native_pace *pace, size_t len);
void native_pace_ended(struct native_pace *pace, unsigned long number,
    unsigned long newest, size_t len, double seconds);

/* --- native_call.c --- */

/* What one more parked call may bring: a part of what is left, so that there
 * is something for the next one and for other sessions. */
unsigned native_capacity(const struct native *n);

/* May a call that is parked bring work? */
bool native_asks_for_work(const struct native *n);

/* A new agent, as far as the proxy can tell. */
void native_begin_instance(struct native *n);

/* Makes a call with what frames there are.  park: it is held until there is
 * something to say. */
void native_call_open(struct native *n, bool park);

/* Sends what is in the call's body (again). */
void native_call_send(struct native_call *call, bool park);

/* Ends every call and every exchange; why is for the log. */
void native_drop_all(struct native *n, const char *why);

/* --- native_exchange.c --- */

/* Encoding into a buffer of ours can only fail for want of memory. */
void native_must(int error);

void native_exchanges_init(struct native *n);

/* All at once, without a word. */
void native_exchanges_clear(struct native *n, const char *why);

/* Heads that have waited long enough for their content go. */
void native_release(struct native *n);

/* Content that is missing is asked for. */
void native_ask_again(struct native *n);

/* Waits that have lasted too long.  Called now and then. */
void native_exchanges_tick(struct native *n, ev_tstamp now);

/* In the table from here on; limit is how far its response may go. */
struct native_exchange *native_exchange_new(struct native *n,
    const struct exchange_id *id, uint64_t limit);
void native_exchange_free(struct native_exchange *nx);
struct native_exchange *native_exchange_find(struct native *n,
    const struct exchange_id *id);

/* Has it response content that is not in a call yet? */
bool native_exchange_has_content(const struct native_exchange *nx);

/* Into the queue, if it has a frame to send now. */
void native_exchange_enqueue(struct native_exchange *nx);

/* The proxy is to hear that we have it; it will. */
void native_exchange_need_accept(struct native_exchange *nx);
void native_exchange_accepted(struct native_exchange *nx);

/* Ends it at the proxy, once the content before has gone. */
void native_exchange_set_reset(struct native_exchange *nx,
    enum frame_reset code, const char *text);

/* Its last frame is in this call; NULL: in none (any more). */
void native_exchange_set_final(struct native_exchange *nx,
    struct native_call *call);

/* --- native_send.c --- */

/* Appends frames to the call until it has so many bytes. */
void native_fill_call(struct native *n, struct native_call *call,
    size_t full);

/* Is a call under way, or to be sent again, that may hold response content
 * which the proxy misses? */
bool native_is_on_its_way(const struct native_exchange *nx);

/* Is there content for a whole call? */
bool native_has_full_call(const struct native *n);

/* The call was answered: what ended in it is over. */
void native_call_confirmed(struct native_call *call);

/* --- native_receive.c --- */

/* A frame about an exchange. */
void native_take_frame(struct native *n, const struct frame *frame);

#endif
