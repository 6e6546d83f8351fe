/* fuzz_response_head.c - any bytes as the head that an agent sends: what the
 * web server gets of it begins with our Status, is lines and nothing but
 * lines, and does not steer the web server.  A byte of options, then the
 * head. */
#include "config.h"

#include "common/http1_head.h"
#include "fcgi/response_head.h"
#include "tests/fuzz/fuzz.h"

enum { OUT_MAX = 16 * 1024, FIELDS_MAX = 64 };

static void
check(struct span cgi, const struct response_head *head, bool close)
{
	static const char *const steering[] = { "Status", "X-Sendfile",
		"X-Accel-Redirect", "X-LIGHTTPD-send-file", "Script-Control",
		"Transfer-Encoding", "Keep-Alive", "Upgrade" };
	struct http1_response response;
	struct buf again;

	/* With a status line in front it is a head in wire form. */
	must(cgi.len > 12 && memcmp(cgi.data, "Status: ", 8) == 0);
	must(head->status >= 200 && head->status <= 999);
	buf_init(&again, OUT_MAX + 16);
	must(buf_append_str(&again, "HTTP/1.1 ") == WIRE_OK &&
	    buf_append(&again, cgi.data + 8, cgi.len - 8) == WIRE_OK);
	must(http1_response_decode(buf_span(&again), FIELDS_MAX + 2,
	    &response) == WIRE_OK);
	must(response.status == head->status && response.reason.len > 0);
	for (size_t i = 0; i < sizeof(steering) / sizeof(*steering); i++)
		must(fields_count(&response.fields, steering[i]) == 0);
	must(fields_count(&response.fields, "Connection") ==
	    (close && head->has_content));
	must(fields_count(&response.fields, "Content-Length") ==
	    head->has_length);
	http1_response_clear(&response);
	buf_clear(&again);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct span in = span_of(data, size);
	const unsigned choice = fuzz_byte(&in);
	const struct response_head_options options = { FIELDS_MAX,
		choice & 1, choice & 2 };
	struct response_head head;
	struct buf out;

	buf_init(&out, OUT_MAX);
	if (response_head_encode(in, span_str(choice & 4 ? "HEAD" : "GET"),
	    &options, &head, &out) == WIRE_OK)
		check(buf_span(&out), &head, options.close);
	buf_clear(&out);
	return 0;
}
