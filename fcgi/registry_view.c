/* registry_view.c - the registry as it was at one moment, made of what Redis
 * replied.  Entries that are not valid are skipped, with a word in the log. */
#include "config.h"

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "common/log.h"
#include "fcgi/registry_json.h"
#include "fcgi/registry_view.h"

void
registry_view_free(struct registry_view *v)
{
	if (v == NULL)
		return;
	for (size_t i = 0; i < v->backend_count; i++)
		backend_free(v->backend[i]);
	for (size_t i = 0; i < v->token_count; i++)
		token_free(v->token[i]);
	free(v->backend);
	free(v->token);
	route_table_free(v->routes);
	free(v);
}

static int
backend_compare(const void *a, const void *b)
{
	return strcmp((*(struct backend *const *)a)->id,
	    (*(struct backend *const *)b)->id);
}

static int
token_compare(const void *a, const void *b)
{
	return strcmp((*(struct token *const *)a)->id,
	    (*(struct token *const *)b)->id);
}

/* How a key of outside bytes sorts against an id. */
static int
id_compare(struct span key, const char *id)
{
	const size_t len = strlen(id);
	const int order = memcmp(key.data, id, key.len < len ? key.len : len);

	return order != 0 ? order : (key.len > len) - (key.len < len);
}

static int
backend_find_compare(const void *key, const void *element)
{
	return id_compare(*(const struct span *)key,
	    (*(struct backend *const *)element)->id);
}

static int
token_find_compare(const void *key, const void *element)
{
	return id_compare(*(const struct span *)key,
	    (*(struct token *const *)element)->id);
}

struct backend *
registry_view_backend(const struct registry_view *v, struct span id)
{
	struct backend **found;

	if (v == NULL || v->backend_count == 0 || id.len == 0)
		return NULL;
	found = bsearch(&id, v->backend, v->backend_count,
	    sizeof(struct backend *), backend_find_compare);
	return found == NULL ? NULL : *found;
}

struct token *
registry_view_token(const struct registry_view *v, struct span id)
{
	struct token **found;

	if (v == NULL || v->token_count == 0 || id.len == 0)
		return NULL;
	found = bsearch(&id, v->token, v->token_count,
	    sizeof(struct token *), token_find_compare);
	return found == NULL ? NULL : *found;
}

void *
registry_array(size_t count, size_t size)
{
	void *array = calloc(count > 0 ? count : 1, size);

	if (array == NULL)
		fatal("out of memory");
	return array;
}

/* A field and its value of a HGETALL reply. */
static bool
pair_at(const struct store_reply *reply, size_t i, struct span *field,
    struct span *value)
{
	if (reply->element[i].kind != STORE_STRING ||
	    reply->element[i + 1].kind != STORE_STRING)
		return false;
	*field = reply->element[i].string;
	*value = reply->element[i + 1].string;
	return true;
}

static void
log_bad_entry(const char *what, struct span id, char *error)
{
	log_warn(NULL, "%s %.*s in Redis is skipped: %s", what,
	    id.len < 200 ? (int)id.len : 200, id.data,
	    error != NULL ? error : "its id is not the one it is kept under");
	free(error);
}

void
registry_view_take_backends(struct registry_view *v,
    const struct store_reply *reply)
{
	v->backend = registry_array(reply->count / 2, sizeof(*v->backend));
	for (size_t i = 0; i + 1 < reply->count; i += 2) {
		struct span id, json;
		struct backend *b;
		char *error = NULL;

		if (!pair_at(reply, i, &id, &json))
			continue;
		b = backend_from_json(json, &error);
		if (b != NULL && span_is(span_str(b->id), id)) {
			v->backend[v->backend_count++] = b;
		} else {
			log_bad_entry("backend", id, error);
			backend_free(b);
		}
	}
	qsort(v->backend, v->backend_count, sizeof(struct backend *),
	    backend_compare);
}

void
registry_view_take_tokens(struct registry_view *v,
    const struct store_reply *reply)
{
	v->token = registry_array(reply->count / 2, sizeof(*v->token));
	for (size_t i = 0; i + 1 < reply->count; i += 2) {
		struct span id, json;
		struct token *t;
		char *error = NULL;

		if (!pair_at(reply, i, &id, &json))
			continue;
		if ((t = token_from_stored(id, json, &error)) != NULL)
			v->token[v->token_count++] = t;
		else
			log_bad_entry("token", id, error);
	}
	qsort(v->token, v->token_count, sizeof(struct token *),
	    token_compare);
}

void
registry_view_take_times(struct registry_view *v,
    const struct store_reply *reply, bool used)
{
	for (size_t i = 0; i + 1 < reply->count; i += 2) {
		struct span id, text;
		struct backend *b;
		unsigned long long ms;

		if (!pair_at(reply, i, &id, &text) ||
		    !span_to_u64(text, &ms) || ms > INT64_MAX ||
		    (b = registry_view_backend(v, id)) == NULL)
			continue;
		if (used)
			b->used_ms = (long long)ms;
		else
			b->seen_ms = (long long)ms;
	}
}

/* What was noted here may not have been written yet, or not been read. */
void
registry_view_keep_times(struct registry_view *v,
    const struct registry_view *old)
{
	for (size_t i = 0; i < v->backend_count; i++) {
		struct backend *b = v->backend[i];
		const struct backend *was = registry_view_backend(old,
		    span_str(b->id));

		if (was != NULL && was->used_ms > b->used_ms)
			b->used_ms = was->used_ms;
		if (was != NULL && was->seen_ms > b->seen_ms)
			b->seen_ms = was->seen_ms;
	}
}
