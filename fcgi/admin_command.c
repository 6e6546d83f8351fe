/* admin_command.c - the subcommands of inverting-proxy-admin. */
#include "config.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "fcgi/admin_table.h"
#include "fcgi/admin_tool.h"
#include "fcgi/auth.h"
#include "fcgi/registry_json.h"
#include "fcgi/store_keys.h"

enum { ALIVE_MS = 10 * 1000 };

static void
on_written(void *arg, const char *error)
{
	struct admin_tool *tool = arg;

	if (error != NULL)
		admin_tool_complain("%s", error);
	admin_tool_end(tool, error == NULL ? ADMIN_EXIT_OK :
	    ADMIN_EXIT_FAILED);
}

/* "2026-01-02T03:04:05Z", or what to say instead of 0. */
static void
add_time(struct admin_table *table, long long unix_ms)
{
	char text[TIME_TEXT_LEN];

	time_text(unix_ms, text);
	if (strlen(text) == strlen("2026-01-02T03:04:05.678Z"))
		strcpy(text + 19, "Z");
	admin_table_add(table, unix_ms > 0 ? text : "never");
}

/* --- token --- */

static bool
token_role_read(const char *name, enum token_role *role)
{
	if (name != NULL && strcmp(name, "agent") == 0)
		*role = TOKEN_ROLE_AGENT;
	else if (name != NULL && strcmp(name, "admin") == 0)
		*role = TOKEN_ROLE_ADMIN;
	else
		return false;
	return true;
}

static bool
user_is_valid(const char *option, const char *user)
{
	if (user == NULL || user[0] == '\0') {
		admin_tool_complain("%s NAME is needed", option);
		return false;
	}
	if (strlen(user) > USER_MAX) {
		admin_tool_complain("%s is too long: %d bytes at most", option,
		    USER_MAX);
		return false;
	}
	for (const char *p = user; *p != '\0'; p++)
		if ((unsigned char)*p < 0x20 || *p == 0x7f) {
			admin_tool_complain("%s must not have control "
			    "characters", option);
			return false;
		}
	return true;
}

static bool
token_add_check(const struct admin_tool *tool)
{
	enum token_role role;

	if (!token_role_read(tool->options.role, &role)) {
		admin_tool_complain("--role agent or --role admin is needed");
		return false;
	}
	return user_is_valid("--user", tool->options.user);
}

/* Nothing but the token goes to standard output, so that it can be directed
 * into a file. */
struct token_add {
	struct admin_tool *tool;
	char text[64];
	enum token_role role;
};

static void
token_say_hint(const struct token_add *add)
{
	const struct admin_tool *tool = add->tool;
	const char *user = tool->options.user;
	size_t served = 0;

	fputs("This token is shown only now; Redis has only its hash.\n",
	    stderr);
	if (add->role == TOKEN_ROLE_ADMIN) {
		fputs("Use it as \"Authorization: Bearer TOKEN\" on the admin "
		    "mount.\n", stderr);
		return;
	}
	fputs("Put it into a file that only the agent can read: "
	    "inverting-proxy-agent --token-file FILE.\n", stderr);
	for (size_t i = 0; i < registry_backend_count(tool->registry); i++)
		served += strcmp(registry_backend_at(tool->registry,
		    i)->backend_user, user) == 0;
	if (served == 0)
		fprintf(stderr, "No backend has --backend-user %s yet.\n",
		    user);
}

static void
on_token_added(void *arg, const char *error)
{
	struct token_add *add = arg;
	struct admin_tool *tool = add->tool;

	if (error == NULL) {
		printf("%s\n", add->text);
		token_say_hint(add);
	}
	explicit_bzero(add, sizeof(*add));
	free(add);
	on_written(tool, error);
}

static void
token_add_run(struct admin_tool *tool)
{
	struct token_add *add = calloc(1, sizeof(*add));
	struct token *token;

	if (add == NULL || !token_role_read(tool->options.role, &add->role) ||
	    auth_token_new(add->role, tool->options.user, &token,
	    add->text) != 0) {
		free(add);
		on_written(tool, "out of memory");
		return;
	}
	add->tool = tool;
	registry_put_token(tool->registry, token, on_token_added, add);
	token_free(token);
}

