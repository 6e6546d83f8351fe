/* pattern.h - content that both sides of a test can make and check: N bytes of
 * a pattern that repeats at no power of two, and a hash. */
#ifndef INTEGRATION_PATTERN_H
#define INTEGRATION_PATTERN_H

#include <stddef.h>
#include <stdint.h>

enum { PATTERN_PERIOD = 65521 };
void pattern_fill(void *into, unsigned long long offset, size_t len);

/* FNV-1a: hash = HASH_INIT, then hash_add piece by piece. */
#define HASH_INIT 14695981039346656037ULL
uint64_t hash_add(uint64_t hash, const void *bytes, size_t len);
uint64_t hash_pattern(unsigned long long len);

#endif
