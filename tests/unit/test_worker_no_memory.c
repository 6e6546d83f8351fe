/* What the worker's codecs answer when there is no memory. */
#include "config.h"

#include <criterion/criterion.h>

#include "fcgi/auth.h"
#include "fcgi/registry_json.h"
#include "fcgi/request_head.h"
#include "fcgi/response_head.h"
#include "fcgi/route.h"
#include "fcgi/store_address.h"
#include "tests/no_memory.h"

static const char json[] = "{\"id\":\"a\",\"endUser\":\"allUsers\","
    "\"backendUser\":\"x\",\"pathPrefixes\":[\"/\",\"/b\"]}";

Test(worker_no_memory, of_a_requests_head)
{
	static char method[] = "REQUEST_METHOD=GET", uri[] = "REQUEST_URI=/",
	    field[] = "HTTP_A=b";
	char *const params[] = { method, uri, field, NULL };
	const struct request_head_limits limits = { 100, true };
	struct request_head h;
	struct buf out;
	int r;

	buf_init(&out, 10000);
	/* For the head's own start a ceiling and no memory are one. */
	NO_MEMORY_EACH(buf_clear(&out); r = request_head_encode(params,
	    &limits, &h, &out); if (r != 0) buf_clear(&out),
	    r == WIRE_NO_MEMORY || r == WIRE_TOO_LARGE, buf_clear(&out));
}

Test(worker_no_memory, of_a_responses_head)
{
	const struct response_head_options options = { 100, true, true };
	struct response_head h;
	struct buf out;
	int r;

	buf_init(&out, 10000);
	NO_MEMORY_EACH(r = response_head_encode(
	    span_str("HTTP/1.1 200 OK\r\nA: b\r\n\r\n"), span_str("GET"),
	    &options, &h, &out); if (r != 0) buf_clear(&out),
	    r == WIRE_NO_MEMORY, buf_clear(&out));
}

Test(worker_no_memory, of_a_backends_json)
{
	struct backend *b;
	char *error, *text, *right;

	NO_MEMORY_EACH(b = backend_from_json(span_str(json), &error);
	    free(error), b == NULL, backend_free(b));
	b = backend_from_json(span_str(json), &error);
	cr_assert_not_null(b);
	right = backend_to_stored(b);
	NO_MEMORY_EACH_BUT(text = backend_to_stored(b), text == NULL,
	    strcmp(text, right) == 0, free(text));
	free(right);
	right = backend_to_json(b);
	NO_MEMORY_EACH_BUT(text = backend_to_json(b), text == NULL,
	    strcmp(text, right) == 0, free(text));
	free(right);
	backend_free(b);
}

Test(worker_no_memory, of_a_token)
{
	char text[64], *error, *stored, *right;
	struct token *t;
	int r;

	NO_MEMORY_EACH(r = auth_token_new(TOKEN_ROLE_AGENT, "u", &t, text),
	    r != 0, token_free(t));
	cr_assert_eq(auth_token_new(TOKEN_ROLE_AGENT, "u", &t, text), 0);
	right = token_to_stored(t);
	NO_MEMORY_EACH_BUT(stored = token_to_stored(t), stored == NULL,
	    strcmp(stored, right) == 0, free(stored));
	token_free(t);
	NO_MEMORY_EACH(t = token_from_stored(span_str("id"), span_str(right),
	    &error); free(error), t == NULL, token_free(t));
	free(right);
}

Test(worker_no_memory, of_a_table_of_routes)
{
	struct route_table *table;
	struct backend *b;
	char *error;

	cr_assert_not_null(b = backend_from_json(span_str(json), &error));
	NO_MEMORY_EACH(table = route_table_new(&b, 1), table == NULL,
	    route_table_free(table));
	backend_free(b);
}

Test(worker_no_memory, of_the_address_of_redis)
{
	struct store_address a;
	const char *error;
	int r;

	NO_MEMORY_EACH(r = store_address_parse(&a, "redis://user@host:1/2",
	    &error), r != 0 && strcmp(error, "out of memory") == 0,
	    store_address_clear(&a));
	NO_MEMORY_EACH(r = store_address_parse(&a, "unix:/path", &error),
	    r != 0 && strcmp(error, "out of memory") == 0,
	    store_address_clear(&a));
}
