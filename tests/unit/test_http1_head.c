/* test_http1_head.c - request and response heads, whole and piecemeal. */
#include "config.h"

#include <criterion/criterion.h>
#include <string.h>

#include "common/http1_head.h"

enum { MAX_FIELDS = 100 };

#define COUNT_OF(array) (sizeof(array) / sizeof((array)[0]))
#define BYTES(literal) { literal, sizeof(literal) - 1 }

/* Gives find_end the bytes one by one; it must answer as for the whole. */
static int
find_end_bytewise(struct span bytes, size_t max, size_t *head_len)
{
	int r = WIRE_MORE;

	for (size_t n = 0; n <= bytes.len && r == WIRE_MORE; n++)
		r = http1_head_find_end(span_of(bytes.data, n),
		    n > 0 ? n - 1 : 0, max, head_len);
	return r;
}

static const struct {
	struct span bytes;
	size_t max;
	int answer;
	size_t head_len;
} end_vectors[] = {
	{ BYTES("GET / HTTP/1.1\r\n\r\n"), 100, WIRE_DONE, 18 },
	{ BYTES("GET / HTTP/1.1\r\n\r\n"), 18, WIRE_DONE, 18 },
	{ BYTES("GET / HTTP/1.1\r\n\r\n"), 17, WIRE_TOO_LARGE, 0 },
	{ BYTES("GET / HTTP/1.1\r\n\r\nbody\n\r\0"), 100, WIRE_DONE, 18 },
	{ BYTES("A\r\nb: c\r\n\r\n\r\n"), 100, WIRE_DONE, 11 },
	{ BYTES("A\r\nb: c\r\n\r"), 100, WIRE_MORE, 0 },
	{ BYTES("A\r\nb: c\r\n"), 100, WIRE_MORE, 0 },
	{ BYTES("A\r\nb: c\r"), 100, WIRE_MORE, 0 },
	{ BYTES("A\r\nb"), 100, WIRE_MORE, 0 },
	{ BYTES("A\r\nb"), 4, WIRE_TOO_LARGE, 0 },
	{ BYTES(""), 100, WIRE_MORE, 0 },
	{ BYTES(""), 0, WIRE_TOO_LARGE, 0 },
	{ BYTES("\r"), 100, WIRE_MORE, 0 },
	{ BYTES("\r\n"), 100, WIRE_MALFORMED, 0 },
	{ BYTES("\n"), 100, WIRE_MALFORMED, 0 },
	{ BYTES("\0"), 100, WIRE_MALFORMED, 0 },
	{ BYTES("A\n"), 100, WIRE_MALFORMED, 0 },
	{ BYTES("A\r\nb: c\n\r\n"), 100, WIRE_MALFORMED, 0 },
	{ BYTES("A\r\nb: c\r\n\n"), 100, WIRE_MALFORMED, 0 },
	{ BYTES("A\r\nb: c\rd"), 100, WIRE_MALFORMED, 0 },
	{ BYTES("A\r\nb: c\rd\r\n"), 100, WIRE_MALFORMED, 0 },
	{ BYTES("A\r\nb: c\r\r\n"), 100, WIRE_MALFORMED, 0 },
	{ BYTES("A\r\nb: c\0\r\n"), 100, WIRE_MALFORMED, 0 },
	{ BYTES("A\r\nb: \0c"), 100, WIRE_MALFORMED, 0 },
	{ BYTES("A\0"), 100, WIRE_MALFORMED, 0 },
};

Test(http1_head, finds_the_end_of_a_head_or_that_there_can_be_none)
{
	for (size_t i = 0; i < COUNT_OF(end_vectors); i++) {
		size_t max = end_vectors[i].max, whole = 0, pieces = 0;
		struct span bytes = end_vectors[i].bytes;
		int answer = end_vectors[i].answer;

		cr_assert_eq(http1_head_find_end(bytes, 0, max, &whole),
		    answer, "vector %zu", i);
		cr_assert_eq(whole, end_vectors[i].head_len, "vector %zu", i);
		cr_assert_eq(find_end_bytewise(bytes, max, &pieces), answer,
		    "vector %zu in bytes", i);
		cr_assert_eq(pieces, end_vectors[i].head_len, "vector %zu", i);
	}
}

