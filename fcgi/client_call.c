/* client_call.c - the client role: from params to an exchange. */
#include "config.h"

#include <string.h>

#include "common/field.h"
#include "common/log.h"
#include "fcgi/client_call.h"
#include "fcgi/reply.h"
#include "fcgi/request_head.h"

enum { RETRY_AFTER_SECONDS = 5 };

/* limit: the option that it is over; NULL: none. */
static void
refuse_over(struct call *call, int status, const char *why, const char *limit,
    const char *backend)
{
	const char *target = call_param(call, "REQUEST_URI");
	const char *client = call_param(call, "REMOTE_ADDR");
	struct log_line line;

	log_line_begin(&line, LOG_LEVEL_INFO, NULL, "refused");
	log_line_number(&line, "status", status);
	log_line_span(&line, "target", span_str(target));
	if (client != NULL)
		log_line_span(&line, "client", span_str(client));
	if (backend != NULL)
		log_line_span(&line, "backend", span_str(backend));
	if (limit != NULL)
		log_line_span(&line, "limit", span_str(limit));
	log_line_span(&line, "why", span_str(why));
	log_line_end(&line);
	reply_text(call, status, why, NULL, status == 503 ||
	    status == 429 ? RETRY_AFTER_SECONDS : 0);
}

static void
refuse(struct call *call, int status, const char *why)
{
	refuse_over(call, status, why, NULL, NULL);
}

static void
refuse_head(struct call *call, int error)
{
	if (error == WIRE_TOO_LARGE)
		refuse_over(call, 431, "The request head is too large.",
		    "--head-limit or --field-limit", NULL);
	else if (error == WIRE_UNSUPPORTED)
		refuse(call, 501, "This method or request target can't be "
		    "passed on.");
	else
		refuse(call, 400, "The request head is malformed.");
}

static void
give_back(void *place)
{
	quota_give_back(place);
}

/* A place with the backend and one with the client's address; false: the call
 * was answered. */
static bool
take_places(const struct client_parts *parts, struct call *call,
    const struct backend *backend, struct quota_place **place)
{
	struct quota_place *client;

	if (!quota_take(parts->backends, span_str(backend->id), place)) {
		refuse_over(call, 503, "Too many requests to this backend are "
		    "under way.", "--backend-limit", backend->id);
		return false;
	}
	if (!quota_take(parts->addresses, span_str(call_param(call,
	    "REMOTE_ADDR")), &client)) {
		quota_give_back(*place);
		refuse_over(call, 429, "Too many requests from this address are "
		    "under way.", "--client-limit", backend->id);
		return false;
	}
	/* Who does not take his responses keeps his places. */
	call_on_over(call, give_back, client);
	return true;
}

void
client_call_request(struct call *call, const struct client_parts *parts)
{
	const struct settings *settings = parts->settings;
	struct request_head_limits limits = {
	    (size_t)settings->field_limit, settings->via };
	const char *user = call_param(call, "REMOTE_USER");
	const struct backend *backend;
	struct quota_place *place;
	struct request_head head;
	struct buf wire;
	int r;

	if (!registry_is_loaded(parts->registry)) {
		refuse(call, 503, "The proxy's store is not available.");
		return;
	}
	if (user != NULL && user[0] != '\0' && (strlen(user) > USER_MAX ||
	    !field_value_is_valid(span_str(user)))) {
		refuse(call, 400, "This user's name can't be passed on.");
		return;
	}
	buf_init(&wire, (size_t)settings->head_limit);
	if ((r = request_head_encode(call_params(call), &limits, &head,
	    &wire)) != WIRE_OK) {
		refuse_head(call, r);
		goto out;
	}
	if (settings->body_limit > 0 && head.has_length &&
	    head.length > (unsigned long long)settings->body_limit) {
		refuse_over(call, 413, "The request's content is too large.",
		    "--body-limit", NULL);
		goto out;
	}
	backend = registry_route(parts->registry, user, head.target);
	if (backend == NULL) {
		refuse(call, 404, "There is no backend for this user and "
		    "path.");
		goto out;
	}
	if (take_places(parts, call, backend, &place))
		exchange_begin(parts->exchanges, call, backend, user, &head,
		    &wire, place);
out:	buf_clear(&wire);
}
