/* http1_body.h - where an HTTP/1.1 message body ends (RFC 9112 sections 6
 * and 7), decoded incrementally, and the chunked coding the other way. */
#ifndef COMMON_HTTP1_BODY_H
#define COMMON_HTTP1_BODY_H

#include "common/buf.h"
#include "common/http1_head.h"
#include "common/span.h"
#include "common/wire_error.h"

struct http1_body {
	struct http1_framing framing;
	unsigned long long left;	/* of the length, or of the chunk */
	unsigned long long content_len;	/* content bytes delivered so far */
	int state;
	int error;			/* sticky */
	size_t line_len;		/* bounds chunk lines and trailers */
};

void http1_body_init(struct http1_body *body, struct http1_framing framing);

/*
 * Takes bytes from the front of *in and, when they hold content, sets
 * *content to a view of it (empty otherwise).  Call again with the rest of
 * *in until it answers something other than WIRE_MORE or both *in and *content
 * are empty.  WIRE_DONE: the body has ended; *in is what follows it.
 * WIRE_MALFORMED, WIRE_TOO_LARGE (a chunk line over 256 bytes, a trailer
 * section over 16 KiB): sticky.  Trailer fields are checked and dropped.
 * A body of HTTP1_FRAMING_NONE is done at once.
 */
int http1_body_decode(struct http1_body *body, struct span *in,
    struct span *content) WIRE_MUSTCHECK;

/* The input has ended (the peer closed).  WIRE_DONE for a body that is
 * complete or delimited by close, else WIRE_TRUNCATED. */
int http1_body_end(struct http1_body *body) WIRE_MUSTCHECK;

/* Appends one chunk around content (nothing for empty content), or the last
 * chunk with an empty trailer section. */
int http1_chunk_encode(struct buf *out, struct span content) WIRE_MUSTCHECK;
int http1_chunk_encode_last(struct buf *out) WIRE_MUSTCHECK;

#endif
