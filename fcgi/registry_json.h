/* registry_json.h - backends and tokens as they are kept in Redis. */
#ifndef FCGI_REGISTRY_JSON_H
#define FCGI_REGISTRY_JSON_H

#include <jansson.h>

#include "common/span.h"
#include "fcgi/registry.h"

/* Heap, or NULL without memory.  The backend without its times. */
char *backend_to_stored(const struct backend *b);
char *token_to_stored(const struct token *t);

/* NULL with *error set (heap, caller frees) when it is not one of ours.  A
 * stored backend is read by backend_from_json. */
struct token *token_from_stored(struct span id, struct span json,
    char **error);

/* The whole of it on one line, or NULL: no json_dumps.  Heap. */
char *json_text(const json_t *object);

/* "2026-01-02T03:04:05.678Z" */
enum { TIME_TEXT_LEN = 32 };
void time_text(long long unix_ms, char text[TIME_TEXT_LEN]);

#endif
