/* admin_tool.c - inverting-proxy-admin, as somebody types it. */
#include "config.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>

#include "tests/integration/stack.h"

/* Runs it with these words; its exit status, and all it said in *said. */
static int
tool(const char *redis, char **said, const char *const *words)
{
	static int runs;
	struct process *p = process_new(harness_name("tool-%d", ++runs));

	process_arg(p, "%s", harness_program("inverting-proxy-admin"));
	process_arg(p, "--redis=%s", redis);
	for (size_t i = 0; words[i] != NULL; i++)
		process_arg(p, "%s", words[i]);
	process_start(p);
	p->may_fail = true;
	process_wait(p, PATIENCE_MS);
	check(WIFEXITED(p->status), "status %x", (unsigned)p->status);
	*said = file_read(p->log, NULL);
	return WEXITSTATUS(p->status);
}
#define WORDS(...) (const char *const[]){ __VA_ARGS__, NULL }

static void
expect(const char *redis, int status, const char *says,
    const char *const *words)
{
	char *said;
	int got = tool(redis, &said, words);

	check(got == status && strstr(said, says) != NULL,
	    "%s %s: exit %d (not %d), without \"%s\":\n%s", words[0],
	    words[1] == NULL ? "" : words[1], got, status, says, said);
	free(said);
}

static void
shows_what_there_is(struct stack *s)
{
	const char *redis = s->redis_socket;

	expect(redis, 0, "Backends  1", WORDS("status"));
	expect(redis, 0, "Workers   1", WORDS("status"));
	expect(redis, 0, "agent-one", WORDS("token", "list"));
	expect(redis, 0, "ROLE", WORDS("token", "list"));
	expect(redis, 0, "b1", WORDS("backend", "list"));
	expect(redis, 0, "\"pathPrefixes\":[\"/\"]",
	    WORDS("backend", "list", "--json"));
}
STACK_TEST(admin_tool, shows_what_there_is, WEB_LIGHTTPD, "native", once,
    .agents = STACK_NO_AGENT)

static void
says_what_is_wrong(struct stack *s)
{
	const char *redis = s->redis_socket;

	expect(redis, 2, "there is no command", WORDS("backend", "shout"));
	expect(redis, 2, "too many words", WORDS("token", "list", "all"));
	expect(redis, 2, "after it comes an ID", WORDS("backend", "remove"));
	expect(redis, 2, "--help", WORDS("status", "--no-such-option"));
	expect(redis, 2, "--role", WORDS("token", "add", "--user=u"));
	expect(redis, 2, "--user", WORDS("token", "add", "--role=agent"));
	expect(redis, 1, "no backend nobody",
	    WORDS("backend", "remove", "nobody"));
	expect(redis, 1, "no token nobody", WORDS("token", "remove",
	    "nobody"));
	expect(redis, 2, "--path must begin", WORDS("backend", "add", "x",
	    "--backend-user=u", "--path=relative"));
	expect(redis, 2, "the port must be", WORDS("--redis=:0", "status"));
	expect(redis, 1, "/nonexistent", WORDS("status",
	    "--redis-password-file=/nonexistent"));
	/* Nothing of that has changed anything. */
	expect(redis, 0, "Backends  1", WORDS("status"));
}
STACK_TEST(admin_tool, says_what_is_wrong, WEB_LIGHTTPD, "native", once,
    .agents = STACK_NO_AGENT)

/* It is not in the list, so it has to be said. */
static void
says_what_is_skipped(struct stack *s)
{
	free(stack_redis(s, "hset ip:{registry}:backends spoilt {}"));
	expect(s->redis_socket, 0, "backend spoilt in Redis is skipped",
	    WORDS("backend", "list"));
	expect(s->redis_socket, 0, "\nb1", WORDS("backend", "list"));
}
STACK_TEST(admin_tool, says_what_is_skipped, WEB_LIGHTTPD, "native", once,
    .agents = STACK_NO_AGENT)

static void
says_that_redis_is_away(struct stack *s)
{
	(void)s;
	expect("/nonexistent/redis", 3, "can't be used", WORDS("status"));
}
STACK_TEST(admin_tool, says_that_redis_is_away, WEB_LIGHTTPD, "native", once,
    .agents = STACK_NO_AGENT)

static void
waits_for_redis_as_long_as_it_may(struct stack *s)
{
	free(stack_redis(s, "client pause 6000 all"));
	expect(s->redis_socket, 3, "can't be used", WORDS("status",
	    "--redis-timeout=100ms"));
	expect(s->redis_socket, 0, "Backends  1", WORDS("status",
	    "--redis-timeout=15s"));
}
STACK_TEST(admin_tool, waits_for_redis_as_long_as_it_may, WEB_LIGHTTPD,
    "native", once, .agents = STACK_NO_AGENT)
