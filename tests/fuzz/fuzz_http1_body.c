/* fuzz_http1_body.c - any bytes as a body: the same content, end and verdict
 * whole and byte by byte; chunks encoded from it decode to it.  The first
 * byte of an input chooses the framing. */
#include "config.h"

#include <stdlib.h>

#include "common/http1_body.h"
#include "tests/fuzz/fuzz.h"

/* Feeds *bytes in pieces of `step`; leaves in it what was not taken. */
static int
decode(struct http1_framing framing, struct span *bytes, size_t step,
    struct buf *content)
{
	struct http1_body body;
	struct span piece, in;
	int r = WIRE_MORE;

	http1_body_init(&body, framing);
	while (r == WIRE_MORE && bytes->len > 0) {
		size_t n = bytes->len < step ? bytes->len : step;

		in = span_of(bytes->data, n);
		do {
			r = http1_body_decode(&body, &in, &piece);
			must(buf_append_span(content, piece) == WIRE_OK);
			must(r >= 0 || piece.len == 0);
		} while (r == WIRE_MORE && (in.len > 0 || piece.len > 0));
		*bytes = span_of(in.data, bytes->len - n + in.len);
	}
	must(body.content_len == buf_len(content));
	if (r < 0)
		must(http1_body_decode(&body, &in, &piece) == r);
	return r;
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static const struct http1_framing chunked = { HTTP1_FRAMING_CHUNKED,
		0 };
	struct http1_framing framing;
	struct buf whole, pieces, wire;
	struct span a, b;
	int r, s;

	if (size == 0)
		return 0;
	framing.kind = (enum http1_framing_kind)(data[0] & 3);
	framing.length = data[0] >> 2;
	a = b = span_of(data + 1, size - 1);
	buf_init(&whole, size);
	buf_init(&pieces, size);
	r = decode(framing, &a, size, &whole);
	s = decode(framing, &b, 1, &pieces);
	must(r == s && span_is(buf_span(&whole), buf_span(&pieces)));
	must(r != WIRE_DONE || span_is(a, b));

	buf_init(&wire, size + 64);
	must(http1_chunk_encode(&wire, buf_span(&whole)) == WIRE_OK &&
	    http1_chunk_encode_last(&wire) == WIRE_OK);
	buf_truncate(&pieces, 0);
	a = buf_span(&wire);
	must(decode(chunked, &a, 7, &pieces) == WIRE_DONE && a.len == 0);
	must(span_is(buf_span(&whole), buf_span(&pieces)));

	buf_clear(&whole);
	buf_clear(&pieces);
	buf_clear(&wire);
	return 0;
}
