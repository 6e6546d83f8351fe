/* hostile_response.c - what a backend may not do: steer the web server, inject
 * field lines, lie about lengths, send what is not HTTP. */
#include "config.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tests/integration/classic.h"

#define ANSWER(name, bytes) { name, bytes, sizeof(bytes) - 1 }

struct answer {
	const char *target;
	const char *bytes;
	size_t len;
};

static void
what_is_not_http_is_502(struct stack *s)
{
	static const struct answer answers[] = {
		ANSWER("/garbage", "\x16\x03\x01 not http at all\r\n\r\n"),
		ANSWER("/text", "hello\r\n\r\n"),
		ANSWER("/binary", "\0\0\0\1\0\0\0\0\0\0\0\0\r\n\r\n"),
		ANSWER("/status-word", "HTTP/1.1 abc OK\r\n\r\n"),
		ANSWER("/status-short", "HTTP/1.1 20 OK\r\n\r\n"),
		ANSWER("/status-large", "HTTP/1.1 2000 OK\r\n\r\n"),
		ANSWER("/no-colon", "HTTP/1.1 200 OK\r\nBroken\r\n"
		    "Content-Length: 0\r\n\r\n"),
		ANSWER("/space-colon", "HTTP/1.1 200 OK\r\nName : x\r\n"
		    "Content-Length: 0\r\n\r\n"),
		ANSWER("/name-nul", "HTTP/1.1 200 OK\r\nNa\0me: x\r\n"
		    "Content-Length: 0\r\n\r\n"),
		ANSWER("/value-nul", "HTTP/1.1 200 OK\r\nName: a\0b\r\n"
		    "Content-Length: 0\r\n\r\n"),
		ANSWER("/bare-cr", "HTTP/1.1 200 OK\r\nName: a\rX-Evil: b\r\n"
		    "Content-Length: 0\r\n\r\n"),
		ANSWER("/length-word", "HTTP/1.1 200 OK\r\n"
		    "Content-Length: abc\r\n\r\n"),
		ANSWER("/length-minus", "HTTP/1.1 200 OK\r\n"
		    "Content-Length: -1\r\n\r\n"),
		ANSWER("/length-huge", "HTTP/1.1 200 OK\r\n"
		    "Content-Length: 99999999999999999999\r\n\r\nx"),
		ANSWER("/two-lengths", "HTTP/1.1 200 OK\r\n"
		    "Content-Length: 2\r\nContent-Length: 3\r\n\r\nabc"),
		/* Of what?  libcurl's answer was the response before. */
		ANSWER("/fold-of-nothing", "HTTP/1.1 200 OK\r\n X-Evil: b\r\n"
		    "Content-Length: 0\r\n\r\n"),
		ANSWER("/fold-of-nothing-again", "HTTP/1.1 200 OK\r\n\tX: b\r\n"
		    "Content-Length: 0\r\n\r\n"),
	};

	for (size_t i = 0; i < sizeof(answers) / sizeof(answers[0]); i++) {
		struct response r;

		backend_answer(s->backend, answers[i].target,
		    answers[i].bytes, answers[i].len);
		r = stack_get(s, answers[i].target);
		check(r.status == 502 && r.whole, "%s: %d %.*s",
		    answers[i].target, r.status, (int)buf_len(&r.head),
		    buf_data(&r.head));
		check(response_field(&r, "X-Evil") == NULL, "%s: injected",
		    answers[i].target);
		response_clear(&r);
	}
	stack_expect(s, "/ready", 200);
}
TEST_EACH(hostile_response, what_is_not_http_is_502)

/* To "ok" with so many trailer fields of 1 KiB, which the backend keeps. */
static struct response
get_trailers(struct stack *s, struct buf *answer, int count)
{
	char *target = harness_name("/trailers/%d", count);
	bool fits;

	buf_init(answer, 1024 * 1024);
	fits = buf_append_str(answer, "HTTP/1.1 200 OK\r\n"
	    "Transfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n") == 0;
	for (int i = 0; i < count; i++)
		fits = fits && buf_printf(answer, "X-%d: %01000d\r\n", i,
		    0) == 0;
	check(fits && buf_append_str(answer, "\r\n") == 0, "too large");
	backend_answer(s->backend, target, buf_data(answer), buf_len(answer));
	return stack_get(s, target);
}

/* Nobody reads it, but whoever receives it may keep it. */
static void
a_trailer_section_has_a_limit(struct stack *s)
{
	struct buf few, many;
	struct response r = get_trailers(s, &few, 100);

	check(r.status == 200 && r.whole &&
	    strcmp(response_text(&r), "ok") == 0, "large: %d %s", r.status,
	    response_text(&r));
	response_clear(&r);
	r = get_trailers(s, &many, 200);
	check(r.status == 502 || (r.status == 200 && !r.whole),
	    "too large: %d %s", r.status, r.whole ? "whole" : "cut");
	response_clear(&r);
	buf_clear(&few);
	buf_clear(&many);
	stack_expect(s, "/ready", 200);
}
TEST_EACH(hostile_response, a_trailer_section_has_a_limit)

