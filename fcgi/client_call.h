/* client_call.h - the client role: a request of somebody out there. */
#ifndef FCGI_CLIENT_CALL_H
#define FCGI_CLIENT_CALL_H

#include "fcgi/exchange.h"
#include "fcgi/quota.h"
#include "fcgi/registry.h"
#include "fcgi/responder.h"
#include "fcgi/settings.h"

struct client_parts {
	const struct settings *settings;
	struct exchanges *exchanges;
	struct registry *registry;
	struct quota *backends;		/* exchanges in flight, by backend */
	struct quota *addresses;	/* ... and by the client's address */
};

/* Routes the call to a backend and begins its exchange, or answers it at
 * once: 400, 404, 413, 429, 431, 501, 503. */
void client_call_request(struct call *call, const struct client_parts *parts);

#endif
