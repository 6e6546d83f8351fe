/* responses.c - what the client sees of a response is what the backend sent:
 * status, field lines, and content without decoding. */
#include "config.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tests/integration/stack.h"

static void
check_field(const struct response *r, const char *name, const char *want)
{
	char *value = response_field(r, name);

	if (want == NULL)
		check(value == NULL, "%s should not arrive: %s", name, value);
	else
		check(value != NULL && strcmp(value, want) == 0,
		    "%s: %s, expected %s", name,
		    value == NULL ? "(none)" : value, want);
	free(value);
}

/* A classic agent's response is always chunked: its length is unknown. */
static void
check_length(const struct stack *s, const struct response *r, const char *want)
{
	if (strcmp(s->protocol, "classic") != 0)
		check_field(r, "Content-Length", want);
}

static void
status_is_kept(struct stack *s)
{
	static const int statuses[] = { 200, 201, 202, 203, 205, 206, 301, 302,
		303, 307, 308, 400, 401, 403, 404, 405, 409, 410, 412, 413,
		416, 418, 422, 429, 451, 500, 501, 502, 503, 504, 599 };

	for (size_t i = 0; i < sizeof(statuses) / sizeof(statuses[0]); i++) {
		char target[32];

		snprintf(target, sizeof(target), "/status/%d", statuses[i]);
		stack_expect(s, target, statuses[i]);
	}
}
TEST_EACH(responses, status_is_kept)

static void
no_content_where_there_is_none(struct stack *s)
{
	struct response r = stack_get(s, "/status/204");

	check(r.status == 204 && r.content_len == 0, "204: %d", r.status);
	check_field(&r, "ETag", "\"x\"");
	check_field(&r, "Content-Length", NULL);
	response_clear(&r);
	r = stack_get(s, "/status/304");
	check(r.status == 304 && r.content_len == 0, "304: %d", r.status);
	check_field(&r, "ETag", "\"x\"");
	response_clear(&r);
	r = stack_receive(stack_send(s, "HEAD", "/bytes/123456", ""), "HEAD");
	check(r.status == 200 && r.content_len == 0 && r.whole, "HEAD: %d",
	    r.status);
	check_field(&r, "Content-Length", "123456");
	response_clear(&r);
}
TEST_EACH(responses, no_content_where_there_is_none)

/* On one connection, so that a stray byte would spoil the next response; but
 * Apache is told to close after what might have broken off. */
static void
the_connection_stays_in_step(struct stack *s)
{
	static const char *const requests[][2] = { { "HEAD", "/bytes/10" },
		{ "GET", "/status/204" }, { "GET", "/status/304" },
		{ "GET", "/chunked/100000" }, { "HEAD", "/ready" },
		{ "GET", "/bytes/0" }, { "GET", "/bytes/70000" } };
	struct client *c = client_new(s->port);
	struct response r;

	for (size_t i = 0; i < sizeof(requests) / sizeof(requests[0]); i++) {
		client_printf(c, "%s %s HTTP/1.1\r\nHost: x\r\n\r\n",
		    requests[i][0], requests[i][1]);
		response_read_head(c, requests[i][0], &r, PATIENCE_MS);
		response_read_content(c, &r);
		check(r.status >= 200 && r.status < 400 && r.whole,
		    "%s %s: %d", requests[i][0], requests[i][1], r.status);
		if (fields_has_token(&r.decoded.fields, "Connection",
		    "close")) {
			client_free(c);
			c = client_new(s->port);
		}
		response_clear(&r);
	}
	client_free(c);
}
TEST_EACH(responses, the_connection_stays_in_step)

static void
field_lines_keep_order_and_number(struct stack *s)
{
	struct response r;
	const char *head;

	backend_answer_str(s->backend, "/fields", "HTTP/1.1 200 Fine\r\n"
	    "Set-Cookie: a=1; Path=/; Expires=Wed, 09 Jun 2027 10:18:14 GMT\r\n"
	    "X-First: 1\r\nSet-Cookie: b=2; HttpOnly\r\nx-lower: Value\r\n"
	    "WWW-Authenticate: Basic realm=\"a, b\"\r\n"
	    "Set-Cookie: a=3\r\nContent-Type: text/x-odd; charset=\"utf-8\"\r\n"
	    "Cache-Control: no-store\r\nLast-Modified: yesterday\r\n"
	    "Server: nobody/1\r\nDate: Tue, 01 Jan 2030 00:00:00 GMT\r\n"
	    "Content-Length: 2\r\n\r\nok");
	r = stack_get(s, "/fields");
	head = buf_data(&r.head);
	check(r.status == 200 && r.whole, "%d", r.status);
	check(response_count_fields(&r, "Set-Cookie") == 3, "%s", head);
	check(strcmp(head_field(head, "Set-Cookie", 0), "a=1; Path=/; "
	    "Expires=Wed, 09 Jun 2027 10:18:14 GMT") == 0 &&
	    strcmp(head_field(head, "Set-Cookie", 1), "b=2; HttpOnly") == 0 &&
	    strcmp(head_field(head, "Set-Cookie", 2), "a=3") == 0, "%s", head);
	check_field(&r, "X-First", "1");
	check_field(&r, "X-Lower", "Value");
	check_field(&r, "WWW-Authenticate", "Basic realm=\"a, b\"");
	check_field(&r, "Content-Type", "text/x-odd; charset=\"utf-8\"");
	check_field(&r, "Cache-Control", "no-store");
	check_length(s, &r, "2");
	response_clear(&r);
}
TEST_EACH(responses, field_lines_keep_order_and_number)

