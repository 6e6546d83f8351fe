/* route.h - which backend serves a user and a path. */
#ifndef FCGI_ROUTE_H
#define FCGI_ROUTE_H

#include <stddef.h>

#include "common/span.h"
#include "fcgi/registry.h"

struct route_table;

/* A table for these backends, borrowed for as long as it lives; NULL without
 * memory. */
struct route_table *route_table_new(struct backend *const *backends,
    size_t count);
void route_table_free(struct route_table *table);

/* What registry_route promises. */
const struct backend *route_table_find(const struct route_table *table,
    const char *user, struct span target);

/* The form in which paths and prefixes are compared, as long as the path at
 * most, into `into`; returns its length.  "%41" is "A" for the unreserved
 * characters (RFC 3986 6.2.2.2), other escapes have upper-case digits, dot
 * segments are resolved (5.2.4).  "%2F" stays what it is: no separator. */
size_t route_normalize(struct span path, char *into);

#endif
