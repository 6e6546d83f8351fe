/* fuzz_option_file.c - any bytes as a config file: settings or an error that
 * names the line; what is taken is within its range, and --show-config prints
 * it so that reading it again gives the same. */
#include "config.h"

#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "common/option.h"
#include "tests/fuzz/fuzz.h"

struct settings {
	char *name;
	char *token;
	bool flag;
	long number;
	long size;
	long time_ms;
	struct option_list list;
};

static const struct option options[] = {
	{ .name = "name", .type = OPTION_STRING, .fallback = "fallback",
	    .offset = offsetof(struct settings, name), .group = "Group" },
	{ .name = "token", .type = OPTION_STRING,
	    .offset = offsetof(struct settings, token) },
	{ .name = "flag", .type = OPTION_BOOL,
	    .offset = offsetof(struct settings, flag) },
	{ .name = "number", .type = OPTION_INTEGER, .min = -5, .max = 5000,
	    .offset = offsetof(struct settings, number) },
	{ .name = "size", .type = OPTION_INTEGER, .value_name = "BYTES",
	    .offset = offsetof(struct settings, size) },
	{ .name = "time", .type = OPTION_DURATION_MS, .max = 7200000,
	    .offset = offsetof(struct settings, time_ms) },
	{ .name = "list", .type = OPTION_LIST, .fallback = "one, two",
	    .offset = offsetof(struct settings, list) },
	{ .name = NULL },
};
static const struct option_program program = {
	.name = "program", .options = options,
	.environment_prefix = "FUZZ_OPTION_FILE_",
};

/* What it prints is kept in *printed, what it complains of in *said. */
static enum option_result
parse(const void *text, size_t len, bool show, struct settings *settings,
    char **printed, char **said)
{
	char path[64];
	char program_name[] = "program";
	char show_config[] = "--show-config";
	char *argv[] = { program_name, path, show ? show_config : NULL, NULL };
	char **argv_at = argv;
	FILE *saved_out = stdout;
	FILE *saved_err = stderr;
	size_t printed_len;
	size_t said_len;
	enum option_result result;
	int fd = memfd_create("config", 0);

	must(fd >= 0 && write(fd, text, len) == (ssize_t)len);
	snprintf(path, sizeof(path), "--config=/proc/self/fd/%d", fd);
	memset(settings, 0, sizeof(*settings));
	stdout = open_memstream(printed, &printed_len);
	stderr = open_memstream(said, &said_len);
	must(stdout != NULL && stderr != NULL);
	result = option_parse(&program, NULL, &argv_at, settings);
	must(fclose(stdout) == 0 && fclose(stderr) == 0);
	stdout = saved_out;
	stderr = saved_err;
	close(fd);
	return result;
}

static void
must_be_in_range(const struct settings *s)
{
	must(s->number >= -5 && s->number <= 5000 && s->size >= 0);
	must(s->time_ms >= 0 && s->time_ms <= 7200000);
	must(s->name == NULL || s->name[0] != '\0');
	for (size_t i = 0; i < s->list.count; i++)
		must(s->list.item[i][0] != '\0');
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct settings settings;
	char *first;
	char *second;
	char *said;
	enum option_result result;

	if (size > 64 * 1024)
		return 0;
	result = parse(data, size, false, &settings, &first, &said);
	must(result == OPTION_RUN || result == OPTION_EXIT_USAGE);
	must((result == OPTION_RUN) == (said[0] == '\0'));
	must(result == OPTION_RUN || strstr(said, "/proc/self/fd/") != NULL);
	must_be_in_range(&settings);
	option_clear(&program, &settings);
	free(first);
	free(said);
	if (result != OPTION_RUN)
		return 0;

	must(parse(data, size, true, &settings, &first, &said) ==
	    OPTION_EXIT_OK);
	free(said);
	must(parse(first, strlen(first), true, &settings, &second, &said) ==
	    OPTION_EXIT_OK);
	free(said);
	/* Only a secret is not printed to be read again. */
	must(strstr(first, "(set)") != NULL || strcmp(first, second) == 0);
	free(first);
	free(second);
	return 0;
}
