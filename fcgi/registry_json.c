/* registry_json.c - backends and tokens as JSON: the admin API's form and the
 * one that is kept in Redis.  Pure: memory the caller frees. */
#include "config.h"

#include <jansson.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "common/hex.h"
#include "fcgi/registry_json.h"

enum { HASH_LEN = sizeof(((struct token *)NULL)->hash) };

static void set_error(char **error, const char *format, ...)
    __attribute__((format(printf, 2, 3)));

static void
set_error(char **error, const char *format, ...)
{
	va_list args;

	va_start(args, format);
	if (vasprintf(error, format, args) < 0)
		*error = NULL;
	va_end(args);
}

/* An id is a path segment in the admin API: "." and ".." are none, and two
 * dots anywhere are refused there, as is every path that might lead around. */
bool
backend_id_is_valid(struct span id)
{
	static const char others[] = "-_.:@";

	if (id.len == 0 || id.len > BACKEND_ID_MAX ||
	    span_is(id, span_str(".")) || memmem(id.data, id.len, "..", 2))
		return false;
	for (size_t i = 0; i < id.len; i++) {
		const char c = id.data[i];

		if (!(c >= 'A' && c <= 'Z') && !(c >= 'a' && c <= 'z') &&
		    !(c >= '0' && c <= '9') &&
		    memchr(others, c, sizeof(others) - 1) == NULL)
			return false;
	}
	return true;
}

/* NUL is one. */
static bool
has_control_bytes(const json_t *string)
{
	const char *s = json_string_value(string);

	for (size_t i = 0; i < json_string_length(string); i++)
		if ((unsigned char)s[i] < 0x20 || s[i] == 0x7f)
			return true;
	return false;
}

/* A copy of the string called name, or NULL with *error. */
static char *
take_string(const json_t *object, const char *name, size_t max, char **error)
{
	const json_t *value = json_object_get(object, name);
	const char *text = json_string_value(value);
	char *copy;

	if (value == NULL)
		set_error(error, "%s is missing", name);
	else if (text == NULL)
		set_error(error, "%s must be a string", name);
	else if (json_string_length(value) == 0)
		set_error(error, "%s must not be empty", name);
	else if (json_string_length(value) > max)
		set_error(error, "%s is too long: %zu bytes at most", name,
		    max);
	else if (has_control_bytes(value))
		set_error(error, "%s must not have control characters", name);
	else if ((copy = strdup(text)) == NULL)
		set_error(error, "out of memory");
	else
		return copy;
	return NULL;
}

static char *
take_prefix(const json_t *value, size_t index, char **error)
{
	static const char name[] = "pathPrefixes";
	const char *text = json_string_value(value);
	char *copy;

	if (text == NULL)
		set_error(error, "%s[%zu] must be a string", name, index);
	else if (text[0] != '/')
		set_error(error, "%s[%zu] must begin with '/'", name, index);
	else if (json_string_length(value) > PREFIX_MAX)
		set_error(error, "%s[%zu] is too long: %d bytes at most", name,
		    index, PREFIX_MAX);
	else if (has_control_bytes(value) || strpbrk(text, " ?#") != NULL)
		set_error(error, "%s[%zu] must be a path, without spaces, "
		    "control characters, '?' and '#'", name, index);
	else if ((copy = strdup(text)) == NULL)
		set_error(error, "out of memory");
	else
		return copy;
	return NULL;
}

static bool
take_prefixes(const json_t *object, struct backend *b, char **error)
{
	static const char name[] = "pathPrefixes";
	const json_t *list = json_object_get(object, name);
	const size_t count = json_array_size(list);

	if (list == NULL)
		set_error(error, "%s is missing", name);
	else if (!json_is_array(list))
		set_error(error, "%s must be an array of strings", name);
	else if (count == 0)
		set_error(error, "%s must not be empty: \"/\" is all paths",
		    name);
	else if (count > PREFIXES_MAX)
		set_error(error, "%s has too many elements: %d at most", name,
		    PREFIXES_MAX);
	else if ((b->prefix = calloc(count, sizeof(*b->prefix))) == NULL)
		set_error(error, "out of memory");
	if (b->prefix == NULL)
		return false;
	for (size_t i = 0; i < count; i++) {
		b->prefix[i] = take_prefix(json_array_get(list, i), i, error);
		if (b->prefix[i] == NULL)
			return false;
		b->prefix_count = i + 1;
	}
	return true;
}

static bool
take_backend(const json_t *root, struct backend *b, char **error)
{
	if (!json_is_object(root)) {
		set_error(error, "the content must be a JSON object");
		return false;
	}
	if ((b->id = take_string(root, "id", BACKEND_ID_MAX, error)) == NULL)
		return false;
	if (!backend_id_is_valid(span_str(b->id))) {
		set_error(error, "id must be of letters, digits and -_.:@, "
		    "not \".\" and without \"..\"");
		return false;
	}
	b->end_user = take_string(root, "endUser", USER_MAX, error);
	if (b->end_user == NULL)
		return false;
	b->backend_user = take_string(root, "backendUser", USER_MAX, error);
	return b->backend_user != NULL && take_prefixes(root, b, error);
}

/* Invalid UTF-8 is refused by jansson; NUL in a string by whoever takes it,
 * who can say where it is. */
static json_t *
load_json(struct span json, char **error)
{
	json_error_t where;
	json_t *root;

	if (json.len == 0) {
		set_error(error, "the content is empty: a JSON object is "
		    "needed");
		return NULL;
	}
	root = json_loadb(json.data, json.len, JSON_REJECT_DUPLICATES |
	    JSON_ALLOW_NUL, &where);
	if (root == NULL)
		set_error(error, "the content is not JSON: line %d, column "
		    "%d: %s", where.line, where.column, where.text);
	return root;
}

