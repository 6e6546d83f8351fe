/* stalled_clients.c - clients that stop in the middle, more of them than the
 * agent takes at a time: they keep nobody else out. */
#include "config.h"

#include <stdlib.h>

#include "tests/integration/stack.h"

enum { MANY = 6 };

/* More of them than the agent takes at a time. */
static void
readers_that_stop_keep_nobody_out(struct stack *s)
{
	struct client *c[MANY];

	for (int i = 0; i < MANY; i++) {
		c[i] = stack_send(s, "GET", "/bytes/200000000", "");
		wait_for(backend_count(s->backend, "/bytes") == (size_t)i + 1,
		    2 * PATIENCE_MS, "only %d get through", i);
	}
	for (int i = 0; i < 10; i++)
		stack_expect(s, "/ready", 200);
	for (int i = 0; i < MANY; i++)
		client_free(c[i]);
}
TEST_EACH_WEB(stalled_clients, readers_that_stop_keep_nobody_out,
    .agent_options = { "--max-in-flight=2" })

static void
senders_that_stop_keep_nobody_out(struct stack *s)
{
	struct client *c[MANY];

	for (int i = 0; i < MANY; i++) {
		c[i] = stack_send(s, "POST", "/hash",
		    "Content-Length: 100000\r\n");
		client_printf(c[i], "%01000d", 0);
		wait_for(backend_count(s->backend, "/hash") == (size_t)i + 1,
		    2 * PATIENCE_MS, "only %d get through", i);
	}
	for (int i = 0; i < 10; i++)
		stack_expect(s, "/ready", 200);
	for (int i = 0; i < MANY; i++)
		client_free(c[i]);
}
TEST_EACH_WEB(stalled_clients, senders_that_stop_keep_nobody_out,
    .agent_options = { "--max-in-flight=2" })
