/* worker_restarted.c - workers stop, start and are reloaded as told. */
#include "config.h"

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "tests/integration/stack.h"

/* Two on one socket that outlives them: each ends as told, when what it held
 * is finished through the other, and no client notices. */
static void
a_rolling_restart_is_not_noticed(struct stack *s)
{
	enum { MANY = 30 };
	struct client *c[MANY];

	stack_start_worker_beside(s);
	for (int round = 0; round < 6; round++) {
		struct process *p = round % 2 == 0 ? s->worker :
		    s->worker_beside;

		stack_wait_ready(s);
		for (int i = 0; i < MANY; i++)
			c[i] = stack_send(s, "POST", "/slow/100",
			    "Content-Length: 0\r\n");
		process_signal(p, SIGTERM);
		for (int i = 0; i < MANY; i++) {
			struct response r = stack_receive(c[i], "POST");

			check(r.status == 200 && r.whole,
			    "round %d, number %d: %d %s", round, i, r.status,
			    response_text(&r));
			response_clear(&r);
		}
		process_wait(p, 6000);
		check(p->status == 0, "status %#x", (unsigned)p->status);
		process_start(p);
	}
	check(backend_count(s->backend, "/slow") == 6 * MANY,
	    "%zu executions", backend_count(s->backend, "/slow"));
}
TEST_EACH(worker_restarted, a_rolling_restart_is_not_noticed,
    .inherited = true, .worker_options = { "--drain-timeout=5s" })

/* Nobody else takes the calls that bring the responses. */
static void
one_alone_finishes_what_it_holds(struct stack *s)
{
	struct client *thinks = stack_send(s, "POST", "/slow/2000",
	    "Content-Length: 0\r\n");
	struct client *streams = stack_send(s, "GET", "/drip/30/100", "");
	struct response r;

	wait_for(backend_count(s->backend, "/slow") == 1 &&
	    backend_count(s->backend, "/drip") == 1, PATIENCE_MS,
	    "the requests do not arrive");
	process_signal(s->worker, SIGTERM);
	r = stack_receive(thinks, "POST");
	check(r.status == 200 && r.whole, "/slow: %d %s", r.status,
	    response_text(&r));
	response_clear(&r);
	r = stack_receive(streams, "GET");
	check(r.status == 200 && r.whole && r.content_len == 30,
	    "/drip: %d, %llu bytes", r.status, r.content_len);
	response_clear(&r);
	/* It does not wait for the drain timeout then. */
	process_wait(s->worker, PATIENCE_MS);
	check(s->worker->status == 0, "status %#x", (unsigned)
	    s->worker->status);
}
TEST_EACH(worker_restarted, one_alone_finishes_what_it_holds,
    .worker_options = { "--drain-timeout=60s" })

static void
two_alone_finish_what_they_hold(struct stack *s)
{
	one_alone_finishes_what_it_holds(s);
}
TEST_EACH(worker_restarted, two_alone_finish_what_they_hold, .workers = 2,
    .worker_options = { "--drain-timeout=60s" })

static void
one_that_stops_begins_nothing(struct stack *s)
{
	struct client *c = stack_send(s, "GET", "/slow/5000", "");
	struct response r;

	wait_for(backend_count(s->backend, "/slow") == 1, PATIENCE_MS,
	    "the request does not arrive");
	process_signal(s->worker, SIGTERM);
	/* A kept connection may still take one. */
	wait_for(stack_status(s, "/late") == 503, PATIENCE_MS,
	    "new requests are served");
	r = stack_get(s, "/too-late");
	check(r.status == 503 && response_field(&r, "Retry-After") != NULL,
	    "%d %s", r.status, response_text(&r));
	check(backend_count(s->backend, "/too-late") == 0,
	    "the backend got it");
	response_clear(&r);
	r = stack_receive(c, "GET");
	check(r.status == 200 && r.whole, "%d", r.status);
	response_clear(&r);
	process_wait(s->worker, PATIENCE_MS);
}
TEST_EACH_WEB(worker_restarted, one_that_stops_begins_nothing,
    .worker_options = { "--drain-timeout=60s" })

