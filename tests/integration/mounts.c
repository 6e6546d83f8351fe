/* mounts.c - roles are by mount: no path, encoding or field of a client leads
 * into another role. */
#include "config.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tests/integration/classic.h"

/* Must be the backend's (200 by echo) or refused; never an agent's or admin's
 * answer. */
static void
roundabout_paths_lead_nowhere(struct stack *s)
{
	static const char *const targets[] = {
		"/echo/../inverting-proxyx/api/backends",
		"/inverting-proxyx/api/backends",
		"/Inverting-Proxy/api/backends",
		"/echo;/inverting-proxy/api/backends",
		"/echo?/inverting-proxy/api/backends",
		"/echo/%252e%252e/inverting-proxy/agent/pending",
	};

	for (size_t i = 0; i < sizeof(targets) / sizeof(targets[0]); i++) {
		struct response r = stack_get(s, targets[i]);
		char *text = response_text(&r);

		check(r.status != 401 && strstr(text, "backendUser") == NULL,
		    "%s was taken for a call: %d %s", targets[i], r.status,
		    text);
		free(text);
		response_clear(&r);
	}
}
TEST_EACH_WEB(mounts, roundabout_paths_lead_nowhere)

/* Whatever a path normalizes to, a credential is asked for. */
static void
roundabout_paths_need_a_credential(struct stack *s)
{
	static const char *const targets[] = {
		"/inverting-proxy/api/backends",
		"/inverting-proxy/agent/../api/backends",
		"/inverting-proxy/./api/backends",
		"/x/../inverting-proxy/api/backends",
		"/inverting-proxy/%61pi/backends",
		"//inverting-proxy/api/backends",
		"/inverting-proxy//api/backends",
		"/%69nverting-proxy/agent/pending",
		"/x/..%2finverting-proxy/agent/pending",
		"/inverting-proxy%2fapi/backends",
		"http://proxy.test/inverting-proxy/api/backends",
	};

	for (size_t i = 0; i < sizeof(targets) / sizeof(targets[0]); i++) {
		struct response r = stack_get(s, targets[i]);
		char *text = response_text(&r);

		check(r.status >= 400 && strstr(text, "backendUser") == NULL,
		    "%s: %d %s", targets[i], r.status, text);
		free(text);
		response_clear(&r);
	}
}
TEST_EACH_WEB(mounts, roundabout_paths_need_a_credential)

static void
fields_do_not_make_a_role(struct stack *s)
{
	struct response r = stack_receive(stack_send(s, "GET", "/api/backends",
	    "Inverting-Proxy-Role: admin\r\nRole: admin\r\n"
	    "X-Inverting-Proxy-Role: admin\r\n"
	    "INVERTING_PROXY_ROLE: admin\r\nRemote-User: root\r\n"), "GET");

	check(r.status == 404 && strcmp(response_text(&r), "no script\n") == 0,
	    "not the backend's answer: %d %s", r.status, response_text(&r));
	response_clear(&r);
}
TEST_EACH_WEB(mounts, fields_do_not_make_a_role,
    .worker_options = { "--admin=root" })

static void
unknown_calls_are_404_and_wrong_methods_405(struct stack *s)
{
	struct response r;
	char *auth = harness_name("Authorization: Bearer %s\r\n"
	    "X-Inverting-Proxy-Backend-ID: b1\r\n", s->agent_token);

	r = stack_receive(stack_send(s, "GET", AGENT_MOUNT "agent/nothing",
	    auth), "GET");
	check(r.status == 404, "unknown call: %d", r.status);
	response_clear(&r);
	r = stack_receive(stack_send(s, "DELETE", AGENT_MOUNT "agent/pending",
	    auth), "DELETE");
	check(r.status == 405, "wrong method: %d", r.status);
	response_clear(&r);
	r = stack_receive(stack_send(s, "GET", AGENT_MOUNT "agent/response",
	    auth), "GET");
	check(r.status == 405, "wrong method: %d", r.status);
	response_clear(&r);
}
TEST_EACH_WEB(mounts, unknown_calls_are_404_and_wrong_methods_405,
    .agents = STACK_NO_AGENT)
