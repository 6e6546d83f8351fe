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

static const char *
backend_id_at(const void *array, size_t i)
{
	return ((struct backend *const *)array)[i]->id;
}

static const char *
token_id_at(const void *array, size_t i)
{
	return ((struct token *const *)array)[i]->id;
}

/* The place of the first that does not sort before the id; *found: it has that
 * id. */
static size_t
place_of(struct span id, const void *array, size_t count,
    const char *(*id_at)(const void *array, size_t i), bool *found)
{
	size_t low = 0, high = count;

	while (low < high) {
		const size_t middle = low + (high - low) / 2;

		if (id_compare(id, id_at(array, middle)) > 0)
			low = middle + 1;
		else
			high = middle;
	}
	*found = low < count && id_compare(id, id_at(array, low)) == 0;
	return low;
}

static size_t
backend_place(const struct registry_view *v, struct span id, bool *found)
{
	return place_of(id, v->backend, v->backend_count, backend_id_at,
	    found);
}

static size_t
token_place(const struct registry_view *v, struct span id, bool *found)
{
	return place_of(id, v->token, v->token_count, token_id_at, found);
}

struct backend *
registry_view_backend(const struct registry_view *v, struct span id)
{
	bool found;

	if (v == NULL || id.len == 0)
		return NULL;
	const size_t i = backend_place(v, id, &found);

	return found ? v->backend[i] : NULL;
}

struct token *
registry_view_token(const struct registry_view *v, struct span id)
{
	bool found;

	if (v == NULL || id.len == 0)
		return NULL;
	const size_t i = token_place(v, id, &found);

	return found ? v->token[i] : NULL;
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
	log_error(NULL, "%s %.*s in Redis is skipped: %s", what,
	    id.len < 200 ? (int)id.len : 200, id.data,
	    error != NULL ? error : "its id is not the one it is kept under");
	free(error);
}

struct backend *
registry_view_read_backend(struct span id, const struct store_reply *reply)
{
	char *error = NULL;
	struct backend *b = reply->kind != STORE_STRING ? NULL :
	    backend_from_json(reply->string, &error);

	if (b != NULL && span_is(span_str(b->id), id))
		return b;
	if (reply->kind == STORE_STRING)
		log_bad_entry("backend", id, error);
	backend_free(b);
	return NULL;
}

struct token *
registry_view_read_token(struct span id, const struct store_reply *reply)
{
	char *error = NULL;
	struct token *t = reply->kind != STORE_STRING ? NULL :
	    token_from_stored(id, reply->string, &error);

	if (t == NULL && reply->kind == STORE_STRING)
		log_bad_entry("token", id, error);
	return t;
}

void
registry_view_take_backends(struct registry_view *v,
    const struct store_reply *reply)
{
	struct span id, json;

	v->backend = registry_array(reply->count / 2, sizeof(*v->backend));
	for (size_t i = 0; i + 1 < reply->count; i += 2) {
		struct backend *b = !pair_at(reply, i, &id, &json) ? NULL :
		    registry_view_read_backend(id, &reply->element[i + 1]);

		if (b != NULL)
			v->backend[v->backend_count++] = b;
	}
	qsort(v->backend, v->backend_count, sizeof(struct backend *),
	    backend_compare);
}

void
registry_view_take_tokens(struct registry_view *v,
    const struct store_reply *reply)
{
	struct span id, json;

	v->token = registry_array(reply->count / 2, sizeof(*v->token));
	for (size_t i = 0; i + 1 < reply->count; i += 2) {
		struct token *t = !pair_at(reply, i, &id, &json) ? NULL :
		    registry_view_read_token(id, &reply->element[i + 1]);

		if (t != NULL)
			v->token[v->token_count++] = t;
	}
	qsort(v->token, v->token_count, sizeof(struct token *),
	    token_compare);
}

/* --- one entry for another --- */

/* In an array of pointers there is an element at i, or there is not; now there
 * is one, or none, as wanted.  Returns the array. */
static void *
set_place(void *array, size_t *count, size_t i, bool is_there, bool is_wanted)
{
	const size_t size = sizeof(void *);
	char *at = array;

	if (is_there && !is_wanted) {
		memmove(at + i * size, at + (i + 1) * size,
		    (*count - i - 1) * size);
		(*count)--;
	} else if (!is_there && is_wanted) {
		if ((at = realloc(array, (*count + 1) * size)) == NULL)
			fatal("out of memory");
		memmove(at + (i + 1) * size, at + i * size,
		    (*count - i) * size);
		(*count)++;
	}
	return at;
}

/* What was noted here may not have been written yet, or not been read. */
static void
keep_times(struct backend *b, const struct backend *was)
{
	if (was->used_ms > b->used_ms)
		b->used_ms = was->used_ms;
	if (was->seen_ms > b->seen_ms)
		b->seen_ms = was->seen_ms;
}

bool
registry_view_swap_backend(struct registry_view *v, struct span id,
    struct backend **entry)
{
	bool found;
	const size_t i = backend_place(v, id, &found);
	struct backend *b = *entry, *was = found ? v->backend[i] : NULL;

	v->backend = set_place(v->backend, &v->backend_count, i, found,
	    b != NULL);
	if (b != NULL)
		v->backend[i] = b;
	if (b != NULL && was != NULL)
		keep_times(b, was);
	*entry = was;
	return b != NULL || found;
}

void
registry_view_swap_token(struct registry_view *v, struct span id,
    struct token **entry)
{
	bool found;
	const size_t i = token_place(v, id, &found);
	struct token *t = *entry, *was = found ? v->token[i] : NULL;

	v->token = set_place(v->token, &v->token_count, i, found, t != NULL);
	if (t != NULL)
		v->token[i] = t;
	*entry = was;
}

/* --- times --- */

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

void
registry_view_keep_times(struct registry_view *v,
    const struct registry_view *old)
{
	for (size_t i = 0; i < v->backend_count; i++) {
		struct backend *b = v->backend[i];
		const struct backend *was = registry_view_backend(old,
		    span_str(b->id));

		if (was != NULL)
			keep_times(b, was);
	}
}
