/* agent_call.h - the agent role: who is calling, for which backends, which of
 * the two protocols it speaks, and how long it may. */
#ifndef FCGI_AGENT_CALL_H
#define FCGI_AGENT_CALL_H

#include <stdbool.h>
#include <sys/queue.h>

#include "fcgi/exchange.h"
#include "fcgi/hand_out.h"
#include "fcgi/login.h"
#include "fcgi/mailbox.h"
#include "fcgi/quota.h"
#include "fcgi/registry.h"
#include "fcgi/responder.h"
#include "fcgi/settings.h"
#include "fcgi/watch.h"

/* Which calls may wait for something to say; the others are answered at
 * once. */
enum agent_parking {
	AGENT_PARKS_ALL,
	AGENT_PARKS_UNCLAIMED,	/* we stop, and nobody else is there */
	AGENT_PARKS_NONE,
};

struct agent_call;
LIST_HEAD(agent_call_list, agent_call);

/* What both protocols work with; lives as long as the worker. */
struct agent_parts {
	struct ev_loop *loop;
	const struct settings *settings;
	struct store *store;
	struct registry *registry;
	struct mailbox *mailbox;
	struct hand_out *hand_out;
	struct watches *watches;
	struct exchanges *exchanges;
	struct logins *logins;
	struct quota *calls_quota;	/* open calls, by identity */
	struct quota *agents_quota;	/* native agents, by identity */
	struct agent_call_list calls;	/* all that are open */
	enum agent_parking parking;
	struct agent_classic *classic;
	struct agent_native *native;
};

/* Who is calling, as far as that is proven. */
struct agent_caller {
	const char *identity;	/* a token's user, or REMOTE_USER */
	const char *token;	/* its id; NULL: the web server's word */
};

/* First member of what an agent's call has as its data. */
struct agent_call {
	const struct agent_call_handler *handler;
	char *identity;
	char *token;			/* NULL: none was needed */
	struct buf backends;		/* that it may serve, as in HELLO */
	struct quota_place *place;
	LIST_ENTRY(agent_call) link;
};

struct agent_call_handler {
	void (*content)(struct agent_call *agent);
	void (*drained)(struct agent_call *agent);
	void (*gone)(struct agent_call *agent);
	/* Some of its backends are not its own any more and were taken from
	 * the list: it should come again, if it only waits.  May be NULL. */
	void (*recall)(struct agent_call *agent);
	/* Its token was removed (401), or all of its backends (403; they are
	 * still on the list): refuses, or breaks off.  The call may have been
	 * answered already. */
	void (*revoked)(struct agent_call *agent, int status,
	    const char *why);
};

/* Takes over a call of the agent role. */
void agent_call_request(struct call *call, struct agent_parts *parts);

/* Makes *agent this caller's call, with no backends yet.  false: the call was
 * answered with 429. */
bool agent_call_begin(struct agent_call *agent, struct agent_parts *parts,
    struct call *call, const struct agent_caller *caller,
    const struct agent_call_handler *handler);
void agent_call_end(struct agent_call *agent);

/* Is this a backend of the caller?  Then it is on the call's list from here
 * on. */
bool agent_call_allow(struct agent_call *agent, struct agent_parts *parts,
    struct span backend);

bool agent_call_may_park(const struct agent_parts *parts,
    const struct call *call);

/* Answers what is parked: agents come again, and only those wait that may. */
void agent_calls_set_parking(struct agent_parts *parts,
    enum agent_parking parking);

/* Answers 401 or 403 and says so in the log. */
void agent_call_refuse(struct agent_parts *parts, struct call *call,
    int status, const char *why);

/* Who lost its token or its backends is not served any longer. */
void agent_calls_registry_changed(struct agent_parts *parts);

#endif
