/* replay.c - runs a fuzz target over files, and the files in directories,
 * given as arguments: so a corpus is a test without a fuzzer.  It fails where
 * the target aborts, or where there was nothing to run. */
#include "config.h"

#include <dirent.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/time.h>

#include "tests/fuzz/fuzz.h"

static const struct itimerval time_limit = { .it_value.tv_sec = 10 };

enum { INPUT_MAX = 8 * 1024 * 1024 };

static void
replay_file(const char *path)
{
	uint8_t *bytes = malloc(INPUT_MAX), *exact;
	FILE *file = fopen(path, "rb");
	size_t len;

	if (bytes == NULL || file == NULL) {
		perror(path);
		exit(EXIT_FAILURE);
	}
	len = fread(bytes, 1, INPUT_MAX, file);
	fclose(file);
	/* Of the exact size, so that a sanitizer sees a read beyond it. */
	exact = malloc(len + (len == 0));
	if (exact == NULL) {
		perror(path);
		exit(EXIT_FAILURE);
	}
	memcpy(exact, bytes, len);
	free(bytes);
	/* Known when it aborts: standard error is not buffered. */
	fprintf(stderr, "%s\n", path);
	/* Whoever works on it for so long has been broken by it, too: by
	 * SIGPROF. */
	setitimer(ITIMER_PROF, &time_limit, NULL);
	(void)LLVMFuzzerTestOneInput(exact, len);
	free(exact);
}

static unsigned
replay_directory(const char *path)
{
	DIR *directory = opendir(path);
	char file[PATH_MAX];
	struct dirent *entry;
	unsigned count = 0;

	if (directory == NULL) {
		perror(path);
		exit(EXIT_FAILURE);
	}
	while ((entry = readdir(directory)) != NULL) {
		int n = snprintf(file, sizeof(file), "%s/%s", path,
		    entry->d_name);

		if (entry->d_name[0] == '.' || n < 0 ||
		    (size_t)n >= sizeof(file))
			continue;
		replay_file(file);
		count++;
	}
	closedir(directory);
	return count;
}

int
main(int argc, char **argv)
{
	unsigned count = 0;

	for (int i = 1; i < argc; i++) {
		struct stat st;

		if (stat(argv[i], &st) == 0 && S_ISDIR(st.st_mode)) {
			count += replay_directory(argv[i]);
		} else {
			replay_file(argv[i]);
			count++;
		}
	}
	printf("%u inputs\n", count);
	return count > 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
