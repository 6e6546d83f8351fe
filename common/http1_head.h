/* http1_head.h - request and response heads in HTTP/1.1 wire form
 * (RFC 9112 sections 2 to 6).  Strict: CRLF only, no obs-fold, no space
 * before the colon.  Pure: memory the caller gives. */
#ifndef COMMON_HTTP1_HEAD_H
#define COMMON_HTTP1_HEAD_H

#include <stdbool.h>
#include <stddef.h>

#include "common/field.h"
#include "common/span.h"
#include "common/wire_error.h"

/* Views into the head that was decoded; live no longer than it. */
struct http1_request {
	struct span method;
	struct span target;	/* raw request target, nothing decoded */
	int minor_version;	/* HTTP/1.x */
	struct fields fields;
};

struct http1_response {
	int status;		/* 100 to 999 */
	int minor_version;
	struct span reason;	/* may be empty */
	struct fields fields;
};

enum http1_framing_kind {
	HTTP1_FRAMING_NONE,		/* no content */
	HTTP1_FRAMING_LENGTH,		/* Content-Length bytes */
	HTTP1_FRAMING_CHUNKED,
	HTTP1_FRAMING_UNTIL_CLOSE,	/* responses only */
};

struct http1_framing {
	enum http1_framing_kind kind;
	unsigned long long length;	/* with HTTP1_FRAMING_LENGTH */
};

/* Looks for the empty line that ends a head in the bytes so far.  WIRE_DONE
 * sets *head_len (the empty line included); WIRE_MORE; WIRE_TOO_LARGE when
 * there is none within max bytes; WIRE_MALFORMED as soon as a bare CR, a bare
 * LF or a NUL shows that it can never be one.  `from` is where the search may
 * begin (what an earlier call has already looked at), 0 at first. */
int http1_head_find_end(struct span bytes, size_t from, size_t max,
    size_t *head_len) WIRE_MUSTCHECK;

/* Decodes one whole head as http1_head_find_end delimited it.  WIRE_TOO_LARGE
 * over max_fields lines.  On failure nothing needs clearing.  On success
 * clear with http1_request_clear (the field array is heap). */
int http1_request_decode(struct span head, size_t max_fields,
    struct http1_request *request) WIRE_MUSTCHECK;
void http1_request_clear(struct http1_request *request);

int http1_response_decode(struct span head, size_t max_fields,
    struct http1_response *response) WIRE_MUSTCHECK;
void http1_response_clear(struct http1_response *response);

/* How the content is delimited (RFC 9112 6.3).  WIRE_AMBIGUOUS for
 * Content-Length together with Transfer-Encoding, differing Content-Lengths
 * (equal repeats are one), two Hosts; WIRE_UNSUPPORTED for a transfer coding
 * other than a single final "chunked"; WIRE_MALFORMED for a Content-Length
 * that is not digits. */
int http1_request_framing(const struct http1_request *request,
    struct http1_framing *framing) WIRE_MUSTCHECK;

/* `method` is that of the request answered: HEAD has no content, nor have
 * 1xx, 204 and 304. */
int http1_response_framing(const struct http1_response *response,
    struct span method, struct http1_framing *framing) WIRE_MUSTCHECK;

/* RFC 9110 9.2.2: GET HEAD PUT DELETE OPTIONS TRACE (and the WebDAV safe
 * ones PROPFIND REPORT SEARCH).  Case-sensitive. */
bool http1_method_is_idempotent(struct span method);

/* RFC 9110 9.1: a token. */
bool http1_method_is_valid(struct span method);

/* The registered phrase for a status, "" for an unknown one. */
const char *http1_reason_phrase(int status);

#endif
