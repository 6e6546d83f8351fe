/* agent_token.c - a credential that changes while the agent runs. */
#include "config.h"

#include <stdio.h>
#include <string.h>

#include "tests/integration/stack.h"

static void
a_new_token_in_the_file_is_taken(struct stack *s)
{
	const char *path = harness_path("changing.token");

	file_write(path, "ip_0123456789ab_wrong\n");
	s->agent_options[0] = harness_name("--token-file=%s", path);
	stack_start_agent(s, 0);
	wait_for(process_log_has(s->agent[0], "status 401"), PATIENCE_MS,
	    "the wrong token is not refused");
	/* A file that is no token, for a moment, ends nothing. */
	file_write(path, "\n");
	wait_for(process_log_has(s->agent[0], "its first line is no token"),
	    PATIENCE_MS, "it is not read again");
	file_write(path, harness_name("%s\n", s->agent_token));
	stack_wait_ready(s);
	check(!process_log_has(s->agent[0], s->agent_token) &&
	    !process_log_has(s->agent[0], "0123456789ab_wrong"),
	    "a token is in the log");
}
STACK_TEST(agent_token, a_new_token_in_the_file_is_taken, WEB_LIGHTTPD,
    "native", native, .agents = STACK_NO_AGENT)
STACK_TEST(agent_token, a_new_token_in_the_file_is_taken, WEB_LIGHTTPD,
    "classic", classic, .agents = STACK_NO_AGENT)

static void
a_command_gives_the_token(struct stack *s)
{
	const char *path = harness_path("command.token");

	s->agent_options[0] = "--token-file=";
	s->agent_options[1] = harness_name("--token-command="
	    "test -e '%s' || kill -9 $$; cat '%s'", path, path);
	stack_start_agent(s, 0);
	wait_for(process_log_has(s->agent[0],
	    "--token-command failed (signal 9)"), PATIENCE_MS,
	    "the command that dies is not noticed");
	file_write(path, harness_name("%s\nmore\n", s->agent_token));
	stack_wait_ready(s);
}
STACK_TEST(agent_token, a_command_gives_the_token, WEB_LIGHTTPD, "native",
    native, .agents = STACK_NO_AGENT)

static void
a_command_without_a_token_is_run_again(struct stack *s)
{
	const char *path = harness_path("command.token");

	s->agent_options[0] = "--token-file=";
	s->agent_options[1] = harness_name("--token-command=cat '%s'", path);
	file_write(path, "");
	stack_start_agent(s, 0);
	wait_for(process_log_has(s->agent[0],
	    "--token-command printed no token"), PATIENCE_MS,
	    "that there is no token is not noticed");
	file_write(path, harness_name("%s\n", s->agent_token));
	stack_wait_ready(s);
}
STACK_TEST(agent_token, a_command_without_a_token_is_run_again, WEB_LIGHTTPD,
    "native", native, .agents = STACK_NO_AGENT)
