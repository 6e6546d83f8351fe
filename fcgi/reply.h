/* reply.h - short answers of the worker itself, to clients and to agents. */
#ifndef FCGI_REPLY_H
#define FCGI_REPLY_H

#include "common/span.h"
#include "fcgi/responder.h"

/* Writes a whole text/plain response and finishes the call.  message: a
 * sentence or two for people.  exchange: an id to show, or NULL.  retry_after:
 * seconds, 0 for no Retry-After field. */
void reply_text(struct call *call, int status, const char *message,
    const char *exchange, int retry_after);

/* Writes a whole response with this content and finishes the call. */
void reply_content(struct call *call, int status, const char *type,
    struct span content);

#endif