struct backend *
backend_from_json(struct span json, char **error)
{
	struct backend *b;
	json_t *root;

	*error = NULL;
	if ((root = load_json(json, error)) == NULL)
		return NULL;
	b = calloc(1, sizeof(*b));
	if (b == NULL)
		set_error(error, "out of memory");
	else if (!take_backend(root, b, error)) {
		backend_free(b);
		b = NULL;
	}
	json_decref(root);
	return b;
}

void
time_text(long long unix_ms, char text[TIME_TEXT_LEN])
{
	const time_t seconds = (time_t)(unix_ms / 1000);
	struct tm tm;
	size_t len;

	if (unix_ms < 0 || gmtime_r(&seconds, &tm) == NULL ||
	    (len = strftime(text, TIME_TEXT_LEN - 5, "%Y-%m-%dT%H:%M:%S",
	    &tm)) == 0) {
		text[0] = '\0';
		return;
	}
	snprintf(text + len, TIME_TEXT_LEN - len, ".%03dZ",
	    (int)(unix_ms % 1000));
}

static json_t *
json_time(long long unix_ms)
{
	char text[TIME_TEXT_LEN];

	if (unix_ms <= 0)
		return json_null();
	time_text(unix_ms, text);
	return json_string(text);
}

static json_t *
backend_object(const struct backend *b)
{
	json_t *prefixes = json_array();

	for (size_t i = 0; i < b->prefix_count; i++)
		if (json_array_append_new(prefixes,
		    json_string(b->prefix[i])) != 0) {
			json_decref(prefixes);
			return NULL;
		}
	/* "o" takes the array over, also on failure. */
	return json_pack("{ss ss ss so}", "id", b->id, "endUser", b->end_user,
	    "backendUser", b->backend_user, "pathPrefixes", prefixes);
}

/* Where the buffer of json_dumps can't grow, Jansson 2.14 leaves a key out and
 * says nothing. */
char *
json_text(const json_t *object)
{
	const size_t len = json_dumpb(object, NULL, 0, JSON_COMPACT);
	char *text = len == 0 ? NULL : malloc(len + 1);

	if (text == NULL)
		return NULL;
	if (json_dumpb(object, text, len, JSON_COMPACT) != len) {
		free(text);
		return NULL;
	}
	text[len] = '\0';
	return text;
}

char *
backend_to_stored(const struct backend *b)
{
	json_t *object = backend_object(b);
	char *text = json_text(object);

	json_decref(object);
	return text;
}

char *
backend_to_json(const struct backend *b)
{
	json_t *object = backend_object(b);
	char *text = NULL;

	if (json_object_set_new(object, "lastUsed",
	    json_time(b->used_ms)) == 0 &&
	    json_object_set_new(object, "lastSeen",
	    json_time(b->seen_ms)) == 0)
		text = json_text(object);
	json_decref(object);
	return text;
}

void
backend_free(struct backend *b)
{
	if (b == NULL)
		return;
	for (size_t i = 0; i < b->prefix_count; i++)
		free(b->prefix[i]);
	free(b->prefix);
	free(b->id);
	free(b->end_user);
	free(b->backend_user);
	free(b);
}

/* --- tokens --- */

char *
token_to_stored(const struct token *t)
{
	char hash[2 * HASH_LEN + 1];
	json_t *object;
	char *text;

	hex_encode(t->hash, HASH_LEN, hash);
	object = json_pack("{ss ss ss sI}", "role",
	    t->role == TOKEN_ROLE_ADMIN ? "admin" : "agent", "user", t->user,
	    "hash", hash, "created", (json_int_t)t->created_ms);
	text = json_text(object);
	json_decref(object);
	return text;
}

static bool
take_hash(const char *hex, unsigned char hash[HASH_LEN])
{
	return hex != NULL && hex_decode(span_str(hex), hash, HASH_LEN);
}

static bool
take_role(const char *name, enum token_role *role)
{
	if (name == NULL)
		return false;
	*role = strcmp(name, "admin") == 0 ? TOKEN_ROLE_ADMIN :
	    TOKEN_ROLE_AGENT;
	return *role == TOKEN_ROLE_ADMIN || strcmp(name, "agent") == 0;
}

struct token *
token_from_stored(struct span id, struct span json, char **error)
{
	struct token *t = NULL;
	json_t *root;

	*error = NULL;
	if ((root = load_json(json, error)) == NULL)
		return NULL;
	if ((t = calloc(1, sizeof(*t))) == NULL ||
	    (t->id = span_strdup(id)) == NULL) {
		set_error(error, "out of memory");
		goto bad;
	}
	if ((t->user = take_string(root, "user", USER_MAX, error)) == NULL)
		goto bad;
	if (!take_role(json_string_value(json_object_get(root, "role")),
	    &t->role)) {
		set_error(error, "role must be agent or admin");
		goto bad;
	}
	if (!take_hash(json_string_value(json_object_get(root, "hash")),
	    t->hash)) {
		set_error(error, "hash must be %d hex digits", 2 * HASH_LEN);
		goto bad;
	}
	t->created_ms = json_integer_value(json_object_get(root, "created"));
	json_decref(root);
	return t;
bad:	token_free(t);
	json_decref(root);
	return NULL;
}

void
token_free(struct token *t)
{
	if (t == NULL)
		return;
	free(t->id);
	free(t->user);
	free(t);
}
