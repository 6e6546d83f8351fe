/* no_memory.h - lets one allocation of this process fail, of the program's own
 * and of the libraries': malloc and the like are defined in the executable.
 * Not under a sanitizer or valgrind, which have a malloc of their own. */
#ifndef TESTS_NO_MEMORY_H
#define TESTS_NO_MEMORY_H

#include <stdbool.h>

/* Can it be done here? */
bool no_memory_works(void);

/* The nth allocation from here on (1 is the next) finds no memory.  0: none
 * does. */
void no_memory_at(unsigned long nth);

/* Has that happened? */
bool no_memory_was_hit(void);

/* Allocations that have not been freed. */
long no_memory_live(void);

/*
 * Runs `statement` again and again, each time without the next allocation,
 * until it runs without needing that one.  `failed` says whether it failed as
 * it should; whatever it makes when it succeeds is ended by `clear`.  Fails
 * the test (Criterion) when it takes a failed allocation for success, or does
 * not give back what it had.
 */
#define NO_MEMORY_EACH(statement, failed, clear) \
	NO_MEMORY_EACH_BUT(statement, failed, false, clear)

/* The same, where a library may do without: then the result is `right`. */
#define NO_MEMORY_EACH_BUT(statement, failed, right, clear) do { \
	if (!no_memory_works()) \
		cr_skip_test("malloc is somebody else's here"); \
	for (unsigned long nth = 1; ; nth++) { \
		const long live = no_memory_live(); \
		no_memory_at(nth); \
		statement; \
		const bool hit = no_memory_was_hit(); \
		no_memory_at(0); \
		if (!hit) { \
			cr_assert_not(failed, "fails with memory"); \
			cr_assert_gt(nth, 1, "allocates nothing"); \
			clear; \
			cr_assert_eq(no_memory_live(), live, "leaks"); \
			break; \
		} \
		cr_assert((failed) || (right), \
		    "allocation %lu is not missed", nth); \
		if (!(failed)) \
			clear; \
		cr_assert_eq(no_memory_live(), live, \
		    "leaks without allocation %lu", nth); \
	} \
} while (0)

#endif
