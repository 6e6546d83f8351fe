/* agent_call.c - the agent role: authentication and which call it is. */
#include "config.h"

#include <string.h>

#include "common/log.h"
#include "fcgi/agent_call.h"
#include "fcgi/agent_classic.h"
#include "fcgi/agent_native.h"
#include "fcgi/auth.h"
#include "fcgi/reply.h"

const char *
agent_call_identity(struct call *call, const struct registry *registry)
{
	const char *user = call_param(call, "REMOTE_USER");
	const struct token *token;

	if (user != NULL && user[0] != '\0')
		return user;
	token = auth_check_bearer(registry, call_param(call,
	    "HTTP_AUTHORIZATION"), TOKEN_ROLE_AGENT);
	return token == NULL ? NULL : token->user;
}

bool
agent_call_may_serve(const struct registry *registry, const char *identity,
    struct span backend)
{
	const struct backend *b = registry_backend(registry, backend);

	return b != NULL && strcmp(b->backend_user, identity) == 0;
}

void
agent_call_refuse(struct call *call, int status, const char *why)
{
	const char *address = call_param(call, "REMOTE_ADDR");
	const char *backend = call_param(call,
	    "HTTP_X_INVERTING_PROXY_BACKEND_ID");
	struct log_line line;

	log_line_begin(&line, LOG_LEVEL_WARN, NULL, "agent refused");
	log_line_number(&line, "status", status);
	log_line_span(&line, "address", span_str(address));
	if (backend != NULL)
		log_line_span(&line, "backend", span_str(backend));
	log_line_span(&line, "why", span_str(why));
	log_line_end(&line);
	reply_text(call, status, why, NULL, 0);
}

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
	const char *identity;

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
	if ((identity = agent_call_identity(call, parts->registry)) == NULL) {
		agent_call_refuse(call, 401,
		    "A valid agent token is needed.");
		return;
	}
	switch (kind) {
	case CALL_PENDING:
		agent_classic_pending(parts->classic, call, identity);
		break;
	case CALL_FETCH:
		agent_classic_fetch(parts->classic, call, identity);
		break;
	case CALL_RESPONSE:
		agent_classic_response(parts->classic, call, identity);
		break;
	case CALL_EXCHANGE:
		agent_native_exchange(parts->native, call, identity);
		break;
	case CALL_UNKNOWN:
		break;
	}
}
