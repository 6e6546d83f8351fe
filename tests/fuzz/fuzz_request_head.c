/* fuzz_request_head.c - any params from a web server: what is made of them is
 * one request in wire form, with one reading of its length, and none of the
 * fields that a client must not bring.  A byte of options, then "NAME=value"
 * strings between NULs. */
#include "config.h"

#include <strings.h>

#include "common/http1_head.h"
#include "fcgi/request_head.h"
#include "tests/fuzz/fuzz.h"

enum { PARAMS_MAX = 200, FIELDS_OWN = 10, OUT_MAX = 16 * 1024 };

static void
check_fields(const struct fields *f, bool via)
{
	static const char *const withheld[] = { "Connection", "Keep-Alive",
		"Proxy", "Proxy-Connection", "Proxy-Authorization", "TE",
		"Trailer", "Upgrade", "Expect", "Forwarded" };
	static const char *const once[] = { "X-Forwarded-Proto", "Host" };

	for (size_t i = 0; i < sizeof(withheld) / sizeof(*withheld); i++)
		must(fields_count(f, withheld[i]) == 0);
	for (size_t i = 0; i < sizeof(once) / sizeof(*once); i++)
		must(fields_count(f, once[i]) == 1);
	must(fields_count(f, "X-Forwarded-For") <= 1);
	must(fields_count(f, "X-Forwarded-Host") <= 1);
	must(fields_count(f, "Via") == 1 || !via);
	for (size_t i = 0; i < f->count; i++)
		must(f->line[i].name.len < 18 ||
		    strncasecmp(f->line[i].name.data, "X-Inverting-Proxy-",
		    18) != 0);
}

static void
check(struct span wire, const struct request_head *head, size_t max, bool via)
{
	struct http1_request request;
	struct http1_framing framing;
	struct span target;
	size_t len;

	must(http1_head_find_end(wire, 0, OUT_MAX, &len) == WIRE_DONE &&
	    len == wire.len);
	must(http1_request_decode(wire, max + FIELDS_OWN, &request) ==
	    WIRE_OK);
	target = request.target;
	if (head->target.data[0] == '?')
		target = span_of(target.data + 1, target.len - 1);
	must(span_is(request.method, head->method) &&
	    span_is(target, head->target));
	must(http1_request_framing(&request, &framing) == WIRE_OK);
	must(head->has_content == (framing.kind == HTTP1_FRAMING_CHUNKED ||
	    (framing.kind == HTTP1_FRAMING_LENGTH && framing.length > 0)));
	must(!head->has_length || (framing.kind == HTTP1_FRAMING_LENGTH &&
	    framing.length == head->length));
	check_fields(&request.fields, via);
	http1_request_clear(&request);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct span in = span_of(data, size);
	const unsigned choice = fuzz_byte(&in);
	const struct request_head_limits limits = {
		.fields = choice >> 1, .via = choice & 1 };
	char *params[PARAMS_MAX + 1] = { NULL };
	struct request_head head;
	struct buf out;

	for (size_t i = 0; in.len > 0 && i < PARAMS_MAX; i++) {
		params[i] = span_strdup(fuzz_until(&in, '\0'));
		must(params[i] != NULL);
	}
	buf_init(&out, OUT_MAX);
	if (request_head_encode(params, &limits, &head, &out) == WIRE_OK)
		check(buf_span(&out), &head, limits.fields, limits.via);
	buf_clear(&out);
	for (size_t i = 0; params[i] != NULL; i++)
		free(params[i]);
	return 0;
}
