/* fuzz_worker_options.c - any words as the worker's command line: settings
 * within their ranges, or a message.  The words stand between NULs. */
#include "config.h"

#include <stdio.h>

#include "fcgi/settings.h"
#include "tests/fuzz/fuzz.h"

enum { WORDS_MAX = 20 };

static void
check_ranges(const struct settings *s)
{
	for (const struct option *o = settings_program.options;
	    o->name != NULL; o++) {
		const char *at = (const char *)s + o->offset;
		long value;

		if (o->type != OPTION_INTEGER && o->type != OPTION_DURATION_MS)
			continue;
		memcpy(&value, at, sizeof(value));
		must(value >= o->min && (o->max == 0 || value <= o->max));
	}
}

/* Reading a file, and what it holds, is for fuzz_option_file. */
static bool
names_a_file(const char *word)
{
	return strncmp(word, "--c", 3) == 0;
}

struct line {
	char *word[WORDS_MAX];
	int count;
};

static void
take_words(struct line *line, struct span in)
{
	for (line->count = 0; in.len > 0 && line->count < WORDS_MAX;
	    line->count++) {
		char *word = span_strdup(fuzz_until(&in, '\0'));

		must(word != NULL);
		if (names_a_file(word))
			word[0] = 'x';
		line->word[line->count] = word;
	}
}

/* How much it printed, and how much it complained. */
static enum option_result
parse(const struct line *line, struct settings *settings, size_t *printed_len,
    size_t *said_len)
{
	char name[] = "worker", *words[WORDS_MAX + 2] = { name };
	FILE *const saved_out = stdout, *const saved_err = stderr;
	char **argv = words, *printed, *said;
	int argc = line->count + 1;
	enum option_result result;

	memcpy(words + 1, line->word, sizeof(line->word));
	words[argc] = NULL;
	stdout = open_memstream(&printed, printed_len);
	stderr = open_memstream(&said, said_len);
	must(stdout != NULL && stderr != NULL);
	result = option_parse(&settings_program, &argc, &argv, settings);
	must(fclose(stdout) == 0 && fclose(stderr) == 0);
	stdout = saved_out;
	stderr = saved_err;
	free(printed);
	free(said);
	/* What is left are operands. */
	must(argc >= 1 && argc <= line->count + 1);
	return result;
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct settings settings = { 0 };
	struct line line = { .count = 0 };
	size_t printed, said;
	enum option_result result;

	take_words(&line, span_of(data, size));
	result = parse(&line, &settings, &printed, &said);
	must((result == OPTION_EXIT_USAGE) == (said > 0));
	must(result != OPTION_EXIT_OK || printed > 0);
	if (result == OPTION_RUN)
		check_ranges(&settings);
	option_clear(&settings_program, &settings);
	for (int i = 0; i < line.count; i++)
		free(line.word[i]);
	return 0;
}
