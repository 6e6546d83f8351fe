/* client_call.h - the client role: a request of somebody out there. */
#ifndef FCGI_CLIENT_CALL_H
#define FCGI_CLIENT_CALL_H

#include "fcgi/exchange.h"
#include "fcgi/registry.h"
#include "fcgi/responder.h"
#include "fcgi/settings.h"

/* Routes the call to a backend and begins its exchange, or answers it at
 * once: 400, 404, 431, 501, 503. */
void client_call_request(struct call *call, struct exchanges *exchanges,
    struct registry *registry, const struct settings *settings);

#endif