Test(http1_head, finds_the_end_from_wherever_it_looked_before)
{
	struct span head = span_str("GET / HTTP/1.1\r\nHost: a\r\n\r\n");

	for (size_t from = 0; from < head.len; from++) {
		size_t head_len = 0;

		cr_assert_eq(http1_head_find_end(head, from, 1000, &head_len),
		    WIRE_DONE, "from %zu", from);
		cr_assert_eq(head_len, head.len);
	}
}

static const struct {
	const char *head, *method, *target;
	int minor_version;
	const char *encoded;	/* the field lines, encoded again */
} requests[] = {
	{ "GET / HTTP/1.1\r\n\r\n", "GET", "/", 1, "" },
	{ "GET /a%2Fb//c?x=1&y HTTP/1.0\r\nHost: h\r\n\r\n", "GET",
	    "/a%2Fb//c?x=1&y", 0, "Host: h\r\n" },
	{ "OPTIONS * HTTP/1.1\r\n\r\n", "OPTIONS", "*", 1, "" },
	{ "CONNECT a:1 HTTP/1.1\r\n\r\n", "CONNECT", "a:1", 1, "" },
	{ "x-!#~ /\xc3\xa4\"<>\\^`{|} HTTP/1.9\r\n\r\n", "x-!#~",
	    "/\xc3\xa4\"<>\\^`{|}", 9, "" },
	{ "GET http://h/ HTTP/1.1\r\nA:1\r\nB: \t 2 \t\r\na: 3\r\nC:\r\n\r\n",
	    "GET", "http://h/", 1, "A: 1\r\nB: 2\r\na: 3\r\nC: \r\n" },
	{ "GET / HTTP/1.1\r\nU: \xc3\xa4 b\tc:d\r\n\r\n", "GET", "/", 1,
	    "U: \xc3\xa4 b\tc:d\r\n" },
};

static void
assert_encodes(const struct fields *fields, struct span wanted)
{
	struct buf out;

	buf_init(&out, 65536);
	cr_assert_eq(fields_encode(fields, &out), WIRE_OK);
	cr_assert(span_is(buf_span(&out), wanted), "encoded \"%.*s\"",
	    (int)buf_len(&out), buf_data(&out));
	buf_clear(&out);
}

Test(http1_head, decodes_requests_and_keeps_the_target_raw)
{
	for (size_t i = 0; i < COUNT_OF(requests); i++) {
		struct http1_request req;

		cr_assert_eq(http1_request_decode(span_str(requests[i].head),
		    MAX_FIELDS, &req), WIRE_OK, "%s", requests[i].head);
		cr_assert(span_is(req.method, span_str(requests[i].method)));
		cr_assert(span_is(req.target, span_str(requests[i].target)));
		cr_assert_eq(req.minor_version, requests[i].minor_version);
		assert_encodes(&req.fields, span_str(requests[i].encoded));
		http1_request_clear(&req);
	}
}

Test(http1_head, encodes_what_it_decoded)
{
	struct span head = span_str("GET / HTTP/1.1\r\nHost: h\r\n"
	    "Cookie: a=1; b=2\r\nX: 1\r\nX: 1\r\nX-Long: \"q, r\" (s)\r\n\r\n");
	struct span lines = span_of(head.data + 16, head.len - 18);
	struct http1_request req;

	cr_assert_eq(http1_request_decode(head, 5, &req), WIRE_OK);
	assert_encodes(&req.fields, lines);
	http1_request_clear(&req);
}

