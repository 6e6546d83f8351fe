/* reply.h - short answers of the worker itself, to clients and to agents. */
#ifndef FCGI_REPLY_H
#define FCGI_REPLY_H

#include <stdbool.h>

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

/* Must the client's connection be closed after a response, so that one that
 * breaks off is seen as broken off?  Apache (mod_proxy_fcgi) ends neither the
 * response nor a kept connection then; the client would wait for its
 * KeepAliveTimeout. */
bool reply_break_needs_close(const struct call *call);

#endif
