/* hex.h - bytes as hexadecimal digits (RFC 4648 section 8). */
#ifndef COMMON_HEX_H
#define COMMON_HEX_H

#include <stdbool.h>
#include <stddef.h>

#include "common/span.h"

/* Writes 2 * len lower-case digits and a NUL to text. */
void hex_encode(const void *bytes, size_t len, char *text);

/* Reads exactly len bytes from 2 * len lower-case digits; false, and nothing
 * is written, when text is anything else. */
bool hex_decode(struct span text, void *bytes, size_t len);

/* The value of one digit of either case; -1 when it is none. */
int hex_digit(int c);

#endif