static const struct { struct span head; int answer; } bad_requests[] = {
	{ BYTES(""), WIRE_MALFORMED },
	{ BYTES("\r\n\r\n"), WIRE_MALFORMED },
	{ BYTES("GET / HTTP/1.1\r\n"), WIRE_MALFORMED },
	{ BYTES("GET / HTTP/1.1\r\n\r\nx"), WIRE_MALFORMED },
	{ BYTES("GET / HTTP/1.1\n\n"), WIRE_MALFORMED },
	{ BYTES("GET / HTTP/1.1\r\nA: b\n\r\n"), WIRE_MALFORMED },
	{ BYTES("GET  / HTTP/1.1\r\n\r\n"), WIRE_MALFORMED },
	{ BYTES("GET /  HTTP/1.1\r\n\r\n"), WIRE_MALFORMED },
	{ BYTES("GET / HTTP/1.1 \r\n\r\n"), WIRE_MALFORMED },
	{ BYTES(" GET / HTTP/1.1\r\n\r\n"), WIRE_MALFORMED },
	{ BYTES("GET\t/ HTTP/1.1\r\n\r\n"), WIRE_MALFORMED },
	{ BYTES("GET /\r\n\r\n"), WIRE_MALFORMED },
	{ BYTES("GET /a b HTTP/1.1\r\n\r\n"), WIRE_MALFORMED },
	{ BYTES("GET /a\tb HTTP/1.1\r\n\r\n"), WIRE_MALFORMED },
	{ BYTES("GET /a\0b HTTP/1.1\r\n\r\n"), WIRE_MALFORMED },
	{ BYTES("GET /a\rb HTTP/1.1\r\n\r\n"), WIRE_MALFORMED },
	{ BYTES("GET /\x7f HTTP/1.1\r\n\r\n"), WIRE_MALFORMED },
	{ BYTES("G(T / HTTP/1.1\r\n\r\n"), WIRE_MALFORMED },
	{ BYTES("GET / http/1.1\r\n\r\n"), WIRE_MALFORMED },
	{ BYTES("GET / HTTP/1\r\n\r\n"), WIRE_MALFORMED },
	{ BYTES("GET / HTTP/11.1\r\n\r\n"), WIRE_MALFORMED },
	{ BYTES("GET / HTTP/1.x\r\n\r\n"), WIRE_MALFORMED },
	{ BYTES("GET / HTTP/2.0\r\n\r\n"), WIRE_UNSUPPORTED },
	{ BYTES("GET / HTTP/1.1\r\nA : b\r\n\r\n"), WIRE_MALFORMED },
	{ BYTES("GET / HTTP/1.1\r\n A: b\r\n\r\n"), WIRE_MALFORMED },
	{ BYTES("GET / HTTP/1.1\r\nA: b\r\n c\r\n\r\n"), WIRE_MALFORMED },
	{ BYTES("GET / HTTP/1.1\r\nA: b\r\n\tc: d\r\n\r\n"), WIRE_MALFORMED },
	{ BYTES("GET / HTTP/1.1\r\nA\r\n\r\n"), WIRE_MALFORMED },
	{ BYTES("GET / HTTP/1.1\r\n: b\r\n\r\n"), WIRE_MALFORMED },
	{ BYTES("GET / HTTP/1.1\r\nA: b\rc\r\n\r\n"), WIRE_MALFORMED },
	{ BYTES("GET / HTTP/1.1\r\nA: b\0c\r\n\r\n"), WIRE_MALFORMED },
	{ BYTES("GET / HTTP/1.1\r\nA\0: b\r\n\r\n"), WIRE_MALFORMED },
	{ BYTES("GET / HTTP/1.1\r\nA: b\x01\r\n\r\n"), WIRE_MALFORMED },
	{ BYTES("GET / HTTP/1.1\r\n\xc3\xa4: b\r\n\r\n"), WIRE_MALFORMED },
};

Test(http1_head, refuses_requests_that_break_the_grammar)
{
	for (size_t i = 0; i < COUNT_OF(bad_requests); i++) {
		struct http1_request req;

		cr_assert_eq(http1_request_decode(bad_requests[i].head,
		    MAX_FIELDS, &req), bad_requests[i].answer,
		    "vector %zu", i);
	}
}

