/* test_http1_body.c - where a body ends, whole and piecemeal. */
#include "config.h"

#include <criterion/criterion.h>
#include <stdint.h>
#include <string.h>

#include "common/http1_body.h"

#define COUNT_OF(array) (sizeof(array) / sizeof((array)[0]))
#define BYTES(literal) { literal, sizeof(literal) - 1 }

static const struct http1_framing chunked = { HTTP1_FRAMING_CHUNKED, 0 };

/* Feeds bytes in pieces of at most `step`; content is appended to *content,
 * *rest is what was not taken. */
static int
decode(struct http1_body *body, struct span bytes, size_t step,
    struct buf *content, struct span *rest)
{
	int r = WIRE_MORE;

	while (r == WIRE_MORE && bytes.len > 0) {
		size_t n = bytes.len < step ? bytes.len : step;
		struct span in = span_of(bytes.data, n);
		struct span piece;

		do {
			r = http1_body_decode(body, &in, &piece);
			cr_assert_eq(buf_append_span(content, piece), WIRE_OK);
		} while (r == WIRE_MORE && (in.len > 0 || piece.len > 0));
		bytes.len -= n - in.len;
		bytes.data += n - in.len;
	}
	*rest = bytes;
	return r;
}

struct vector {
	struct span bytes;
	int answer;
	const char *content;
	const char *rest;	/* when done */
};

static void
assert_decodes(struct http1_framing framing, const struct vector *v)
{
	static const size_t steps[] = { 1, 2, 3, 7, SIZE_MAX };

	for (size_t i = 0; i < COUNT_OF(steps); i++) {
		struct http1_body body;
		struct buf content;
		struct span rest;
		int r;

		buf_init(&content, 100000);
		http1_body_init(&body, framing);
		r = decode(&body, v->bytes, steps[i], &content, &rest);
		cr_assert_eq(r, v->answer, "\"%s\" by %zu: %s", v->bytes.data,
		    steps[i], wire_strerror(r));
		cr_assert(span_is(buf_span(&content), span_str(v->content)),
		    "\"%s\" by %zu", v->bytes.data, steps[i]);
		cr_assert_eq(body.content_len, strlen(v->content));
		if (r == WIRE_DONE)
			cr_assert(span_is(rest, span_str(v->rest)),
			    "\"%s\" by %zu", v->bytes.data, steps[i]);
		buf_clear(&content);
	}
}

static const struct vector chunked_vectors[] = {
	{ BYTES("0\r\n\r\n"), WIRE_DONE, "", "" },
	{ BYTES("0\r\n\r\nGET /"), WIRE_DONE, "", "GET /" },
	{ BYTES("5\r\nhello\r\n0\r\n\r\n"), WIRE_DONE, "hello", "" },
	{ BYTES("1\r\n\r\r\n2\r\n\r\n\r\n000\r\n\r\nx"), WIRE_DONE,
	    "\r\r\n", "x" },
	{ BYTES("0000000000000000000000a\r\n0123456789\r\n0\r\n\r\n"),
	    WIRE_DONE, "0123456789", "" },
	{ BYTES("a\r\n0123456789\r\nA\r\n0123456789\r\n0\r\n\r\n"), WIRE_DONE,
	    "01234567890123456789", "" },
	{ BYTES("3;a\r\nabc\r\n3 \t;a=\"b;c\" ; d\r\nabc\r\n0;x\r\n\r\n"),
	    WIRE_DONE, "abcabc", "" },
	{ BYTES("1\r\na\r\n0\r\nX-T: 1\r\ny:\r\nZ:\t\xc3\xa4 \r\n\r\nGET"),
	    WIRE_DONE, "a", "GET" },
	{ BYTES("5\r\nhel"), WIRE_MORE, "hel", NULL },
	{ BYTES("5\r\nhello\r\n0\r\n"), WIRE_MORE, "hello", NULL },
	{ BYTES("ffffffffffffffff\r\nabc"), WIRE_MORE, "abc", NULL },
	{ BYTES("10000000000000000\r\nabc"), WIRE_TOO_LARGE, "", NULL },
	{ BYTES("\r\n"), WIRE_MALFORMED, "", NULL },
	{ BYTES(";a\r\n"), WIRE_MALFORMED, "", NULL },
	{ BYTES(" 5\r\nhello"), WIRE_MALFORMED, "", NULL },
	{ BYTES("5 \r\nhello"), WIRE_MALFORMED, "", NULL },
	{ BYTES("5 5\r\nhello"), WIRE_MALFORMED, "", NULL },
	{ BYTES("+5\r\nhello"), WIRE_MALFORMED, "", NULL },
	{ BYTES("-5\r\nhello"), WIRE_MALFORMED, "", NULL },
	{ BYTES("0x5\r\nhello"), WIRE_MALFORMED, "", NULL },
	{ BYTES("5g\r\nhello"), WIRE_MALFORMED, "", NULL },
	{ BYTES("5\nhello"), WIRE_MALFORMED, "", NULL },
	{ BYTES("5\rhello"), WIRE_MALFORMED, "", NULL },
	{ BYTES("5;a\nhello"), WIRE_MALFORMED, "", NULL },
	{ BYTES("5;a\0\r\nhello"), WIRE_MALFORMED, "", NULL },
	{ BYTES("5\r\nhello0\r\n"), WIRE_MALFORMED, "hello", NULL },
	{ BYTES("5\r\nhello\n0\r\n"), WIRE_MALFORMED, "hello", NULL },
	{ BYTES("5\r\nhello\r0\r\n"), WIRE_MALFORMED, "hello", NULL },
	{ BYTES("0\r\n\n"), WIRE_MALFORMED, "", NULL },
	{ BYTES("0\r\n\rX"), WIRE_MALFORMED, "", NULL },
	{ BYTES("0\r\nX\r\n\r\n"), WIRE_MALFORMED, "", NULL },
	{ BYTES("0\r\n: x\r\n\r\n"), WIRE_MALFORMED, "", NULL },
	{ BYTES("0\r\n a: x\r\n\r\n"), WIRE_MALFORMED, "", NULL },
	{ BYTES("0\r\na : x\r\n\r\n"), WIRE_MALFORMED, "", NULL },
	{ BYTES("0\r\na: x\n\r\n"), WIRE_MALFORMED, "", NULL },
	{ BYTES("0\r\na: x\ry\r\n\r\n"), WIRE_MALFORMED, "", NULL },
	{ BYTES("0\r\na: \0\r\n\r\n"), WIRE_MALFORMED, "", NULL },
};

