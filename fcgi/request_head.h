/* request_head.h - the head that the agent gets, made from the FastCGI params
 * that the web server gave.  Pure. */
#ifndef FCGI_REQUEST_HEAD_H
#define FCGI_REQUEST_HEAD_H

#include <stdbool.h>

#include "common/buf.h"
#include "common/span.h"
#include "common/wire_error.h"

struct request_head {
	struct span method;	/* views into the params */
	struct span target;	/* origin-form, raw */
	bool has_content;
	bool has_length;
	unsigned long long length;	/* of the content, when has_length */
};

struct request_head_limits {
	size_t fields;
	bool via;
};

/*
 * Appends to out the HTTP/1.1 wire form of the request that these "NAME=value"
 * params describe, with its empty line.  What goes: the method, REQUEST_URI
 * cut to origin-form, the fields of HTTP_* but hop-by-hop ones (RFC 9110
 * 7.6.1), X-Inverting-Proxy-*, X-Forwarded-* (our own are put in their place),
 * Forwarded, Remote-User, X-Remote-User, X-Real-IP, X-Client-IP, Proxy
 * (httpoxy), Expect and what claims to be the content's length.
 *
 * WIRE_MALFORMED: 400.  WIRE_TOO_LARGE (out's ceiling, limits->fields): 431.
 * WIRE_UNSUPPORTED: a method or target that is not for a gateway: 501.
 */
int request_head_encode(char *const *params,
    const struct request_head_limits *limits, struct request_head *head,
    struct buf *out) WIRE_MUSTCHECK;

#endif
