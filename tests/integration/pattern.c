/* pattern.c - content that both sides of a test can make and check. */
#include "config.h"

#include <pthread.h>
#include <string.h>

#include "tests/integration/pattern.h"

static unsigned char pattern[2 * PATTERN_PERIOD];

static void
pattern_init(void)
{
	uint64_t x = 88172645463325252ULL;

	for (size_t i = 0; i < PATTERN_PERIOD; i++) {
		x ^= x << 13;
		x ^= x >> 7;
		x ^= x << 17;
		pattern[i] = pattern[i + PATTERN_PERIOD] = (unsigned char)x;
	}
}

void
pattern_fill(void *into, unsigned long long offset, size_t len)
{
	static pthread_once_t once = PTHREAD_ONCE_INIT;

	pthread_once(&once, pattern_init);
	for (size_t done = 0; done < len;) {
		size_t n = len - done;

		if (n > PATTERN_PERIOD)
			n = PATTERN_PERIOD;
		memcpy((char *)into + done,
		    pattern + (offset + done) % PATTERN_PERIOD, n);
		done += n;
	}
}

/* FNV-1a: any language has it in three lines. */
uint64_t
hash_add(uint64_t hash, const void *bytes, size_t len)
{
	const unsigned char *p = bytes;

	for (size_t i = 0; i < len; i++)
		hash = (hash ^ p[i]) * 1099511628211ULL;
	return hash;
}

uint64_t
hash_pattern(unsigned long long len)
{
	uint64_t hash = HASH_INIT;
	unsigned char piece[65536];

	for (unsigned long long at = 0; at < len;) {
		size_t n = len - at > sizeof(piece) ? sizeof(piece) :
		    (size_t)(len - at);

		pattern_fill(piece, at, n);
		hash = hash_add(hash, piece, n);
		at += n;
	}
	return hash;
}
