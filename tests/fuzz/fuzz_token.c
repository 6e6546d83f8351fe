/* fuzz_token.c - any bytes as a token file: a value that may stand in a field
 * line, or none. */
#include "config.h"

#include <stdio.h>
#include <sys/mman.h>
#include <unistd.h>

#include "agent/token.h"
#include "common/field.h"
#include "tests/fuzz/fuzz.h"

static void
changed(void *arg)
{
	++*(unsigned *)arg;
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static struct ev_loop *loop;
	unsigned changes = 0;
	struct token *token;
	struct span value;
	char path[32];
	int fd;

	if (loop == NULL)
		must((loop = ev_loop_new(EVBACKEND_POLL)) != NULL);
	fuzz_log_nowhere();
	fd = memfd_create("token", 0);
	must(fd >= 0 && write(fd, data, size) == (ssize_t)size);
	snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
	token = token_new(loop, path, NULL, 1., changed, &changes);
	if (token != NULL) {
		must(token_is_ready(token) && changes == 1);
		value = token_authorization(token);
		must(value.len > 7 && memcmp(value.data, "Bearer ", 7) == 0);
		must(field_value_is_valid(value));
		token_refused(token);
		must(changes == 1);
	}
	token_free(token);
	close(fd);
	return 0;
}
