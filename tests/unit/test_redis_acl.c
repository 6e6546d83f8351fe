/* test_redis_acl.c - the Redis user of deploy/redis may do what the programs
 * do, and nothing else. */
#include "config.h"

#include <criterion/criterion.h>
#include <ctype.h>
#include <glob.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static char *
read_file(const char *path)
{
	char *text = calloc(1, 256 * 1024);
	FILE *f = fopen(path, "r");

	cr_assert(f != NULL && text != NULL, "%s", path);
	cr_assert_gt(fread(text, 1, 256 * 1024 - 1, f), 0);
	fclose(f);
	return text;
}

static const char *
source(void)
{
	const char *dir = getenv("INVERTING_PROXY_SOURCE");

	return dir != NULL ? dir : ".";
}

/* The rules of the user, from a copy of the line. */
static char *
read_rules(void)
{
	char path[4096], *text, *rules;

	snprintf(path, sizeof(path), "%s/deploy/redis/redis.conf", source());
	text = read_file(path);
	rules = strstr(text, "\nuser inverting-proxy on ");
	cr_assert_not_null(rules);
	rules = strndup(rules + 1, strcspn(rules + 1, "\n"));
	free(text);
	return rules;
}

/* As a word in quotes, which is how a command is spelled in C and in Lua. */
static bool
is_used(const char *command, const glob_t *files)
{
	char in_c[64], in_lua[64];

	snprintf(in_c, sizeof(in_c), "(\"%s\"", command);
	snprintf(in_lua, sizeof(in_lua), "redis.call('%s'", command);
	for (size_t i = 0; i < files->gl_pathc; i++) {
		char *text = read_file(files->gl_pathv[i]);
		char list[64];
		bool found;

		snprintf(list, sizeof(list), ", \"%s\"", command);
		found = strstr(text, in_c) != NULL ||
		    strstr(text, in_lua) != NULL || strstr(text, list) != NULL;
		free(text);
		if (found)
			return true;
	}
	return false;
}

Test(redis_acl, allows_no_command_that_is_not_used)
{
	char pattern[4096], *rules = read_rules(), *rest = rules, *rule;
	size_t commands = 0;
	glob_t files;

	snprintf(pattern, sizeof(pattern), "%s/fcgi/*.c", source());
	cr_assert_eq(glob(pattern, 0, NULL, &files), 0);
	while ((rule = strsep(&rest, " ")) != NULL) {
		if (rule[0] != '+')
			continue;
		rule[strcspn(rule, "|")] = '\0';
		for (char *c = rule; *c != '\0'; c++)
			*c = (char)toupper((unsigned char)*c);
		cr_expect(is_used(rule + 1, &files), "%s is not used",
		    rule + 1);
		commands++;
	}
	cr_expect_gt(commands, 20);
	globfree(&files);
	free(rules);
}

Test(redis_acl, allows_no_group_and_no_key_of_others)
{
	char *rules = read_rules();

	cr_expect_not_null(strstr(rules, " -@all "));
	cr_expect_null(strstr(rules, "+@"));
	cr_expect_null(strstr(rules, "~*"));
	cr_expect_null(strstr(rules, "allkeys"));
	cr_expect_null(strstr(rules, "&*"));
	cr_expect_null(strstr(rules, "nopass"));
	free(rules);
}
