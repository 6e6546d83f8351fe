/* admin_tool.c - inverting-proxy-admin: tokens and backends from the command
 * line, straight against Redis.  Options, the connection and exit codes; what
 * the commands do is in admin_command.c. */
#include "config.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/log.h"
#include "common/memory.h"
#include "common/privilege.h"
#include "fcgi/admin_tool.h"
#include "fcgi/store_options.h"

#define NAME "inverting-proxy-admin"
#define AT(member) offsetof(struct admin_options, member)

/* How long Redis is waited for, and how often it is looked why. */
static const double PATIENCE = 5.0, LOOK_EVERY = 0.05;

static const struct option option_table[] = {
	STORE_OPTIONS(struct admin_options),

	{ .name = "role", .type = OPTION_STRING, .offset = AT(role),
	    .value_name = "ROLE", .group = "For token add",
	    .help = "agent or admin." },
	{ .name = "user", .letter = 'u', .type = OPTION_STRING,
	    .offset = AT(user), .value_name = "NAME",
	    .help = "Whom the token proves: the --backend-user of an agent's "
	    "backends, or the name of an admin." },

	{ .name = "backend-user", .letter = 'b', .type = OPTION_STRING,
	    .offset = AT(backend_user), .value_name = "NAME",
	    .group = "For backend add",
	    .help = "Whose agents may serve it." },
	{ .name = "end-user", .letter = 'e', .type = OPTION_STRING,
	    .offset = AT(end_user), .fallback = USER_ALL,
	    .value_name = "NAME",
	    .help = "Who may use it: one user as the web server logs them "
	    "in, or allUsers." },
	{ .name = "path", .letter = 'p', .type = OPTION_LIST,
	    .offset = AT(paths), .value_name = "PREFIX",
	    .help = "Requests with this path or one below it; may be "
	    "repeated. Without it all, \"/\"." },

	{ .name = "json", .letter = 'j', .type = OPTION_BOOL,
	    .offset = AT(json), .fallback = "no",
	    .group = "For backend list",
	    .help = "As the admin API shows them." },
	{ .name = NULL },
};

static const struct option_program program = {
	.name = NAME,
	.usage = "[options] COMMAND\n\n"
	    "Commands:\n"
	    "  token add --role ROLE --user NAME      make a token, print it\n"
	    "  token list\n"
	    "  token remove ID\n"
	    "  backend add ID --backend-user NAME     create or replace it\n"
	    "          [--end-user NAME] [--path PREFIX]...\n"
	    "  backend list [--json]                  with last seen and used\n"
	    "  backend remove ID\n"
	    "  status                                 what there is and lives",
	.summary = "Tokens and backends of the inverting proxy, straight "
	    "against its Redis. Workers see each change at once.",
	.epilogue =
	    "Examples:\n"
	    "  An agent of the user \"alice-agent\" serves the backend "
	    "\"notebook\":\n"
	    "    " NAME " backend add notebook --backend-user alice-agent\n"
	    "    " NAME " token add --role agent --user alice-agent >token\n"
	    "  Only for alice, below two paths:\n"
	    "    " NAME " backend add notebook --backend-user alice-agent "
	    "\\\n        --end-user alice --path /lab --path /files\n"
	    "  The first admin token, for the admin API:\n"
	    "    " NAME " token add --role admin --user root\n"
	    "  What there is, and whether it is alive:\n"
	    "    " NAME " backend list\n"
	    "    " NAME " --redis unix:/run/redis/redis.sock status\n",
	.options = option_table,
	.environment_prefix = "INVERTING_PROXY_",
};

void
admin_tool_complain(const char *format, ...)
{
	va_list args;

	fputs(NAME ": ", stderr);
	va_start(args, format);
	vfprintf(stderr, format, args);
	va_end(args);
	putc('\n', stderr);
}

void
admin_tool_end(struct admin_tool *tool, enum admin_exit result)
{
	tool->result = result;
	ev_break(tool->loop, EVBREAK_ALL);
}

static bool
usage_error(const char *message, const char *word)
{
	admin_tool_complain("%s \"%s\"", message, word);
	fprintf(stderr, "Try '%s --help' for the commands.\n", NAME);
	return false;
}

/* --- which command --- */

static const struct admin_command *
find_command(int argc, char **argv)
{
	const struct admin_command *c = admin_commands;

	for (; c->noun != NULL; c++)
		if (argc > 1 && strcmp(argv[1], c->noun) == 0 &&
		    (c->verb == NULL || (argc > 2 &&
		    strcmp(argv[2], c->verb) == 0)))
			return c;
	return NULL;
}

/* Leaves the operand in the tool; false when usage was explained. */
static bool
read_command(struct admin_tool *tool, const struct admin_command *c, int argc,
    char **argv)
{
	const int words = c->verb == NULL ? 2 : 3;

	if (c->operand == NULL && argc > words)
		return usage_error("too many words, beginning with",
		    argv[words]);
	if (c->operand != NULL && argc == words)
		return usage_error("after it comes an ID:", argv[words - 1]);
	if (c->operand != NULL && argc > words + 1)
		return usage_error("too many words, beginning with",
		    argv[words + 1]);
	if (c->operand != NULL)
		tool->operand = argv[words];
	if (tool->operand != NULL && tool->operand[0] == '\0')
		return usage_error("it must not be empty: the", c->operand);
	return c->check == NULL || c->check(tool);
}

