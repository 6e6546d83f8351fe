/* hostile_proxy.c - our agent at a proxy that means it ill. */
#include "config.h"

#include <stdatomic.h>
#include <stdio.h>
#include <string.h>

#include "tests/integration/stack.h"

TestSuite(hostile_proxy, .init = harness_start, .fini = harness_finish,
    .timeout = 60);

enum { PIECE = 64 * 1024, ENOUGH = 64 * 1024 * 1024 };

static atomic_size_t sent;

static void
script_endless(struct backend_connection *c, void *arg)
{
	static const char piece[PIECE];
	const char *type = arg;

	c->close = true;
	backend_read_content(c);
	backend_printf(c, "HTTP/1.1 200 OK\r\nContent-Type: %s\r\n\r\n", type);
	for (size_t n = 0; n < ENOUGH && !c->request->gone; n += PIECE) {
		backend_send(c, piece, PIECE);
		atomic_fetch_add(&sent, PIECE);
	}
}

/* It is read as far as an answer may be long, not for as long as it lasts;
 * what lies in the buffers of sockets comes on top. */
static void
answers_without_end(const char *protocol, const char *call, const char *type)
{
	struct backend *proxy = backend_new();
	struct process *agent = process_new("agent");

	backend_script(proxy, "/", script_endless, (void *)(uintptr_t)type);
	process_arg(agent, "%s", harness_program("inverting-proxy-agent"));
	process_arg(agent, "--proxy=http://127.0.0.1:%d/",
	    backend_port(proxy));
	process_arg(agent, "--backend=b1");
	process_arg(agent, "--host=127.0.0.1:1");
	process_arg(agent, "--protocol=%s", protocol);
	process_start(agent);
	wait_for(process_log_has(agent, "content is too large"), PATIENCE_MS,
	    "it is not said");
	wait_for(backend_count_gone(proxy, call) >= 1, PATIENCE_MS,
	    "it goes on reading");
	process_stop(agent);
	check(atomic_load(&sent) < backend_count(proxy, call) * ENOUGH / 2,
	    "%zu bytes were read of %zu answers", atomic_load(&sent),
	    backend_count(proxy, call));
}

Test(hostile_proxy, a_native_answer_without_end)
{
	answers_without_end("native", "/agent/exchange",
	    "application/vnd.inverting-proxy.frames");
}

Test(hostile_proxy, a_native_answer_of_another_type_without_end)
{
	answers_without_end("native", "/agent/exchange", "text/plain");
}

Test(hostile_proxy, a_classic_answer_without_end)
{
	answers_without_end("classic", "/agent/pending", "application/json");
}

static void
script_part(struct backend_connection *c, void *arg)
{
	static char part[700 * 1024];

	(void)arg;
	memset(part, ' ', sizeof(part));
	c->close = true;
	backend_read_content(c);
	backend_printf(c, "HTTP/1.1 200 OK\r\n"
	    "Content-Type: application/json\r\n\r\n");
	backend_send(c, part, sizeof(part));
	backend_wait_gone(c, -1);
}

/* A poll is broken off in the middle of its answer, as the backend is not well;
 * the next one begins with nothing. */
Test(hostile_proxy, halves_of_answers_do_not_add_up)
{
	struct backend *proxy = backend_new(), *backend = backend_new();
	struct process *agent = process_new("agent");

	backend_script(proxy, "/agent/pending", script_part, NULL);
	process_arg(agent, "%s", harness_program("inverting-proxy-agent"));
	process_arg(agent, "--proxy=http://127.0.0.1:%d/",
	    backend_port(proxy));
	process_arg(agent, "--backend=b1");
	process_arg(agent, "--host=127.0.0.1:%d", backend_port(backend));
	process_arg(agent, "--protocol=classic");
	process_arg(agent, "--health-check-interval=50ms");
	process_arg(agent, "--health-check-unhealthy-threshold=1");
	backend_answer_str(backend, "/", "HTTP/1.1 204 Well\r\n\r\n");
	process_start(agent);
	for (size_t i = 1; i <= 3; i++) {
		size_t checks;

		wait_for(backend_count(proxy, "/agent/pending") == i,
		    PATIENCE_MS, "no poll");
		/* Some of its answer is there. */
		checks = backend_count(backend, "/");
		wait_for(backend_count(backend, "/") > checks + 2, PATIENCE_MS,
		    "no check");
		backend_answer_str(backend, "/", "HTTP/1.1 500 Ill\r\n"
		    "Content-Length: 0\r\n\r\n");
		wait_for(backend_count_gone(proxy, "/agent/pending") == i,
		    PATIENCE_MS, "the poll goes on");
		backend_answer_str(backend, "/",
		    "HTTP/1.1 204 Well\r\n\r\n");
	}
	process_stop(agent);
}
