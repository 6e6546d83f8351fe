/* two_hosts.c - services of their own, as on several hosts, before Apache's
 * balancer: what one of them loses is not executed twice. */
#include "config.h"

#include <stdlib.h>
#include <string.h>

#include "tests/integration/stack.h"

enum { MANY = 24 };

static void
what_changes_something_is_sent_once(struct stack *s)
{
	struct client *c[MANY];
	int lost = 0;

	for (int i = 0; i < MANY; i++) {
		c[i] = stack_send(s, "POST", "/slow/1500", i % 3 == 0 ?
		    "Content-Length: 7\r\n" : "Content-Length: 0\r\n");
		if (i % 3 == 0)
			client_printf(c[i], "content");
	}
	wait_for(backend_count(s->backend, "/slow") == MANY, PATIENCE_MS,
	    "not all arrive");
	process_kill(s->worker_beside);
	for (int i = 0; i < MANY; i++) {
		struct response r = stack_receive(c[i], "POST");

		check(r.status == 200 || r.status == 502 || r.status == 503,
		    "number %d: %d %s", i, r.status, response_text(&r));
		lost += r.status != 200;
		response_clear(&r);
	}
	check(lost > 0 && lost < MANY, "%d lost", lost);
	check(backend_count(s->backend, "/slow") == MANY, "%zu executions",
	    backend_count(s->backend, "/slow"));
	/* The one that is lost is left out. */
	for (int i = 0; i < MANY; i++) {
		struct response r = stack_receive(stack_send(s, "POST",
		    "/ready", "Content-Length: 0\r\n"), "POST");

		check(r.status == 200, "after it, number %d: %d %s", i,
		    r.status, response_text(&r));
		response_clear(&r);
	}
}
STACK_TEST(two_hosts, what_changes_something_is_sent_once, WEB_APACHE,
    "native", apache, .two_hosts = true)

static void
what_changes_nothing_goes_to_the_other(struct stack *s)
{
	struct client *c[MANY];

	for (int i = 0; i < MANY; i++)
		c[i] = stack_send(s, "GET", "/slow/500", "");
	wait_for(backend_count(s->backend, "/slow") == MANY, PATIENCE_MS,
	    "not all arrive");
	process_kill(s->worker_beside);
	for (int i = 0; i < MANY; i++) {
		struct response r = stack_receive(c[i], "GET");

		check(r.status == 200 && r.whole, "number %d: %d %s", i,
		    r.status, response_text(&r));
		response_clear(&r);
	}
}
STACK_TEST(two_hosts, what_changes_nothing_goes_to_the_other, WEB_APACHE,
    "native", apache, .two_hosts = true)

/* By either balancer the target arrives as it came, and the role is the
 * mount's. */
static void
both_ways_are_the_same(struct stack *s)
{
	static const char *const methods[] = { "GET", "POST" };
	static const char *const calls[] = {
		AGENT_MOUNT "agent/pending", AGENT_MOUNT "agent/response" };
	static const char *const targets[] = {
		"/echo/a%2Fb//c/../d?x=%3F&y=/%2e", "/echo/%3F%0a%25?",
		"/echo/%68?a=b?c",
	};

	for (size_t m = 0; m < 2; m++) {
		for (size_t t = 0; t < 3; t++) {
			struct response r = stack_receive(stack_send(s,
			    methods[m], targets[t], m == 0 ? "" :
			    "Content-Length: 0\r\n"), methods[m]);

			check(r.status == 200, "%s %s: %d", methods[m],
			    targets[t], r.status);
			check(strstr(response_text(&r), targets[t]) != NULL,
			    "%s %s: %s", methods[m], targets[t],
			    response_text(&r));
			response_clear(&r);
		}
		for (size_t t = 0; t < 2; t++) {
			struct response r = stack_receive(stack_send(s,
			    methods[m], t == 0 ? ADMIN_MOUNT "api/backends" :
			    calls[m], m == 0 ? "" :
			    "Content-Length: 0\r\n"), methods[m]);

			check(r.status == 401, "%s, mount %zu: %d",
			    methods[m], t, r.status);
			response_clear(&r);
		}
	}
}
STACK_TEST(two_hosts, both_ways_are_the_same, WEB_APACHE,
    "native", apache, .two_hosts = true)
