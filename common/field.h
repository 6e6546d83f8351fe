/* field.h - field lines of a head: an ordered list, nothing merged
 * (RFC 9110 section 5).  Names and values are borrowed spans. */
#ifndef COMMON_FIELD_H
#define COMMON_FIELD_H

#include <stdbool.h>
#include <stddef.h>

#include "common/buf.h"
#include "common/span.h"
#include "common/wire_error.h"

struct field {
	struct span name;
	struct span value;	/* without the optional white space around it */
};

struct fields {
	struct field *line;	/* heap array, in the order they came */
	size_t count;
	size_t cap;
};

void fields_init(struct fields *f);
void fields_clear(struct fields *f);

/* Appends a line; the bytes are borrowed.  WIRE_NO_MEMORY. */
int fields_add(struct fields *f, struct span name, struct span value)
    WIRE_MUSTCHECK;

/* The first line of that name (case-insensitive), or NULL. */
const struct field *fields_find(const struct fields *f, const char *name);
size_t fields_count(const struct fields *f, const char *name);

/* Removes every line of that name; returns how many there were. */
size_t fields_remove(struct fields *f, const char *name);

/* Removes hop-by-hop lines: Connection and every name it lists, Keep-Alive,
 * Proxy-Connection, Proxy-Authenticate, Proxy-Authorization, TE, Trailer,
 * Transfer-Encoding, Upgrade (RFC 9110 7.6.1).  A Connection option never
 * removes Host, Content-Length, Content-Type, Cookie, Set-Cookie or
 * Authorization: a client must not be able to steer what arrives. */
void fields_remove_hop_by_hop(struct fields *f);

/* Is `token` among the comma separated elements of any line called `name`? */
bool fields_has_token(const struct fields *f, const char *name,
    const char *token);

/* RFC 9110 5.1: token.  RFC 9110 5.5: VCHAR, obs-text, SP, HTAB; no CR, LF,
 * NUL or other control byte; no white space at either end. */
bool field_name_is_valid(struct span name);
bool field_value_is_valid(struct span value);

/* Appends "name: value\r\n" of every line.  Fails on the buffer's ceiling. */
int fields_encode(const struct fields *f, struct buf *out) WIRE_MUSTCHECK;

#endif
