/* proxy.h - calls to the proxy: where they go and what each carries. */
#ifndef AGENT_PROXY_H
#define AGENT_PROXY_H

#include <ev.h>
#include <stdbool.h>

#include "agent/settings.h"
#include "agent/transfer.h"
#include "common/field.h"
#include "common/span.h"

struct proxy;

enum proxy_endpoint {
	PROXY_PENDING,		/* GET agent/pending */
	PROXY_REQUEST,		/* GET agent/request */
	PROXY_RESPONSE,		/* POST agent/response */
	PROXY_EXCHANGE,		/* POST agent/exchange */
	PROXY_ENDPOINTS
};

/* NULL when a setting can't be used: said in the log.  has_credential(arg) is
 * called when the credential is there or has changed. */
struct proxy *proxy_new(struct ev_loop *loop, struct transfer_engine *engine,
    const struct settings *s, void (*has_credential)(void *arg), void *arg);
void proxy_free(struct proxy *p);

/* Is the credential there?  Calls wait for it. */
bool proxy_is_ready(const struct proxy *p);

/* The proxy refused the credential: gets it anew. */
void proxy_refused(struct proxy *p);

/* Adds what every call carries to fields (borrowed until the transfer has
 * been started), then starts the transfer. */
struct transfer *proxy_start(struct proxy *p, enum proxy_endpoint endpoint,
    struct transfer_request *request, struct fields *fields,
    const struct transfer_handler *handler, void *arg);

/* fields_add, where running out of memory is fatal. */
void proxy_add_field(struct fields *f, const char *name, struct span value);

#endif