/* --- with Redis --- */

struct run {
	struct admin_tool tool;
	const struct admin_command *command;
	ev_timer look;
	double waited;
	bool started;
};

static void
on_loaded(void *arg, const char *error)
{
	struct run *run = arg;

	if (run->started)
		return;
	/* Lost again in between: on_up comes once more. */
	if (error != NULL && !store_is_up(run->tool.store))
		return;
	if (error != NULL) {
		admin_tool_complain("the registry can't be read");
		admin_tool_end(&run->tool, ADMIN_EXIT_FAILED);
		return;
	}
	run->started = true;
	ev_timer_stop(run->tool.loop, &run->look);
	run->command->run(&run->tool);
}

static void
on_up(void *arg)
{
	struct run *run = arg;

	if (!run->started)
		registry_refresh_times(run->tool.registry, on_loaded, run);
}

/* What waiting does not mend. */
static bool
is_final(const char *why)
{
	static const char *const final[] = { "WRONGPASS", "NOAUTH", "NOPERM",
		"ERR AUTH", "ERR DB index", "ERR invalid password" };

	for (size_t i = 0; i < sizeof(final) / sizeof(final[0]); i++)
		if (strncmp(why, final[i], strlen(final[i])) == 0)
			return true;
	return false;
}

static void
on_look(struct ev_loop *loop, ev_timer *timer, int revents)
{
	struct run *run = timer->data;
	const char *why = store_why_down(run->tool.store);

	(void)loop;
	(void)revents;
	run->waited += LOOK_EVERY;
	if (!is_final(why) && run->waited < PATIENCE +
	    (double)run->tool.options.redis_timeout_ms / 1000)
		return;
	admin_tool_complain("Redis at %s can't be used: %s",
	    run->tool.options.redis, why[0] != '\0' ? why :
	    "no answer in time");
	admin_tool_end(&run->tool, ADMIN_EXIT_NO_REDIS);
}

/* The first line of the file, or NULL: *failed tells why. */
static char *
read_password(const char *path, bool *failed)
{
	char *line = NULL;
	size_t size = 0;
	FILE *file;

	*failed = false;
	if (path == NULL)
		return NULL;
	file = fopen(path, "re");
	if (file == NULL || getline(&line, &size, file) < 0) {
		admin_tool_complain("--redis-password-file %s: %s", path,
		    file == NULL || ferror(file) ? strerror(errno) :
		    "it is empty");
		*failed = true;
		free(line);
		line = NULL;
	}
	if (file != NULL)
		fclose(file);
	if (line != NULL)
		line[strcspn(line, "\r\n")] = '\0';
	return line;
}

static enum admin_exit
run_command(struct run *run)
{
	const struct admin_options *o = &run->tool.options;
	const struct store_handler handler = { .up = on_up, .arg = run };
	const char *error = NULL;
	bool failed;
	char *password = read_password(o->redis_password_file, &failed);
	const struct store_settings settings = { .address = o->redis,
		.user = o->redis_user, .password = password,
		.timeout_ms = o->redis_timeout_ms };
	struct admin_tool *tool = &run->tool;

	if (failed)
		return ADMIN_EXIT_FAILED;
	ev_set_allocator(memory_reallocate);
	tool->loop = ev_default_loop(EVFLAG_AUTO);
	if (tool->loop == NULL)
		fatal("no event loop");
	tool->store = store_new(tool->loop, &settings, &handler, &error);
	if (password != NULL)
		explicit_bzero(password, strlen(password));
	free(password);
	if (tool->store == NULL) {
		admin_tool_complain("--redis %s: %s", o->redis, error);
		return ADMIN_EXIT_USAGE;
	}
	tool->registry = registry_new(tool->store);
	ev_timer_init(&run->look, on_look, LOOK_EVERY, LOOK_EVERY);
	run->look.data = run;
	ev_timer_start(tool->loop, &run->look);
	ev_run(tool->loop, 0);
	/* What Redis still owes is lost now, and nobody asks. */
	const enum admin_exit result = tool->result;

	store_free(tool->store);
	registry_free(tool->registry);
	return result;
}

int
main(int argc, char **argv)
{
	struct run run = { .tool = { .result = ADMIN_EXIT_FAILED } };
	enum admin_exit result = ADMIN_EXIT_USAGE;

	/* What the store logs while it tries is said at the end. */
	log_open(NAME, NULL, LOG_LEVEL_ERROR, false);
	privilege_hide_memory();
	switch (option_parse(&program, &argc, &argv, &run.tool.options)) {
	case OPTION_EXIT_OK:
		return ADMIN_EXIT_OK;
	case OPTION_EXIT_USAGE:
		return ADMIN_EXIT_USAGE;
	case OPTION_RUN:
		break;
	}
	run.command = find_command(argc, argv);
	if (argc < 2) {
		option_print_help(&program, stderr);
	} else if (run.command == NULL) {
		usage_error("there is no command", argc > 2 ? argv[2] :
		    argv[1]);
	} else if (read_command(&run.tool, run.command, argc, argv)) {
		result = run_command(&run);
	}
	option_clear(&program, &run.tool.options);
	if (fflush(stdout) != 0 || ferror(stdout)) {
		admin_tool_complain("standard output: %s", strerror(errno));
		return ADMIN_EXIT_FAILED;
	}
	return (int)result;
}
