/* client_call.c - the client role: from params to an exchange. */
#include "config.h"

#include <string.h>

#include "common/field.h"
#include "common/log.h"
#include "fcgi/client_call.h"
#include "fcgi/reply.h"
#include "fcgi/request_head.h"

static void
refuse(struct call *call, int status, const char *why)
{
	const char *target = call_param(call, "REQUEST_URI");
	struct log_line line;

	log_line_begin(&line, LOG_LEVEL_INFO, NULL, "refused");
	log_line_number(&line, "status", status);
	log_line_span(&line, "target", span_str(target));
	log_line_span(&line, "why", span_str(why));
	log_line_end(&line);
	reply_text(call, status, why, NULL, status == 503 ? 5 : 0);
}

static void
refuse_head(struct call *call, int error)
{
	if (error == WIRE_TOO_LARGE)
		refuse(call, 431, "The request head is too large.");
	else if (error == WIRE_UNSUPPORTED)
		refuse(call, 501, "This method or request target can't be "
		    "passed on.");
	else
		refuse(call, 400, "The request head is malformed.");
}

void
client_call_request(struct call *call, struct exchanges *exchanges,
    struct registry *registry, const struct settings *settings)
{
	struct request_head_limits limits = {
	    (size_t)settings->field_limit, settings->via };
	const char *user = call_param(call, "REMOTE_USER");
	const struct backend *backend;
	struct request_head head;
	struct buf wire;
	int r;

	if (!registry_is_loaded(registry)) {
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
	backend = registry_route(registry, user, head.target);
	if (backend == NULL) {
		refuse(call, 404, "There is no backend for this user and "
		    "path.");
		goto out;
	}
	exchange_begin(exchanges, call, backend, user, &head, &wire);
out:	buf_clear(&wire);
}
