/* command_line.c - what is wrong is said in the words of the command line, and
 * told from what only does not work now by the exit status. */
#include "config.h"

#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>

#include "tests/integration/stack.h"

enum { WORDS_MAX = 8, FAILED = 1, USAGE = 2, NO_REDIS = 3 };

TestSuite(command_line, .init = harness_start, .fini = harness_finish,
    .timeout = 60);

/* Words of a command line, the status it ends with, and what it says. */
struct command {
	const char *word[WORDS_MAX];
	int status;
	const char *says;
};

static void
check_command(const char *program, const struct command *command)
{
	static int n;
	struct process *p = process_new(harness_name("%s-%d", program, ++n));
	char *said;

	process_arg(p, "%s", harness_program(program));
	for (size_t i = 0; i < WORDS_MAX && command->word[i] != NULL; i++)
		process_arg(p, "%s", command->word[i]);
	process_start(p);
	p->may_fail = true;
	process_wait(p, PATIENCE_MS);
	said = file_read(p->log, NULL);
	check(WIFEXITED(p->status) &&
	    WEXITSTATUS(p->status) == command->status, "%s, not %s: %x, %s",
	    p->name, command->says, (unsigned)p->status, said);
	check(said != NULL && strstr(said, command->says) != NULL,
	    "%s, not %s: %s", p->name, command->says, said);
	free(said);
}

#define CHECK_COMMANDS(program, commands) do { \
	for (size_t i = 0; i < sizeof(commands) / sizeof(*(commands)); i++) \
		check_command(program, &(commands)[i]); \
} while (0)

Test(command_line, of_the_admin_tool)
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
		{ { "status", "--redis=unix:/none.sock" }, NO_REDIS,
		    "none.sock" },
		{ { "token", "list", "--redis=unix:/none.sock" }, NO_REDIS,
		    "none.sock" },
		{ { "status", "--redis=127.0.0.1:99999" }, USAGE, "--redis" },
	};

	CHECK_COMMANDS("inverting-proxy-admin", commands);
}

Test(command_line, of_the_agent)
{
#define NEEDED "--proxy=https://p/", "--backend=b"
	static const struct command commands[] = {
		{ { "--proxy=ftp://p/" }, USAGE, "--proxy" },
		{ { "--proxy=http://p/" }, USAGE, "--backend" },
		{ { NEEDED }, USAGE, "--host" },
		{ { NEEDED, "--host=ftp://h" }, USAGE, "--host ftp://h" },
		{ { NEEDED, "--host=h:1", "--frob" }, USAGE, "--frob" },
		{ { NEEDED, "--host=h:1", "frob" }, USAGE, "frob" },
		{ { NEEDED, "--host=h:1", "--max-in-flight=0" }, USAGE,
		    "--max-in-flight" },
		{ { NEEDED, "--host=h:1", "--config=/none" }, USAGE, "/none" },
		{ { NEEDED, "--host=h:1", "--log-file=/none/x" }, FAILED,
		    "--log-file /none/x" },
		{ { NEEDED, "--host=h:1", "--token-file=/none" }, FAILED,
		    "--token-file /none" },
		{ { NEEDED, "--host=h:1", "--ca-file=/none" }, FAILED,
		    "--ca-file /none" },
		{ { NEEDED, "--host=h:1", "--client-cert=/none" }, FAILED,
		    "--client-cert /none" },
	};
#undef NEEDED

	CHECK_COMMANDS("inverting-proxy-agent", commands);
}

Test(command_line, of_the_worker)
{
	static const struct command commands[] = {
		{ { NULL }, USAGE, "--listen" },
		{ { "--listen=frob" }, FAILED, "--listen" },
		{ { "--listen=127.0.0.1:99999" }, FAILED, "--listen" },
		{ { "--listen=unix:/none/x" }, FAILED, "--listen" },
		{ { "--workers=0" }, USAGE, "--workers" },
		{ { "--window=1" }, USAGE, "--window" },
		{ { "--frob" }, USAGE, "--frob" },
		{ { "frob" }, USAGE, "frob" },
		{ { "--config=/none" }, USAGE, "/none" },
	};

	CHECK_COMMANDS("inverting-proxy.fcgi", commands);
}
