/* agent_call.c - the agent role: authentication and which call it is. */
#include "config.h"

#include <stdlib.h>
#include <string.h>

#include "common/log.h"
#include "fcgi/agent_call.h"
#include "fcgi/agent_classic.h"
#include "fcgi/agent_native.h"
#include "fcgi/auth.h"
#include "fcgi/reply.h"

enum { RETRY_SECONDS = 1 };

static bool
find_caller(const struct call *call, const struct registry *registry,
    struct agent_caller *caller)
{
	const char *user = call_param(call, "REMOTE_USER");
	const struct token *token;

	if (user != NULL && user[0] != '\0') {
		*caller = (struct agent_caller){ user, NULL };
		return true;
	}
	token = auth_check_bearer(registry, call_param(call,
	    "HTTP_AUTHORIZATION"), TOKEN_ROLE_AGENT);
	if (token == NULL)
		return false;
	*caller = (struct agent_caller){ token->user, token->id };
	return true;
}

static bool
may_serve(const struct registry *registry, const char *identity,
    struct span backend)
{
	const struct backend *b = registry_backend(registry, backend);

	return b != NULL && strcmp(b->backend_user, identity) == 0;
}

void
agent_call_refuse(struct agent_parts *parts, struct call *call, int status,
    const char *why)
{
	login_failed(parts->logins, call, status, why);
	reply_text(call, status, why, NULL, 0);
}

/* --- an open call --- */

bool
agent_call_begin(struct agent_call *a, struct agent_parts *parts,
    struct call *call, const struct agent_caller *caller,
    const struct agent_call_handler *handler)
{
	if (!quota_take(parts->calls_quota, span_str(caller->identity),
	    &a->place)) {
		login_over_limit(parts->logins, call, 429, caller->identity,
		    "--poll-limit");
		reply_text(call, 429, "This agent has too many calls open.",
		    NULL, RETRY_SECONDS);
		return false;
	}
	a->handler = handler;
	a->identity = strdup(caller->identity);
	a->token = caller->token == NULL ? NULL : strdup(caller->token);
	if (a->identity == NULL || (a->token == NULL &&
	    caller->token != NULL))
		fatal("agent_call: out of memory");
	buf_init(&a->backends, 64 * 1024);
	LIST_INSERT_HEAD(&parts->calls, a, link);
	return true;
}

void
agent_call_end(struct agent_call *a)
{
	LIST_REMOVE(a, link);
	quota_give_back(a->place);
	buf_clear(&a->backends);
	free(a->identity);
	free(a->token);
}

bool
agent_call_allow(struct agent_call *a, struct agent_parts *parts,
    struct span backend)
{
	if (!may_serve(parts->registry, a->identity, backend))
		return false;
	if (frame_append_backend(&a->backends, backend) != WIRE_OK)
		fatal("agent_call: too many backends");
	hand_out_attend(parts->hand_out, backend);
	registry_note_seen(parts->registry, backend);
	return true;
}

/* --- when the worker stops --- */

bool
agent_call_may_park(const struct agent_parts *parts, const struct call *call)
{
	return parts->parking == AGENT_PARKS_ALL ||
	    (parts->parking == AGENT_PARKS_UNCLAIMED &&
	    call_is_unclaimed(call));
}

void
agent_calls_set_parking(struct agent_parts *parts, enum agent_parking parking)
{
	parts->parking = parking;
	agent_classic_recall(parts->classic);
	agent_native_recall(parts->native);
}

/* --- what was proven does not hold any more --- */

enum withdrawn { WITHDRAWN_NONE, WITHDRAWN_SOME, WITHDRAWN_ALL };

/* Takes from the list what is not this agent's any more, but not the last. */
static enum withdrawn
withdraw_backends(struct agent_call *a, const struct registry *registry)
{
	struct span list = buf_span(&a->backends), backend;
	struct buf left;

	buf_init(&left, a->backends.max);
	while (frame_next_backend(&list, &backend))
		if (may_serve(registry, a->identity, backend) &&
		    frame_append_backend(&left, backend) != WIRE_OK)
			fatal("agent_call: out of memory");
	if (buf_len(&left) == buf_len(&a->backends) || buf_len(&left) == 0) {
		bool none = buf_len(&left) == buf_len(&a->backends);

		buf_clear(&left);
		return none ? WITHDRAWN_NONE : WITHDRAWN_ALL;
	}
	buf_clear(&a->backends);
	a->backends = left;
	return WITHDRAWN_SOME;
}

