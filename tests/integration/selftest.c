/* selftest.c - the harness itself: client and scripted backend, face to face,
 * so that a failure elsewhere is not theirs. */
#include "config.h"

#include <stdio.h>
#include <string.h>

#include "tests/integration/stack.h"

static struct backend *backend;

static void
setup(void)
{
	harness_start();
	backend = backend_new();
}

TestSuite(selftest, .init = setup, .fini = harness_finish, .timeout = 30);

Test(selftest, every_framing_carries_the_pattern)
{
	static const char *const framings[] = { "bytes", "chunked", "close" };
	static const unsigned long long sizes[] = { 0, 1, 65521, 1000000 };

	for (size_t f = 0; f < 3; f++)
		for (size_t n = 0; n < 4; n++) {
			char target[64];
			struct response r;

			snprintf(target, sizeof(target), "/%s/%llu",
			    framings[f], sizes[n]);
			r = get(backend_port(backend), target);
			check(r.status == 200 && r.whole &&
			    r.content_len == sizes[n] &&
			    r.hash == hash_pattern(sizes[n]), "%s", target);
			response_clear(&r);
		}
}

Test(selftest, a_break_is_seen)
{
	static const char *const targets[] = { "/break/1000/10",
		"/break-chunked/5000", "/break-reset/1000/10" };

	for (size_t i = 0; i < 3; i++) {
		struct response r = get(backend_port(backend), targets[i]);

		check(r.status == 200 && !r.whole, "%s", targets[i]);
		response_clear(&r);
	}
}

Test(selftest, uploads_are_hashed_and_requests_remembered)
{
	struct client *c = client_new(backend_port(backend));
	struct response r;
	char want[64];

	for (int chunked = 0; chunked < 2; chunked++) {
		client_printf(c, "POST /hash HTTP/1.1\r\nHost: x\r\n%s\r\n\r\n",
		    chunked ? "Transfer-Encoding: chunked" :
		    "Content-Length: 300000");
		client_send_pattern(c, 300000, chunked);
		response_read_head(c, "POST", &r, PATIENCE_MS);
		response_read_content(c, &r);
		snprintf(want, sizeof(want), "300000 %016llx\n",
		    (unsigned long long)hash_pattern(300000));
		check(strcmp(response_text(&r), want) == 0, "%s",
		    response_text(&r));
		response_clear(&r);
	}
	check(backend_count(backend, "/hash") == 2, "not remembered");
	client_free(c);
}

Test(selftest, a_peer_that_leaves_is_noticed)
{
	struct client *c = client_new(backend_port(backend));

	client_printf(c, "GET /never HTTP/1.1\r\nHost: x\r\n\r\n");
	wait_for(backend_count_open(backend, "/never") == 1, PATIENCE_MS,
	    "not started");
	check(backend_count_gone(backend, "/never") == 0, "gone too early");
	client_free(c);
	wait_for(backend_count_gone(backend, "/never") == 1, PATIENCE_MS,
	    "not noticed");
}

Test(selftest, a_process_runs_and_is_stopped)
{
	struct process *echo = process_new("echo");
	struct process *sleeper = process_new("sleep");

	process_arg(echo, "echo");
	process_arg(echo, "hello");
	check(strcmp(process_run(echo), "hello\n") == 0, "no output");
	process_arg(sleeper, "sleep");
	process_arg(sleeper, "1000");
	process_start(sleeper);
	check(process_is_running(sleeper), "not running");
	check(process_rss_kib(sleeper->pid) > 0, "no memory");
	process_stop(sleeper);
	check(!process_is_running(sleeper), "still running");
}
