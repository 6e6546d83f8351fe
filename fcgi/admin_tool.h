/* admin_tool.h - what the command-line tool for administrators is told, and
 * what its commands work with. */
#ifndef FCGI_ADMIN_TOOL_H
#define FCGI_ADMIN_TOOL_H

#include <ev.h>
#include <stdbool.h>

#include "common/option.h"
#include "fcgi/registry.h"
#include "fcgi/store.h"

enum admin_exit { ADMIN_EXIT_OK = 0, ADMIN_EXIT_FAILED = 1,
	ADMIN_EXIT_USAGE = 2, ADMIN_EXIT_NO_REDIS = 3 };

struct admin_options {
	char *redis;
	char *redis_user;
	char *redis_password_file;
	long redis_timeout_ms;

	char *role;
	char *user;
	char *end_user;
	char *backend_user;
	struct option_list paths;
	bool json;
};

struct admin_tool {
	struct admin_options options;
	const char *operand;	/* the ID of a command that takes one */
	struct ev_loop *loop;
	struct store *store;
	struct registry *registry;	/* loaded when a command runs */
	enum admin_exit result;
};

/* One subcommand.  check looks at the options before Redis is asked: false
 * when it has said what is wrong.  run starts it; it ends with
 * admin_tool_end. */
struct admin_command {
	const char *noun, *verb;	/* verb: NULL for a lone word */
	const char *operand;		/* what it is called, or NULL */
	bool (*check)(const struct admin_tool *tool);
	void (*run)(struct admin_tool *tool);
};

/* Ends with a NULL noun.  (admin_command.c) */
extern const struct admin_command admin_commands[];

void admin_tool_end(struct admin_tool *tool, enum admin_exit result);

/* "inverting-proxy-admin: ..." on standard error. */
void admin_tool_complain(const char *format, ...)
    __attribute__((format(printf, 1, 2)));

#endif
