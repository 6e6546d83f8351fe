/* no_memory.c - the programs, when one of the allocations of their start finds
 * no memory: they do without it, or say so and end. */
#include "config.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "tests/integration/stack.h"

/* So many runs one after the other that miss nothing: it allocates no more
 * than that.  A worker does: it hears of each that died before it. */
enum { MISSES_NOTHING = 40, ALLOCATIONS_MAX = 400 };

struct run {
	char *argv[16];
	const char *up;		/* once it says so, it is told to end */
	char said[64 * 1024];	/* on standard error */
	int status;
};

static void
start(const struct run *run, unsigned long nth, int err)
{
	char number[24];

	snprintf(number, sizeof(number), "%lu", nth);
	setenv("NO_MEMORY_AT", number, 1);
	dup2(err, STDERR_FILENO);
	dup2(open("/dev/null", O_RDWR), STDIN_FILENO);
	dup2(STDIN_FILENO, STDOUT_FILENO);
	execv(run->argv[0], run->argv);
	_exit(127);
}

/* Runs it to its end. */
static void
run_without(struct run *run, unsigned long nth)
{
	size_t len = 0;
	int fd[2];
	pid_t pid;
	ssize_t n;

	check(pipe2(fd, O_CLOEXEC) == 0, "%s", strerror(errno));
	if ((pid = fork()) == 0)
		start(run, nth, fd[1]);
	check(pid > 0, "%s", strerror(errno));
	close(fd[1]);
	while ((n = read(fd[0], run->said + len,
	    sizeof(run->said) - 1 - len)) > 0) {
		len += (size_t)n;
		run->said[len] = '\0';
		if (run->up != NULL && strstr(run->said, run->up) != NULL)
			kill(pid, SIGTERM);
	}
	run->said[len] = '\0';
	close(fd[0]);
	check(waitpid(pid, &run->status, 0) == pid, "%s", strerror(errno));
}

/* true when it ended well. */
static bool
ended_as_it_should(const struct run *run, unsigned long nth)
{
	const int status = run->status;

	check(WIFEXITED(status), "allocation %lu: signal %d\n%s", nth,
	    WTERMSIG(status), run->said);
	if (WEXITSTATUS(status) == EXIT_SUCCESS)
		return true;
	check(WEXITSTATUS(status) == EXIT_FAILURE &&
	    (strstr(run->said, "out of memory") != NULL ||
	    strstr(run->said, "no event loop") != NULL ||
	    strstr(run->said, strerror(ENOMEM)) != NULL),
	    "allocation %lu: exit status %d\n%s", nth, WEXITSTATUS(status),
	    run->said);
	return false;
}

static void
run_without_each(struct run *run)
{
	unsigned long nth, failed = 0, well = 0;

#ifdef COVERAGE
	cr_skip_test("gcov can't do without memory");
#endif
	for (nth = 1; well < MISSES_NOTHING && nth < ALLOCATIONS_MAX; nth++) {
		run_without(run, nth);
		if (ended_as_it_should(run, nth)) {
			well++;
		} else {
			well = 0;
			failed++;
		}
	}
	check(HARNESS_IS_SANITIZED || failed > 50,
	    "only %lu of %lu runs have failed", failed, nth);
}

/* One plain CGI request, so that it ends by itself. */
static void
of_a_worker(struct stack *s)
{
	static const char *const environment[][2] = {
		{ "GATEWAY_INTERFACE", "CGI/1.1" },
		{ "REQUEST_METHOD", "GET" }, { "REQUEST_URI", "/" },
		{ "INVERTING_PROXY_ROLE", "client" },
	};
	struct run run = { .argv = { harness_program("worker-no-memory"),
		harness_name("--redis=%s", s->redis_socket) } };
	struct run show = { .argv = { run.argv[0], run.argv[1],
		harness_name("--show-config") } };

	run_without_each(&show);
	admin(s, "backend", "remove", "b1");
	for (size_t i = 0; i < sizeof(environment) / sizeof(environment[0]);
	    i++)
		setenv(environment[i][0], environment[i][1], 1);
	run_without_each(&run);
}
STACK_TEST(no_memory, of_a_worker, WEB_LIGHTTPD, "native", start,
    .agents = STACK_NO_AGENT)

/* Until it has called a proxy that is not there. */
static void
of_an_agent(struct stack *s)
{
	struct run run = { .argv = { harness_program("agent-no-memory"),
		harness_name("--proxy=http://127.0.0.1:1/"),
		harness_name("--backend=b1"),
		harness_name("--host=127.0.0.1:1"),
		harness_name("--token-file=%s", harness_path("agent.token")),
		harness_name("--graceful-shutdown-timeout=0") },
	    .up = "no work from" };

	(void)s;
	run_without_each(&run);
}
STACK_TEST(no_memory, of_an_agent, WEB_LIGHTTPD, "native", start,
    .agents = STACK_NO_AGENT)