static void
content_codings_are_left_alone(struct stack *s)
{
	static const char gzip[] = "HTTP/1.1 200 OK\r\n"
	    "Content-Encoding: gzip\r\nContent-Length: 25\r\n"
	    "Content-Type: text/html\r\n\r\n"
	    "\x1f\x8b\x08\0\0\0\0\0\0\x03\xcb\x48\xcd\xc9\xc9\x07\0\x86\xa6"
	    "\x10\x36\x05\0\0\0";
	struct response r;

	backend_answer(s->backend, "/gzip", gzip, sizeof(gzip) - 1);
	r = stack_get(s, "/gzip");
	check_field(&r, "Content-Encoding", "gzip");
	check_length(s, &r, "25");
	check(r.content_len == 25 && r.whole &&
	    memcmp(buf_data(&r.content), gzip + sizeof(gzip) - 1 - 25, 25)
	    == 0, "changed on the way");
	response_clear(&r);
}
TEST_EACH(responses, content_codings_are_left_alone)

static void
ranges_and_redirects_pass(struct stack *s)
{
	struct response r;

	backend_answer_str(s->backend, "/range", "HTTP/1.1 206 Partial\r\n"
	    "Content-Range: bytes 2-4/10\r\nAccept-Ranges: bytes\r\n"
	    "Content-Length: 3\r\n\r\ncde");
	backend_answer_str(s->backend, "/moved", "HTTP/1.1 302 Found\r\n"
	    "Location: /ready?x=%2F#frag\r\nContent-Length: 3\r\n\r\nbye");
	backend_answer_str(s->backend, "/away", "HTTP/1.1 301 Moved\r\n"
	    "Location: https://example.org/\r\nContent-Length: 0\r\n\r\n");
	r = stack_receive(stack_send(s, "GET", "/range",
	    "Range: bytes=2-4\r\n"), "GET");
	check(r.status == 206 && strcmp(response_text(&r), "cde") == 0,
	    "range: %d %s", r.status, response_text(&r));
	check_field(&r, "Content-Range", "bytes 2-4/10");
	response_clear(&r);
	r = stack_get(s, "/moved");
	check(r.status == 302 && strcmp(response_text(&r), "bye") == 0,
	    "redirect: %d %s", r.status, response_text(&r));
	check_field(&r, "Location", "/ready?x=%2F#frag");
	response_clear(&r);
	r = stack_get(s, "/away");
	check(r.status == 301, "redirect: %d", r.status);
	check_field(&r, "Location", "https://example.org/");
	response_clear(&r);
}
TEST_EACH(responses, ranges_and_redirects_pass)

/* A 200 to a request with Range stays whole. */
static void
a_range_is_the_backends_affair(struct stack *s)
{
	struct response r = stack_receive(stack_send(s, "GET", "/bytes/1000",
	    "Range: bytes=0-9\r\n"), "GET");

	check(r.status == 200 && r.content_len == 1000, "%d, %llu bytes",
	    r.status, r.content_len);
	response_clear(&r);
}
TEST_EACH_WEB(responses, a_range_is_the_backends_affair)

static void
hop_by_hop_fields_stay_behind(struct stack *s)
{
	struct response r;

	backend_answer_str(s->backend, "/hop", "HTTP/1.1 200 OK\r\n"
	    "Connection: X-Drop\r\nX-Drop: 1\r\nKeep-Alive: timeout=99\r\n"
	    "Proxy-Authenticate: Basic\r\nUpgrade: h2c\r\nX-Keep: 1\r\n"
	    "Content-Length: 0\r\n\r\n");
	r = stack_get(s, "/hop");
	check(r.status == 200, "%d", r.status);
	check_field(&r, "X-Drop", NULL);
	check_field(&r, "Keep-Alive", NULL);
	check_field(&r, "Proxy-Authenticate", NULL);
	check_field(&r, "X-Keep", "1");
	response_clear(&r);
}
TEST_EACH(responses, hop_by_hop_fields_stay_behind)

static void
interim_responses_are_passed_over(struct stack *s)
{
	struct response r;

	backend_answer_str(s->backend, "/hints", "HTTP/1.1 103 Early Hints\r\n"
	    "Link: </style.css>; rel=preload\r\n\r\n"
	    "HTTP/1.1 102 Processing\r\n\r\n"
	    "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nfinal");
	r = stack_get(s, "/hints");
	check(r.status == 200 && strcmp(response_text(&r), "final") == 0,
	    "%d %s", r.status, response_text(&r));
	check_field(&r, "Link", NULL);
	response_clear(&r);
}
TEST_EACH(responses, interim_responses_are_passed_over)
