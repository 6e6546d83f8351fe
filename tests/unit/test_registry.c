/* test_registry.c - the registry of two workers that share a redis-server. */
#include "config.h"

#include <criterion/criterion.h>
#include <ev.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/log.h"
#include "fcgi/auth.h"
#include "fcgi/registry.h"
#include "fcgi/store_keys.h"
#include "tests/unit/own_redis.h"

static const double PATIENCE = 10.0;

/* A worker, as far as the registry goes. */
struct side {
	struct store *store;
	struct registry *registry;
	int changes;
};

static struct {
	struct ev_loop *loop;
	struct own_redis redis;
	struct side one, two;
	int done;
	char error[256];
	long long integer;
	int replies;
} t;

static void
on_up(void *arg)
{
	registry_store_up(((struct side *)arg)->registry);
}

static void
on_message(void *arg, struct span channel, struct span payload)
{
	cr_expect(registry_store_message(((struct side *)arg)->registry,
	    channel, payload));
}

static void
on_change(void *arg)
{
	((struct side *)arg)->changes++;
}

static void
on_done(void *arg, const char *error)
{
	(void)arg;
	t.done++;
	snprintf(t.error, sizeof(t.error), "%s", error == NULL ? "" : error);
}

static void
on_reply(void *arg, const struct store_reply *reply)
{
	(void)arg;
	t.replies++;
	t.integer = reply->kind == STORE_INTEGER ? reply->integer : -1;
}

static void
on_patience_over(struct ev_loop *loop, ev_timer *timer, int revents)
{
	(void)loop;
	(void)revents;
	*(bool *)timer->data = true;
}

/* Turns the loop until *what is at least `least`. */
static void
wait_for(const int *what, int least)
{
	bool over = false;
	ev_timer timer;

	ev_now_update(t.loop);
	ev_timer_init(&timer, on_patience_over, PATIENCE, 0.);
	timer.data = &over;
	ev_timer_start(t.loop, &timer);
	while (*what < least && !over)
		ev_run(t.loop, EVRUN_ONCE);
	ev_timer_stop(t.loop, &timer);
	cr_assert_geq(*what, least, "waited in vain");
}

static void
side_start(struct side *side)
{
	const struct store_settings settings = { .address = t.redis.address,
		.timeout_ms = 2000 };
	const struct store_handler handler = { .up = on_up,
		.message = on_message, .arg = side };
	const char *error;

	side->store = store_new(t.loop, &settings, &handler, &error);
	cr_assert_not_null(side->store);
	side->registry = registry_new(side->store);
	registry_on_change(side->registry, on_change, side);
}

static void
set_up(void)
{
	log_open("test_registry", "/dev/null", LOG_LEVEL_ERROR, false);
	t.loop = ev_loop_new(EVFLAG_AUTO);
	own_redis_init(&t.redis);
	own_redis_start(&t.redis, NULL, NULL);
	side_start(&t.one);
	side_start(&t.two);
	cr_expect_not(registry_is_loaded(t.one.registry));
	wait_for(&t.one.changes, 1);
	wait_for(&t.two.changes, 1);
	cr_expect(registry_is_loaded(t.one.registry));
}

static void
tear_down(void)
{
	store_free(t.one.store);
	store_free(t.two.store);
	registry_free(t.one.registry);
	registry_free(t.two.registry);
	own_redis_clear(&t.redis);
	ev_loop_destroy(t.loop);
}

TestSuite(registry, .init = set_up, .fini = tear_down, .timeout = 60);

static void
command(const char *const *words, int count)
{
	struct span argv[8];

	for (int i = 0; i < count; i++)
		argv[i] = span_str(words[i]);
	store_command(t.one.store, on_reply, NULL, count, argv);
}

static long long
ask(const char *verb, const char *key, const char *field)
{
	const char *const words[] = { verb, key, field };
	const int replies = t.replies;

	command(words, field == NULL ? 2 : 3);
	wait_for(&t.replies, replies + 1);
	return t.integer;
}

static struct backend *
make_backend(const char *id, const char *user, const char *prefix)
{
	char json[512], *error;
	struct backend *b;

	snprintf(json, sizeof(json), "{\"id\":\"%s\",\"endUser\":\"%s\","
	    "\"backendUser\":\"agent\",\"pathPrefixes\":[\"%s\"]}", id, user,
	    prefix);
	b = backend_from_json(span_str(json), &error);
	cr_assert_not_null(b, "%s", error);
	return b;
}

