/* start_up.c - a program that can't start says which option it is, and ends
 * with 2 for what is wrong with the command line, 1 for what is wrong with the
 * machine. */
#include "config.h"

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "tests/integration/stack.h"

struct start {
	const char *option[4];
	int status;
	const char *says;
};

static void
must_end(const char *program, size_t number, const struct start *start,
    const char *const *common)
{
	struct process *p = process_new(harness_name("%s-%zu", program,
	    number));

	process_arg(p, "%s", harness_program(program));
	for (size_t i = 0; common[i] != NULL; i++)
		process_arg(p, "%s", common[i]);
	for (size_t i = 0; start->option[i] != NULL; i++)
		process_arg(p, "%s", start->option[i]);
	process_start(p);
	p->may_fail = true;
	process_wait(p, PATIENCE_MS);
	check(WIFEXITED(p->status) && WEXITSTATUS(p->status) == start->status,
	    "%s %s: status %x, not exit %d", program, start->option[0],
	    (unsigned)p->status, start->status);
	check(process_log_has(p, start->says), "%s %s does not say \"%s\"",
	    program, start->option[0], start->says);
}

Test(start_up, a_worker_says_what_is_wrong, .timeout = 120)
{
	static const struct start starts[] = {
		{ { "--log-level=loud" }, 2, "--log-level" },
		{ { "--log-format=xml" }, 2, "--log-format" },
		{ { "--log-file=/nonexistent/log" }, 1, "/nonexistent/log" },
		{ { "--socket-mode=rw", "--listen=/nonexistent/s" }, 2,
		    "--socket-mode" },
		{ { "--listen=/nonexistent/s" }, 1, "/nonexistent/s" },
		{ { "--listen=:1:2:3" }, 1, "--listen" },
		{ { "--workers=0" }, 2, "--workers" },
		{ { "--no-such-option" }, 2, "no-such-option" },
		{ { "operand" }, 2, "operand" },
		{ { "--config=/nonexistent/config" }, 2,
		    "/nonexistent/config" },
		/* Nobody passes a listening socket. */
		{ { "--log-level=info" }, 2, "descriptor 0" },
	};
	static const char *const none[] = { NULL };

	harness_start();
	for (size_t i = 0; i < sizeof(starts) / sizeof(starts[0]); i++)
		must_end("inverting-proxy.fcgi", i, &starts[i], none);
	harness_finish();
}

Test(start_up, a_worker_says_what_is_wrong_with_a_file, .timeout = 120)
{
	harness_start();
	file_write(harness_path("empty"), "");
	file_write(harness_path("plain"), "text");
	file_write(harness_path("long"), harness_name("%01024d\n", 0));

	const char *const listen[] = {
		harness_name("--listen=%s", harness_path("socket")), NULL };
	const struct start starts[] = {
		{ { "--redis-password-file=/nonexistent/p" }, 1,
		    "/nonexistent/p" },
		{ { harness_name("--redis-password-file=%s",
		    harness_path("empty")) }, 1, "no line in it" },
		{ { harness_name("--redis-password-file=%s",
		    harness_path("long")) }, 1, "longer than 1023 bytes" },
		{ { "--pid-file=/nonexistent/pid" }, 1, "/nonexistent/pid" },
		{ { "--redis=:0" }, 1, "the port must be" },
		{ { "--redis=redis://u:secret@host" }, 1,
		    "use the password file" },
		{ { "--user=no-such-user" }, 1, "no-such-user" },
		{ { "--socket-group=no-such-group" }, 1, "no-such-group" },
		{ { harness_name("--listen=%s", harness_path("plain")) }, 1,
		    "is not a socket" },
	};

	for (size_t i = 0; i < sizeof(starts) / sizeof(starts[0]); i++)
		must_end("inverting-proxy.fcgi", i, &starts[i], listen);
	harness_finish();
}

Test(start_up, an_agent_says_what_is_wrong, .timeout = 120)
{
	static const char *const right[] = { "--proxy=http://127.0.0.1:1/",
		"--backend=b", "--host=127.0.0.1:1", NULL };
	static const struct start starts[] = {
		{ { "--proxy=ftp://x/" }, 2, "--proxy" },
		{ { "--host=http:/x" }, 2, "not a place of a backend" },
		{ { "--backend=b=unix:x" }, 2, "not a place of a backend" },
		{ { "--protocol=both" }, 2, "--protocol" },
		{ { "--log-level=loud" }, 2, "--log-level" },
		{ { "--log-file=/nonexistent/log" }, 1, "/nonexistent/log" },
		{ { "--token-file=/nonexistent/token" }, 1,
		    "/nonexistent/token" },
		{ { "--header-file=/nonexistent/header" }, 1,
		    "/nonexistent/header" },
		{ { "--user=no-such-user" }, 1, "no-such-user" },
		{ { "--header=no colon" }, 2, "--header" },
		{ { "--token-file=x", "--token-command=y" }, 2, "only one" },
		{ { "--client-key=x" }, 2, "--client-cert" },
	};

	harness_start();
	for (size_t i = 0; i < sizeof(starts) / sizeof(starts[0]); i++)
		must_end("inverting-proxy-agent", i, &starts[i], right);
	harness_finish();
}

static bool
file_has(const char *path, const char *text)
{
	char *all = file_read(path, NULL);
	bool has = all != NULL && strstr(all, text) != NULL;

	free(all);
	return has;
}

/* logrotate moves the file away and sends SIGHUP. */
static void
opens_its_log_again(struct process *p, const char *path, const char *up,
    const char *last)
{
	const char *moved = harness_name("%s.1", path);

	process_arg(p, "--log-file=%s", path);
	process_start(p);
	wait_for(file_has(path, up), PATIENCE_MS, "%s has no \"%s\"", path,
	    up);
	check(rename(path, moved) == 0, "rename %s", path);
	process_signal(p, SIGHUP);
	wait_for(access(path, F_OK) == 0, PATIENCE_MS,
	    "%s is not opened again", path);
	process_stop(p);
	check(file_has(path, last), "%s has no \"%s\"", path, last);
}

static void
logs_are_opened_again(struct stack *s)
{
	struct process *worker = process_new("moving-worker");
	struct process *agent = process_new("moving-agent");

	process_arg(worker, "%s", harness_program("inverting-proxy.fcgi"));
	process_arg(worker, "--listen=%s", harness_path("moving.sock"));
	process_arg(worker, "--redis=%s", s->redis_socket);
	process_arg(worker, "--workers=2");
	process_arg(worker, "--pid-file=%s", harness_path("moving.pid"));
	opens_its_log_again(worker, harness_path("moving-worker.text"),
	    "is there", "worker stopped");
	check(access(harness_path("moving.pid"), F_OK) != 0,
	    "the pid file stays");
	process_arg(agent, "%s", harness_program("inverting-proxy-agent"));
	process_arg(agent, "--proxy=http://127.0.0.1:%d" AGENT_MOUNT, s->port);
	process_arg(agent, "--backend=b1");
	process_arg(agent, "--host=127.0.0.1:%d", backend_port(s->backend));
	process_arg(agent, "--token-file=%s", harness_path("agent.token"));
	process_arg(agent, "--log-format=json");
	opens_its_log_again(agent, harness_path("moving-agent.text"),
	    "connected to", "\"ended\"");
}
STACK_TEST(start_up, logs_are_opened_again, WEB_LIGHTTPD, "native", once,
    .agents = STACK_NO_AGENT)
