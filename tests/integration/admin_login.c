/* admin_login.c - admins who are logged in by the web server, and pages of
 * backends that would use their login. */
#include "config.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tests/integration/stack.h"

#define BACKENDS ADMIN_MOUNT "api/backends"
#define NEW_BACKEND "{\"id\":\"new\",\"endUser\":\"allUsers\"," \
	"\"backendUser\":\"agent-one\",\"pathPrefixes\":[\"/new\"]}"

static int
call_with(struct stack *s, const char *method, const char *target,
    const char *fields)
{
	bool posts = strcmp(method, "POST") == 0;
	struct client *c = stack_send(s, method, target, harness_name(
	    "Content-Length: %zu\r\n%s",
	    posts ? strlen(NEW_BACKEND) : (size_t)0, fields));
	struct response r;
	int status;

	if (posts)
		client_printf(c, "%s", NEW_BACKEND);
	r = stack_receive(c, method);
	status = r.status;
	response_clear(&r);
	return status;
}

static void
an_admin_who_is_logged_in_may(struct stack *s)
{
	check(call_with(s, "GET", BACKENDS, "") == 200, "list");
	check(call_with(s, "POST", BACKENDS, "") == 200, "add");
	check(call_with(s, "DELETE", BACKENDS "/new", "") == 200, "remove");
	/* Typed into a browser's address bar. */
	check(call_with(s, "GET", BACKENDS, "Sec-Fetch-Site: none\r\n"
	    "Sec-Fetch-Mode: navigate\r\n") == 200, "by hand");
}
TEST_EACH_WEB(admin_login, an_admin_who_is_logged_in_may,
    .agents = STACK_NO_AGENT, .admins_log_in = true,
    .worker_options = { "--admin=alice" })

static void
another_user_may_not(struct stack *s)
{
	check(call_with(s, "GET", BACKENDS, "") == 403, "list");
	check(call_with(s, "POST", BACKENDS, "") == 403, "add");
	check(call_with(s, "DELETE", BACKENDS "/b1", "") == 403, "remove");
}
TEST_EACH_WEB(admin_login, another_user_may_not,
    .agents = STACK_NO_AGENT, .admins_log_in = true,
    .worker_options = { "--admin=bob" })

/* A page of a backend has the origin of the admin mount. */
static void
a_page_may_not_use_the_login(struct stack *s)
{
	static const char *const marks[] = {
		"Origin: http://proxy.test\r\n",
		"Origin: https://elsewhere.test\r\n",
		"Origin: null\r\n",
		"Sec-Fetch-Site: same-origin\r\n",
		"Sec-Fetch-Site: same-site\r\n",
		"Sec-Fetch-Site: cross-site\r\n",
		"Sec-Fetch-Site: none\r\nOrigin: http://proxy.test\r\n",
		("Origin: http://proxy.test\r\n"
		    "Content-Type: application/json\r\n"),
	};

	for (size_t i = 0; i < sizeof(marks) / sizeof(marks[0]); i++) {
		check(call_with(s, "GET", BACKENDS, marks[i]) == 403,
		    "list with %s", marks[i]);
		check(call_with(s, "POST", BACKENDS, marks[i]) == 403,
		    "add with %s", marks[i]);
		check(call_with(s, "DELETE", BACKENDS "/b1", marks[i]) == 403,
		    "remove with %s", marks[i]);
	}
	check(call_with(s, "GET", "/x", "") == 503, "b1 is gone");
}
TEST_EACH_WEB(admin_login, a_page_may_not_use_the_login,
    .agents = STACK_NO_AGENT, .admins_log_in = true,
    .worker_options = { "--admin=alice" })

/* Who brings a token does so on purpose. */
static void
a_page_may_use_a_token(struct stack *s)
{
	char *fields = harness_name("Authorization: Bearer %s\r\n"
	    "Origin: http://proxy.test\r\nSec-Fetch-Site: same-origin\r\n",
	    s->admin_token);

	check(call_with(s, "POST", BACKENDS, fields) == 200, "add");
	check(call_with(s, "DELETE", BACKENDS "/new", fields) == 200,
	    "remove");
}
TEST_EACH_WEB(admin_login, a_page_may_use_a_token,
    .agents = STACK_NO_AGENT, .worker_options = { "--admin=alice" })
