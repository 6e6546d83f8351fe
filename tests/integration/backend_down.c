/* backend_down.c - a backend that is not there, breaks off or does not answer
 * is shown to the client as what it is. */
#include "config.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tests/integration/stack.h"

/* The error page: short, with the exchange id that the logs have. */
static void
check_page(struct stack *s, const char *target, int status)
{
	struct response r = stack_get(s, target);
	char *text = response_text(&r);
	size_t at, id = 0;

	check(r.status == status && r.whole, "%s: %d %s", target, r.status,
	    text);
	check(r.content_len > 0 && r.content_len < 2000, "page: %s", text);
	for (at = 0; text[at] != '\0' && id != 48; at += id + 1)
		id = strspn(text + at, "0123456789abcdef");
	check(id == 48, "no exchange id: %s", text);
	text[at - 1] = '\0';
	check(process_log_has(s->worker, text + at - 49),
	    "the worker's log has not %s", text + at - 49);
	response_clear(&r);
}

static void
refused_is_502_at_once(struct stack *s)
{
	long long start;

	backend_stop(s->backend);
	start = now_ms();
	wait_for(stack_status(s, "/ready") == 502, PATIENCE_MS,
	    "a stopped backend still answers");
	check_page(s, "/ready", 502);
	check(now_ms() - start < 3000, "after %lld ms", now_ms() - start);
	backend_resume(s->backend);
	stack_expect(s, "/ready", 200);
}
TEST_EACH(backend_down, refused_is_502_at_once)

static void
no_head_is_502(struct stack *s)
{
	backend_answer_str(s->backend, "/nothing", "");
	check_page(s, "/nothing", 502);
	check_page(s, "/break-head", 502);
	stack_expect(s, "/ready", 200);
}
TEST_EACH(backend_down, no_head_is_502)

static void
a_break_is_shown(struct stack *s)
{
	static const char *const targets[] = { "/break/1000/0",
		"/break/1000/10", "/break/1000000/999999",
		"/break/200000/65536", "/break-chunked/5",
		"/break-chunked/300000", "/break-reset/100000/50000" };

	for (size_t i = 0; i < sizeof(targets) / sizeof(targets[0]); i++) {
		struct response r = stack_get(s, targets[i]);

		/* A cut response, or an error where nothing had been passed
		 * on (Apache makes 503 of a head that nothing follows). */
		check(r.status == 502 || r.status == 503 ||
		    (r.status == 200 && !r.whole),
		    "%s: %d, %llu bytes, %s", targets[i], r.status,
		    r.content_len, r.whole ? "looks whole" : "cut");
		response_clear(&r);
	}
	stack_expect(s, "/ready", 200);
}
TEST_EACH(backend_down, a_break_is_shown)

/* Also on a connection that is kept, where no close tells it. */
static void
a_break_is_shown_on_a_kept_connection(struct stack *s)
{
	static const char *const targets[] = { "/break/100000/50000",
		"/break-chunked/50000" };

	if (!stack_streams_responses(s))
		return;
	for (size_t i = 0; i < sizeof(targets) / sizeof(targets[0]); i++) {
		struct client *c = client_new(s->port);
		struct response r;

		client_printf(c, "GET %s HTTP/1.1\r\nHost: x\r\n\r\n",
		    targets[i]);
		response_read_head(c, "GET", &r, PATIENCE_MS);
		response_read_content(c, &r);
		check(r.status == 502 || !r.whole, "%s: %d, looks whole",
		    targets[i], r.status);
		response_clear(&r);
		client_free(c);
	}
}
TEST_EACH(backend_down, a_break_is_shown_on_a_kept_connection)

static void
a_break_of_a_stream_is_shown(struct stack *s)
{
	static const char answer[] = "HTTP/1.1 200 OK\r\n"
	    "Transfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n";
	struct response r;

	backend_answer_str(s->backend, "/cut", answer);
	r = stack_get(s, "/cut");
	check(r.status == 502 || !r.whole, "looks whole: %d %s", r.status,
	    response_text(&r));
	response_clear(&r);
}
TEST_EACH(backend_down, a_break_of_a_stream_is_shown)

/* Answers one request on each connection, and closes it at the next. */
static void
once(struct backend_connection *c, void *arg)
{
	(void)arg;
	c->close = backend_count(c->backend, "/once") % 2 == 0;
	if (!c->close)
		backend_printf(c, "HTTP/1.1 200 OK\r\n"
		    "Content-Length: 2\r\n\r\nok");
}

/* What may be repeated goes again on another connection, however often. */
static void
connections_that_die_when_used_again(struct stack *s)
{
	backend_script(s->backend, "/once", once, NULL);
	for (size_t i = 0; i < 20; i++)
		stack_expect(s, "/once", 200);
	check(backend_count(s->backend, "/once") == 39, "%zu requests",
	    backend_count(s->backend, "/once"));
}
TEST_EACH(backend_down, connections_that_die_when_used_again)

static void
no_answer_is_504(struct stack *s)
{
	long long start = now_ms();

	check_page(s, "/never", 504);
	check(now_ms() - start < 4000, "after %lld ms", now_ms() - start);
	if (stack_can_cancel(s))
		wait_for(backend_count_gone(s->backend, "/never") == 1,
		    PATIENCE_MS, "the backend's request is not aborted");
}
TEST_EACH(backend_down, no_answer_is_504,
    .worker_options = { "--response-timeout=1s" })

static void
the_agent_may_be_the_one_who_waits(struct stack *s)
{
	check_page(s, "/never", 504);
	stack_expect(s, "/ready", 200);
}
TEST_EACH(backend_down, the_agent_may_be_the_one_who_waits,
    .agent_options = { "--request-forwarding-timeout=1s" })

/* A second of silence is allowed here, a response that begins and then rests
 * is cut. */
static void
a_response_that_rests_is_cut(struct stack *s)
{
	struct response r = stack_get(s, "/drip/3/10000");

	check(r.status == 504 || r.status == 502 ||
	    (r.status == 200 && !r.whole), "%d, %s", r.status,
	    r.whole ? "whole" : "cut");
	response_clear(&r);
	wait_for(backend_count_gone(s->backend, "/drip") == 1, PATIENCE_MS,
	    "the backend's request is not aborted");
}
TEST_EACH_WEB(backend_down, a_response_that_rests_is_cut,
    .worker_options = { "--idle-timeout=1s" })