static void
put(const char *id, const char *user, const char *prefix)
{
	struct backend *b = make_backend(id, user, prefix);
	const int done = t.done;

	registry_put_backend(t.one.registry, b, on_done, NULL);
	backend_free(b);
	cr_assert_eq(t.done, done, "called back from inside");
	wait_for(&t.done, done + 1);
	cr_assert_str_eq(t.error, "");
}

static const char *
route(const struct side *side, const char *user, const char *target)
{
	const struct backend *b = registry_route(side->registry, user,
	    span_str(target));

	return b == NULL ? "none" : b->id;
}

Test(registry, shows_a_change_at_once_here_and_soon_elsewhere)
{
	cr_expect_str_eq(route(&t.one, NULL, "/"), "none");
	put("b", "allUsers", "/");
	cr_expect_str_eq(route(&t.one, NULL, "/x"), "b");
	wait_for(&t.two.changes, 2);
	cr_expect_str_eq(route(&t.two, NULL, "/x"), "b");
	put("b", "ann", "/y");
	cr_expect_str_eq(route(&t.one, NULL, "/x"), "none");
	cr_expect_str_eq(route(&t.one, "ann", "/y"), "b");
	cr_expect_eq(registry_backend_count(t.one.registry), 1);
}

Test(registry, deletes_a_backend_with_all_that_is_its)
{
	const char *const queue[] = { "RPUSH", "ip:{b:b}:queue", "x" };
	int done;

	put("a", "allUsers", "/");
	put("b", "ann", "/");
	registry_note_used(t.one.registry, span_str("b"));
	registry_note_seen(t.one.registry, span_str("b"));
	command(queue, 3);
	cr_expect_eq(ask("HEXISTS", "ip:{registry}:used", "b"), 1);
	cr_expect_eq(ask("HEXISTS", "ip:{registry}:seen", "b"), 1);
	done = t.done;
	registry_delete_backend(t.one.registry, span_str("b"), on_done, NULL);
	wait_for(&t.done, done + 1);
	cr_expect_str_eq(t.error, "");
	cr_expect_null(registry_backend(t.one.registry, span_str("b")));
	cr_expect_str_eq(route(&t.one, "ann", "/"), "a");
	cr_expect_eq(ask("HEXISTS", "ip:{registry}:used", "b"), 0);
	cr_expect_eq(ask("HEXISTS", "ip:{registry}:seen", "b"), 0);
	cr_expect_eq(ask("EXISTS", "ip:{b:b}:queue", NULL), 0);
	/* One that is not there. */
	registry_delete_backend(t.one.registry, span_str("b"), on_done, NULL);
	wait_for(&t.done, done + 2);
	cr_expect_str_eq(t.error, "");
}

Test(registry, lets_tokens_in_until_they_are_removed)
{
	struct token *token;
	char text[64], value[80], id[16];

	cr_assert_eq(auth_token_new(TOKEN_ROLE_AGENT, "ann", &token, text),
	    0);
	snprintf(value, sizeof(value), "Bearer %s", text);
	snprintf(id, sizeof(id), "%s", token->id);
	cr_expect_null(auth_check_bearer(t.one.registry, value,
	    TOKEN_ROLE_AGENT));
	registry_put_token(t.one.registry, token, on_done, NULL);
	token_free(token);
	wait_for(&t.done, 1);
	wait_for(&t.two.changes, 2);
	const struct token *found = auth_check_bearer(t.two.registry, value,
	    TOKEN_ROLE_AGENT);

	cr_assert_not_null(found);
	cr_expect_str_eq(found->user, "ann");
	cr_expect_null(auth_check_bearer(t.two.registry, value,
	    TOKEN_ROLE_ADMIN));
	registry_delete_token(t.one.registry, span_str(id), on_done, NULL);
	wait_for(&t.done, 2);
	wait_for(&t.two.changes, 3);
	cr_expect_null(auth_check_bearer(t.two.registry, value,
	    TOKEN_ROLE_AGENT));
	cr_expect_eq(registry_token_count(t.one.registry), 0);
}

