/* test_registry_json.c - the JSON of backends and tokens. */
#include "config.h"

#include <criterion/criterion.h>
#include <stdlib.h>
#include <string.h>

#include "fcgi/registry_json.h"

#define GOOD(id, end, back, prefixes) "{\"id\":" id ",\"endUser\":" end \
	",\"backendUser\":" back ",\"pathPrefixes\":" prefixes "}"

Test(registry_json, reads_a_backend)
{
	char *error;
	struct backend *b = backend_from_json(span_str(GOOD("\"b-1\"",
	    "\"ann\"", "\"agent\"", "[\"/\",\"/foo/\"]")), &error);

	cr_assert_not_null(b, "%s", error);
	cr_expect_null(error);
	cr_expect_str_eq(b->id, "b-1");
	cr_expect_str_eq(b->end_user, "ann");
	cr_expect_str_eq(b->backend_user, "agent");
	cr_expect_eq(b->prefix_count, 2);
	cr_expect_str_eq(b->prefix[1], "/foo/");
	cr_expect(b->used_ms == 0 && b->seen_ms == 0);
	backend_free(b);
}

static void
expect_refused(const char *json, size_t len, const char *names)
{
	/* No NUL behind it, for the sanitizers. */
	char *bytes = malloc(len + 1), *error = NULL;
	struct backend *b;

	memcpy(bytes, json, len);
	b = backend_from_json(span_of(bytes, len), &error);
	cr_expect_null(b, "took %s", json);
	cr_assert_not_null(error, "no message for %s", json);
	cr_expect_not_null(strstr(error, names), "%s: %s", json, error);
	backend_free(b);
	free(error);
	free(bytes);
}

Test(registry_json, says_which_field_is_wrong)
{
	static const char *const vector[][2] = {
		{ "", "empty" },
		{ "{", "JSON" },
		{ "[]", "object" },
		{ "{}", "id is missing" },
		{ "{\"id\":\"a\"}", "endUser is missing" },
		{ "{\"id\":\"a\",\"endUser\":\"u\"}", "backendUser is" },
		{ "{\"id\":\"a\",\"endUser\":\"u\",\"backendUser\":\"v\"}",
		    "pathPrefixes is missing" },
		{ GOOD("5", "\"u\"", "\"v\"", "[\"/\"]"), "id must be a" },
		{ GOOD("\"\"", "\"u\"", "\"v\"", "[\"/\"]"), "id must not" },
		{ GOOD("\"a b\"", "\"u\"", "\"v\"", "[\"/\"]"), "id" },
		{ GOOD("\"a{b}\"", "\"u\"", "\"v\"", "[\"/\"]"), "id" },
		{ GOOD("\"a/b\"", "\"u\"", "\"v\"", "[\"/\"]"), "id" },
		{ GOOD("\"\\u00e4\"", "\"u\"", "\"v\"", "[\"/\"]"), "id" },
		{ GOOD("\"a\"", "\"\"", "\"v\"", "[\"/\"]"), "endUser" },
		{ GOOD("\"a\"", "null", "\"v\"", "[\"/\"]"), "endUser" },
		{ GOOD("\"a\"", "\"u\\n\"", "\"v\"", "[\"/\"]"), "endUser" },
		{ GOOD("\"a\"", "\"u\"", "\"\\u007f\"", "[\"/\"]"),
		    "backendUser" },
		{ GOOD("\"a\"", "\"u\"", "[]", "[\"/\"]"), "backendUser" },
		{ GOOD("\"a\"", "\"u\"", "\"v\"", "\"/\""), "pathPrefixes" },
		{ GOOD("\"a\"", "\"u\"", "\"v\"", "[]"), "pathPrefixes" },
		{ GOOD("\"a\"", "\"u\"", "\"v\"", "{}"), "pathPrefixes" },
		{ GOOD("\"a\"", "\"u\"", "\"v\"", "[\"/\",\"foo\"]"),
		    "pathPrefixes[1]" },
		{ GOOD("\"a\"", "\"u\"", "\"v\"", "[\"\"]"),
		    "pathPrefixes[0]" },
		{ GOOD("\"a\"", "\"u\"", "\"v\"", "[7]"), "pathPrefixes[0]" },
		{ GOOD("\"a\"", "\"u\"", "\"v\"", "[\"/a?b\"]"),
		    "pathPrefixes[0]" },
		{ GOOD("\"a\"", "\"u\"", "\"v\"", "[\"/a\\tb\"]"),
		    "pathPrefixes[0]" },
		{ GOOD("\"a\\u0000\"", "\"u\"", "\"v\"", "[\"/\"]"), "id" },
		{ GOOD("\"a\"", "\"u\\u0000\"", "\"v\"", "[\"/\"]"),
		    "endUser" },
		{ GOOD("\"a\"", "\"u\"", "\"v\"", "[\"/a\\u0000\"]"),
		    "pathPrefixes[0]" },
		{ GOOD("\"a\"", "\"u\"", "\"v\"", "[\"\\u0000/\"]"),
		    "pathPrefixes[0]" },
		{ GOOD("\"\xff\"", "\"u\"", "\"v\"", "[\"/\"]"), "JSON" },
		{ "{\"id\":\"a\",\"id\":\"b\"}", "JSON" },
	};

	for (size_t i = 0; i < sizeof(vector) / sizeof(vector[0]); i++)
		expect_refused(vector[i][0], strlen(vector[i][0]),
		    vector[i][1]);
	expect_refused("{}\0", 3, "JSON");
}