Test(http1_head, refuses_more_field_lines_than_allowed)
{
	struct span head = span_str("GET / HTTP/1.1\r\nA: 1\r\nB: 2\r\n\r\n");
	struct http1_request req;

	cr_assert_eq(http1_request_decode(head, 1, &req), WIRE_TOO_LARGE);
	cr_assert_eq(http1_request_decode(head, 0, &req), WIRE_TOO_LARGE);
	cr_assert_eq(http1_request_decode(head, 2, &req), WIRE_OK);
	http1_request_clear(&req);
	http1_request_clear(&req);
}

Test(http1_head, decodes_status_lines)
{
	static const struct {
		const char *head;
		int status, minor_version;
		const char *reason;
	} vectors[] = {
		{ "HTTP/1.1 200 OK\r\n\r\n", 200, 1, "OK" },
		{ "HTTP/1.0 404 Not \xc3\xa4 here\r\n\r\n", 404, 0,
		    "Not \xc3\xa4 here" },
		{ "HTTP/1.1 204 \r\n\r\n", 204, 1, "" },
		{ "HTTP/1.1 204\r\n\r\n", 204, 1, "" },
		{ "HTTP/1.1 999  x \r\n\r\n", 999, 1, " x " },
		{ "HTTP/1.1 100 Continue\r\n\r\n", 100, 1, "Continue" },
	};

	for (size_t i = 0; i < COUNT_OF(vectors); i++) {
		struct http1_response resp;

		cr_assert_eq(http1_response_decode(span_str(vectors[i].head),
		    MAX_FIELDS, &resp), WIRE_OK, "%s", vectors[i].head);
		cr_assert_eq(resp.status, vectors[i].status);
		cr_assert_eq(resp.minor_version, vectors[i].minor_version);
		cr_assert(span_is(resp.reason, span_str(vectors[i].reason)));
		http1_response_clear(&resp);
	}
}

Test(http1_head, refuses_status_lines_that_break_the_grammar)
{
	static const struct { struct span head; int answer; } vectors[] = {
		{ BYTES("HTTP/1.1\r\n\r\n"), WIRE_MALFORMED },
		{ BYTES("HTTP/1.1 \r\n\r\n"), WIRE_MALFORMED },
		{ BYTES("HTTP/1.1 99 x\r\n\r\n"), WIRE_MALFORMED },
		{ BYTES("HTTP/1.1 099 x\r\n\r\n"), WIRE_MALFORMED },
		{ BYTES("HTTP/1.1 1000 x\r\n\r\n"), WIRE_MALFORMED },
		{ BYTES("HTTP/1.1 +20 x\r\n\r\n"), WIRE_MALFORMED },
		{ BYTES("HTTP/1.1  200 x\r\n\r\n"), WIRE_MALFORMED },
		{ BYTES("HTTP/1.1\t200 x\r\n\r\n"), WIRE_MALFORMED },
		{ BYTES("HTTP/1.1 200\tx\r\n\r\n"), WIRE_MALFORMED },
		{ BYTES("HTTP/1.1 200 x\ry\r\n\r\n"), WIRE_MALFORMED },
		{ BYTES("HTTP/1.1 200 x\0y\r\n\r\n"), WIRE_MALFORMED },
		{ BYTES("HTTP/3.0 200 x\r\n\r\n"), WIRE_UNSUPPORTED },
		{ BYTES("HTTP/2 200 x\r\n\r\n"), WIRE_MALFORMED },
		{ BYTES("ICY 200 OK\r\n\r\n"), WIRE_MALFORMED },
		{ BYTES("HTTP/1.1 200 OK\r\nA: b\r\n c\r\n\r\n"),
		    WIRE_MALFORMED },
		{ BYTES("HTTP/1.1 200 OK\r\nA: b\r\n"), WIRE_MALFORMED },
	};

	for (size_t i = 0; i < COUNT_OF(vectors); i++) {
		struct http1_response resp;

		cr_assert_eq(http1_response_decode(vectors[i].head, MAX_FIELDS,
		    &resp), vectors[i].answer, "vector %zu", i);
	}
}

