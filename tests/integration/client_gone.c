/* client_gone.c - when the client has left, the backend's work is stopped, and
 * nobody else notices. */
#include "config.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tests/integration/stack.h"

/* Only a web server that watches its client sees it leave before it has
 * something to write; lighttpd does so on a connection that had a request
 * before. */
static struct client *
known_client(struct stack *s)
{
	struct client *c = client_new(s->port);
	struct response r;

	client_printf(c, "GET /ready HTTP/1.1\r\nHost: x\r\n\r\n");
	response_read_head(c, "GET", &r, PATIENCE_MS);
	response_read_content(c, &r);
	/* Apache closes after a response that came in pieces. */
	if (fields_has_token(&r.decoded.fields, "Connection", "close")) {
		client_free(c);
		c = client_new(s->port);
	}
	response_clear(&r);
	return c;
}

/* One client leaves; is its request aborted? */
static bool
one_is_aborted(struct stack *s)
{
	size_t before = backend_count(s->backend, "/never");
	size_t gone = backend_count_gone(s->backend, "/never");
	struct client *c = known_client(s);
	long long deadline;

	client_printf(c, "GET /never HTTP/1.1\r\nHost: x\r\n\r\n");
	wait_for(backend_count(s->backend, "/never") > before, PATIENCE_MS,
	    "the request does not arrive");
	client_free(c);
	if (!web_facts(s)->sees_client_leave || !stack_can_cancel(s))
		return true;
	deadline = now_ms() + 3000;
	while (backend_count_gone(s->backend, "/never") == gone &&
	    now_ms() < deadline)
		harness_pause();
	return backend_count_gone(s->backend, "/never") > gone;
}

/* Not each time: lighttpd does not see every client that leaves. */
static void
while_the_backend_thinks(struct stack *s)
{
	int tries = 0;

	while (!one_is_aborted(s))
		check(++tries < 5, "the backend's request is not aborted");
	stack_expect(s, "/ready", 200);
}
TEST_EACH(client_gone, while_the_backend_thinks)

static void
in_the_middle_of_a_download(struct stack *s)
{
	struct client *c;
	struct response r;

	if (!stack_streams_responses(s))
		return;
	c = stack_send(s, "GET", "/bytes/500000000", "");
	response_read_head(c, "GET", &r, 2 * PATIENCE_MS);
	check(r.status == 200, "%d", r.status);
	while (r.content_len < 1000000)
		check(response_read_piece(c, &r, PATIENCE_MS).len > 0,
		    "the download stops");
	response_clear(&r);
	client_reset(c);
	wait_for(backend_count_gone(s->backend, "/bytes") == 1, PATIENCE_MS,
	    "the backend goes on sending");
	stack_expect(s, "/ready", 200);
}
TEST_EACH(client_gone, in_the_middle_of_a_download)

static void
in_the_middle_of_events(struct stack *s)
{
	struct client *c = stack_send(s, "GET", "/sse/100000/20", "");
	struct response r;

	wait_for(backend_count_open(s->backend, "/sse") == 1, PATIENCE_MS,
	    "the request does not arrive");
	if (stack_streams_responses(s)) {
		response_read_head(c, "GET", &r, PATIENCE_MS);
		response_read_piece(c, &r, PATIENCE_MS);
		response_clear(&r);
		client_free(c);
		wait_for(backend_count_gone(s->backend, "/sse") == 1,
		    PATIENCE_MS, "the backend goes on sending");
	} else {
		client_free(c);
	}
	stack_expect(s, "/ready", 200);
}
TEST_EACH(client_gone, in_the_middle_of_events)

/* The content breaks off: the backend must not take it for whole. */
static void
in_the_middle_of_an_upload(struct stack *s)
{
	struct client *c = stack_send(s, "POST", "/hash",
	    "Content-Length: 1000000\r\n");

	client_send_pattern(c, 300000, false);
	wait_for(backend_count(s->backend, "/hash") == 1, PATIENCE_MS,
	    "the request does not arrive");
	client_reset(c);
	wait_for(backend_count_gone(s->backend, "/hash") == 1, PATIENCE_MS,
	    "the backend still waits for content");
	check(!backend_request(s->backend, "/hash", 0)->content_whole,
	    "the backend took half for the whole");
	stack_expect(s, "/ready", 200);
}
TEST_EACH(client_gone, in_the_middle_of_an_upload)

static long
queued(struct stack *s)
{
	return stack_redis_number(s, "llen ip:{b:b1}:queue");
}

/* What nobody waits for any more is not given to an agent that comes. */
static void
before_an_agent_took_it(struct stack *s)
{
	enum { MANY = 20 };
	struct client *c[MANY];
	size_t left;

	for (int i = 0; i < MANY; i++)
		c[i] = known_client(s);
	process_stop(s->agent[0]);
	for (int i = 0; i < MANY; i++)
		client_printf(c[i], "POST /hash HTTP/1.1\r\nHost: x\r\n"
		    "Content-Length: 0\r\n\r\n");
	wait_for(queued(s) == MANY, PATIENCE_MS, "not queued");
	for (int i = 0; i < MANY; i++)
		client_free(c[i]);
	/* The web server may not see each of them leave. */
	if (web_facts(s)->sees_client_leave)
		wait_for(queued(s) <= MANY / 2, PATIENCE_MS, "%ld stay queued",
		    queued(s));
	left = (size_t)queued(s);
	stack_start_agent(s, 0);
	stack_wait_ready(s);
	check(backend_count(s->backend, "/hash") <= left,
	    "%zu were done for nobody", backend_count(s->backend, "/hash"));
}
TEST_EACH_WEB(client_gone, before_an_agent_took_it)
