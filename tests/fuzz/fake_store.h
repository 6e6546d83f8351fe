/* fake_store.h - stands in for store.c where a fuzz target plays a Redis that
 * answers anything at all: wrong types, nested, huge, negative, late, lost. */
#ifndef TESTS_FUZZ_FAKE_STORE_H
#define TESTS_FUZZ_FAKE_STORE_H

#include "fcgi/store.h"

struct store *fake_store_new(void);

/* Those who wait get STORE_LOST. */
void fake_store_free(struct store *s);
void fake_store_set_up(struct store *s, bool up);

/* Answers the oldest command (or subscription) with a reply made of what is
 * taken from *in.  False: nobody waits. */
bool fake_store_answer(struct store *s, struct span *in);

#endif
