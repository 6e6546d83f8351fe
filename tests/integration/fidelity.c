/* fidelity.c - what the backend sees of a request is what the client sent. */
#include "config.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tests/integration/stack.h"

/* The head of the request as the backend saw it. */
static char *
echo(struct stack *s, const char *method, const char *target,
    const char *fields)
{
	struct response r = stack_receive(stack_send(s, method, target,
	    fields), method);
	char *text = response_text(&r);

	check(r.status == 200 && r.whole, "%s %s: %d %s", method, target,
	    r.status, text);
	response_clear(&r);
	return text;
}

static void
check_field(const char *head, const char *name, const char *want)
{
	char *value = head_field(head, name, 0);

	if (want == NULL)
		check(value == NULL, "%s should not arrive:\n%s", name, head);
	else
		check(value != NULL && strcmp(value, want) == 0,
		    "%s: %s, expected %s:\n%s", name,
		    value == NULL ? "(none)" : value, want, head);
	free(value);
}

static void
target_is_raw(struct stack *s)
{
	static const char *const targets[] = { "/echo", "/echo?", "/echo/",
		"/echo/a%2Fb", "/echo/a%2fb", "/echo//double//slash",
		"/echo?b=1&a=2&B=3", "/echo?a=%2F%3F%25&b=+", "/echo/%7Eme",
		"/echo/~me", "/echo/a;v=1/b,c", "/echo/%C3%A9",
		"/echo/x/../y/./z", "/echo/x/%2e%2e/y", "/echo/a%20b?c%20d",
		"/echo?x=/../y//z", "/echo/a:b@c!$&'()*+,;=", "/echo??a?b" };

	for (size_t i = 0; i < sizeof(targets) / sizeof(targets[0]); i++) {
		char *head = echo(s, "GET", targets[i], "");
		char want[256];

		snprintf(want, sizeof(want), "GET %s HTTP/1.1\r\n",
		    targets[i]);
		check(strncmp(head, want, strlen(want)) == 0,
		    "target %s arrived as %.80s", targets[i], head);
		free(head);
	}
}
TEST_EACH(fidelity, target_is_raw)

static void
absolute_form_becomes_origin_form(struct stack *s)
{
	char *head = echo(s, "GET", "http://proxy.test/echo/a%2Fb?c", "");

	check(strncmp(head, "GET /echo/a%2Fb?c HTTP/1.1\r\n", 28) == 0,
	    "%.80s", head);
	check_field(head, "Host", "proxy.test");
	free(head);
}
TEST_EACH_WEB(fidelity, absolute_form_becomes_origin_form)

static void
method_is_kept(struct stack *s)
{
	static const char *const known[] = { "GET", "POST", "PUT", "DELETE",
		"OPTIONS", "PATCH", "PROPFIND", "MKCOL", "REPORT", "LOCK" };
	struct response r;

	for (size_t i = 0; i < sizeof(known) / sizeof(known[0]); i++) {
		/* lighttpd answers 411 to a POST that does not say */
		char *head = echo(s, known[i], "/echo",
		    i == 0 ? "" : "Content-Length: 0\r\n");

		check(strncmp(head, known[i], strlen(known[i])) == 0 &&
		    head[strlen(known[i])] == ' ', "%s arrived as %.80s",
		    known[i], head);
		free(head);
	}
	r = stack_receive(stack_send(s, "BREW", "/echo", ""), "BREW");
	check(r.status == (web_facts(s)->unknown_methods ? 200 : 501),
	    "BREW: %d", r.status);
	response_clear(&r);
}
TEST_EACH(fidelity, method_is_kept)