struct framing_vector {
	const char *start, *fields;
	int answer;
	enum http1_framing_kind kind;
	unsigned long long length;
};

static int
framing_of(const struct framing_vector *v, const char *method,
    struct http1_framing *framing)
{
	struct buf head;
	int r;

	buf_init(&head, 10000);
	cr_assert_eq(buf_printf(&head, "%s\r\n%s\r\n", v->start, v->fields),
	    WIRE_OK);
	if (method == NULL) {
		struct http1_request req;

		cr_assert_eq(http1_request_decode(buf_span(&head), MAX_FIELDS,
		    &req), WIRE_OK, "%s", buf_data(&head));
		r = http1_request_framing(&req, framing);
		http1_request_clear(&req);
	} else {
		struct http1_response resp;

		cr_assert_eq(http1_response_decode(buf_span(&head), MAX_FIELDS,
		    &resp), WIRE_OK, "%s", buf_data(&head));
		r = http1_response_framing(&resp, span_str(method), framing);
		http1_response_clear(&resp);
	}
	buf_clear(&head);
	return r;
}

static void
assert_framings(const struct framing_vector *list, size_t count,
    const char *method)
{
	for (size_t i = 0; i < count; i++) {
		struct http1_framing framing = { HTTP1_FRAMING_NONE, 0 };

		cr_assert_eq(framing_of(&list[i], method, &framing),
		    list[i].answer, "%s %s", list[i].start, list[i].fields);
		if (list[i].answer != WIRE_OK)
			continue;
		cr_assert_eq(framing.kind, list[i].kind, "%s %s",
		    list[i].start, list[i].fields);
		cr_assert_eq(framing.length, list[i].length);
	}
}

#define REQ "POST / HTTP/1.1"
#define CL "Content-Length: "
#define TE "Transfer-Encoding: "

