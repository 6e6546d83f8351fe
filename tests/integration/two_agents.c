/* two_agents.c - several agents serve one backend: they share its load, and
 * when one is lost the other goes on. */
#include "config.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tests/integration/stack.h"

enum { MANY = 40 };

static void
they_share_the_load(struct stack *s)
{
	struct client *c[MANY];

	for (int i = 0; i < MANY; i++)
		c[i] = stack_send(s, "GET", "/slow/100", "");
	for (int i = 0; i < MANY; i++) {
		struct response r = stack_receive(c[i], "GET");

		check(r.status == 200, "number %d: %d", i, r.status);
		response_clear(&r);
	}
	check(backend_count(s->backend, "/slow") == MANY, "%zu executions",
	    backend_count(s->backend, "/slow"));
	check(process_log_has(s->agent[0], "/slow/100") &&
	    process_log_has(s->agent[1], "/slow/100"), "one took them all");
}
TEST_EACH(two_agents, they_share_the_load, .agents = 2,
    .agent_options = { "--max-in-flight=8" })

static void
both_protocols_serve_one_backend(struct stack *s)
{
	struct client *c[MANY];

	s->protocol = "classic";
	stack_start_agent(s, 1);
	wait_for(process_log_has(s->agent[1], "GET") || (stack_expect(s,
	    "/slow/20", 200), false), PATIENCE_MS,
	    "the classic agent takes nothing");
	for (int i = 0; i < MANY; i++)
		c[i] = stack_send(s, "GET", "/slow/100", "");
	for (int i = 0; i < MANY; i++) {
		struct response r = stack_receive(c[i], "GET");

		check(r.status == 200, "number %d: %d", i, r.status);
		response_clear(&r);
	}
	check(process_log_has(s->agent[0], "/slow/100") &&
	    process_log_has(s->agent[1], "/slow/100"), "one took them all");
}
TEST_EACH_WEB(two_agents, both_protocols_serve_one_backend,
    .agent_options = { "--max-in-flight=8" })

/* In turn, one stops as told, under load: nobody notices. */
static void
a_rolling_restart_is_not_noticed(struct stack *s)
{
	struct client *c[MANY];

	for (int round = 0; round < 4; round++) {
		for (int i = 0; i < MANY; i++)
			c[i] = stack_send(s, "POST", "/slow/50",
			    "Content-Length: 0\r\n");
		process_stop(s->agent[round % 2]);
		stack_start_agent(s, round % 2);
		for (int i = 0; i < MANY; i++) {
			struct response r = stack_receive(c[i], "POST");

			check(r.status == 200, "round %d, number %d: %d %s",
			    round, i, r.status, response_text(&r));
			response_clear(&r);
		}
	}
	check(backend_count(s->backend, "/slow") == 4 * MANY,
	    "%zu executions of %d", backend_count(s->backend, "/slow"),
	    4 * MANY);
}
TEST_EACH(two_agents, a_rolling_restart_is_not_noticed, .agents = 2,
    .agent_options = { "--max-in-flight=16",
    "--graceful-shutdown-timeout=4s" })
