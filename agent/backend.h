/* backend.h - a backend, and what a request to it and its response look
 * like.  Pure, but for backend_new, which makes the transfer peer. */
#ifndef AGENT_BACKEND_H
#define AGENT_BACKEND_H

#include <stdbool.h>

#include "agent/settings.h"
#include "agent/transfer.h"
#include "common/buf.h"
#include "common/http1_head.h"
#include "common/span.h"

struct backend {
	char *id;			/* at the proxy */
	char *host;			/* as it was given, for messages */
	struct transfer_peer *peer;
	bool is_healthy;
};

/* item: of --backend.  NULL when libcurl refuses it. */
struct backend *backend_new(struct transfer_engine *engine,
    const struct settings *s, const char *item);
void backend_free(struct backend *b);

/* Field lines of more than this many are refused. */
enum { BACKEND_FIELDS_MAX = 1000 };

/*
 * Makes what is sent to the backend of what came from the proxy: hop-by-hop
 * field lines, Expect (the web server has answered it) and anything that
 * claims to be the end user's id go; the id itself is added if that is asked
 * for.  *framing says what content comes.  A wire_error when it is not a
 * request to forward.
 */
int backend_request(const struct settings *s, struct span user,
    struct http1_request *request, struct http1_framing *framing)
    WIRE_MUSTCHECK;

/*
 * Checks the backend's response head and appends what is sent to the proxy,
 * in wire form.  Without Content-Length where the backend used a transfer
 * coding (RFC 9112 6.3).  *framing as the backend had it, NONE for a response
 * without content.  `chunked` adds Transfer-Encoding: chunked to a response
 * with content, and drops its Content-Length.
 */
int backend_response(struct span head, struct span method, bool chunked,
    struct buf *out, struct http1_framing *framing) WIRE_MUSTCHECK;

#endif