static void
token_list_run(struct admin_tool *tool)
{
	static const char *const header[] = { "ID", "ROLE", "USER",
		"CREATED" };
	struct admin_table table;

	admin_table_init(&table, 4, header);
	for (size_t i = 0; i < registry_token_count(tool->registry); i++) {
		const struct token *t = registry_token_at(tool->registry, i);

		admin_table_add(&table, t->id);
		admin_table_add(&table, t->role == TOKEN_ROLE_ADMIN ?
		    "admin" : "agent");
		admin_table_add(&table, t->user);
		add_time(&table, t->created_ms);
	}
	admin_table_print(&table, stdout);
	admin_table_clear(&table);
	admin_tool_end(tool, ADMIN_EXIT_OK);
}

static void
token_remove_run(struct admin_tool *tool)
{
	const struct span id = span_str(tool->operand);

	if (registry_token(tool->registry, id) == NULL) {
		admin_tool_complain("no token %s: see token list",
		    tool->operand);
		admin_tool_end(tool, ADMIN_EXIT_FAILED);
		return;
	}
	registry_delete_token(tool->registry, id, on_written, tool);
}

/* --- backend --- */

/* What is wrong, in the words of the options. */
static void
complain_of_json(const char *error)
{
	static const char paths[] = "pathPrefixes";

	if (error == NULL)
		admin_tool_complain("out of memory");
	else if (strncmp(error, paths, sizeof(paths) - 1) == 0)
		admin_tool_complain("--path%s", error + strcspn(error, " "));
	else
		admin_tool_complain("%s", error);
}

/* The backend that the options describe.  Its JSON is read back, so that the
 * tool and the admin API have the same rules; NULL when that has complained. */
static struct backend *
backend_from_options(const struct admin_tool *tool)
{
	const struct admin_options *o = &tool->options;
	char all[] = "/", *everything = all;
	char id[BACKEND_ID_MAX + 2], *json, *error;
	struct backend *b, wanted = { .id = id, .end_user = o->end_user,
		.backend_user = o->backend_user, .prefix = o->paths.item,
		.prefix_count = o->paths.count };

	snprintf(id, sizeof(id), "%s", tool->operand);
	if (wanted.prefix_count == 0) {
		wanted.prefix = &everything;
		wanted.prefix_count = 1;
	}
	if ((json = backend_to_stored(&wanted)) == NULL) {
		admin_tool_complain("the names and paths must be UTF-8");
		return NULL;
	}
	b = backend_from_json(span_str(json), &error);
	if (b == NULL)
		complain_of_json(error);
	free(error);
	free(json);
	return b;
}

static bool
backend_add_check(const struct admin_tool *tool)
{
	struct backend *b;

	if (!user_is_valid("--backend-user", tool->options.backend_user) ||
	    !user_is_valid("--end-user", tool->options.end_user) ||
	    (b = backend_from_options(tool)) == NULL)
		return false;
	backend_free(b);
	return true;
}

static void
backend_add_run(struct admin_tool *tool)
{
	struct backend *b = backend_from_options(tool);

	if (b == NULL) {
		admin_tool_end(tool, ADMIN_EXIT_FAILED);
		return;
	}
	registry_put_backend(tool->registry, b, on_written, tool);
	backend_free(b);
}

static void
print_backends_json(const struct registry *r)
{
	putchar('[');
	for (size_t i = 0; i < registry_backend_count(r); i++) {
		char *json = backend_to_json(registry_backend_at(r, i));

		printf("%s%s", i > 0 ? ",\n" : "\n", json != NULL ? json :
		    "null");
		free(json);
	}
	puts("\n]");
}

static void
add_paths(struct admin_table *table, const struct backend *b)
{
	size_t size = 1;
	char *text, *p;

	for (size_t i = 0; i < b->prefix_count; i++)
		size += strlen(b->prefix[i]) + 1;
	if ((text = p = malloc(size)) == NULL)
		return;
	*p = '\0';
	for (size_t i = 0; i < b->prefix_count; i++) {
		p = stpcpy(p, i > 0 ? " " : "");
		p = stpcpy(p, b->prefix[i]);
	}
	admin_table_add(table, text);
	free(text);
}

