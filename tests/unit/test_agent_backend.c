/* test_agent_backend.c - the heads that go to a backend and come from it. */
#include "config.h"

#include <criterion/criterion.h>

#include "agent/backend.h"

static const struct settings plain;
static const struct settings forwards = { .forward_user_id = true };
static const struct settings strips = { .strip_credentials = true };

/* The field lines that reach the backend, or a wire_error. */
static int
forward(const struct settings *s, const char *user, const char *head,
    struct buf *out, struct http1_framing *framing)
{
	struct http1_request request;
	int r = http1_request_decode(span_str(head), BACKEND_FIELDS_MAX,
	    &request);

	cr_assert_eq(r, WIRE_OK);
	r = backend_request(s, span_str(user), &request, framing);
	if (r == WIRE_OK)
		cr_assert_eq(fields_encode(&request.fields, out), WIRE_OK);
	http1_request_clear(&request);
	return r;
}

static void
assert_forwards(const struct settings *s, const char *user, const char *head,
    const char *wanted)
{
	struct http1_framing framing;
	struct buf out;

	buf_init(&out, 65536);
	cr_assert_eq(forward(s, user, head, &out, &framing), WIRE_OK);
	cr_assert(span_is(buf_span(&out), span_str(wanted)), "\"%.*s\"",
	    (int)buf_len(&out), buf_data(&out));
	buf_clear(&out);
}

Test(agent_backend, keeps_field_lines_as_they_came)
{
	assert_forwards(&plain, "alice", "GET / HTTP/1.1\r\nHost: h\r\n"
	    "X-A: 1\r\nx-a: 2\r\nX-Empty:\r\nAuthorization: Basic x\r\n"
	    "Accept-Encoding: br\r\n\r\n",
	    "Host: h\r\nX-A: 1\r\nx-a: 2\r\nX-Empty: \r\n"
	    "Authorization: Basic x\r\nAccept-Encoding: br\r\n");
}

Test(agent_backend, drops_hop_by_hop_fields_and_expect)
{
	assert_forwards(&plain, "", "POST / HTTP/1.1\r\nHost: h\r\n"
	    "Connection: x-hop, close\r\nX-Hop: 1\r\nTE: trailers\r\n"
	    "Expect: 100-continue\r\nTransfer-Encoding: chunked\r\n\r\n",
	    "Host: h\r\n");
}

Test(agent_backend, tells_the_user_only_when_asked)
{
	const char *head = "GET / HTTP/1.1\r\nHost: h\r\n\r\n";

	assert_forwards(&plain, "alice", head, "Host: h\r\n");
	assert_forwards(&forwards, "alice", head,
	    "Host: h\r\nX-Inverting-Proxy-User-ID: alice\r\n");
	assert_forwards(&forwards, "", head, "Host: h\r\n");
}

Test(agent_backend, lets_no_client_claim_to_be_a_user)
{
	const char *head = "GET / HTTP/1.1\r\nHost: h\r\n"
	    "X-Inverting-Proxy-User-ID: root\r\n"
	    "x_inverting-proxy_user-id: root\r\n\r\n";

	assert_forwards(&plain, "", head, "Host: h\r\n");
	assert_forwards(&forwards, "alice", head,
	    "Host: h\r\nX-Inverting-Proxy-User-ID: alice\r\n");
}

Test(agent_backend, strips_credentials_when_asked)
{
	assert_forwards(&strips, "", "GET / HTTP/1.1\r\nHost: h\r\n"
	    "Authorization: Bearer x\r\nCookie: a=b\r\n\r\n",
	    "Host: h\r\nCookie: a=b\r\n");
}

Test(agent_backend, keeps_the_framing)
{
	static const struct { const char *lines; int kind; unsigned len; }
	    list[] = {
		{ "", HTTP1_FRAMING_NONE, 0 },
		{ "Content-Length: 0\r\n", HTTP1_FRAMING_LENGTH, 0 },
		{ "Content-Length: 5\r\n", HTTP1_FRAMING_LENGTH, 5 },
		{ "Transfer-Encoding: chunked\r\n", HTTP1_FRAMING_CHUNKED, 0 },
	};

	for (size_t i = 0; i < sizeof(list) / sizeof(*list); i++) {
		struct http1_framing framing;
		char head[200];
		struct buf out;

		(void)snprintf(head, sizeof(head),
		    "POST / HTTP/1.1\r\nHost: h\r\n%s\r\n", list[i].lines);
		buf_init(&out, 65536);
		cr_assert_eq(forward(&plain, "", head, &out, &framing), 0);
		cr_assert_eq((int)framing.kind, list[i].kind);
		cr_assert_eq(framing.length, list[i].len);
		buf_clear(&out);
	}
}