/* The same bytes from an agent of somebody else's making: nothing that the
 * agent's library would have stopped. */
static void
an_agent_is_not_believed(struct stack *s)
{
	static const struct answer answers[] = {
		ANSWER("garbage", "\x16\x03\x01 not http at all\r\n\r\n"),
		ANSWER("bare CR", "HTTP/1.1 200 OK\r\nName: a\rX-Evil: b\r\n"
		    "Content-Length: 0\r\n\r\n"),
		ANSWER("bare LF", "HTTP/1.1 200 OK\nX-Evil: b\n\n"),
		ANSWER("fold", "HTTP/1.1 200 OK\r\nName: a\r\n X-Evil: b\r\n"
		    "Content-Length: 0\r\n\r\n"),
		ANSWER("NUL", "HTTP/1.1 200 OK\r\nName: a\0b\r\n"
		    "Content-Length: 0\r\n\r\n"),
		ANSWER("name", "HTTP/1.1 200 OK\r\nNa me: x\r\n"
		    "Content-Length: 0\r\n\r\n"),
		ANSWER("smuggle", "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n"
		    "Transfer-Encoding: chunked\r\n\r\n0\r\n\r\n"),
		ANSWER("coding", "HTTP/1.1 200 OK\r\n"
		    "Transfer-Encoding: gzip\r\n\r\nxx"),
		ANSWER("chunk", "HTTP/1.1 200 OK\r\n"
		    "Transfer-Encoding: chunked\r\n\r\nxyz\r\n\r\n"),
		ANSWER("no head", "HTTP/1.1 200 OK\r\nName: "),
		ANSWER("nothing", ""),
	};
	struct classic agent = classic_new(s);

	for (size_t i = 0; i < sizeof(answers) / sizeof(answers[0]); i++) {
		struct client *c = stack_send(s, "GET", "/x", "");
		char id[CLASSIC_ID_LEN];
		struct response r;
		int status;

		classic_take(&agent, id);
		r = classic_fetch(&agent, id);
		response_clear(&r);
		status = classic_post(&agent, id, answers[i].bytes,
		    answers[i].len);
		check(status == 400, "%s: the agent is told %d",
		    answers[i].target, status);
		r = stack_receive(c, "GET");
		/* Apache makes 503 of a head that nothing follows. */
		check(r.status == 502 || r.status == 503 ||
		    (r.status == 200 && !r.whole),
		    "%s: the client is told %d", answers[i].target, r.status);
		check(response_field(&r, "X-Evil") == NULL, "%s: injected",
		    answers[i].target);
		response_clear(&r);
	}
}
TEST_EACH_WEB(hostile_response, an_agent_is_not_believed,
    .agents = STACK_NO_AGENT)

/* In a CGI response these would act. */
static void
fields_do_not_steer_the_web_server(struct stack *s)
{
	static const char *const fields[] = {
		"Status: 404 Not Found", "X-Sendfile: /etc/passwd",
		"X-LIGHTTPD-send-file: /etc/passwd",
		"X-Sendfile2: /etc/passwd 0-10", "X-Accel-Redirect: /ready",
		"Location: /ready", "Location: http://elsewhere.test/",
		"Script-Control: no-abort", "Proxy: http://x/" };

	for (size_t i = 0; i < sizeof(fields) / sizeof(fields[0]); i++) {
		char *target = harness_name("/steer%zu", i);
		char *answer = harness_name("HTTP/1.1 200 OK\r\n%s\r\n"
		    "Content-Length: 4\r\n\r\nmine", fields[i]);
		struct response r;

		backend_answer(s->backend, target, answer, strlen(answer));
		r = stack_get(s, target);
		check(r.status == 200 && r.whole &&
		    strcmp(response_text(&r), "mine") == 0, "%s: %d %s",
		    fields[i], r.status, response_text(&r));
		check(backend_count(s->backend, "/ready") == 1,
		    "%s: an internal redirect", fields[i]);
		response_clear(&r);
	}
}
TEST_EACH(hostile_response, fields_do_not_steer_the_web_server)

static void
lengths_that_lie_are_shown_or_cut(struct stack *s)
{
	struct response r;

	/* Too little: broken off.  Too much: the rest is not a response. */
	backend_answer_str(s->backend, "/less", "HTTP/1.1 200 OK\r\n"
	    "Content-Length: 10\r\n\r\nabc");
	backend_answer_str(s->backend, "/more", "HTTP/1.1 200 OK\r\n"
	    "Content-Length: 3\r\n\r\nabcHTTP/1.1 200 OK\r\nX-Evil: 1\r\n\r\n");
	r = stack_get(s, "/less");
	check(r.status == 502 || r.status == 503 ||
	    (r.status == 200 && !r.whole), "less: %d %s",
	    r.status, r.whole ? "whole" : "cut");
	response_clear(&r);
	r = stack_get(s, "/more");
	check(r.status == 200 && r.whole &&
	    strcmp(response_text(&r), "abc") == 0, "more: %d %s", r.status,
	    response_text(&r));
	response_clear(&r);
	stack_expect(s, "/ready", 200);
}
TEST_EACH(hostile_response, lengths_that_lie_are_shown_or_cut)