Test(registry, skips_entries_that_are_not_ours)
{
	const char *const bad[] = { "HSET", "ip:{registry}:backends",
		"x", "not json", "other", ("{\"id\":\"b\",\"endUser\":\"u\","
		"\"backendUser\":\"v\",\"pathPrefixes\":[\"/\"]}") };
	const char *const token[] = { "HSET", "ip:{registry}:tokens", "y",
		"{}" };

	command(bad, 6);
	command(token, 4);
	put("good", "allUsers", "/");
	cr_expect_eq(registry_backend_count(t.one.registry), 1);
	cr_expect_eq(registry_token_count(t.one.registry), 0);
	cr_expect_str_eq(route(&t.one, NULL, "/"), "good");
	cr_expect_str_eq(route(&t.one, "u", "/"), "good");
}

Test(registry, keeps_what_it_has_when_redis_holds_something_else)
{
	const char *const set[] = { "SET", "ip:{registry}:backends", "x" };

	put("b", "allUsers", "/");
	ask("DEL", "ip:{registry}:backends", NULL);
	command(set, 3);
	registry_refresh_times(t.one.registry, on_done, NULL);
	wait_for(&t.done, 2);
	cr_expect_str_neq(t.error, "");
	cr_expect_str_eq(route(&t.one, NULL, "/"), "b");
	/* A write that Redis refuses is told. */
	struct backend *b = make_backend("c", "allUsers", "/");

	registry_put_backend(t.one.registry, b, on_done, NULL);
	backend_free(b);
	wait_for(&t.done, 3);
	cr_expect_not_null(strstr(t.error, "WRONGTYPE"), "%s", t.error);
}

Test(registry, reads_once_for_many_changes)
{
	enum { MANY = 300 };

	for (int i = 0; i < MANY; i++) {
		char id[16];
		struct backend *b;

		snprintf(id, sizeof(id), "b%d", i);
		b = make_backend(id, "allUsers", "/");
		registry_put_backend(t.one.registry, b, on_done, NULL);
		backend_free(b);
	}
	wait_for(&t.done, MANY);
	cr_expect_eq(registry_backend_count(t.one.registry), MANY);
	cr_expect_lt(t.one.changes, MANY / 4);
	registry_refresh_times(t.two.registry, on_done, NULL);
	wait_for(&t.done, MANY + 1);
	cr_expect_eq(registry_backend_count(t.two.registry), MANY);
	for (size_t i = 1; i < MANY; i++)
		cr_expect_lt(strcmp(registry_backend_at(t.one.registry,
		    i - 1)->id, registry_backend_at(t.one.registry, i)->id),
		    0);
}

/* Side two hears of each change by itself; a new side reads all at once. */
Test(registry, knows_by_single_changes_what_a_whole_reading_shows)
{
	unsigned random = 1;
	struct side three = { 0 };

	for (int i = 0; i < 200; i++) {
		char id[16], user[16];

		random = random * 1103515245 + 12345;
		snprintf(id, sizeof(id), "b%u", random >> 16 & 15);
		snprintf(user, sizeof(user), "u%u", random >> 20 & 3);
		if (random >> 24 & 1) {
			put(id, user, "/");
			continue;
		}
		registry_delete_backend(t.one.registry, span_str(id), on_done,
		    NULL);
		wait_for(&t.done, i + 1);
	}
	put("last", "allUsers", "/");
	while (registry_backend(t.two.registry, span_str("last")) == NULL)
		wait_for(&t.two.changes, t.two.changes + 1);
	side_start(&three);
	wait_for(&three.changes, 1);
	const size_t count = registry_backend_count(three.registry);

	cr_assert_gt(count, 4);
	cr_assert_lt(count, 17);
	cr_expect_eq(registry_backend_count(t.one.registry), count);
	cr_expect_eq(registry_backend_count(t.two.registry), count);
	for (size_t i = 0; i < count; i++) {
		const struct backend *whole = registry_backend_at(
		    three.registry, i);
		const struct backend *piece = registry_backend_at(
		    t.two.registry, i);

		cr_expect_str_eq(piece->id, whole->id);
		cr_expect_str_eq(piece->end_user, whole->end_user);
		cr_expect_str_eq(route(&t.two, whole->end_user, "/"),
		    route(&three, whole->end_user, "/"));
	}
	store_free(three.store);
	registry_free(three.registry);
}

