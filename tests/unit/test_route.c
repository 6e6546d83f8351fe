/* test_route.c - which backend serves a user and a path. */
#include "config.h"

#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "fcgi/route.h"

enum { COUNT = 9 };

static struct {
	char id[16], end_user[16], prefix[3][16];
	size_t prefix_count;
} row[COUNT] = {
	{ "b-all", "allUsers", { "/" }, 1 },
	{ "a-all", "allUsers", { "/" }, 1 },
	{ "all-foo", "allUsers", { "/foo", "/bar/" }, 2 },
	{ "ann", "ann", { "/foo/x" }, 1 },
	{ "bob", "bob", { "/" }, 1 },
	{ "bob-foo", "bob", { "/foo", "/bar/" }, 2 },
	{ "cy", "cy", { "/%7Efoo", "/a%2fb", "/p%20q" }, 3 },
	{ "an", "an", { "/" }, 1 },
	{ "annn", "annn", { "/" }, 1 },
};

static struct route_table *
make_table(void)
{
	static struct backend backend[COUNT];
	static char *prefix[COUNT][3];
	struct backend *list[COUNT];
	struct route_table *routes;

	for (size_t i = 0; i < COUNT; i++) {
		for (size_t k = 0; k < 3; k++)
			prefix[i][k] = row[i].prefix[k];
		backend[i] = (struct backend){ .id = row[i].id,
			.end_user = row[i].end_user, .prefix = prefix[i],
			.prefix_count = row[i].prefix_count };
		list[i] = &backend[i];
	}
	routes = route_table_new(list, COUNT);
	cr_assert_not_null(routes);
	return routes;
}

static void
expect_route(const char *user, const char *target, const char *wanted)
{
	struct route_table *routes = make_table();
	/* Exactly as many bytes as there are, so that a sanitizer sees more. */
	char *bytes = malloc(strlen(target) + 1);

	memcpy(bytes, target, strlen(target));
	const struct backend *b = route_table_find(routes, user,
	    span_of(bytes, strlen(target)));

	cr_expect_str_eq(b == NULL ? "none" : b->id, wanted, "%s %.40s is %s",
	    user == NULL ? "-" : user, target, b == NULL ? "none" : b->id);
	free(bytes);
	route_table_free(routes);
}

Test(route, sends_anonymous_clients_to_all_users_backends_only)
{
	expect_route(NULL, "/foo", "all-foo");
	expect_route("", "/foo", "all-foo");
	expect_route(NULL, "/foo/x", "all-foo");
	expect_route(NULL, "/other", "a-all");
}

Test(route, prefers_the_users_own_backends_even_with_shorter_prefixes)
{
	expect_route("bob", "/nothing", "bob");
	expect_route("bob", "/foo", "bob-foo");
	expect_route("ann", "/foo/x/y", "ann");
	expect_route("ann", "/foo/y", "all-foo");
	expect_route("an", "/foo/x", "an");
	expect_route("ANN", "/foo/x", "all-foo");
}

Test(route, matches_whole_segments)
{
	expect_route("bob", "/foo/", "bob-foo");
	expect_route("bob", "/foo/deep/er", "bob-foo");
	expect_route("bob", "/foobar", "bob");
	expect_route("bob", "/fo", "bob");
	expect_route("bob", "/foo?x=/y", "bob-foo");
	expect_route("bob", "/?/foo", "bob");
	expect_route("bob", "/Foo", "bob");
}

Test(route, takes_a_prefix_with_and_without_its_last_slash_for_the_same)
{
	expect_route("bob", "/bar", "bob-foo");
	expect_route("bob", "/bar/", "bob-foo");
	expect_route("bob", "/bar/x", "bob-foo");
	expect_route("bob", "/barx", "bob");
}

Test(route, gives_ties_to_the_id_that_sorts_first)
{
	expect_route(NULL, "/", "a-all");
	expect_route("nobody", "/x", "a-all");
}

Test(route, is_not_circumvented_by_escapes)
{
	expect_route("bob", "/f%6fo", "bob-foo");
	expect_route("bob", "/%66%6F%6f/x", "bob-foo");
	expect_route("cy", "/~foo", "cy");
	expect_route("cy", "/%7efoo/x", "cy");
	expect_route("cy", "/a%2Fb", "cy");
	expect_route("cy", "/a%2fb/c", "cy");
	/* An escaped slash separates nothing, a twice escaped byte is not
	 * decoded twice. */
	expect_route("cy", "/a/b", "a-all");
	expect_route("bob", "/foo%2Fx", "bob");
	expect_route("bob", "/%2566oo", "bob");
	expect_route("cy", "/p%20q", "cy");
	expect_route("cy", "/p q", "a-all");
	expect_route("bob", "/foo%", "bob");
	expect_route("bob", "/foo/%zz%6", "bob-foo");
}