/* The text with x repeated in place of "@". */
static char *
with_repeated(const char *json, const char *x, size_t times)
{
	const size_t before = strcspn(json, "@"), each = strlen(x);
	char *text = malloc(strlen(json) + times * each + 1), *p = text;

	memcpy(p, json, before);
	p += before;
	for (size_t i = 0; i < times; i++, p += each)
		memcpy(p, x, each);
	strcpy(p, json + before + 1);
	return text;
}

static void
expect_limit(const char *json, const char *x, size_t max, const char *names)
{
	char *fits = with_repeated(json, x, max), *over;
	char *error;
	struct backend *b = backend_from_json(span_str(fits), &error);

	cr_expect_not_null(b, "%s", error);
	free(error);
	backend_free(b);
	free(fits);
	over = with_repeated(json, x, max + 1);
	expect_refused(over, strlen(over), names);
	free(over);
}

Test(registry_json, has_limits)
{
	expect_limit(GOOD("\"@\"", "\"u\"", "\"v\"", "[\"/\"]"), "x",
	    BACKEND_ID_MAX, "id");
	expect_limit(GOOD("\"a\"", "\"@\"", "\"v\"", "[\"/\"]"), "x",
	    USER_MAX, "endUser");
	expect_limit(GOOD("\"a\"", "\"u\"", "\"@\"", "[\"/\"]"), "x",
	    USER_MAX, "backendUser");
	expect_limit(GOOD("\"a\"", "\"u\"", "\"v\"", "[\"/@\"]"), "x",
	    PREFIX_MAX - 1, "pathPrefixes[0]");
	expect_limit(GOOD("\"a\"", "\"u\"", "\"v\"", "[@\"/\"]"), "\"/\",",
	    PREFIXES_MAX - 1, "pathPrefixes");
	char *deep = with_repeated("@", "[", 100000);

	expect_refused(deep, strlen(deep), "JSON");
	free(deep);
}

Test(registry_json, writes_what_it_reads)
{
	const char *json = GOOD("\"b\"", "\"\\u00e4 \\\"x\\\"\"", "\"v\"",
	    "[\"/a\",\"/b%20c\"]");
	char *error, *first, *second;
	struct backend *b = backend_from_json(span_str(json), &error), *again;

	cr_assert_not_null(b);
	first = backend_to_stored(b);
	again = backend_from_json(span_str(first), &error);
	cr_assert_not_null(again, "%s", error);
	second = backend_to_stored(again);
	cr_expect_str_eq(first, second);
	cr_expect_str_eq(again->end_user, "\xc3\xa4 \"x\"");
	free(first);
	free(second);
	backend_free(b);
	backend_free(again);
}

Test(registry_json, shows_times_and_takes_its_own_output_back)
{
	char *error, *json;
	struct backend *b = backend_from_json(span_str(GOOD("\"b\"", "\"u\"",
	    "\"v\"", "[\"/\"]")), &error);

	cr_assert_not_null(b);
	b->used_ms = 1767323045678;
	json = backend_to_json(b);
	cr_expect_not_null(strstr(json,
	    "\"lastUsed\":\"2026-01-02T03:04:05.678Z\""), "%s", json);
	cr_expect_not_null(strstr(json, "\"lastSeen\":null"));
	backend_free(b);
	b = backend_from_json(span_str(json), &error);
	cr_expect_not_null(b, "%s", error);
	backend_free(b);
	free(json);
}

Test(registry_json, writes_and_reads_tokens)
{
	char id[] = "id", user[] = "ann";
	struct token t = { .id = id, .role = TOKEN_ROLE_ADMIN, .user = user,
		.created_ms = 12345 };
	struct token *read;
	char *json, *error;

	for (size_t i = 0; i < sizeof(t.hash); i++)
		t.hash[i] = (unsigned char)(i * 9);
	json = token_to_stored(&t);
	cr_assert_not_null(json);
	read = token_from_stored(span_str("id"), span_str(json), &error);
	cr_assert_not_null(read, "%s", error);
	cr_expect_str_eq(read->id, "id");
	cr_expect_str_eq(read->user, "ann");
	cr_expect_eq(read->role, TOKEN_ROLE_ADMIN);
	cr_expect_eq(read->created_ms, 12345);
	cr_expect_eq(memcmp(read->hash, t.hash, sizeof(t.hash)), 0);
	token_free(read);
	free(json);
}

#define HASH "00112233445566778899aabbccddeeff" \
	"00112233445566778899aabbccddeeff"

Test(registry_json, refuses_tokens_that_are_not_ours)
{
	static const char *const bad[] = { "", "x", "[]", "{}",
		"{\"user\":\"u\",\"hash\":\"" HASH "\"}",
		"{\"user\":\"u\",\"role\":\"root\",\"hash\":\"" HASH "\"}",
		"{\"user\":\"\",\"role\":\"agent\",\"hash\":\"" HASH "\"}",
		"{\"user\":\"u\",\"role\":\"agent\",\"hash\":\"00\"}",
		"{\"user\":\"u\",\"role\":\"agent\",\"hash\":\"" HASH "0\"}",
		"{\"user\":\"u\",\"role\":\"agent\"}",
		"{\"user\":\"u\",\"role\":1,\"hash\":\"" HASH "\"}" };
	struct token *t;
	char *error;

	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		t = token_from_stored(span_str("id"), span_str(bad[i]),
		    &error);
		cr_expect_null(t, "took %s", bad[i]);
		cr_expect_not_null(error);
		free(error);
	}
	t = token_from_stored(span_str("id"), span_str("{\"user\":\"u\","
	    "\"role\":\"agent\",\"hash\":\"" HASH "\"}"), &error);
	cr_expect_not_null(t, "%s", error);
	token_free(t);
}
