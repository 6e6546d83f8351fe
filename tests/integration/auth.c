/* auth.c - who is not let in: every wrong credential on every mount. */
#include "config.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tests/integration/classic.h"

static int
status_of(struct stack *s, const char *method, const char *target,
    const char *authorization, const char *fields)
{
	char all[1024];
	struct response r;
	int status;

	snprintf(all, sizeof(all), "%s%s%s%sContent-Length: 0\r\n",
	    authorization == NULL ? "" : "Authorization: ",
	    authorization == NULL ? "" : authorization,
	    authorization == NULL ? "" : "\r\n", fields);
	r = stack_receive(stack_send(s, method, target, all), method);
	status = r.status;
	response_clear(&r);
	return status;
}

#define FOR_B1 "X-Inverting-Proxy-Backend-ID: b1\r\n" \
	"X-Inverting-Proxy-Request-ID: " \
	"000000000000000000000000000000000000000000000000\r\n"

static const char *const agent_calls[][2] = {
	{ "GET", AGENT_MOUNT "agent/pending" },
	{ "GET", AGENT_MOUNT "agent/request" },
	{ "POST", AGENT_MOUNT "agent/response" },
	{ "POST", AGENT_MOUNT "agent/exchange" },
};
static const char *const admin_calls[][2] = {
	{ "GET", ADMIN_MOUNT "api/backends" },
	{ "POST", ADMIN_MOUNT "api/backends" },
	{ "DELETE", ADMIN_MOUNT "api/backends/b1" },
};

/* A credential that looks right and is not: one character of its secret
 * changed. */
static char *
spoiled(const char *token)
{
	char *copy = harness_name("Bearer %s", token);
	size_t last = strlen(copy) - 2;

	copy[last] = copy[last] == 'A' ? 'B' : 'A';
	return copy;
}

static void
wrong_credentials_are_refused(struct stack *s)
{
	const char *const wrong[] = { NULL, "Bearer", "Bearer ",
		"Bearer x", "Basic YWdlbnQtb25lOng=", s->agent_token,
		"Bearer ip_AAAAAAAAAAAA_AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA"
		    "AAAAAAAA", spoiled(s->agent_token),
		harness_name("Bearer %s", s->admin_token),
		harness_name("Bearer %sx", s->agent_token),
		harness_name("Bearer %.*s", 16, s->agent_token) };

	for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++)
		for (size_t j = 0; j < 4; j++) {
			int status = status_of(s, agent_calls[j][0],
			    agent_calls[j][1], wrong[i], FOR_B1);

			check(status == 401, "%s with %s: %d",
			    agent_calls[j][1],
			    wrong[i] == NULL ? "nothing" : wrong[i], status);
		}
}
TEST_EACH_WEB(auth, wrong_credentials_are_refused, .agents = STACK_NO_AGENT)

static void
admins_need_an_admins_token(struct stack *s)
{
	const char *const wrong[] = { NULL, "Bearer x",
		spoiled(s->admin_token),
		harness_name("Bearer %s", s->agent_token) };

	for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++)
		for (size_t j = 0; j < 3; j++) {
			int status = status_of(s, admin_calls[j][0],
			    admin_calls[j][1], wrong[i], "");

			check(status == 401 || status == 403,
			    "%s %s with %s: %d", admin_calls[j][0],
			    admin_calls[j][1],
			    wrong[i] == NULL ? "nothing" : wrong[i], status);
		}
	check(status_of(s, "GET", ADMIN_MOUNT "api/backends", harness_name(
	    "Bearer %s", s->admin_token), "") == 200, "the right one fails");
	check(status_of(s, "GET", ADMIN_MOUNT "healthz", NULL, "") == 200,
	    "healthz needs none");
}
TEST_EACH_WEB(auth, admins_need_an_admins_token, .agents = STACK_NO_AGENT)

static void
another_backends_token_is_forbidden(struct stack *s)
{
	char *other = admin(s, "token", "add", "--role=agent",
	    "--user=agent-two");
	struct classic agent = classic_new(s);
	char *bearer = harness_name("Bearer %s", other);
	struct client *c = stack_send(s, "GET", "/x", "");
	char id[CLASSIC_ID_LEN], fields[256];
	struct response r;

	check(status_of(s, "GET", AGENT_MOUNT "agent/pending", bearer, FOR_B1)
	    == 403, "pending");
	classic_take(&agent, id);
	snprintf(fields, sizeof(fields), "X-Inverting-Proxy-Backend-ID: b1\r\n"
	    "X-Inverting-Proxy-Request-ID: %s\r\n", id);
	check(status_of(s, "GET", AGENT_MOUNT "agent/request", bearer, fields)
	    == 403, "request");
	check(status_of(s, "POST", AGENT_MOUNT "agent/response", bearer,
	    fields) == 403, "response");
	/* ... and the exchange is unharmed. */
	r = classic_fetch(&agent, id);
	check(r.status == 200, "fetch: %d", r.status);
	response_clear(&r);
	check(classic_post_str(&agent, id, "HTTP/1.1 200 OK\r\n"
	    "Content-Length: 0\r\n\r\n") == 200, "post");
	r = stack_receive(c, "GET");
	check(r.status == 200, "%d", r.status);
	response_clear(&r);
}
TEST_EACH_WEB(auth, another_backends_token_is_forbidden,
    .agents = STACK_NO_AGENT)

/* An agent of its own backend can't name the ids of another one. */
static void
an_id_is_valid_only_with_its_backend(struct stack *s)
{
	struct classic agent = classic_new(s), other = agent;
	struct client *c = stack_send(s, "GET", "/x", "");
	char id[CLASSIC_ID_LEN];
	struct response r;

	admin(s, "backend", "add", "b2", "--end-user=nobody",
	    "--backend-user=agent-two", "--path=/");
	other.backend_id = "b2";
	other.token = admin(s, "token", "add", "--role=agent",
	    "--user=agent-two");
	classic_take(&agent, id);
	r = classic_fetch(&other, id);
	check(r.status == 404, "fetch: %d", r.status);
	response_clear(&r);
	check(classic_post_str(&other, id, "HTTP/1.1 200 OK\r\n"
	    "Content-Length: 4\r\n\r\nevil") == 404, "post");
	r = classic_fetch(&agent, id);
	check(r.status == 200, "own fetch: %d", r.status);
	response_clear(&r);
	check(classic_post_str(&agent, id, "HTTP/1.1 200 OK\r\n"
	    "Content-Length: 4\r\n\r\ngood") == 200, "own post");
	r = stack_receive(c, "GET");
	check(strcmp(response_text(&r), "good") == 0, "%s", response_text(&r));
	response_clear(&r);
}
TEST_EACH_WEB(auth, an_id_is_valid_only_with_its_backend,
    .agents = STACK_NO_AGENT)

static void
a_removed_token_is_refused_within_a_second(struct stack *s)
{
	char *token = admin(s, "token", "add", "--role=agent",
	    "--user=agent-one");
	char *bearer = harness_name("Bearer %s", token);
	char id[16];

	/* a post for an id that does not exist: 404 when let in */
	wait_for(status_of(s, "GET", AGENT_MOUNT "agent/request", bearer,
	    FOR_B1) == 404, 1000, "the new token is not seen");
	snprintf(id, sizeof(id), "%.12s", token + 3);
	admin(s, "token", "remove", id);
	wait_for(status_of(s, "GET", AGENT_MOUNT "agent/request", bearer,
	    FOR_B1) == 401, 1000, "the token still works");
}
TEST_EACH_WEB(auth, a_removed_token_is_refused_within_a_second,
    .agents = STACK_NO_AGENT)