Test(http1_body, decodes_the_chunked_coding_in_pieces_of_any_size)
{
	for (size_t i = 0; i < COUNT_OF(chunked_vectors); i++)
		assert_decodes(chunked, &chunked_vectors[i]);
}

Test(http1_body, takes_exactly_the_length_that_was_named)
{
	const struct http1_framing five = { HTTP1_FRAMING_LENGTH, 5 };
	const struct http1_framing zero = { HTTP1_FRAMING_LENGTH, 0 };

	assert_decodes(five, &(struct vector){ BYTES("hello"), WIRE_DONE,
	    "hello", "" });
	assert_decodes(five, &(struct vector){ BYTES("hello!!"), WIRE_DONE,
	    "hello", "!!" });
	assert_decodes(five, &(struct vector){ BYTES("hel"), WIRE_MORE,
	    "hel", NULL });
	assert_decodes(zero, &(struct vector){ BYTES("x"), WIRE_DONE, "",
	    "x" });
}

Test(http1_body, has_no_content_where_there_is_none_and_all_until_close)
{
	const struct http1_framing none = { HTTP1_FRAMING_NONE, 0 };
	const struct http1_framing all = { HTTP1_FRAMING_UNTIL_CLOSE, 0 };

	assert_decodes(none, &(struct vector){ BYTES("next"), WIRE_DONE, "",
	    "next" });
	assert_decodes(all, &(struct vector){ BYTES("0\r\n\r\nmore"),
	    WIRE_MORE, "0\r\n\r\nmore", NULL });
}

/* What http1_body_end says after these bytes. */
static int
end_after(struct http1_framing framing, const char *bytes)
{
	struct http1_body body;
	struct buf content;
	struct span rest;
	int r;

	buf_init(&content, 1000);
	http1_body_init(&body, framing);
	(void)decode(&body, span_str(bytes), 1000, &content, &rest);
	r = http1_body_end(&body);
	cr_assert_eq(http1_body_end(&body), r, "sticky");
	buf_clear(&content);
	return r;
}

Test(http1_body, shows_a_body_that_broke_off_as_truncated)
{
	const struct http1_framing two = { HTTP1_FRAMING_LENGTH, 2 };
	const struct http1_framing none = { HTTP1_FRAMING_NONE, 0 };
	const struct http1_framing all = { HTTP1_FRAMING_UNTIL_CLOSE, 0 };

	cr_assert_eq(end_after(two, ""), WIRE_TRUNCATED);
	cr_assert_eq(end_after(two, "a"), WIRE_TRUNCATED);
	cr_assert_eq(end_after(two, "ab"), WIRE_DONE);
	cr_assert_eq(end_after(none, ""), WIRE_DONE);
	cr_assert_eq(end_after(all, ""), WIRE_DONE);
	cr_assert_eq(end_after(all, "abc"), WIRE_DONE);
	cr_assert_eq(end_after(chunked, ""), WIRE_TRUNCATED);
	cr_assert_eq(end_after(chunked, "1\r\na\r\n"), WIRE_TRUNCATED);
	cr_assert_eq(end_after(chunked, "1\r\na\r\n0\r\n"), WIRE_TRUNCATED);
	cr_assert_eq(end_after(chunked, "1\r\na\r\n0\r\n\r\n"), WIRE_DONE);
	cr_assert_eq(end_after(chunked, "x"), WIRE_MALFORMED);
}