Test(route, resolves_dot_segments_for_the_choice)
{
	expect_route("bob", "/x/../foo", "bob-foo");
	expect_route("bob", "/foo/../x", "bob");
	expect_route("bob", "/foo/..", "bob");
	expect_route("bob", "/foo/.", "bob-foo");
	expect_route("bob", "/./foo/./x", "bob-foo");
	expect_route("bob", "/foo/%2e%2E/x", "bob");
	expect_route("bob", "/../../foo", "bob-foo");
	expect_route("bob", "/foo/...", "bob-foo");
	expect_route("bob", "/foo/..x", "bob-foo");
	expect_route("bob", "/..", "bob");
}

Test(route, counts_empty_segments)
{
	expect_route("bob", "//foo", "bob");
	expect_route("bob", "/foo//x", "bob-foo");
	expect_route("bob", "//", "bob");
}

Test(route, takes_targets_that_are_no_path_for_the_root)
{
	expect_route("bob", "*", "bob");
	expect_route("bob", "", "bob");
	expect_route("bob", "foo", "bob");
}

Test(route, knows_when_nobody_serves)
{
	struct route_table *routes = route_table_new(NULL, 0);

	cr_assert_not_null(routes);
	cr_expect_null(route_table_find(routes, "bob", span_str("/")));
	cr_expect_null(route_table_find(routes, NULL, span_str("/a/b/c")));
	route_table_free(routes);
}

Test(route, takes_very_long_paths)
{
	enum { LONG = 200000 };
	char *path = malloc(LONG + 1);

	for (int i = 0; i < LONG; i++)
		path[i] = i % 2 == 0 ? '/' : 'a';
	path[LONG] = '\0';
	expect_route("bob", path, "bob");
	memcpy(path, "/foo", 4);
	expect_route("bob", path, "bob-foo");
	memset(path, '/', LONG);
	expect_route("bob", path, "bob");
	for (int i = 0; i + 3 <= LONG; i += 3)
		memcpy(path + i, "/..", 3);
	memcpy(path + LONG - 5, "/foo", 4);
	expect_route("bob", path, "bob-foo");
	free(path);
}

Test(route, normal_forms)
{
	static const char *const vector[][2] = {
		{ "/", "/" }, { "", "" }, { "/a/./b", "/a/b" },
		{ "/a/b/..", "/a/" }, { "/a/b/../c", "/a/c" }, { "/.", "/" },
		{ "/%2e", "/" }, { "/a/%2E%2E/", "/" }, { "/%e4%C3", "/%E4%C3" },
		{ "/%", "/%" }, { "/%4", "/%4" }, { "/%41", "/A" },
		{ "/a//../b", "/a/b" }, { "/%00", "/%00" }, { "*", "*" },
	};

	for (size_t i = 0; i < sizeof(vector) / sizeof(vector[0]); i++) {
		char form[64];
		const size_t len = route_normalize(span_str(vector[i][0]),
		    form);

		cr_expect(span_is(span_of(form, len), span_str(vector[i][1])),
		    "%s is %.*s", vector[i][0], (int)len, form);
	}
}

Test(route, is_fast_with_ten_thousand_backends)
{
	enum { MANY = 10000, ASKED = 200000 };
	struct backend **list = calloc(MANY, sizeof(*list));
	struct timespec start, end;
	char slash[] = "/", *root[] = { slash };
	size_t found = 0;

	for (int i = 0; i < MANY; i++) {
		struct backend *b = calloc(1, sizeof(*b));

		cr_assert_geq(asprintf(&b->id, "backend-%d", i), 0);
		cr_assert_geq(asprintf(&b->end_user, "user-%d", i / 2), 0);
		b->prefix = root;
		b->prefix_count = 1;
		list[i] = b;
	}
	struct route_table *routes = route_table_new(list, MANY);

	cr_assert_not_null(routes);
	clock_gettime(CLOCK_MONOTONIC, &start);
	for (int i = 0; i < ASKED; i++)
		found += route_table_find(routes, list[i % MANY]->end_user,
		    span_str("/a/path/of/some/depth?and=query")) != NULL;
	clock_gettime(CLOCK_MONOTONIC, &end);
	cr_expect_eq(found, ASKED);
	/* Generous, for sanitizers and busy machines: 10 us each.  A walk
	 * through all would take 100. */
	cr_expect_lt((double)(end.tv_sec - start.tv_sec) +
	    (double)(end.tv_nsec - start.tv_nsec) / 1e9, ASKED * 10e-6);
	route_table_free(routes);
	for (int i = 0; i < MANY; i++) {
		free(list[i]->id);
		free(list[i]->end_user);
		free(list[i]);
	}
	free(list);
}
