/* admin_api.c - backends are made, listed and removed over HTTP, and every
 * wrong request is answered with what is wrong. */
#include "config.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tests/integration/classic.h"

#define BACKENDS ADMIN_MOUNT "api/backends"

/* One call as admin: its status; *text is what it said (heap). */
static int
call(struct stack *s, const char *method, const char *target,
    const char *json, char **text)
{
	char *fields = harness_name("Authorization: Bearer %s\r\n"
	    "Content-Type: application/json\r\nContent-Length: %zu\r\n",
	    s->admin_token, strlen(json));
	struct client *c = stack_send(s, method, target, fields);
	struct response r;
	int status;

	client_printf(c, "%s", json);
	r = stack_receive(c, method);
	status = r.status;
	*text = response_text(&r);
	response_clear(&r);
	free(fields);
	return status;
}

#define NEW_BACKEND "{\"id\":\"new\",\"endUser\":\"allUsers\"," \
	"\"backendUser\":\"agent-one\",\"pathPrefixes\":[\"/new\",\"/n2\"]}"

static void
a_backend_comes_and_goes(struct stack *s)
{
	char *text;

	check(call(s, "POST", BACKENDS, NEW_BACKEND, &text) == 200, "%s",
	    text);
	check(call(s, "GET", BACKENDS, "", &text) == 200 && text[0] == '[' &&
	    strstr(text, "\"b1\"") != NULL && strstr(text, "\"new\"") != NULL &&
	    strstr(text, "\"/n2\"") != NULL &&
	    strstr(text, "\"endUser\"") != NULL &&
	    strstr(text, "\"backendUser\"") != NULL &&
	    strstr(text, "\"lastUsed\"") != NULL, "%s", text);
	check(call(s, "DELETE", BACKENDS "/new", "", &text) == 200, "%s",
	    text);
	check(call(s, "DELETE", BACKENDS "/new", "", &text) == 200,
	    "an absent one: %s", text);
	call(s, "GET", BACKENDS, "", &text);
	check(strstr(text, "\"new\"") == NULL, "still there: %s", text);
}
TEST_EACH_WEB(admin_api, a_backend_comes_and_goes, .agents = STACK_NO_AGENT)

/* Bytes that must be refused, and a word that the message must have. */
static void
wrong_json_is_refused_by_field(struct stack *s)
{
	static const char *const wrong[][2] = {
		{ "", "" }, { "{", "" }, { "[]", "" }, { "null", "" },
		{ "{}", "" }, { "\"x\"", "" },
		{ "{\"id\":\"x\"}", "" },
		{ "{\"endUser\":\"a\",\"backendUser\":\"b\","
		    "\"pathPrefixes\":[\"/\"]}", "id" },
		{ "{\"id\":\"x\",\"backendUser\":\"b\","
		    "\"pathPrefixes\":[\"/\"]}", "endUser" },
		{ "{\"id\":\"x\",\"endUser\":\"a\","
		    "\"pathPrefixes\":[\"/\"]}", "backendUser" },
		{ "{\"id\":\"x\",\"endUser\":\"a\",\"backendUser\":\"b\"}",
		    "pathPrefixes" },
		{ "{\"id\":7,\"endUser\":\"a\",\"backendUser\":\"b\","
		    "\"pathPrefixes\":[\"/\"]}", "id" },
		{ "{\"id\":\"a/b\",\"endUser\":\"a\",\"backendUser\":\"b\","
		    "\"pathPrefixes\":[\"/\"]}", "id" },
		{ "{\"id\":\"\",\"endUser\":\"a\",\"backendUser\":\"b\","
		    "\"pathPrefixes\":[\"/\"]}", "id" },
		{ "{\"id\":\"a\\u0000b\",\"endUser\":\"a\","
		    "\"backendUser\":\"b\",\"pathPrefixes\":[\"/\"]}",
		    "id" },
		{ "{\"id\":\"..\",\"endUser\":\"a\",\"backendUser\":\"b\","
		    "\"pathPrefixes\":[\"/\"]}", "id" },
		{ "{\"id\":\"x\",\"endUser\":\"a\",\"backendUser\":\"b\","
		    "\"pathPrefixes\":\"/\"}", "pathPrefixes" },
		{ "{\"id\":\"x\",\"endUser\":\"a\",\"backendUser\":\"b\","
		    "\"pathPrefixes\":[]}", "pathPrefixes" },
		{ "{\"id\":\"x\",\"endUser\":\"a\",\"backendUser\":\"b\","
		    "\"pathPrefixes\":[\"foo\"]}", "pathPrefixes" },
		{ "{\"id\":\"x\",\"endUser\":\"a\",\"backendUser\":\"b\","
		    "\"pathPrefixes\":[1]}", "pathPrefixes" },
		{ NEW_BACKEND "x", "" },
	};
	char *text;

	for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++) {
		int status = call(s, "POST", BACKENDS, wrong[i][0], &text);

		check(status == 400, "%s: %d %s", wrong[i][0], status, text);
		check(strstr(text, wrong[i][1]) != NULL && text[0] == '{',
		    "%s: the message says not %s: %s", wrong[i][0],
		    wrong[i][1], text);
	}
}
TEST_EACH_WEB(admin_api, wrong_json_is_refused_by_field,
    .agents = STACK_NO_AGENT)

