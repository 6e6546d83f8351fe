/* foreign_proxy.c - our agent at a proxy that is not ours and speaks the
 * classic protocol only: tests/classic_proxy.py. */
#include "config.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tests/integration/stack.h"

static struct backend *backend;
static struct process *proxy, *agent;
static int port;

static void
setup(void)
{
	harness_start();
	backend = backend_new();
	backend_add_scripts(backend);
}

TestSuite(foreign_proxy, .init = setup, .fini = harness_finish, .timeout = 60);

static bool
proxy_answers(void)
{
	struct client *c;
	struct response r;
	int status;

	if (!client_can_connect(port))
		return false;
	/* A poll, as any agent could make. */
	c = client_new(port);
	client_printf(c, "GET /agent/pending HTTP/1.1\r\nHost: p\r\n"
	    "X-Inverting-Proxy-Backend-ID: b1\r\n\r\n");
	response_read_head(c, "GET", &r, PATIENCE_MS);
	status = r.status;
	response_clear(&r);
	client_free(c);
	return status == 200;
}

/* option: one more of classic_proxy.py's, or NULL. */
static void
start_proxy(const char *option)
{
	if (proxy == NULL) {
		port = harness_port();
		proxy = process_new("proxy");
		process_arg(proxy, "python3");
		process_arg(proxy, "%s",
		    harness_source("tests/classic_proxy.py"));
		process_arg(proxy, "--port=%d", port);
		process_arg(proxy, "--hold=0.5");
		if (option != NULL)
			process_arg(proxy, "%s", option);
	}
	process_start(proxy);
	wait_for(proxy_answers(), PATIENCE_MS, "the proxy does not start");
}

static void
start_agent(const char *protocol)
{
	agent = process_new("agent");
	process_arg(agent, "%s", harness_program("inverting-proxy-agent"));
	process_arg(agent, "--proxy=http://127.0.0.1:%d/", port);
	process_arg(agent, "--backend=b1");
	process_arg(agent, "--host=127.0.0.1:%d", backend_port(backend));
	process_arg(agent, "--protocol=%s", protocol);
	process_arg(agent, "--log-level=debug");
	process_start(agent);
}

static void
expect_echo(const char *target, const char *content)
{
	struct client *c = client_new(port);
	struct response r;
	char *text;

	client_printf(c, "POST %s HTTP/1.1\r\nHost: foreign.test\r\n"
	    "Content-Length: %zu\r\n\r\n%s", target, strlen(content),
	    content);
	r = stack_receive(c, "POST");
	text = response_text(&r);
	check(r.status == 200 && r.whole, "%s: %d %s", target, r.status, text);
	check(strncmp(text + 5, target, strlen(target)) == 0 &&
	    strstr(text, "\r\nHost: foreign.test\r\n") != NULL &&
	    strstr(text, content) != NULL, "%s came as %s", target, text);
	free(text);
	response_clear(&r);
}

/* Some requests, the first of them while the agent still finds out which
 * protocol is spoken there. */
static void
serve_some(const char *option, const char *protocol)
{
	struct response r;

	start_proxy(option);
	start_agent(protocol);
	expect_echo("/echo/a%2Fb//c?", "first");
	expect_echo("/echo/second?x=1", "second");
	r = get(port, "/bytes/300000");
	check(r.status == 200 && r.whole &&
	    r.hash == hash_pattern(300000), "changed on the way");
	response_clear(&r);
	expect_echo("/echo/last", "");
	process_stop(agent);
	check(process_log_has(agent, "classic"), "it did not fall back");
}

/* The question whether the native protocol is spoken there is a poll to such a
 * proxy: the ids in its answer are listed nowhere else. */
Test(foreign_proxy, that_takes_any_call_for_a_poll)
{
	serve_some(NULL, "auto");
}

Test(foreign_proxy, that_says_not_found)
{
	serve_some("--exchange=404", "auto");
}

Test(foreign_proxy, that_lists_an_empty_array)
{
	serve_some("--empty=[]", "auto");
}

Test(foreign_proxy, that_lists_nothing_at_all)
{
	serve_some("--empty=", "auto");
}

Test(foreign_proxy, that_gives_requests_in_chunks)
{
	serve_some("--fetch=chunked", "auto");
}

Test(foreign_proxy, that_gives_requests_up_to_its_close)
{
	serve_some("--fetch=close", "auto");
}

Test(foreign_proxy, that_fails_twice)
{
	serve_some("--fail=2", "auto");
}

Test(foreign_proxy, that_goes_away_and_comes_back)
{
	serve_some(NULL, "auto");
	process_start(agent);
	process_stop(proxy);
	wait_for(process_log_has(agent, "no work from"), PATIENCE_MS,
	    "the agent does not say that the proxy is away");
	start_proxy(NULL);
	expect_echo("/echo/back", "again");
}
