/* manual.c - is each option in the manual page, and each limit in its table? */
#include "config.h"

#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tests/unit/manual.h"

static char *
read_page(const char *name)
{
	const char *source = getenv("INVERTING_PROXY_SOURCE");
	char path[4096];
	char *text = calloc(1, 256 * 1024);
	FILE *f;

	snprintf(path, sizeof(path), "%s/%s", source != NULL ? source : ".",
	    name);
	f = fopen(path, "r");
	cr_assert_not_null(f, "%s", path);
	cr_assert_not_null(text);
	cr_assert_gt(fread(text, 1, 256 * 1024 - 1, f), 0);
	fclose(f);
	return text;
}

void
manual_lists_options(const char *name, const struct option_program *program)
{
	char *page = read_page(name), wanted[128];

	for (const struct option *o = program->options; o->name != NULL; o++) {
		snprintf(wanted, sizeof(wanted), "Fl -%s", o->name);
		const char *at = strstr(page, wanted);

		while (at != NULL && strchr(" \n", at[strlen(wanted)]) == NULL)
			at = strstr(at + 1, wanted);
		cr_expect_not_null(at, "%s does not have --%s", name, o->name);
	}
	free(page);
}

void
manual_tables_limits(const char *name, const struct option_program *program,
    const char *but)
{
	char *page = read_page(name), wanted[128], *end;
	const char *table = strstr(page, "\n.Sh LIMITS\n");

	cr_assert_not_null(table);
	if ((end = strstr(table + 1, "\n.Sh ")) != NULL)
		*end = '\0';
	for (const struct option *o = program->options; o->name != NULL; o++) {
		if ((o->type != OPTION_INTEGER &&
		    o->type != OPTION_DURATION_MS) ||
		    strcmp(o->name, but) == 0)
			continue;
		snprintf(wanted, sizeof(wanted), ".It Fl -%s\n%s", o->name,
		    o->fallback);
		const char *at = strstr(table, wanted);

		cr_expect(at != NULL && strchr(": ", at[strlen(wanted)]) !=
		    NULL, "the table does not have --%s with %s", o->name,
		    o->fallback);
	}
	free(page);
}
