/* admin_tool.c - inverting-proxy-admin says what is wrong in the words of its
 * command line, and tells it from a Redis that is not there. */
#include "config.h"

#include <string.h>
#include <sys/wait.h>

#include "tests/integration/stack.h"

enum { WORDS_MAX = 7, USAGE = 2, NO_REDIS = 3 };

TestSuite(admin_tool, .init = harness_start, .fini = harness_finish,
    .timeout = 60);

/* Words of a command line, the status it ends with, and what it says. */
struct command {
	const char *word[WORDS_MAX];
	int status;
	const char *says;
};

static void
check_command(const struct command *command, int n)
{
	struct process *p = process_new(harness_name("admin-%d", n));
	char *said;

	process_arg(p, "%s", harness_program("inverting-proxy-admin"));
	process_arg(p, "--redis=unix:%s", harness_path("none.sock"));
	for (size_t i = 0; i < WORDS_MAX && command->word[i] != NULL; i++)
		process_arg(p, "%s", command->word[i]);
	process_start(p);
	p->may_fail = true;
	process_wait(p, PATIENCE_MS);
	said = file_read(p->log, NULL);
	check(WIFEXITED(p->status) &&
	    WEXITSTATUS(p->status) == command->status, "%s: status %x",
	    command->says, (unsigned)p->status);
	check(said != NULL && strstr(said, command->says) != NULL,
	    "not %s: %s", command->says, said);
}

Test(admin_tool, says_what_is_wrong)
{
	static const struct command commands[] = {
		{ { "backend", "add" }, USAGE, "comes an ID" },
		{ { "backend", "add", "b", "c" }, USAGE, "too many words" },
		{ { "backend", "add", "b" }, USAGE, "--backend-user" },
		{ { "backend", "add", "a..b", "--backend-user=u" }, USAGE,
		    "id must be" },
		{ { "backend", "add", "b", "--backend-user=u", "--path=x" },
		    USAGE, "--path must begin with '/'" },
		{ { "backend", "add", "b", "--backend-user=u", "--end-user=" },
		    USAGE, "--end-user" },
		{ { "backend", "frob" }, USAGE, "no command" },
		{ { "token", "add", "--user=u" }, USAGE, "--role" },
		{ { "token", "add", "--role=boss", "--user=u" }, USAGE,
		    "--role" },
		{ { "token", "add", "--role=agent" }, USAGE, "--user" },
		{ { "status", "--redis-timeout=5x" }, USAGE,
		    "--redis-timeout" },
		{ { "status", "--frob" }, USAGE, "--frob" },
		{ { "status" }, NO_REDIS, "none.sock" },
		{ { "token", "list" }, NO_REDIS, "none.sock" },
	};

	for (size_t i = 0; i < sizeof(commands) / sizeof(*commands); i++)
		check_command(&commands[i], (int)i);
}