Test(http1_body, stays_failed_once_it_failed_and_done_once_done)
{
	struct span good = span_str("5\r\nhello\r\n0\r\n\r\n"), in, content;
	struct http1_body body;

	http1_body_init(&body, chunked);
	in = span_str("x");
	cr_assert_eq(http1_body_decode(&body, &in, &content), WIRE_MALFORMED);
	in = good;
	cr_assert_eq(http1_body_decode(&body, &in, &content), WIRE_MALFORMED);
	cr_assert_eq(content.len, 0);

	http1_body_init(&body, chunked);
	in = span_str("0\r\n\r\n");
	cr_assert_eq(http1_body_decode(&body, &in, &content), WIRE_DONE);
	in = good;
	cr_assert_eq(http1_body_decode(&body, &in, &content), WIRE_DONE);
	cr_assert_eq(in.len, good.len);
	cr_assert_eq(content.len, 0);
}

/* Feeds `start`, then n times `fill`, then `stop`. */
static int
decode_long(const char *start, const char *fill, size_t n, const char *stop)
{
	struct http1_body body;
	struct buf bytes, content;
	struct span rest;
	int r;

	buf_init(&bytes, 100000);
	buf_init(&content, 100000);
	cr_assert_eq(buf_append_str(&bytes, start), WIRE_OK);
	for (size_t i = 0; i < n; i++)
		cr_assert_eq(buf_append_str(&bytes, fill), WIRE_OK);
	cr_assert_eq(buf_append_str(&bytes, stop), WIRE_OK);
	http1_body_init(&body, chunked);
	r = decode(&body, buf_span(&bytes), SIZE_MAX, &content, &rest);
	buf_clear(&bytes);
	buf_clear(&content);
	return r;
}

Test(http1_body, bounds_chunk_lines_and_trailer_sections)
{
	/* 256 bytes with the CRLF */
	cr_assert_eq(decode_long("", "0", 254, "\r\n\r\n"), WIRE_DONE);
	cr_assert_eq(decode_long("", "0", 255, "\r\n\r\n"), WIRE_TOO_LARGE);
	cr_assert_eq(decode_long("0;", "x", 252, "\r\n\r\n"), WIRE_DONE);
	cr_assert_eq(decode_long("0;", "x", 253, "\r\n\r\n"), WIRE_TOO_LARGE);
	/* each chunk line by itself */
	cr_assert_eq(decode_long("1\r\na\r\n", "0", 254, "\r\n\r\n"),
	    WIRE_DONE);
	cr_assert_eq(decode_long("", "1\r\na\r\n", 1000, "0\r\n\r\n"),
	    WIRE_DONE);
	/* 16 KiB with the empty line */
	cr_assert_eq(decode_long("0\r\n", "a:bcd\r\n", 2340, "\r\n"),
	    WIRE_DONE);
	cr_assert_eq(decode_long("0\r\n", "a:bcd\r\n", 2341, "\r\n"),
	    WIRE_TOO_LARGE);
}

Test(http1_body, encodes_chunks_that_decode_to_the_same_content)
{
	static const size_t sizes[] = { 1, 9, 10, 15, 16, 255, 256, 65536 };
	static char bytes[65536];
	struct buf wire, content;
	struct http1_body body;
	struct span rest;
	size_t total = 0;

	memset(bytes, '\n', sizeof(bytes));
	buf_init(&wire, 200000);
	buf_init(&content, 200000);
	for (size_t i = 0; i < COUNT_OF(sizes); i++) {
		cr_assert_eq(http1_chunk_encode(&wire,
		    span_of(bytes, sizes[i])), WIRE_OK);
		cr_assert_eq(http1_chunk_encode(&wire, span_of(NULL, 0)),
		    WIRE_OK);
		total += sizes[i];
	}
	cr_assert_eq(http1_chunk_encode_last(&wire), WIRE_OK);
	http1_body_init(&body, chunked);
	cr_assert_eq(decode(&body, buf_span(&wire), 1000, &content, &rest),
	    WIRE_DONE);
	cr_assert_eq(rest.len, 0);
	cr_assert_eq(buf_len(&content), total);
	cr_assert_eq(memcmp(buf_data(&content), bytes, 65536), 0);
	buf_clear(&wire);
	buf_clear(&content);
}

Test(http1_body, encodes_a_chunk_whole_or_not_at_all)
{
	struct buf wire;

	buf_init(&wire, 21);
	cr_assert_eq(http1_chunk_encode(&wire, span_str("0123456789abcdef")),
	    WIRE_TOO_LARGE);
	cr_assert_eq(http1_chunk_encode(&wire, span_of("", SIZE_MAX)),
	    WIRE_TOO_LARGE);
	cr_assert_eq(buf_len(&wire), 0);
	wire.max = 22;
	cr_assert_eq(http1_chunk_encode(&wire, span_str("0123456789abcdef")),
	    WIRE_OK);
	cr_assert(span_is(buf_span(&wire),
	    span_str("10\r\n0123456789abcdef\r\n")));
	cr_assert_eq(http1_chunk_encode_last(&wire), WIRE_TOO_LARGE);
	buf_clear(&wire);
}
