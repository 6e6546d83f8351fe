/* recent.h - the names seen last, so that a repeat is known. */
#ifndef AGENT_RECENT_H
#define AGENT_RECENT_H

#include <stdbool.h>
#include <stddef.h>

#include "common/span.h"

struct recent;

/* Remembers the last `count` names. */
struct recent *recent_new(size_t count);
void recent_free(struct recent *r);

/* Has it been added lately? */
bool recent_has(const struct recent *r, struct span name);

/* Remembers it, and forgets the oldest. */
void recent_add(struct recent *r, struct span name);

#endif