/* Parked polls are answered, so it does not take the 30 s of a poll. */
static void
an_idle_worker_ends_at_once(struct stack *s)
{
	process_signal(s->worker, SIGTERM);
	process_wait(s->worker, 5000);
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

/* The program is executed again in place: the same process, other workers, and
 * what was under way is finished by the old ones. */
static void
a_new_program_takes_over(struct stack *s)
{
	struct client *c = stack_send(s, "GET", "/slow/500", "");
	pid_t pid = s->worker->pid;
	struct response r;

	wait_for(backend_count(s->backend, "/slow") == 1, PATIENCE_MS,
	    "the request does not arrive");
	process_signal(s->worker, SIGUSR2);
	wait_for(process_log_has(s->worker, "stopping: "), PATIENCE_MS,
	    "the old one goes on");
	stack_expect(s, "/ready", 200);
	r = stack_receive(c, "GET");
	check(r.status == 200 && r.whole, "%d %s", r.status,
	    response_text(&r));
	response_clear(&r);
	check(process_is_running(s->worker) && s->worker->pid == pid,
	    "the process has ended");
	wait_for(process_log_has(s->worker, "worker stopped"), PATIENCE_MS,
	    "the old one does not end");
	for (int i = 0; i < 20; i++)
		stack_expect(s, "/ready", 200);
}
TEST_EACH_WEB(worker_restarted, a_new_program_takes_over,
    .worker_options = { "--drain-timeout=20s" })

static void
a_new_program_takes_over_from_several(struct stack *s)
{
	a_new_program_takes_over(s);
}
TEST_EACH_WEB(worker_restarted, a_new_program_takes_over_from_several,
    .workers = 3, .worker_options = { "--drain-timeout=20s" })

/* One that would not start is not started. */
static void
a_new_program_that_is_broken_does_not(struct stack *s)
{
	char *config = harness_path("worker.conf");

	process_stop(s->worker);
	file_write(config, "via = yes\n");
	process_arg(s->worker, "--config=%s", config);
	stack_start_worker(s);
	stack_wait_ready(s);
	file_write(config, "no-such-option = 1\n");
	process_signal(s->worker, SIGUSR2);
	wait_for(process_log_has(s->worker, "no upgrade: "), PATIENCE_MS,
	    "nothing is said");
	stack_expect(s, "/ready", 200);
	file_write(config, "via = no\n");
	process_signal(s->worker, SIGUSR2);
	wait_for(process_log_has(s->worker, "stopping: "), PATIENCE_MS,
	    "no upgrade after all");
	stack_wait_ready(s);
}
TEST_EACH_WEB(worker_restarted, a_new_program_that_is_broken_does_not)

static void
a_broken_one_does_not_of_several(struct stack *s)
{
	a_new_program_that_is_broken_does_not(s);
}
TEST_EACH_WEB(worker_restarted, a_broken_one_does_not_of_several,
    .workers = 2)

/* What root could read the new program can't any more: it is told. */
static void
a_new_program_knows_the_password(struct stack *s)
{
	if (geteuid() != 0)
		return;
	process_stop(s->worker);
	check(chmod(harness_path("redis.password"), 0600) == 0, "chmod");
	process_arg(s->worker, "--user=nobody");
	stack_start_worker(s);
	stack_wait_ready(s);
	process_signal(s->worker, SIGUSR2);
	wait_for(process_log_has(s->worker, "stopping: "), PATIENCE_MS,
	    "no upgrade");
	stack_wait_healthy(s);
	stack_wait_ready(s);
}
TEST_EACH_WEB(worker_restarted, a_new_program_knows_the_password)

static void
a_new_program_of_several_knows_the_password(struct stack *s)
{
	a_new_program_knows_the_password(s);
}
TEST_EACH_WEB(worker_restarted, a_new_program_of_several_knows_the_password,
    .workers = 2)
