/* test_response_head.c - HTTP/1.1 head in, CGI head out. */
#include "config.h"

#include <criterion/criterion.h>

#include "fcgi/response_head.h"

static int
encode(const char *wire, const char *method, struct response_head *head,
    char **cgi)
{
	struct buf out;
	int r;

	buf_init(&out, 4096);
	r = response_head_encode(span_str(wire), span_str(method),
	    &(struct response_head_options){ .max_fields = 20 }, head, &out);
	*cgi = r == WIRE_OK ? span_strdup(buf_span(&out)) : NULL;
	buf_clear(&out);
	return r;
}

static void
expect(const char *wire, const char *wanted)
{
	struct response_head head;
	char *cgi;

	cr_assert_eq(encode(wire, "GET", &head, &cgi), WIRE_OK);
	cr_assert_str_eq(cgi, wanted);
	free(cgi);
}

Test(response_head, puts_status_first_and_keeps_lines_in_order)
{
	expect("HTTP/1.1 404 Nope\r\nB: 1\r\nSet-Cookie: a\r\nA: 2\r\n"
	    "Set-Cookie: b\r\n\r\n", "Status: 404 Nope\r\nB: 1\r\n"
	    "Set-Cookie: a\r\nA: 2\r\nSet-Cookie: b\r\n\r\n");
}

Test(response_head, has_a_reason_for_every_status)
{
	expect("HTTP/1.1 299 \r\n\r\n", "Status: 299 Unknown\r\n\r\n");
	expect("HTTP/1.1 200 \r\n\r\n", "Status: 200 OK\r\n\r\n");
}

Test(response_head, drops_what_would_steer_the_web_server)
{
	expect("HTTP/1.1 200 OK\r\nStatus: 500\r\nX-Sendfile: /etc/passwd\r\n"
	    "x-lighttpd-send-file: /etc/passwd\r\nX-Accel-Redirect: /x\r\n"
	    "X-Sendfile2: /a 0-\r\nKeep: me\r\n\r\n",
	    "Status: 200 OK\r\nKeep: me\r\n\r\n");
}

Test(response_head, drops_what_ends_at_this_hop)
{
	expect("HTTP/1.1 200 OK\r\nConnection: close, X-Mine\r\nX-Mine: 1\r\n"
	    "Transfer-Encoding: chunked\r\nKeep-Alive: timeout=1\r\n\r\n",
	    "Status: 200 OK\r\n\r\n");
}

Test(response_head, says_what_content_to_expect)
{
	static const struct {
		const char *wire, *method;
		bool has_content, has_length;
		unsigned long long length;
	} cases[] = {
		{ "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n", "GET",
		    true, true, 5 },
		{ "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n"
		    "Content-Length: 5\r\n\r\n", "GET", true, true, 5 },
		{ "HTTP/1.1 200 OK\r\n\r\n", "GET", true, false, 0 },
		{ "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n", "HEAD",
		    false, true, 5 },
		{ "HTTP/1.1 304 Not Modified\r\nContent-Length: 5\r\n\r\n",
		    "GET", false, true, 5 },
		{ "HTTP/1.1 204 No Content\r\n\r\n", "GET", false, false, 0 },
	};

	for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
		struct response_head head;
		char *cgi;

		cr_assert_eq(encode(cases[i].wire, cases[i].method, &head,
		    &cgi), WIRE_OK, "case %zu", i);
		cr_assert_eq(head.has_content, cases[i].has_content,
		    "case %zu", i);
		cr_assert_eq(head.has_length, cases[i].has_length,
		    "case %zu", i);
		cr_assert_eq(head.length, cases[i].length, "case %zu", i);
		free(cgi);
	}
}

Test(response_head, refuses_what_is_not_a_final_http_response)
{
	static const char *const bad[] = {
		"HTTP/1.1 100 Continue\r\n\r\n",
		"HTTP/1.1 101 Switching Protocols\r\n\r\n",
		"HTTP/1.1 99 Low\r\n\r\n",
		"220 smtp ready\r\n\r\n",
		"HTTP/1.1 200 OK\r\nBad Name: x\r\n\r\n",
		"HTTP/1.1 200 OK\r\nA: b\rc\r\n\r\n",
		"HTTP/1.1 200 OK\r\n folded\r\n\r\n",
		"HTTP/1.1 200 OK\r\nContent-Length: 1\r\n"
		    "Content-Length: 2\r\n\r\n",
		"HTTP/1.1 200 OK\r\nContent-Length: x\r\n\r\n",
		"HTTP/1.1 200 OK\r\nContent-Length: 1\r\n"
		    "Transfer-Encoding: chunked\r\n\r\n",
	};

	for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
		struct response_head head;
		char *cgi;

		cr_assert_lt(encode(bad[i], "GET", &head, &cgi), 0,
		    "case %zu", i);
	}
}

Test(response_head, adds_via_when_asked)
{
	struct response_head head;
	struct buf out;

	buf_init(&out, 4096);
	cr_assert_eq(response_head_encode(span_str("HTTP/1.1 200 OK\r\n"
	    "Via: 1.0 other\r\n\r\n"), span_str("GET"),
	    &(struct response_head_options){ .max_fields = 20, .via = true },
	    &head, &out), WIRE_OK);
	cr_assert(span_is(buf_span(&out), span_str("Status: 200 OK\r\n"
	    "Via: 1.0 other\r\nVia: 1.1 inverting-proxy\r\n\r\n")));
	buf_clear(&out);
}
