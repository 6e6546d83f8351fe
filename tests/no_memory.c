/* no_memory.c - malloc and the like, one of whose calls fails.  A program that
 * is no test of ours takes the number of that call from the environment. */
#include "config.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "tests/no_memory.h"

#if defined(__SANITIZE_ADDRESS__)
#define IS_SANITIZED 1
#elif defined(__has_feature)
#define IS_SANITIZED __has_feature(address_sanitizer)
#else
#define IS_SANITIZED 0
#endif

/* Volatile: a compiler knows that malloc looks at no variable of ours. */
static volatile unsigned long left;	/* 0: no more will fail */
static volatile bool hit;
static volatile long live;

void
no_memory_at(unsigned long nth)
{
	left = nth;
	hit = false;
}

bool
no_memory_was_hit(void)
{
	return hit;
}

long
no_memory_live(void)
{
	return live;
}

bool
no_memory_works(void)
{
	void *volatile p;

	no_memory_at(1);
	p = malloc(1);
	free(p);
	no_memory_at(0);
	return p == NULL;
}

#if !IS_SANITIZED

/* The ones of glibc under their other names. */
void *__libc_malloc(size_t size);
void *__libc_calloc(size_t count, size_t size);
void *__libc_realloc(void *p, size_t size);
void __libc_free(void *p);

static void __attribute__((constructor))
read_environment(void)
{
	const char *nth = getenv("NO_MEMORY_AT");

	if (nth != NULL)
		no_memory_at(strtoul(nth, NULL, 10));
}

static bool
fails(void)
{
	if (left == 0 || --left > 0)
		return false;
	hit = true;
	errno = ENOMEM;
	return true;
}

static void *
count(void *p)
{
	live += p != NULL;
	return p;
}

void *
malloc(size_t size)
{
	return fails() ? NULL : count(__libc_malloc(size));
}

void *
calloc(size_t n, size_t size)
{
	return fails() ? NULL : count(__libc_calloc(n, size));
}

void *
realloc(void *p, size_t size)
{
	if (fails())
		return NULL;
	if (p == NULL)
		return count(__libc_realloc(NULL, size));
	return __libc_realloc(p, size);
}

void
free(void *p)
{
	live -= p != NULL;
	__libc_free(p);
}

#endif
