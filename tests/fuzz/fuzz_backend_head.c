/* fuzz_backend_head.c - any bytes as a head that the agent passes on, either
 * way: what goes on has no hop-by-hop field, nothing that claims to be the
 * end user, and one reading of its length.  A byte of options, then the
 * head. */
#include "config.h"

#include "agent/backend.h"
#include "tests/fuzz/fuzz.h"

enum { OUT_MAX = 64 * 1024 };

static void
check_fields(const struct fields *f)
{
	static const char *const hop_by_hop[] = { "Connection", "Keep-Alive",
		"Proxy-Connection", "TE", "Trailer", "Upgrade" };

	for (size_t i = 0; i < sizeof(hop_by_hop) / sizeof(*hop_by_hop); i++)
		must(fields_count(f, hop_by_hop[i]) == 0);
	must(fields_count(f, "Content-Length") <= 1);
}

static void
take_request(struct span head, unsigned choice)
{
	const struct settings settings = { .strip_credentials = choice & 1,
		.forward_user_id = choice & 2 };
	const struct span user = span_str(choice & 4 ? "somebody" : "");
	struct http1_request request;
	struct http1_framing framing;

	if (http1_request_decode(head, BACKEND_FIELDS_MAX, &request) !=
	    WIRE_OK)
		return;
	if (backend_request(&settings, user, &request, &framing) == WIRE_OK) {
		check_fields(&request.fields);
		must(fields_count(&request.fields, "Expect") == 0);
		must(framing.kind != HTTP1_FRAMING_UNTIL_CLOSE);
		must(fields_count(&request.fields, "Transfer-Encoding") == 0);
		must(!settings.strip_credentials ||
		    fields_count(&request.fields, "Authorization") == 0);
		must(fields_count(&request.fields,
		    "X-Inverting-Proxy-User-ID") ==
		    (settings.forward_user_id && user.len > 0));
	}
	http1_request_clear(&request);
}

static void
take_response(struct span head, unsigned choice)
{
	const struct span method = span_str(choice & 1 ? "HEAD" : "GET");
	const bool chunked = choice & 2;
	struct http1_framing framing, again;
	struct http1_response response;
	struct buf out;

	buf_init(&out, OUT_MAX);
	if (backend_response(head, method, chunked, &out, &framing) ==
	    WIRE_OK) {
		must(http1_response_decode(buf_span(&out),
		    BACKEND_FIELDS_MAX + 1, &response) == WIRE_OK);
		check_fields(&response.fields);
		must(response.status != 101);
		must(http1_response_framing(&response, method, &again) ==
		    WIRE_OK);
		if (framing.kind == HTTP1_FRAMING_NONE)
			must(again.kind == HTTP1_FRAMING_NONE);
		else if (chunked)
			must(again.kind == HTTP1_FRAMING_CHUNKED);
		else if (framing.kind == HTTP1_FRAMING_LENGTH)
			must(again.kind == HTTP1_FRAMING_LENGTH &&
			    again.length == framing.length);
		http1_response_clear(&response);
	}
	buf_clear(&out);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct span in = span_of(data, size);
	const unsigned choice = fuzz_byte(&in);

	take_request(in, choice);
	take_response(in, choice);
	return 0;
}
