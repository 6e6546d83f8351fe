/* fuzz.h - the one function each fuzz target defines, which libFuzzer calls
 * with what it makes up and replay.c with the files of a corpus; and what the
 * targets take inputs apart with. */
#ifndef TESTS_FUZZ_H
#define TESTS_FUZZ_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include "common/log.h"
#include "common/span.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static inline void
must(bool holds)
{
	if (!holds)
		abort();
}

/* What the code under test has to say costs more time than the test. */
static inline void
fuzz_log_nowhere(void)
{
	static bool done;

	must(done || log_open("fuzz", "/dev/null", LOG_LEVEL_WARN,
	    false) == 0);
	done = true;
}

/* The first byte of what is left of an input, 0 at its end. */
static inline unsigned
fuzz_byte(struct span *in)
{
	unsigned byte;

	if (in->len == 0)
		return 0;
	byte = (unsigned char)in->data[0];
	*in = span_of(in->data + 1, in->len - 1);
	return byte;
}

/* Bytes of the input: as many as two bytes in front of them say, or what is
 * left. */
static inline struct span
fuzz_piece(struct span *in)
{
	size_t len = fuzz_byte(in) << 8;
	struct span piece;

	len |= fuzz_byte(in);
	if (len > in->len)
		len = in->len;
	piece = span_of(in->data, len);
	*in = span_of(in->data + len, in->len - len);
	return piece;
}

/* Reads every byte, so that a sanitizer sees one that is not there. */
static inline void
fuzz_touch(struct span s)
{
	static volatile char seen;

	for (size_t i = 0; i < s.len; i++)
		seen = s.data[i];
	(void)seen;
}

/* Up to the first `end`, which is taken off, too; or all that is left. */
static inline struct span
fuzz_until(struct span *in, char end)
{
	const char *at = in->len == 0 ? NULL : memchr(in->data, end, in->len);
	size_t len = at == NULL ? in->len : (size_t)(at - in->data);
	struct span piece = span_of(in->data, len);

	len += at != NULL;
	*in = span_of(in->data + len, in->len - len);
	return piece;
}

#endif