static void
fields_arrive(struct stack *s)
{
	char *head = echo(s, "GET", "/echo",
	    "User-Agent: test/1.0 (x; y)\r\n"
	    "Accept: text/html;q=0.9, */*\r\n"
	    "Accept-Encoding: gzip, br\r\n"
	    "Cookie: a=1; b=\"two\"; c=\r\n"
	    "X-Quoted: \"a, b\" \\ 'c'\r\n"
	    "X-Obs-Text: caf\xc3\xa9\r\n"
	    "If-None-Match: \"abc\", W/\"def\"\r\n"
	    "Range: bytes=0-99\r\n"
	    "Origin: https://example.org\r\n"
	    "Authorization: Digest username=\"x\", uri=\"/\"\r\n");

	check_field(head, "Host", "proxy.test");
	check_field(head, "User-Agent", "test/1.0 (x; y)");
	check_field(head, "Accept", "text/html;q=0.9, */*");
	check_field(head, "Accept-Encoding", "gzip, br");
	check_field(head, "Cookie", "a=1; b=\"two\"; c=");
	check_field(head, "X-Quoted", "\"a, b\" \\ 'c'");
	check_field(head, "X-Obs-Text", "caf\xc3\xa9");
	check_field(head, "If-None-Match", "\"abc\", W/\"def\"");
	check_field(head, "Range", "bytes=0-99");
	check_field(head, "Origin", "https://example.org");
	check_field(head, "Authorization", "Digest username=\"x\", uri=\"/\"");
	check_field(head, "Content-Length", NULL);
	check_field(head, "Transfer-Encoding", NULL);
	check_field(head, "Expect", NULL);
	check(head_count(head, "Host") == 1, "Host:\n%s", head);
	free(head);
}
TEST_EACH(fidelity, fields_arrive)

/* Both web servers merge repeated lines before the worker sees them, with a
 * comma; lighttpd those of Cookie with a semicolon. */
static void
repeated_fields_keep_their_values(struct stack *s)
{
	char *head = echo(s, "GET", "/echo", "X-Many: 1\r\nCookie: a=1\r\n"
	    "X-Many: 2\r\nCookie: b=2\r\nX-Many: 3\r\n");

	check_field(head, "X-Many", "1, 2, 3");
	check_field(head, "Cookie", harness_name("a=1%sb=2",
	    web_facts(s)->cookie_join));
	free(head);
}
TEST_EACH_WEB(fidelity, repeated_fields_keep_their_values)

static void
hop_by_hop_fields_stay_behind(struct stack *s)
{
	struct client *c = client_new(s->port);
	struct response r;
	char *head;

	client_printf(c, "GET /echo HTTP/1.1\r\nHost: proxy.test\r\n"
	    "Connection: close, X-Drop\r\nX-Drop: 1\r\nX-Keep: 1\r\n"
	    "Keep-Alive: timeout=5\r\nTE: trailers\r\nTrailer: X\r\n"
	    "Proxy-Connection: keep-alive\r\n"
	    "Proxy-Authorization: Basic eDp5\r\n\r\n");
	r = stack_receive(c, "GET");
	head = response_text(&r);
	check(r.status == 200, "%d %s", r.status, head);
	check_field(head, "X-Drop", NULL);
	check_field(head, "X-Keep", "1");
	check_field(head, "Keep-Alive", NULL);
	check_field(head, "TE", NULL);
	check_field(head, "Trailer", NULL);
	check_field(head, "Proxy-Connection", NULL);
	check_field(head, "Proxy-Authorization", NULL);
	free(head);
	response_clear(&r);
}
TEST_EACH(fidelity, hop_by_hop_fields_stay_behind)

static void
forwarded_fields_are_set(struct stack *s)
{
	char *head = echo(s, "GET", "/echo",
	    "X-Forwarded-For: 192.0.2.1\r\n"
	    "X-Forwarded-Proto: gopher\r\nX-Forwarded-Host: evil.test\r\n");

	check_field(head, "X-Forwarded-For", "192.0.2.1, 127.0.0.1");
	check_field(head, "X-Forwarded-Proto", "http");
	check_field(head, "X-Forwarded-Host", "proxy.test");
	check(head_field(head, "Via", 0) != NULL, "no Via:\n%s", head);
	free(head);
}
TEST_EACH(fidelity, forwarded_fields_are_set)

static void
a_request_without_http_1_1_comes_through(struct stack *s)
{
	struct response r = request(s->port, "GET /echo HTTP/1.0\r\n"
	    "Host: proxy.test\r\n\r\n");

	check(r.status == 200 && r.whole, "%d", r.status);
	check(strncmp(response_text(&r), "GET /echo HTTP/1.1\r\n", 20) == 0,
	    "%s", response_text(&r));
	response_clear(&r);
}
TEST_EACH_WEB(fidelity, a_request_without_http_1_1_comes_through)