static void
other_methods_and_paths_are_refused(struct stack *s)
{
	static const struct {
		const char *method, *target;
		int status;
	} calls[] = {
		{ "PUT", BACKENDS, 405 }, { "PATCH", BACKENDS, 405 },
		{ "DELETE", BACKENDS, 405 }, { "POST", BACKENDS "/b1", 405 },
		{ "GET", ADMIN_MOUNT "api/nothing", 404 },
		{ "GET", ADMIN_MOUNT, 404 },
		{ "POST", ADMIN_MOUNT "healthz", 405 },
	};
	char *text;

	for (size_t i = 0; i < sizeof(calls) / sizeof(calls[0]); i++) {
		int status = call(s, calls[i].method, calls[i].target, "",
		    &text);

		check(status == calls[i].status, "%s %s: %d %s",
		    calls[i].method, calls[i].target, status, text);
		check(text[0] == '{', "not JSON: %s", text);
	}
}
TEST_EACH_WEB(admin_api, other_methods_and_paths_are_refused,
    .agents = STACK_NO_AGENT)

static void
a_huge_content_is_refused(struct stack *s)
{
	char *json = calloc(1, 3 << 20), *text;
	int status;

	check(json != NULL, "no memory");
	memset(json, ' ', (3 << 20) - 1);
	status = call(s, "POST", BACKENDS, json, &text);
	check(status == 413 || status == 400, "%d %s", status, text);
	check(call(s, "GET", BACKENDS, "", &text) == 200, "%s", text);
	free(json);
}
TEST_EACH_WEB(admin_api, a_huge_content_is_refused, .agents = STACK_NO_AGENT)

static void
removing_a_backend_fails_what_waits_for_it(struct stack *s)
{
	struct client *c;
	struct response r;
	char *text;

	classic_new(s);
	c = stack_send(s, "GET", "/waits", "");
	/* It is in the queue when an agent's list would show it. */
	wait_for(stack_redis_number(s, "llen ip:{b:b1}:queue") == 1,
	    PATIENCE_MS, "not queued");
	check(call(s, "DELETE", BACKENDS "/b1", "", &text) == 200, "%s", text);
	response_read_head(c, "GET", &r, 5000);
	check(r.status == 404 || r.status == 502 || r.status == 503,
	    "%d", r.status);
	response_clear(&r);
	client_free(c);
	stack_expect(s, "/waits", 404);
}
TEST_EACH_WEB(admin_api, removing_a_backend_fails_what_waits_for_it,
    .agents = STACK_NO_AGENT)

/* Each request may reach another worker; after a second none is behind. */
static void
every_worker_sees_a_change_within_a_second(struct stack *s)
{
	char *text;
	long long changed;

	stack_expect(s, "/ready", 200);
	check(call(s, "DELETE", BACKENDS "/b1", "", &text) == 200, "%s", text);
	changed = now_ms();
	wait_for(now_ms() > changed + 1000, 2000, "time stands still");
	for (int i = 0; i < 40; i++)
		stack_expect(s, "/ready", 404);
}
TEST_EACH_WEB(admin_api, every_worker_sees_a_change_within_a_second,
    .workers = 3)

static void
used_and_seen_are_told(struct stack *s)
{
	char *text;

	stack_expect(s, "/ready", 200);
	/* written at most once a second */
	wait_for(call(s, "GET", BACKENDS, "", &text) == 200 &&
	    strstr(text, "\"lastUsed\":\"20") != NULL, 3000,
	    "lastUsed is not told: %s", text);
	text = admin(s, "backend", "list");
	check(strstr(text, "b1") != NULL && strstr(text, "20") != NULL, "%s",
	    text);
}
TEST_EACH_WEB(admin_api, used_and_seen_are_told)
