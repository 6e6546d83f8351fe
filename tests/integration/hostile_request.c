/* hostile_request.c - what a client may not do: claim an identity, smuggle,
 * fold names, send what is too large. */
#include "config.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tests/integration/stack.h"

/* The head as the backend saw it. */
static char *
echo(struct stack *s, const char *fields)
{
	struct response r = stack_receive(stack_send(s, "GET", "/echo",
	    fields), "GET");
	char *text = response_text(&r);

	check(r.status == 200, "%d %s", r.status, text);
	response_clear(&r);
	return text;
}

static void
nothing_of_ours_is_believed(struct stack *s)
{
	char *head = echo(s, "X-Inverting-Proxy-User-ID: root\r\n"
	    "X-Inverting-Proxy-Backend-ID: b2\r\n"
	    "X-Inverting-Proxy-Request-ID: 1\r\n"
	    "X-Inverting-Proxy-Anything: 1\r\n"
	    "X_Inverting_Proxy_User_ID: root\r\n"
	    "x-inverting_proxy-user-id: root\r\n"
	    "X-Inverting-Proxyish: stays\r\n");

	check(strcasestr(head, "root") == NULL &&
	    head_count(head, "X-Inverting-Proxy-Anything") == 0 &&
	    head_count(head, "X-Inverting-Proxy-Backend-ID") == 0, "%s", head);
	check(head_count(head, "X-Inverting-Proxyish") == 1, "%s", head);
	free(head);
}
TEST_EACH(hostile_request, nothing_of_ours_is_believed)

/* Nor what other gateways would say of the client, by any spelling. */
static void
no_identity_of_a_client_is_believed(struct stack *s)
{
	char *head = echo(s, "X-Real-IP: 6.6.6.6\r\nX_Real_IP: 6.6.6.6\r\n"
	    "X-Client-IP: 6.6.6.6\r\nForwarded: for=6.6.6.6;host=forged\r\n"
	    "Remote-User: forged\r\nX-Remote-User: forged\r\n"
	    "remote_user: forged\r\nX-Forwarded-User: forged\r\n"
	    "X-Forwarded-Email: forged\r\nX-Forwarded-Port: 6666\r\n"
	    "X-Forwarded-Proto: forged\r\nX-Forwarded-Host: forged\r\n");

	check(strstr(head, "6.6.6.6") == NULL &&
	    strstr(head, "forged") == NULL && strstr(head, "6666") == NULL,
	    "%s", head);
	free(head);
}
TEST_EACH(hostile_request, no_identity_of_a_client_is_believed)

/* X_Forwarded_For and X-Forwarded-For are one name to CGI. */
static void
names_that_fold_do_not_replace_what_is_set(struct stack *s)
{
	char *head = echo(s, "X_Forwarded_Proto: https\r\n"
	    "X_Forwarded_Host: evil.test\r\nX_Forwarded_For: 6.6.6.6\r\n");
	char *chain = head_field(head, "X-Forwarded-For", 0);

	check(head_count(head, "X-Forwarded-Proto") == 1 &&
	    strcmp(head_field(head, "X-Forwarded-Proto", 0), "http") == 0 &&
	    strcmp(head_field(head, "X-Forwarded-Host", 0), "proxy.test") == 0,
	    "%s", head);
	/* what came before may be a lie; the last element is ours */
	check(chain != NULL && strlen(chain) >= 9 &&
	    strcmp(chain + strlen(chain) - 9, "127.0.0.1") == 0, "%s", head);
	free(head);
}
TEST_EACH(hostile_request, names_that_fold_do_not_replace_what_is_set)

/* HTTP/1.0 may have no Host: then the web server says what it is called, if it
 * has a name. */
static void
no_host_is_no_port(struct stack *s)
{
	struct response r = request(s->port, "GET /echo HTTP/1.0\r\n\r\n");
	char *head = response_text(&r);

	check(r.status == 200, "%d %s", r.status, head);
	check(head_count(head, "Host") == 1 &&
	    *head_field(head, "Host", 0) != ':', "%s", head);
	check(s->web == WEB_APACHE || *head_field(head, "Host", 0) == '\0',
	    "%s", head);
	free(head);
	response_clear(&r);
}
TEST_EACH(hostile_request, no_host_is_no_port)

/* httpoxy: HTTP_PROXY in a CGI environment. */
static void
a_proxy_field_is_not_followed(struct stack *s)
{
	char *head = echo(s, harness_name("Proxy: http://127.0.0.1:%d/\r\n",
	    backend_port(s->backend)));

	check(strncmp(head, "GET /echo HTTP/1.1\r\n", 20) == 0, "%s", head);
	check(backend_count(s->backend, "http://") == 0,
	    "a request went through the client's proxy");
	free(head);
	stack_expect(s, "/ready", 200);
}
TEST_EACH(hostile_request, a_proxy_field_is_not_followed)

static void
connection_does_not_remove_what_matters(struct stack *s)
{
	struct client *c = client_new(s->port);
	struct response r;
	char *head;

	client_printf(c, "POST /echo HTTP/1.1\r\nHost: proxy.test\r\n"
	    "Connection: close, Host, Cookie, Authorization, Content-Length, "
	    "X-Forwarded-For, X-Forwarded-Proto\r\n"
	    "Cookie: a=1\r\nAuthorization: Digest x\r\n"
	    "Content-Length: 5\r\n\r\nhello");
	r = stack_receive(c, "POST");
	head = response_text(&r);
	check(r.status == 200 && head_count(head, "Host") == 1 &&
	    head_count(head, "Cookie") == 1 &&
	    head_count(head, "Authorization") == 1 &&
	    head_count(head, "X-Forwarded-For") == 1 &&
	    head_count(head, "X-Forwarded-Proto") == 1 &&
	    strstr(head, "\r\n\r\nhello") != NULL, "%d %s", r.status, head);
	response_clear(&r);
}
TEST_EACH_WEB(hostile_request, connection_does_not_remove_what_matters)

