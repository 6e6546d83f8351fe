/* worker_restarted.c - workers stop, start and are reloaded as told. */
#include "config.h"

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "tests/integration/stack.h"

static void
what_is_held_is_finished_first(struct stack *s)
{
	struct client *c = stack_send(s, "GET", "/slow/700", "");
	struct response r;

	wait_for(backend_count(s->backend, "/slow") == 1, PATIENCE_MS,
	    "the request does not arrive");
	process_signal(s->worker, SIGTERM);
	r = stack_receive(c, "GET");
	check(r.status == 200 && r.whole, "%d %s", r.status,
	    response_text(&r));
	response_clear(&r);
	process_wait(s->worker, 3000);
	check(s->worker->status == 0, "status %#x",
	    (unsigned)s->worker->status);
}
TEST_EACH(worker_restarted, what_is_held_is_finished_first,
    .worker_options = { "--drain-timeout=5s" })

/* Parked polls are answered, so it does not take the 30 s of a poll. */
static void
an_idle_worker_ends_at_once(struct stack *s)
{
	long long start = now_ms();

	process_signal(s->worker, SIGTERM);
	process_wait(s->worker, 3000);
	check(now_ms() - start < 2000, "after %lld ms", now_ms() - start);
}
TEST_EACH(worker_restarted, an_idle_worker_ends_at_once,
    .worker_options = { "--drain-timeout=20s" }, .workers = 2)

static void
everything_goes_on_with_a_new_one(struct stack *s)
{
	stack_expect(s, "/ready", 200);
	process_stop(s->worker);
	stack_start_worker(s);
	stack_wait_ready(s);
	process_kill(s->worker);
	stack_start_worker(s);
	stack_wait_ready(s);
	for (int i = 0; i < 20; i++)
		stack_expect(s, "/bytes/100000", 200);
}
TEST_EACH(worker_restarted, everything_goes_on_with_a_new_one)

static void
check_reopening(struct stack *s)
{
	char *path = harness_path("own.log"), *moved = harness_path("old.log");

	stack_expect(s, "/bytes/11", 200);
	wait_for(access(path, F_OK) == 0, PATIENCE_MS, "no log file");
	check(rename(path, moved) == 0, "rename");
	process_signal(s->worker, SIGHUP);
	wait_for(access(path, F_OK) == 0, PATIENCE_MS, "not opened again");
	stack_expect(s, "/bytes/22", 200);
	wait_for(strstr(file_read(path, NULL), "/bytes/22") != NULL,
	    PATIENCE_MS, "the new file is not written to");
}

static void
a_signal_reopens_its_log(struct stack *s)
{
	process_stop(s->worker);
	process_arg(s->worker, "--log-file=%s", harness_path("own.log"));
	stack_start_worker(s);
	stack_wait_ready(s);
	check_reopening(s);
}
TEST_EACH_WEB(worker_restarted, a_signal_reopens_its_log)

static void
the_web_server_tells_while_no_worker_is_there(struct stack *s)
{
	process_stop(s->worker);
	check(stack_status(s, "/ready") == 503, "%d",
	    stack_status(s, "/ready"));
	stack_start_worker(s);
	stack_wait_ready(s);
}
TEST_EACH_WEB(worker_restarted, the_web_server_tells_while_no_worker_is_there)
