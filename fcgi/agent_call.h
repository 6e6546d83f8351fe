/* agent_call.h - the agent role: who is calling, for which backend, and which
 * of the two protocols it speaks. */
#ifndef FCGI_AGENT_CALL_H
#define FCGI_AGENT_CALL_H

#include <stdbool.h>

#include "fcgi/exchange.h"
#include "fcgi/hand_out.h"
#include "fcgi/mailbox.h"
#include "fcgi/registry.h"
#include "fcgi/responder.h"
#include "fcgi/settings.h"
#include "fcgi/watch.h"

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
	struct agent_classic *classic;
	struct agent_native *native;
};

/* First member of what an agent's call has as its data. */
struct agent_call {
	const struct agent_call_handler *handler;
};

struct agent_call_handler {
	void (*content)(struct agent_call *agent);
	void (*drained)(struct agent_call *agent);
	void (*gone)(struct agent_call *agent);
};

/* Takes over a call of the agent role. */
void agent_call_request(struct call *call, struct agent_parts *parts);

/* The identity a call proves: a token's user or REMOTE_USER; NULL: none.
 * Lives until the next turn of the loop. */
const char *agent_call_identity(struct call *call,
    const struct registry *registry);

/* Is this the backend of that identity? */
bool agent_call_may_serve(const struct registry *registry,
    const char *identity, struct span backend);

/* Answers 401 or 403 and says so in the log. */
void agent_call_refuse(struct call *call, int status, const char *why);

#endif
