/* agent_native_private.h - between agent_native.c (calls and their frames),
 * agent_native_mail.c (frames on their way to the owners) and
 * agent_native_session.c (what is kept between the calls of one agent). */
#ifndef FCGI_AGENT_NATIVE_PRIVATE_H
#define FCGI_AGENT_NATIVE_PRIVATE_H

#include <sys/queue.h>
#include <uthash.h>

#include "fcgi/agent_native.h"

/* More frames than this do not go into one answer. */
enum { ANSWER_SOFT_MAX = 1024 * 1024 };

/* Said on an agent's channel: it stops; it was lost, or so it seems. */
#define SESSION_LEAVING	"leaving"
#define SESSION_LOST	"lost"

struct native_call {
	struct agent_call agent;	/* first */
	struct waiter waiter;
	struct agent_native *all;
	struct call *call;		/* NULL: answered or gone */
	struct session *session;	/* NULL before HELLO */
	struct buf in;
	unsigned long long left;	/* of its content, to come */
	struct buf answer;
	bool wants_park;
	bool is_reading;
	bool is_in;			/* all its content has come */
	bool is_parked;
	bool is_dirty;			/* on the list of the turn */
	bool lost;			/* a frame did not get to its owner */
	unsigned busy;			/* frames not yet confirmed */
	uint32_t in_flight;		/* exchanges the agent has */
	ev_timer timer;
	TAILQ_ENTRY(native_call) session_link;
	TAILQ_ENTRY(native_call) dirty_link;
};

/* One agent, for as long as it calls this worker.  instance stands for what
 * the agent calls itself and for its identity together: nobody else's calls
 * bring its frames. */
struct session {
	struct agent_native *all;
	unsigned char instance[AGENT_INSTANCE_LEN];
	struct quota_place *place;
	TAILQ_HEAD(, native_call) parked;
	struct watch *mail;
	struct buf outbox;	/* for its next call, if that comes soon */
	ev_timer outbox_timer;
	size_t calls;		/* that refer to it */
	bool leaving;		/* takes no more work */

	/* Backends that a HELLO named and that were all found to be the
	 * agent's: most calls name the same again. */
	struct buf backends;
	struct hand_out_list *rooms;	/* theirs; NULL: nothing is known */
	unsigned long generation;	/* of the registry then */
	ev_tstamp looked;
	ev_tstamp signed_at;
	ev_tstamp called;
	UT_hash_handle hh;
};

struct agent_native {
	struct agent_parts *parts;
	struct session *sessions;
	TAILQ_HEAD(, native_call) dirty;
	ev_timer sweep;
};

/* Ends the worker: a frame of ours that can't be written. */
void native_must(int r);

/* Answered at the end of the loop turn. */
void native_call_mark_dirty(struct native_call *c);

/* One of those that it is busy with has arrived, or will not. */
void native_call_sent(struct native_call *c);

/* --- agent_native_mail.c --- */

enum { NATIVE_MAIL_OWNERS = 16 };

/* Frames of a call for the owners of their exchanges.  Those for other workers
 * are gathered by worker: an envelope for each, however they take turns.
 * Begins with the call and zeroes. */
struct native_mail {
	struct native_call *call;
	struct address owner;		/* of the run */
	struct span run;		/* lies in the call's content */
	size_t count;
	struct {
		struct address owner;
		struct buf frames;
	} to[NATIVE_MAIL_OWNERS];
};

/* One encoded frame about this exchange, borrowed until native_mail_send. */
void native_mail_add(struct native_mail *m, const struct exchange_id *id,
    struct span frame);

/* On their way; the call is busy until each envelope is confirmed. */
void native_mail_send(struct native_mail *m);

/* --- agent_native_session.c --- */

/* The session of the agent of this identity that calls itself so; a new one if
 * need be.  NULL: there are too many agents of this identity. */
struct session *session_get(struct agent_native *n, const char *identity,
    const unsigned char *instance);

/* The same, or NULL when the agent has not called here. */
struct session *session_of(struct agent_native *n, const char *identity,
    const unsigned char *instance);

/* An agent was lost: nothing is left for it anywhere. */
void session_lost(struct agent_native *n, const unsigned char *instance);

/* Puts these backends on the call's list if they were all found to be its
 * agent's a moment ago; false: it has to be looked into. */
bool session_recall_backends(struct session *s, struct native_call *c,
    struct span named);

/* It was: for the calls to come. */
void session_keep_backends(struct session *s, const struct native_call *c,
    struct span named);

/* Waits for exchanges of the call's backends. */
void session_wait(struct session *s, struct native_call *c);

/* By the instance that addresses have.  NULL when the agent has not called
 * here. */
struct session *session_find(struct agent_native *n,
    const unsigned char *instance);
void session_free(struct session *s);

/* Its parked calls are answered, and get nothing more. */
void session_told(struct session *s, struct span word);

/* Frames from an owner; false: Redis has to take them. */
bool session_take(struct session *s, struct span frames);

/* A call has come: it brings what waits for one. */
void session_outbox_to_call(struct session *s, struct native_call *c);
void session_outbox_to_redis(struct session *s);

#endif