static void
content_where_none_may_be_is_dropped(struct stack *s)
{
	struct client *c = client_new(s->port);
	struct response r;

	backend_answer_str(s->backend, "/204", "HTTP/1.1 204 No Content\r\n"
	    "Content-Length: 5\r\n\r\nstray");
	backend_answer_str(s->backend, "/304", "HTTP/1.1 304 Not Modified\r\n"
	    "Content-Length: 5\r\n\r\nstray");
	backend_answer_str(s->backend, "/head", "HTTP/1.1 200 OK\r\n"
	    "Content-Length: 5\r\n\r\nstray");
	client_printf(c, "GET /204 HTTP/1.1\r\nHost: x\r\n\r\n");
	response_read_head(c, "GET", &r, PATIENCE_MS);
	check(r.status == 204, "204: %d", r.status);
	response_clear(&r);
	client_printf(c, "GET /304 HTTP/1.1\r\nHost: x\r\n\r\n");
	response_read_head(c, "GET", &r, PATIENCE_MS);
	check(r.status == 304, "304: %d", r.status);
	response_clear(&r);
	client_printf(c, "HEAD /head HTTP/1.1\r\nHost: x\r\n\r\n");
	response_read_head(c, "HEAD", &r, PATIENCE_MS);
	check(r.status == 200, "HEAD: %d", r.status);
	response_clear(&r);
	client_printf(c, "GET /ready HTTP/1.1\r\nHost: x\r\n\r\n");
	response_read_head(c, "GET", &r, PATIENCE_MS);
	response_read_content(c, &r);
	check(r.status == 200 && strcmp(response_text(&r), "ready\n") == 0,
	    "out of step: %d %s", r.status, response_text(&r));
	response_clear(&r);
	client_free(c);
}
TEST_EACH(hostile_response, content_where_none_may_be_is_dropped)

static void
oversized_heads_are_502(struct stack *s)
{
	size_t room = 400000, len = 0;
	char *large = calloc(1, room), *many = calloc(1, room);
	struct response r;

	check(large != NULL && many != NULL, "no memory");
	len = (size_t)snprintf(large, room, "HTTP/1.1 200 OK\r\nX-Big: ");
	memset(large + len, 'x', 300000);
	strcat(large, "\r\nContent-Length: 0\r\n\r\n");
	len = (size_t)snprintf(many, room, "HTTP/1.1 200 OK\r\n");
	for (int i = 0; i < 2000; i++)
		len += (size_t)snprintf(many + len, room - len,
		    "X-%d: 1\r\n", i);
	snprintf(many + len, room - len, "Content-Length: 0\r\n\r\n");
	backend_answer(s->backend, "/large", large, strlen(large));
	backend_answer(s->backend, "/many", many, strlen(many));
	r = stack_get(s, "/large");
	check(r.status == 502, "large: %d", r.status);
	response_clear(&r);
	r = stack_get(s, "/many");
	check(r.status == 502, "many: %d", r.status);
	response_clear(&r);
	stack_expect(s, "/ready", 200);
}
TEST_EACH(hostile_response, oversized_heads_are_502)

/* lighttpd takes no head of more than 65,535 bytes from us, and would say 502
 * without a word of why. */
static void
a_head_is_as_large_as_the_web_server_takes(struct stack *s)
{
	enum { FIELDS = 9 };
	static const char name[] = "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n";
	char *head[2];

	for (int i = 0; i < 2; i++) {
		size_t room = 80000, len, value = i == 0 ? 7200 : 7300;

		check((head[i] = calloc(1, room)) != NULL, "no memory");
		len = (size_t)snprintf(head[i], room, name);
		for (int j = 0; j < FIELDS; j++) {
			len += (size_t)snprintf(head[i] + len, room - len,
			    "X-Large-%d: ", j);
			memset(head[i] + len, 'x', value);
			strcpy(head[i] + len + value, "\r\n");
			len += value + 2;
		}
		strcpy(head[i] + len, "\r\n");
		backend_answer(s->backend, i == 0 ? "/below" : "/above",
		    head[i], len + 2);
	}
	stack_expect(s, "/below", 200);

	struct response r = stack_get(s, "/above");
	char *text = response_text(&r);

	if (s->web == WEB_APACHE)
		check(r.status == 200, "%d %s", r.status, text);
	else
		check(r.status == 502 && strstr(text, "Exchange: ") != NULL,
		    "%d %s", r.status, text);
	free(text);
	response_clear(&r);
}
TEST_EACH_WEB(hostile_response, a_head_is_as_large_as_the_web_server_takes,
    .worker_options = { "--head-limit=128k" })