static const struct framing_vector request_framings[] = {
	{ REQ, "", WIRE_OK, HTTP1_FRAMING_NONE, 0 },
	{ REQ, "Host: a\r\n", WIRE_OK, HTTP1_FRAMING_NONE, 0 },
	{ REQ, CL "0\r\n", WIRE_OK, HTTP1_FRAMING_LENGTH, 0 },
	{ REQ, CL "42\r\n", WIRE_OK, HTTP1_FRAMING_LENGTH, 42 },
	{ REQ, "content-LENGTH: 42\r\n", WIRE_OK, HTTP1_FRAMING_LENGTH, 42 },
	{ REQ, CL "42\r\n" CL "42\r\n", WIRE_OK, HTTP1_FRAMING_LENGTH, 42 },
	{ REQ, CL "9223372036854775807\r\n", WIRE_OK, HTTP1_FRAMING_LENGTH,
	    9223372036854775807ULL },
	{ REQ, CL "9223372036854775808\r\n", WIRE_MALFORMED, 0, 0 },
	{ REQ, TE "chunked\r\n", WIRE_OK, HTTP1_FRAMING_CHUNKED, 0 },
	{ REQ, TE "Chunked \r\n", WIRE_OK, HTTP1_FRAMING_CHUNKED, 0 },
	{ REQ, CL "42\r\n" CL "43\r\n", WIRE_AMBIGUOUS, 0, 0 },
	{ REQ, CL "0\r\n" CL "43\r\n", WIRE_AMBIGUOUS, 0, 0 },
	{ REQ, CL "42\r\n" TE "chunked\r\n", WIRE_AMBIGUOUS, 0, 0 },
	{ REQ, TE "chunked\r\n" CL "0\r\n", WIRE_AMBIGUOUS, 0, 0 },
	{ REQ, TE "gzip\r\n" CL "0\r\n", WIRE_AMBIGUOUS, 0, 0 },
	{ "POST / HTTP/1.0", TE "chunked\r\n", WIRE_AMBIGUOUS, 0, 0 },
	{ REQ, "Host: a\r\nhost: a\r\n", WIRE_AMBIGUOUS, 0, 0 },
	{ REQ, CL "\r\n", WIRE_MALFORMED, 0, 0 },
	{ REQ, CL "+42\r\n", WIRE_MALFORMED, 0, 0 },
	{ REQ, CL "-1\r\n", WIRE_MALFORMED, 0, 0 },
	{ REQ, CL "0x10\r\n", WIRE_MALFORMED, 0, 0 },
	{ REQ, CL "42, 42\r\n", WIRE_MALFORMED, 0, 0 },
	{ REQ, CL "4 2\r\n", WIRE_MALFORMED, 0, 0 },
	{ REQ, CL "42\r\n" CL "x\r\n", WIRE_MALFORMED, 0, 0 },
	{ REQ, CL "18446744073709551616\r\n", WIRE_MALFORMED, 0, 0 },
	{ REQ, TE "gzip, chunked\r\n", WIRE_UNSUPPORTED, 0, 0 },
	{ REQ, TE "chunked, gzip\r\n", WIRE_UNSUPPORTED, 0, 0 },
	{ REQ, TE "chunked, chunked\r\n", WIRE_UNSUPPORTED, 0, 0 },
	{ REQ, TE "chunked\r\n" TE "chunked\r\n", WIRE_UNSUPPORTED, 0, 0 },
	{ REQ, TE "gzip\r\n" TE "chunked\r\n", WIRE_UNSUPPORTED, 0, 0 },
	{ REQ, TE "identity\r\n", WIRE_UNSUPPORTED, 0, 0 },
	{ REQ, TE "xchunked\r\n", WIRE_UNSUPPORTED, 0, 0 },
	{ REQ, TE "\"chunked\"\r\n", WIRE_UNSUPPORTED, 0, 0 },
	{ REQ, TE "\r\n", WIRE_UNSUPPORTED, 0, 0 },
};

Test(http1_head, frames_requests_in_one_way_or_refuses)
{
	assert_framings(request_framings, COUNT_OF(request_framings), NULL);
}

#define OK "HTTP/1.1 200 OK"

static const struct framing_vector get_framings[] = {
	{ OK, "", WIRE_OK, HTTP1_FRAMING_UNTIL_CLOSE, 0 },
	{ "HTTP/1.0 200 OK", "", WIRE_OK, HTTP1_FRAMING_UNTIL_CLOSE, 0 },
	{ OK, CL "5\r\n", WIRE_OK, HTTP1_FRAMING_LENGTH, 5 },
	{ OK, CL "0\r\n", WIRE_OK, HTTP1_FRAMING_LENGTH, 0 },
	{ OK, TE "chunked\r\n", WIRE_OK, HTTP1_FRAMING_CHUNKED, 0 },
	{ OK, "Host: a\r\nHost: b\r\n" CL "5\r\n", WIRE_OK,
	    HTTP1_FRAMING_LENGTH, 5 },
	{ "HTTP/1.1 100 C", "", WIRE_OK, HTTP1_FRAMING_NONE, 0 },
	{ "HTTP/1.1 103 E", "", WIRE_OK, HTTP1_FRAMING_NONE, 0 },
	{ "HTTP/1.1 204 N", "", WIRE_OK, HTTP1_FRAMING_NONE, 0 },
	{ "HTTP/1.1 204 N", CL "0\r\n", WIRE_OK, HTTP1_FRAMING_NONE, 0 },
	{ "HTTP/1.1 304 N", CL "9\r\n", WIRE_OK, HTTP1_FRAMING_NONE, 0 },
	{ "HTTP/1.1 304 N", TE "chunked\r\n", WIRE_OK, HTTP1_FRAMING_NONE,
	    0 },
	{ "HTTP/1.1 205 R", "", WIRE_OK, HTTP1_FRAMING_UNTIL_CLOSE, 0 },
	{ "HTTP/1.1 101 S", "", WIRE_UNSUPPORTED, 0, 0 },
	{ OK, CL "5\r\n" TE "chunked\r\n", WIRE_AMBIGUOUS, 0, 0 },
	{ OK, CL "5\r\n" CL "6\r\n", WIRE_AMBIGUOUS, 0, 0 },
	{ "HTTP/1.0 200 OK", TE "chunked\r\n", WIRE_AMBIGUOUS, 0, 0 },
	{ OK, CL "5x\r\n", WIRE_MALFORMED, 0, 0 },
	{ OK, TE "gzip\r\n", WIRE_UNSUPPORTED, 0, 0 },
};

