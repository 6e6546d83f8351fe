/* fuzz_http1_head.c - any bytes as a head: the end is found alike whole and
 * byte by byte; what decodes, encodes to something that decodes alike. */
#include "config.h"

#include <stdlib.h>

#include "common/http1_head.h"
#include "tests/fuzz/fuzz.h"

enum { HEAD_MAX = 4096, MAX_FIELDS = 64 };

static size_t
find_end(struct span bytes)
{
	size_t whole = 0, pieces = 0;
	int r = http1_head_find_end(bytes, 0, HEAD_MAX, &whole);
	int s = WIRE_MORE;

	for (size_t n = 0; n <= bytes.len && s == WIRE_MORE; n++)
		s = http1_head_find_end(span_of(bytes.data, n),
		    n > 0 ? n - 1 : 0, HEAD_MAX, &pieces);
	must(r == s && whole == pieces);
	return whole;
}

/* "GET / HTTP/1.1" with these fields must decode to the same fields. */
static void
encode_and_decode(const struct fields *fields)
{
	struct http1_request req;
	struct buf head;

	buf_init(&head, HEAD_MAX * 4);
	must(buf_append_str(&head, "GET / HTTP/1.1\r\n") == WIRE_OK &&
	    fields_encode(fields, &head) == WIRE_OK &&
	    buf_append_str(&head, "\r\n") == WIRE_OK);
	must(find_end(buf_span(&head)) == buf_len(&head) ||
	    buf_len(&head) > HEAD_MAX);
	must(http1_request_decode(buf_span(&head), MAX_FIELDS, &req) ==
	    WIRE_OK && req.fields.count == fields->count);
	for (size_t i = 0; i < fields->count; i++)
		must(span_is(req.fields.line[i].name, fields->line[i].name) &&
		    span_is(req.fields.line[i].value, fields->line[i].value));
	fields_remove_hop_by_hop(&req.fields);
	must(!fields_has_token(&req.fields, "connection", "close"));
	http1_request_clear(&req);
	buf_clear(&head);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct span bytes = span_of(data, size), head;
	struct http1_framing framing;
	struct http1_response resp;
	struct http1_request req;
	size_t head_len = find_end(bytes);

	head = head_len > 0 ? span_of(data, head_len) : bytes;
	if (http1_request_decode(head, MAX_FIELDS, &req) == WIRE_OK) {
		must(head_len > 0 || size > HEAD_MAX);
		(void)!http1_request_framing(&req, &framing);
		if (head_len > 0)
			encode_and_decode(&req.fields);
		http1_request_clear(&req);
	}
	if (http1_response_decode(head, MAX_FIELDS, &resp) == WIRE_OK) {
		must(head_len > 0 || size > HEAD_MAX);
		must(resp.status >= 100 && resp.status <= 999);
		(void)!http1_response_framing(&resp, span_str("GET"),
		    &framing);
		if (head_len > 0)
			encode_and_decode(&resp.fields);
		http1_response_clear(&resp);
	}
	return 0;
}
