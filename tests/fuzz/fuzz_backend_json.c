/* fuzz_backend_json.c - any bytes as the JSON of a backend and of a token: a
 * backend or a message, never both; what is taken keeps the rules, and is the
 * same after being written and read again. */
#include "config.h"

#include <stdlib.h>
#include <string.h>

#include "fcgi/registry_json.h"
#include "fcgi/route.h"
#include "tests/fuzz/fuzz.h"

static void
check_user(const char *user)
{
	must(user[0] != '\0' && strlen(user) <= USER_MAX);
	for (; *user != '\0'; user++)
		must((unsigned char)*user >= 0x20 && *user != 0x7f);
}

static void
check_backend(const struct backend *b)
{
	char form[PREFIX_MAX];

	must(backend_id_is_valid(span_str(b->id)));
	check_user(b->end_user);
	check_user(b->backend_user);
	must(b->prefix_count > 0 && b->prefix_count <= PREFIXES_MAX);
	for (size_t i = 0; i < b->prefix_count; i++) {
		const struct span prefix = span_str(b->prefix[i]);

		must(prefix.len <= PREFIX_MAX && prefix.data[0] == '/');
		must(route_normalize(prefix, form) <= prefix.len);
	}
}

/* Its own prefixes lead to it. */
static void
check_route(struct backend *b)
{
	struct route_table *table = route_table_new(&b, 1);

	must(table != NULL);
	for (size_t i = 0; i < b->prefix_count; i++)
		must(route_table_find(table, b->end_user,
		    span_str(b->prefix[i])) == b);
	route_table_free(table);
}

static void
check_again(const struct backend *b)
{
	char *first = backend_to_stored(b), *second, *shown, *error;
	struct backend *again;

	must(first != NULL);
	again = backend_from_json(span_str(first), &error);
	must(again != NULL);
	second = backend_to_stored(again);
	must(second != NULL && strcmp(first, second) == 0);
	backend_free(again);
	shown = backend_to_json(b);
	must(shown != NULL);
	again = backend_from_json(span_str(shown), &error);
	must(again != NULL);
	backend_free(again);
	free(first);
	free(second);
	free(shown);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	const struct span json = span_of(data, size);
	struct backend *b;
	struct token *t;
	char *error;

	b = backend_from_json(json, &error);
	must((b == NULL) != (error == NULL));
	free(error);
	if (b != NULL) {
		check_backend(b);
		check_route(b);
		check_again(b);
	}
	backend_free(b);
	t = token_from_stored(span_str("id"), json, &error);
	must((t == NULL) != (error == NULL));
	free(error);
	if (t != NULL)
		check_user(t->user);
	token_free(t);
	return 0;
}