static void
check_backends(struct agent_call *a, const struct registry *registry)
{
	switch (withdraw_backends(a, registry)) {
	case WITHDRAWN_NONE:
		break;
	case WITHDRAWN_SOME:
		if (a->handler->recall != NULL)
			a->handler->recall(a);
		break;
	case WITHDRAWN_ALL:
		a->handler->revoked(a, 403,
		    "This is no longer a backend of this agent.");
		break;
	}
}

static bool
token_holds(const struct agent_call *a, const struct registry *registry)
{
	const struct token *token;

	if (a->token == NULL)
		return true;
	token = registry_token(registry, span_str(a->token));
	return token != NULL && token->role == TOKEN_ROLE_AGENT &&
	    strcmp(token->user, a->identity) == 0;
}

void
agent_calls_registry_changed(struct agent_parts *parts)
{
	struct agent_call *a, *next;

	for (a = LIST_FIRST(&parts->calls); a != NULL; a = next) {
		next = LIST_NEXT(a, link);
		if (!token_holds(a, parts->registry))
			a->handler->revoked(a, 401,
			    "The agent's token was removed.");
		else
			check_backends(a, parts->registry);
	}
}

/* --- which call it is --- */

/* Does the path of the request target end with this? */
static bool
path_ends(const char *target, const char *tail)
{
	size_t path = strcspn(target, "?"), len = strlen(tail);

	return path >= len && memcmp(target + path - len, tail, len) == 0;
}

static bool
is_method(struct call *call, const char *method)
{
	const char *is = call_param(call, "REQUEST_METHOD");

	return is != NULL && strcmp(is, method) == 0;
}

enum agent_call_kind { CALL_PENDING, CALL_FETCH, CALL_RESPONSE, CALL_EXCHANGE,
	CALL_UNKNOWN };

static const struct {
	const char *tail;
	const char *method;
} kinds[] = {
	[CALL_PENDING] = { "/agent/pending", "GET" },
	[CALL_FETCH] = { "/agent/request", "GET" },
	[CALL_RESPONSE] = { "/agent/response", "POST" },
	[CALL_EXCHANGE] = { "/agent/exchange", "POST" },
};

void
agent_call_request(struct call *call, struct agent_parts *parts)
{
	const char *target = call_param(call, "REQUEST_URI");
	enum agent_call_kind kind = CALL_PENDING;
	struct agent_caller caller;

	while (kind < CALL_UNKNOWN && (target == NULL ||
	    !path_ends(target, kinds[kind].tail)))
		kind++;
	if (kind == CALL_UNKNOWN) {
		reply_text(call, 404, "There is no such agent call.", NULL, 0);
		return;
	}
	if (!is_method(call, kinds[kind].method)) {
		reply_text(call, 405, "Wrong method for this agent call.",
		    NULL, 0);
		return;
	}
	/* Without Redis there is no new work, but what an agent brings for an
	 * exchange of this very worker is taken. */
	if (!registry_is_loaded(parts->registry) || (kind == CALL_PENDING &&
	    !store_is_up(parts->store))) {
		reply_text(call, 503, "The proxy's store is not available.",
		    NULL, 1);
		return;
	}
	if (!find_caller(call, parts->registry, &caller)) {
		agent_call_refuse(parts, call, 401,
		    "A valid agent token is needed.");
		return;
	}
	switch (kind) {
	case CALL_PENDING:
		agent_classic_pending(parts->classic, call, &caller);
		break;
	case CALL_FETCH:
		agent_classic_fetch(parts->classic, call, &caller);
		break;
	case CALL_RESPONSE:
		agent_classic_response(parts->classic, call, &caller);
		break;
	case CALL_EXCHANGE:
		agent_native_exchange(parts->native, call, &caller);
		break;
	case CALL_UNKNOWN:
		break;
	}
}