static void
backend_list_run(struct admin_tool *tool)
{
	static const char *const header[] = { "ID", "END USER",
		"BACKEND USER", "LAST SEEN", "LAST USED", "PATHS" };
	const struct registry *r = tool->registry;
	struct admin_table table;

	if (tool->options.json) {
		print_backends_json(r);
		admin_tool_end(tool, ADMIN_EXIT_OK);
		return;
	}
	admin_table_init(&table, 6, header);
	for (size_t i = 0; i < registry_backend_count(r); i++) {
		const struct backend *b = registry_backend_at(r, i);

		admin_table_add(&table, b->id);
		admin_table_add(&table, b->end_user);
		admin_table_add(&table, b->backend_user);
		add_time(&table, b->seen_ms);
		add_time(&table, b->used_ms);
		add_paths(&table, b);
	}
	admin_table_print(&table, stdout);
	admin_table_clear(&table);
	admin_tool_end(tool, ADMIN_EXIT_OK);
}

static void
backend_remove_run(struct admin_tool *tool)
{
	const struct span id = span_str(tool->operand);

	if (registry_backend(tool->registry, id) == NULL) {
		admin_tool_complain("no backend %s: see backend list",
		    tool->operand);
		admin_tool_end(tool, ADMIN_EXIT_FAILED);
		return;
	}
	registry_delete_backend(tool->registry, id, on_written, tool);
}

/* --- status --- */

static void
print_status(const struct admin_tool *tool, long long workers)
{
	const struct registry *r = tool->registry;
	const size_t tokens = registry_token_count(r);
	size_t admins = 0;

	for (size_t i = 0; i < tokens; i++)
		admins += registry_token_at(r, i)->role == TOKEN_ROLE_ADMIN;
	printf("Redis     %s: ok\n", tool->options.redis);
	printf("Workers   %lld\n", workers);
	printf("Backends  %zu\n", registry_backend_count(r));
	printf("Tokens    %zu (agents %zu, admins %zu)\n", tokens,
	    tokens - admins, admins);
}

static void
status_fail(struct admin_tool *tool, const struct store_reply *reply)
{
	if (reply->kind == STORE_ERROR)
		admin_tool_complain("Redis refused it: %.*s",
		    (int)reply->string.len, reply->string.data);
	else
		admin_tool_complain("Redis gave no answer");
	admin_tool_end(tool, ADMIN_EXIT_FAILED);
}

static void
on_workers(void *arg, const struct store_reply *reply)
{
	struct admin_tool *tool = arg;

	if (reply->kind != STORE_INTEGER) {
		status_fail(tool, reply);
		return;
	}
	print_status(tool, reply->integer);
	admin_tool_end(tool, ADMIN_EXIT_OK);
}

/* Workers note their time by the clock of Redis; so does this. */
static void
on_time(void *arg, const struct store_reply *reply)
{
	struct admin_tool *tool = arg;
	const struct store_key key = store_key_workers();
	unsigned long long seconds, micros;
	char since[32];

	if (reply->kind != STORE_ARRAY || reply->count != 2 ||
	    !span_to_u64(reply->element[0].string, &seconds) ||
	    !span_to_u64(reply->element[1].string, &micros)) {
		status_fail(tool, reply);
		return;
	}
	snprintf(since, sizeof(since), "(%llu", seconds * 1000 +
	    micros / 1000 - ALIVE_MS);
	const struct span argv[] = { span_str("ZCOUNT"),
		store_key_span(&key), span_str(since), span_str("+inf") };

	store_command(tool->store, on_workers, tool, 4, argv);
}

static void
status_run(struct admin_tool *tool)
{
	const struct span time = span_str("TIME");

	store_command(tool->store, on_time, tool, 1, &time);
}

const struct admin_command admin_commands[] = {
	{ "token", "add", NULL, token_add_check, token_add_run },
	{ "token", "list", NULL, NULL, token_list_run },
	{ "token", "remove", "ID", NULL, token_remove_run },
	{ "backend", "add", "ID", backend_add_check, backend_add_run },
	{ "backend", "list", NULL, NULL, backend_list_run },
	{ "backend", "remove", "ID", NULL, backend_remove_run },
	{ "status", NULL, NULL, NULL, status_run },
	{ NULL, NULL, NULL, NULL, NULL },
};
