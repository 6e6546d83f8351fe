/* login_bypass.c - where clients have to log in, nobody gets to a backend
 * without: not by the mounts that need no login, nor by a spelling that one
 * reads in another way than the other, nor by saying who he is. */
#include "config.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tests/integration/stack.h"

/* Raw, without any of what stack_send adds. */
static int
ask(struct stack *s, const char *target, const char *fields)
{
	struct response r = request(s->port, "GET %s HTTP/1.1\r\n"
	    "Host: proxy.test\r\nConnection: close\r\n%s\r\n", target,
	    fields);
	int status = r.status;

	response_clear(&r);
	return status;
}

/* What the readiness test of the stack has asked for does not count. */
static size_t
seen(struct stack *s)
{
	return backend_count(s->backend, "/") -
	    backend_count(s->backend, "/ready");
}

static void
no_path_leads_around_the_login(struct stack *s)
{
	static const char *const targets[] = {
		"/echo", "//echo", "/./echo", "/%65cho", "/echo/..;/",
		"/inverting-proxy/../echo",
		"/inverting-proxy/%2e%2e/echo",
		"/inverting-proxy/.%2e/echo",
		"/inverting-proxy/..%2fecho",
		"/inverting-proxy%2f..%2fecho",
		"/inverting-proxy/agent/../../echo",
		"/inverting-proxy/agent/%2e%2e/%2e%2e/echo",
		"/inverting-proxy/..;/echo",
		"/inverting-proxy;/../echo",
		"/inverting-proxy\\..\\echo",
		"/inverting-proxy/%5c..%5c..%5cecho",
		"/echo?/inverting-proxy/", "/echo#/inverting-proxy/",
		"/echo/inverting-proxy/", "/echo%3f/inverting-proxy/",
		"/INVERTING-PROXY/../echo", "/Inverting-Proxy/echo",
		"/inverting-proxy", "/inverting-proxyx/echo",
		"//inverting-proxy/echo", "/inverting-proxy//echo",
		"/inverting-proxy/echo", "/inverting-proxy/agent/echo",
		"/inverting-proxy/healthz/../../echo",
		"/inverting-proxy/%00/../echo", "/echo%00/inverting-proxy/",
		"http://proxy.test/echo",
		"http://proxy.test/inverting-proxy/../echo",
		"http://proxy.test/inverting-proxy/%2e%2e/echo",
		"http://inverting-proxy/echo",
		"http://inverting-proxy/agent/echo",
	};
	char *wrong_token = harness_name("Authorization: Bearer %s\r\n",
	    s->agent_token);

	for (size_t i = 0; i < sizeof(targets) / sizeof(targets[0]); i++) {
		int status = ask(s, targets[i], "");

		check(status >= 400 && status < 500, "%s: %d", targets[i],
		    status);
		status = ask(s, targets[i], wrong_token);
		check(status >= 400 && status < 500, "%s with a token: %d",
		    targets[i], status);
	}
	check(seen(s) == 0, "the backend has seen %zu requests", seen(s));
}
TEST_EACH_WEB(login_bypass, no_path_leads_around_the_login, .login = true)

static void
no_field_is_a_login(struct stack *s)
{
	static const char *const fields[] = {
		"Remote-User: alice\r\n", "REMOTE_USER: alice\r\n",
		"X-Remote-User: alice\r\n", "X-Forwarded-User: alice\r\n",
		"X-Inverting-Proxy-User-ID: alice\r\n",
		"Auth-Type: Basic\r\nRemote-User: alice\r\n",
		"Inverting-Proxy-Role: admin\r\n",
		"INVERTING_PROXY_ROLE: agent\r\n",
		"Authorization: Basic YWxpY2U6d3Jvbmc=\r\n",
		"Authorization: Basic YWxpY2U6\r\n",
		"Authorization: Bearer alice\r\n",
		"Proxy-Authorization: Basic YWxpY2U6YWxpY2U=\r\n",
		"Content-Length: 0\r\nX-HTTP-Method-Override: POST\r\n",
		"X-Original-URL: /inverting-proxy/healthz\r\n",
		"X-Rewrite-URL: /inverting-proxy/healthz\r\n",
	};

	for (size_t i = 0; i < sizeof(fields) / sizeof(fields[0]); i++) {
		int status = ask(s, "/echo", fields[i]);

		check(status == 401, "with %s: %d", fields[i], status);
	}
	check(seen(s) == 0, "the backend has seen %zu requests", seen(s));
}
TEST_EACH_WEB(login_bypass, no_field_is_a_login, .login = true)

/* The password was for the web server. */
static void
no_password_reaches_a_backend(struct stack *s)
{
	struct response r = stack_get(s, "/echo");
	char *head = response_text(&r);

	check(r.status == 200 && head_count(head, "Authorization") == 0 &&
	    strstr(head, "YWxpY2U6YWxpY2U=") == NULL, "%d %s", r.status,
	    head);
	response_clear(&r);
}
TEST_EACH(login_bypass, no_password_reaches_a_backend, .login = true)

/* bob, whose password is right, is not alice to anybody. */
static void
nobody_is_somebody_else(struct stack *s)
{
	char *head;

	admin(s, "backend", "add", "b1", "--end-user=alice",
	    "--backend-user=agent-one", "--path=/");
	wait_for(ask(s, "/echo", "Authorization: Basic Ym9iOmJvYg==\r\n") ==
	    404, PATIENCE_MS, "bob gets to the backend of alice");
	check(ask(s, "/echo", "Authorization: Basic Ym9iOmJvYg==\r\n"
	    "Remote-User: alice\r\nX-Inverting-Proxy-User-ID: alice\r\n") ==
	    404, "bob said he was alice");

	struct response r = stack_receive(stack_send(s, "GET", "/echo",
	    "X-Inverting-Proxy-User-ID: root\r\n"
	    "X_Inverting_Proxy_User_ID: root\r\n"), "GET");

	head = response_text(&r);
	check(r.status == 200 && head_count(head,
	    "X-Inverting-Proxy-User-ID") == 1 && strcmp(head_field(head,
	    "X-Inverting-Proxy-User-ID", 0), "alice") == 0, "%d %s", r.status,
	    head);
	response_clear(&r);
}
TEST_EACH(login_bypass, nobody_is_somebody_else, .login = true,
    .agent_options = { "--forward-user-id" })
