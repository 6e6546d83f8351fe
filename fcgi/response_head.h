/* response_head.h - the CGI head that the web server gets, made from the
 * response head that the agent sent.  Pure. */
#ifndef FCGI_RESPONSE_HEAD_H
#define FCGI_RESPONSE_HEAD_H

#include <stdbool.h>

#include "common/buf.h"
#include "common/span.h"
#include "common/wire_error.h"

struct response_head {
	int status;
	bool has_content;	/* may have: not HEAD, 204, 304 */
	bool has_length;	/* Content-Length given (also for HEAD) */
	unsigned long long length;
};

/*
 * Appends to out the CGI form (RFC 3875 6) of this HTTP/1.1 wire head: Status
 * first, then every field line in order, but hop-by-hop ones and those by
 * which a CGI response steers the web server (Status, X-Sendfile, ...).
 * method: that of the request.  close: ask the web server to close the
 * client's connection after a response that may have content.
 *
 * Negative when the agent sent what is not a final response: 502.
 */
struct response_head_options {
	size_t max_fields;
	bool via;
	bool close;
};

int response_head_encode(struct span wire, struct span method,
    const struct response_head_options *options, struct response_head *head,
    struct buf *out) WIRE_MUSTCHECK;

#endif