static const struct framing_vector head_framings[] = {
	{ OK, "", WIRE_OK, HTTP1_FRAMING_NONE, 0 },
	{ OK, CL "5\r\n", WIRE_OK, HTTP1_FRAMING_NONE, 0 },
	{ OK, TE "chunked\r\n", WIRE_OK, HTTP1_FRAMING_NONE, 0 },
	{ OK, CL "5x\r\n", WIRE_MALFORMED, 0, 0 },
};

static const struct framing_vector connect_framings[] = {
	{ OK, "", WIRE_UNSUPPORTED, 0, 0 },
	{ "HTTP/1.1 405 M", CL "5\r\n", WIRE_OK, HTTP1_FRAMING_LENGTH, 5 },
};

Test(http1_head, frames_responses_by_the_method_they_answer)
{
	assert_framings(get_framings, COUNT_OF(get_framings), "GET");
	assert_framings(get_framings, COUNT_OF(get_framings), "head");
	assert_framings(head_framings, COUNT_OF(head_framings), "HEAD");
	assert_framings(connect_framings, COUNT_OF(connect_framings),
	    "CONNECT");
}

Test(http1_head, knows_which_methods_are_idempotent)
{
	static const char *const idempotent[] = { "GET", "HEAD", "PUT",
		"DELETE", "OPTIONS", "TRACE", "PROPFIND", "REPORT", "SEARCH" };
	static const char *const others[] = { "POST", "PATCH", "CONNECT",
		"get", "LOCK", "", "GETT", "GE" };

	for (size_t i = 0; i < COUNT_OF(idempotent); i++)
		cr_assert(http1_method_is_idempotent(span_str(idempotent[i])));
	for (size_t i = 0; i < COUNT_OF(others); i++)
		cr_assert_not(http1_method_is_idempotent(span_str(others[i])),
		    "%s", others[i]);
}

Test(http1_head, takes_any_token_for_a_method)
{
	cr_assert(http1_method_is_valid(span_str("M-SEARCH")));
	cr_assert(http1_method_is_valid(span_str("get")));
	cr_assert_not(http1_method_is_valid(span_str("")));
	cr_assert_not(http1_method_is_valid(span_str("GET /")));
	cr_assert_not(http1_method_is_valid(span_str("GET\r\n")));
}

Test(http1_head, knows_the_registered_reason_phrases)
{
	cr_assert_str_eq(http1_reason_phrase(100), "Continue");
	cr_assert_str_eq(http1_reason_phrase(200), "OK");
	cr_assert_str_eq(http1_reason_phrase(404), "Not Found");
	cr_assert_str_eq(http1_reason_phrase(502), "Bad Gateway");
	cr_assert_str_eq(http1_reason_phrase(511),
	    "Network Authentication Required");
	cr_assert_str_eq(http1_reason_phrase(299), "");
	cr_assert_str_eq(http1_reason_phrase(0), "");
	cr_assert_str_eq(http1_reason_phrase(-1), "");
	cr_assert_str_eq(http1_reason_phrase(1000), "");
}