Test(registry, notes_times_at_most_once_a_second)
{
	const struct backend *b;

	put("b", "allUsers", "/");
	wait_for(&t.two.changes, 2);
	registry_note_used(t.one.registry, span_str("b"));
	registry_note_used(t.one.registry, span_str("absent"));
	cr_expect_eq(ask("HLEN", "ip:{registry}:used", NULL), 1);
	/* Not written again, so what is removed stays away. */
	ask("DEL", "ip:{registry}:used", NULL);
	for (int i = 0; i < 100; i++)
		registry_note_used(t.one.registry, span_str("b"));
	cr_expect_eq(ask("HLEN", "ip:{registry}:used", NULL), 0);
	registry_note_seen(t.one.registry, span_str("b"));
	cr_expect_eq(ask("HLEN", "ip:{registry}:seen", NULL), 1);
	b = registry_backend(t.two.registry, span_str("b"));
	cr_expect(b->used_ms == 0 && b->seen_ms == 0);
	registry_refresh_times(t.two.registry, on_done, NULL);
	wait_for(&t.done, 2);
	b = registry_backend(t.two.registry, span_str("b"));
	cr_expect_gt(b->seen_ms, 1700000000000LL);
	/* A later reading without the times keeps them. */
	put("c", "allUsers", "/");
	b = registry_backend(t.one.registry, span_str("b"));
	cr_expect_gt(b->seen_ms, 1700000000000LL);
}

Test(registry, survives_the_loss_of_redis)
{
	struct backend *b;
	int changes;

	put("b", "allUsers", "/");
	own_redis_stop(&t.redis);
	b = make_backend("c", "allUsers", "/");
	registry_put_backend(t.one.registry, b, on_done, NULL);
	wait_for(&t.done, 2);
	cr_expect_str_neq(t.error, "");
	registry_delete_backend(t.one.registry, span_str("b"), on_done, NULL);
	wait_for(&t.done, 3);
	cr_expect_str_neq(t.error, "");
	cr_expect_str_eq(route(&t.one, NULL, "/"), "b");
	/* It comes back empty, and is given what it had. */
	changes = t.one.changes;
	own_redis_start(&t.redis, NULL, NULL);
	wait_for(&t.one.changes, changes + 1);
	cr_expect_str_eq(route(&t.one, NULL, "/"), "b");
	registry_put_backend(t.one.registry, b, on_done, NULL);
	backend_free(b);
	wait_for(&t.done, 4);
	cr_expect_str_eq(t.error, "");
}

Test(registry, tells_those_who_wait_when_the_store_is_freed)
{
	struct backend *b = make_backend("b", "allUsers", "/");

	registry_put_backend(t.one.registry, b, on_done, NULL);
	backend_free(b);
	registry_refresh_times(t.one.registry, on_done, NULL);
	registry_refresh_times(t.one.registry, on_done, NULL);
	store_free(t.one.store);
	t.one.store = NULL;
	cr_expect_eq(t.done, 3);
	cr_expect_str_neq(t.error, "");
}

Test(registry, knows_valid_ids)
{
	char id[BACKEND_ID_MAX + 1];

	memset(id, 'a', sizeof(id));
	cr_expect(backend_id_is_valid(span_str("aZ0-_.:@")));
	cr_expect(backend_id_is_valid(span_of(id, BACKEND_ID_MAX)));
	cr_expect_not(backend_id_is_valid(span_of(id, BACKEND_ID_MAX + 1)));
	cr_expect_not(backend_id_is_valid(span_of("", 0)));
	cr_expect_not(backend_id_is_valid(span_of("a\0b", 3)));
	cr_expect_not(backend_id_is_valid(span_str("a b")));
	cr_expect_not(backend_id_is_valid(span_str("{a}")));
	cr_expect_not(backend_id_is_valid(span_str("a/b")));
	cr_expect_not(backend_id_is_valid(span_str(".")));
	cr_expect_not(backend_id_is_valid(span_str("..")));
	cr_expect_not(backend_id_is_valid(span_str("a..b")));
	cr_expect(backend_id_is_valid(span_str("a.b.")));
}