Test(agent_backend, refuses_a_request_with_two_readings)
{
	struct http1_framing framing;
	struct buf out;

	buf_init(&out, 65536);
	cr_assert_lt(forward(&plain, "", "POST / HTTP/1.1\r\nHost: h\r\n"
	    "Content-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n", &out,
	    &framing), 0);
	cr_assert_lt(forward(&plain, "", "POST / HTTP/1.1\r\nHost: h\r\n"
	    "Content-Length: 5\r\nContent-Length: 6\r\n\r\n", &out,
	    &framing), 0);
}

/* --- responses --- */

static void
assert_answers(const char *head, const char *method, bool chunked,
    const char *wanted, int kind)
{
	struct http1_framing framing;
	struct buf out;

	buf_init(&out, 65536);
	cr_assert_eq(backend_response(span_str(head), span_str(method),
	    chunked, &out, &framing), WIRE_OK);
	cr_assert(span_is(buf_span(&out), span_str(wanted)), "\"%.*s\"",
	    (int)buf_len(&out), buf_data(&out));
	cr_assert_eq((int)framing.kind, kind);
	buf_clear(&out);
}

Test(agent_backend, keeps_a_response_head)
{
	assert_answers("HTTP/1.1 200 Fine\r\nSet-Cookie: a\r\n"
	    "Set-Cookie: b\r\nX-Empty:\r\nContent-Length: 3\r\n"
	    "Connection: close\r\n\r\n", "GET", false,
	    "HTTP/1.1 200 Fine\r\nSet-Cookie: a\r\nSet-Cookie: b\r\n"
	    "X-Empty: \r\nContent-Length: 3\r\n\r\n", HTTP1_FRAMING_LENGTH);
}

Test(agent_backend, announces_the_chunked_coding_when_the_carrier_uses_it)
{
	assert_answers("HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\n", "GET",
	    true, "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n",
	    HTTP1_FRAMING_LENGTH);
}

Test(agent_backend, keeps_the_length_where_there_is_no_content)
{
	const char *head = "HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\n";
	const char *unchanged = "HTTP/1.1 304 Not Modified\r\n"
	    "Content-Length: 3\r\n\r\n";

	assert_answers(head, "HEAD", true, head, HTTP1_FRAMING_NONE);
	assert_answers(unchanged, "GET", true, unchanged, HTTP1_FRAMING_NONE);
}

Test(agent_backend, believes_a_transfer_coding_over_a_length)
{
	assert_answers("HTTP/1.1 200 OK\r\nContent-Length: 3\r\n"
	    "Transfer-Encoding: chunked\r\n\r\n", "GET", false,
	    "HTTP/1.1 200 OK\r\n\r\n", HTTP1_FRAMING_CHUNKED);
}

Test(agent_backend, refuses_response_heads_that_are_not_http)
{
	static const char *const bad[] = {
		"HTTP/1.1 200 OK\r\nBad Name: x\r\n\r\n",
		"HTTP/1.1 200 OK\r\nX: a\001b\r\n\r\n",
		"HTTP/1.1 200 OK\r\nno colon\r\n\r\n",
		"HTTP/1.1 200 OK\r\nContent-Length: x\r\n\r\n",
		("HTTP/1.1 200 OK\r\nContent-Length: 1\r\n"
		    "Content-Length: 2\r\n\r\n"),
		"HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\n\r\n",
		"HTTP/1.1 20 OK\r\n\r\n",
	};

	for (size_t i = 0; i < sizeof(bad) / sizeof(*bad); i++) {
		struct http1_framing framing;
		struct buf out;

		buf_init(&out, 65536);
		cr_assert_lt(backend_response(span_str(bad[i]),
		    span_str("GET"), false, &out, &framing), 0, "%s", bad[i]);
		cr_assert_eq(buf_len(&out), 0);
		buf_clear(&out);
	}
}
