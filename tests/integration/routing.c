/* routing.c - which backend a request goes to: the user's own by the longest
 * path prefix, then those of all users.  The test is the agent of them all. */
#include "config.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tests/integration/classic.h"

#define ALICE "Authorization: Basic YWxpY2U6YWxpY2U=\r\n"
#define BOB "Authorization: Basic Ym9iOmJvYg==\r\n"

/* A request that must reach backend, or nobody when that is NULL. */
struct route {
	const char *user;	/* field line */
	const char *target;
	const char *backend;
};

static struct client *
send_request(struct stack *s, const struct route *route)
{
	struct client *c = client_new(s->port);

	client_printf(c, "GET %s HTTP/1.1\r\nHost: x\r\n%s"
	    "Connection: close\r\n\r\n", route->target, route->user);
	return c;
}

static void
check_route(struct stack *s, const struct route *route)
{
	struct classic agent = { .port = s->port,
	    .backend_id = route->backend, .token = s->agent_token };
	struct client *c;
	char id[CLASSIC_ID_LEN], target[256];
	int status;
	struct response r;

	if (route->backend != NULL)
		classic_attend(&agent);
	c = send_request(s, route);
	if (route->backend == NULL) {
		r = stack_receive(c, "GET");
		check(r.status == 404, "%s: %d", route->target, r.status);
		response_clear(&r);
		return;
	}
	classic_take(&agent, id);
	r = classic_fetch(&agent, id);
	snprintf(target, sizeof(target), "GET %s HTTP/1.1\r\n", route->target);
	check(r.status == 200 && strncmp(response_text(&r), target,
	    strlen(target)) == 0, "%s at %s: %d %s", route->target,
	    route->backend, r.status, response_text(&r));
	response_clear(&r);
	status = classic_post_str(&agent, id, "HTTP/1.1 200 OK\r\n"
	    "Content-Length: 0\r\n\r\n");
	check(status == 200, "%s at %s: post: %d", route->target,
	    route->backend, status);
	r = stack_receive(c, "GET");
	check(r.status == 200, "%s: %d", route->target, r.status);
	response_clear(&r);
}

static void
add(struct stack *s, const char *id, const char *user, const char *path)
{
	admin(s, "backend", "add", id, "--end-user", user,
	    "--backend-user=agent-one", "--path", path);
}

static void
longest_whole_segment_prefix_wins(struct stack *s)
{
	static const struct route routes[] = {
		{ "", "/", "b1" },
		{ "", "/other", "b1" },
		{ "", "/foo", "foo" },
		{ "", "/foo/", "foo" },
		{ "", "/foo/x?y", "foo" },
		{ "", "/foo?/foo/bar", "foo" },
		{ "", "/foobar", "b1" },
		{ "", "/foo/bar", "foobar" },
		{ "", "/foo/bar/baz", "foobar" },
		{ "", "/foo/barbaz", "foo" },
		{ "", "/FOO", "b1" },
	};

	add(s, "foo", "allUsers", "/foo");
	add(s, "foobar", "allUsers", "/foo/bar");
	for (size_t i = 0; i < sizeof(routes) / sizeof(routes[0]); i++)
		check_route(s, &routes[i]);
}
TEST_EACH_WEB(routing, longest_whole_segment_prefix_wins,
    .agents = STACK_NO_AGENT)

static void
own_backends_come_first(struct stack *s)
{
	static const struct route routes[] = {
		{ ALICE, "/", "b1" },
		{ ALICE, "/a", "alices" },
		{ ALICE, "/a/deep", "alices" },
		{ BOB, "/a", "b1" },
		{ BOB, "/a/deep", "deep" },
		{ BOB, "/b", "bobs" },
		{ ALICE, "/b", "b1" },
	};

	add(s, "alices", "alice", "/a");
	add(s, "bobs", "bob", "/b");
	add(s, "deep", "allUsers", "/a/deep");
	for (size_t i = 0; i < sizeof(routes) / sizeof(routes[0]); i++)
		check_route(s, &routes[i]);
}
TEST_EACH_WEB(routing, own_backends_come_first, .login = true,
    .agents = STACK_NO_AGENT)

static void
anonymous_clients_reach_only_all_users(struct stack *s)
{
	static const struct route routes[] = {
		{ "", "/a", NULL },
		{ "X-Remote-User: alice\r\nRemote-User: alice\r\n"
		    "X-Inverting-Proxy-User-ID: alice\r\n", "/a", NULL },
		{ ALICE, "/a", NULL },	/* nobody checks it: no login here */
		{ "", "/open", "open" },
	};

	admin(s, "backend", "remove", "b1");
	add(s, "alices", "alice", "/a");
	add(s, "open", "allUsers", "/open");
	for (size_t i = 0; i < sizeof(routes) / sizeof(routes[0]); i++)
		check_route(s, &routes[i]);
}
TEST_EACH_WEB(routing, anonymous_clients_reach_only_all_users,
    .agents = STACK_NO_AGENT)

static void
a_login_is_asked_for(struct stack *s)
{
	struct response r = get(s->port, "/ready");

	check(r.status == 401, "without a name: %d", r.status);
	response_clear(&r);
	r = request(s->port, "GET /ready HTTP/1.1\r\nHost: x\r\n"
	    "Connection: close\r\n"
	    "Authorization: Basic YWxpY2U6d3Jvbmc=\r\n\r\n");
	check(r.status == 401, "with a wrong password: %d", r.status);
	response_clear(&r);
	stack_expect(s, "/ready", 200);
}
TEST_EACH_WEB(routing, a_login_is_asked_for, .login = true)