/* One request on the wire is one request at the backend, or refused. */
static void
nothing_is_smuggled(struct stack *s)
{
	static const char *const requests[] = {
		"POST /echo HTTP/1.1\r\nHost: x\r\nContent-Length: 4\r\n"
		    "Transfer-Encoding: chunked\r\n\r\n"
		    "0\r\n\r\nGET /smuggled HTTP/1.1\r\nHost: x\r\n\r\n",
		"POST /echo HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\n"
		    "Content-Length: 6\r\n\r\nGET /smuggled HTTP/1.1\r\n\r\n",
		"POST /echo HTTP/1.1\r\nHost: x\r\nContent-Length: +4\r\n\r\n"
		    "GET /smuggled HTTP/1.1\r\nHost: x\r\n\r\n",
		"POST /echo HTTP/1.1\r\nHost: x\r\n"
		    "Transfer-Encoding: chunked, identity\r\n\r\n"
		    "0\r\n\r\nGET /smuggled HTTP/1.1\r\nHost: x\r\n\r\n",
		"POST /echo HTTP/1.1\r\nHost: x\r\n"
		    "Content_Length: 0\r\nContent-Length: 44\r\n\r\n"
		    "GET /smuggled HTTP/1.1\r\nHost: localhost\r\n\r\n",
		"GET /echo HTTP/1.1\r\nHost: x\r\n"
		    "X: a\rGET /smuggled HTTP/1.1\r\n\r\n",
	};

	for (size_t i = 0; i < sizeof(requests) / sizeof(requests[0]); i++) {
		struct client *c = client_new(s->port);
		struct response r;

		client_printf(c, "%s", requests[i]);
		client_half_close(c);
		response_read_head(c, "POST", &r, PATIENCE_MS);
		check(r.status == 0 || r.status == 200 || r.status >= 400,
		    "number %zu: %d", i, r.status);
		response_clear(&r);
		client_free(c);
		stack_expect(s, "/ready", 200);
	}
	/* A pipelined request of the client's own is none of the backend's
	 * connection's; it may be there once each, but never inside another. */
	for (size_t i = 0; i < backend_count(s->backend, "/echo"); i++)
		check(head_count(backend_request(s->backend, "/echo", i)->head,
		    "Content-Length") + head_count(backend_request(s->backend,
		    "/echo", i)->head, "Transfer-Encoding") <= 1,
		    "ambiguous: %s",
		    backend_request(s->backend, "/echo", i)->head);
}
TEST_EACH(hostile_request, nothing_is_smuggled)

static void
oversized_heads_are_refused(struct stack *s)
{
	char *large = calloc(1, 70000), *many = calloc(1, 70000);
	struct response r;

	check(large != NULL && many != NULL, "no memory");
	strcpy(large, "X-Large: ");
	memset(large + 9, 'x', 40000);
	strcat(large, "\r\n");
	for (int i = 0; i < 200; i++)
		snprintf(many + strlen(many), 40, "X-Many-%d: 1\r\n", i);
	r = stack_receive(stack_send(s, "GET", "/echo", large), "GET");
	check(r.status == 431 || r.status == 400 || r.status == 413,
	    "large: %d", r.status);
	response_clear(&r);
	r = stack_receive(stack_send(s, "GET", "/echo", many), "GET");
	check(r.status == 431 || r.status == 400, "many: %d", r.status);
	response_clear(&r);
	stack_expect(s, "/ready", 200);
}
TEST_EACH_WEB(hostile_request, oversized_heads_are_refused,
    .worker_options = { "--head-limit=16k", "--field-limit=100" })

static void
log_lines_can_not_be_forged(struct stack *s)
{
	struct response r = stack_get(s,
	    "/echo/%0a2026-01-01T00:00:00.000Z%20info%20forged%1b[31m");

	check(r.status == 200 || r.status == 400, "%d", r.status);
	response_clear(&r);
	r = stack_receive(stack_send(s, "GET", "/ready",
	    "User-Agent: a\tb\x1b[31mc\r\n"), "GET");
	response_clear(&r);
	check(!process_log_has(s->worker, "\x1b") &&
	    !process_log_has(s->agent[0], "\x1b"), "an escape in the log");
	check(!process_log_has(s->worker, "\n2026-01-01T") &&
	    !process_log_has(s->agent[0], "\n2026-01-01T"), "a forged line");
}
TEST_EACH_WEB(hostile_request, log_lines_can_not_be_forged)

static void
secrets_stay_out_of_logs(struct stack *s)
{
	struct response r = stack_receive(stack_send(s, "GET", "/ready",
	    "Authorization: Bearer hunter2secret\r\nCookie: c=hunter2secret\r\n"
	    ), "GET");

	check(r.status == 200, "%d", r.status);
	response_clear(&r);
	check(!process_log_has(s->worker, "hunter2secret") &&
	    !process_log_has(s->agent[0], "hunter2secret"),
	    "a credential is in a log");
	check(!process_log_has(s->worker, s->agent_token + 16) &&
	    !process_log_has(s->agent[0], s->agent_token + 16),
	    "the agent's token is in a log");
}
TEST_EACH(hostile_request, secrets_stay_out_of_logs)
