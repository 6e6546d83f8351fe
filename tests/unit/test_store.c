/* test_store.c - the store against a redis-server of its own. */
#include "config.h"

#include <criterion/criterion.h>
#include <ev.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "tests/unit/store_client.h"

TestSuite(store, .init = set_up_client, .fini = tear_down_client,
    .timeout = 30);

Test(store, tells_strings_integers_nil_arrays_and_errors_apart)
{
	struct answer a;

	a = ask("SET k v");
	cr_expect(a.kind == STORE_STRING && strcmp(a.text, "OK") == 0);
	a = ask("GET k");
	cr_expect(a.kind == STORE_STRING && strcmp(a.text, "v") == 0);
	a = ask("GET nothing");
	cr_expect_eq(a.kind, STORE_NIL);
	a = ask("INCRBY n -7");
	cr_expect(a.kind == STORE_INTEGER && a.integer == -7);
	a = ask("RPUSH l a b c");
	a = ask("LRANGE l 0 -1");
	cr_expect(a.kind == STORE_ARRAY && a.count == 3);
	a = ask("LRANGE none 0 -1");
	cr_expect(a.kind == STORE_ARRAY && a.count == 0);
	a = ask("INCR l");
	cr_expect(a.kind == STORE_ERROR &&
	    strncmp(a.text, "WRONGTYPE", 9) == 0);
}

static void
on_nested(void *arg, const struct store_reply *r)
{
	int *ok = arg;

	cr_expect_eq(r->kind, STORE_ARRAY);
	cr_expect_eq(r->count, 3);
	cr_expect_eq(r->element[0].integer, 1);
	cr_expect_eq(r->element[1].kind, STORE_ARRAY);
	cr_expect_eq(r->element[1].count, 2);
	cr_expect(span_is(r->element[1].element[0].string, span_str("a")));
	cr_expect_eq(r->element[1].element[1].count, 1);
	cr_expect(span_is(r->element[2].string, span_str("z")));
	*ok = 1;
}

Test(store, gives_nested_arrays)
{
	static struct store_script script = {
		.text = "return {1, {'a', {5}}, 'z'}" };
	int ok = 0;

	store_script(client.store, &script, on_nested, &ok, 0, 0, NULL);
	wait_for(&ok, 1);
}

Test(store, keeps_bytes_that_no_string_could_hold)
{
	const char bytes[] = "a\0b\r\n$5\r\n*1\r\n\xff";
	const struct span set[] = { span_str("SET"), span_of("k\0\n", 3),
		span_of(bytes, sizeof(bytes) - 1) };
	const struct span length[] = { span_str("STRLEN"), set[1] };
	struct answer a = { .calls = 0 };

	store_command(client.store, NULL, NULL, 3, set);
	store_command(client.store, on_answer, &a, 2, length);
	wait_for(&a.calls, 1);
	cr_expect_eq(a.integer, (long long)sizeof(bytes) - 1);
}

Test(store, answers_many_pipelined_commands_in_order)
{
	enum { MANY = 10000 };
	static struct answer a[MANY];

	for (int i = 0; i < MANY; i++)
		command(&a[i], "INCR n");
	for (int i = 0; i < MANY; i++)
		cr_assert_eq(a[i].calls, 0);
	wait_for(&a[MANY - 1].calls, 1);
	for (int i = 0; i < MANY; i++)
		cr_assert(a[i].calls == 1 && a[i].integer == i + 1);
	/* What one turn queues leaves in few packets: Redis saw fewer reads
	 * than commands. */
	const struct answer reads = ask("EVAL "
	    "return(tonumber(redis.call('INFO','stats'):match("
	    "'total_reads_processed:(%d+)'))) 0");

	cr_expect_eq(reads.kind, STORE_INTEGER, "%s", reads.text);
	cr_expect_lt(reads.integer, 200);
}

Test(store, carries_a_large_value_both_ways)
{
	enum { LARGE = 8 * 1024 * 1024 };
	char *value = malloc(LARGE);
	struct answer a = { .calls = 0 };

	memset(value, 'x', LARGE);
	const struct span echo[] = { span_str("ECHO"), span_of(value, LARGE) };
	const struct span set[] = { span_str("SET"), span_str("k"), echo[1] };

	store_command(client.store, NULL, NULL, 3, set);
	store_command(client.store, on_answer, &a, 2, echo);
	free(value);
	wait_for(&a.calls, 1);
	cr_expect_eq(a.kind, STORE_STRING);
	a = ask("STRLEN k");
	cr_expect_eq(a.integer, LARGE);
}

Test(store, runs_a_script_and_loads_it_again_after_a_flush)
{
	static struct store_script script = {
		.text = "return redis.call('INCRBY', KEYS[1], ARGV[1])" };
	const struct span args[] = { span_str("n"), span_str("5") };
	struct answer a = { .calls = 0 };

	store_script(client.store, &script, on_answer, &a, 1, 2, args);
	store_script(client.store, &script, on_answer, &a, 1, 2, args);
	wait_for(&a.calls, 2);
	cr_expect_eq(a.integer, 10);
	cr_expect_eq(strlen(script.sha1), 40);
	cr_expect_eq(ask("SCRIPT FLUSH").kind, STORE_STRING);
	store_script(client.store, &script, on_answer, &a, 1, 2, args);
	store_script(client.store, &script, on_answer, &a, 1, 2, args);
	wait_for(&a.calls, 4);
	cr_expect(a.kind == STORE_INTEGER && a.integer == 20);
	store_script(client.store, &script, on_answer, &a, 1, 2, args);
	wait_for(&a.calls, 5);
	cr_expect_eq(a.integer, 25);
}

Test(store, tells_of_an_error_inside_a_script)
{
	static struct store_script script = {
		.text = "return redis.call('INCR', KEYS[1])" };
	const struct span args[] = { span_str("l") };
	struct answer a = { .calls = 0 };

	command(NULL, "RPUSH l a");
	store_script(client.store, &script, on_answer, &a, 1, 1, args);
	wait_for(&a.calls, 1);
	store_script(client.store, &script, on_answer, &a, 1, 1, args);
	wait_for(&a.calls, 2);
	cr_expect_eq(a.kind, STORE_ERROR);
}

Test(store, pops_in_order_what_is_there_and_what_comes)
{
	char words[64];

	for (int i = 0; i < 500; i++) {
		snprintf(words, sizeof(words), "RPUSH box %d", i);
		command(NULL, words);
	}
	ask("PING");
	store_pop_from(client.store, span_str("box"));
	wait_for(&client.popped_count, 500);
	for (int i = 500; i < 1000; i++) {
		snprintf(words, sizeof(words), "RPUSH box %d", i);
		command(NULL, words);
	}
	wait_for(&client.popped_count, 1000);
	for (int i = 0; i < 1000; i++)
		cr_assert_eq(client.popped[i], i);
}

Test(store, hears_what_is_published_after_a_subscription_is_confirmed)
{
	struct answer a = { .calls = 0 };

	store_subscribe(client.store, span_str("news"), on_answer, &a);
	cr_assert_eq(a.calls, 0);
	wait_for(&a.calls, 1);
	cr_expect_eq(a.kind, STORE_ARRAY);
	cr_expect_eq(ask("PUBLISH news hello").integer, 1);
	wait_for(&client.message_count, 1);
	cr_expect_str_eq(client.messages[0], "news=hello");
	store_unsubscribe(client.store, span_str("news"));
	store_subscribe(client.store, span_str("other"), on_answer, &a);
	wait_for(&a.calls, 2);
	cr_expect_eq(ask("PUBLISH news again").integer, 0);
	cr_expect_eq(client.message_count, 1);
}

Test(store, keeps_many_subscriptions_apart)
{
	enum { MANY = 3000 };
	struct answer a = { .calls = 0 };
	char name[32];

	for (int i = 0; i < MANY; i++) {
		snprintf(name, sizeof(name), "c%d", i);
		store_subscribe(client.store, span_str(name), on_answer, &a);
	}
	wait_for(&a.calls, MANY);
	for (int i = 0; i < MANY; i += 2) {
		snprintf(name, sizeof(name), "c%d", i);
		store_unsubscribe(client.store, span_str(name));
	}
	store_subscribe(client.store, span_str("c1"), on_answer, &a);
	wait_for(&a.calls, MANY + 1);
	cr_expect_eq(ask("PUBLISH c2 x").integer, 0);
	cr_expect_eq(ask("PUBLISH c1 x").integer, 1);
	wait_for(&client.message_count, 1);
	cr_expect_str_eq(client.messages[0], "c1=x");
	store_unsubscribe(client.store, span_str("never"));
}

/* Kills one kind of connections, perhaps the very one that asks for it. */
static void
kill_connections(const char *type)
{
	const int downs = client.downs, ups = client.ups;
	char words[64];

	snprintf(words, sizeof(words), "CLIENT KILL TYPE %s SKIPME no", type);
	command(NULL, words);
	wait_for(&client.downs, downs + 1);
	cr_expect_not(store_is_up(client.store));
	wait_for(&client.ups, ups + 1);
	cr_expect_eq(client.downs, downs + 1);
	cr_expect_eq(client.ups, ups + 1);
}

Test(store, comes_back_when_its_command_connections_are_killed)
{
	store_pop_from(client.store, span_str("box"));
	kill_connections("normal");
	cr_expect_eq(ask("RPUSH box 7").kind, STORE_INTEGER);
	wait_for(&client.popped_count, 1);
	cr_expect_eq(client.popped[0], 7);
}

Test(store, subscribes_again_when_its_subscriptions_are_killed)
{
	struct answer a = { .calls = 0 };

	store_subscribe(client.store, span_str("news"), on_answer, &a);
	store_subscribe(client.store, span_str("old"), on_answer, &a);
	wait_for(&a.calls, 2);
	store_unsubscribe(client.store, span_str("old"));
	kill_connections("pubsub");
	/* Up means subscribed: nothing published from here on is missed. */
	cr_expect_eq(ask("PUBLISH news hello").integer, 1);
	cr_expect_eq(ask("PUBLISH old hello").integer, 0);
	wait_for(&client.message_count, 1);
	cr_expect_eq(a.calls, 2);
}

Test(store, gives_up_on_a_redis_that_hangs)
{
	struct answer a[3] = { { .calls = 0 } };
	double seconds;

	kill(client.redis.pid, SIGSTOP);
	command(&a[0], "PING");
	command(&a[1], "PING");
	seconds = wait_for(&a[1].calls, 1);
	cr_expect(a[0].kind == STORE_LOST && a[1].kind == STORE_LOST);
	cr_expect(seconds > 0.9 && seconds < 2.5, "after %f s", seconds);
	wait_for(&client.downs, 1);
	command(&a[2], "PING");
	cr_expect_eq(a[2].calls, 0);
	cr_expect_lt(wait_for(&a[2].calls, 1), 0.1);
	cr_expect_eq(a[2].kind, STORE_LOST);
	kill(client.redis.pid, SIGCONT);
	wait_for(&client.ups, 2);
	cr_expect_eq(ask("PING").kind, STORE_STRING);
}

Test(store, is_not_fooled_when_the_process_itself_was_stopped)
{
	struct answer a = { .calls = 0 };

	command(&a, "PING");
	ev_run(client.loop, EVRUN_NOWAIT);
	usleep(1200 * 1000);
	wait_for(&a.calls, 1);
	cr_expect_eq(a.kind, STORE_STRING);
	cr_expect_eq(client.downs, 0);
}

Test(store, goes_on_with_a_redis_that_was_restarted)
{
	static struct store_script script = { .text = "return 1" };
	struct answer a = { .calls = 0 }, s = { .calls = 0 };

	store_pop_from(client.store, span_str("box"));
	store_subscribe(client.store, span_str("news"), on_answer, &s);
	store_script(client.store, &script, on_answer, &a, 0, 0, NULL);
	wait_for(&a.calls, 1);
	wait_for(&s.calls, 1);
	own_redis_stop(&client.redis);
	command(&a, "PING");
	wait_for(&a.calls, 2);
	cr_expect_eq(a.kind, STORE_LOST);
	wait_for(&client.downs, 1);
	store_subscribe(client.store, span_str("more"), on_answer, &s);
	cr_expect_eq(s.calls, 1);
	wait_for(&s.calls, 2);
	cr_expect_eq(s.kind, STORE_LOST);
	redis_start(NULL, NULL);
	wait_for(&client.ups, 2);
	cr_expect_eq(client.downs, 1);
	cr_expect_eq(ask("PUBLISH more x").integer, 1);
	cr_expect_eq(ask("PUBLISH news x").integer, 1);
	ask("RPUSH box 3");
	wait_for(&client.popped_count, 1);
	store_script(client.store, &script, on_answer, &a, 0, 0, NULL);
	wait_for(&a.calls, 3);
	cr_expect(a.kind == STORE_INTEGER && a.integer == 1);
}

Test(store, tells_pending_callbacks_when_it_is_freed)
{
	struct answer a[2] = { { .calls = 0 } };
	static struct store_script script = { .text = "return 1",
		.sha1 = "e0e1f9fabfc9d4800c877a703b823ac0578ff8db" };

	command(&a[0], "PING");
	store_script(client.store, &script, on_answer, &a[1], 0, 0, NULL);
	store_free(client.store);
	client.store = NULL;
	cr_expect(a[0].calls == 1 && a[0].kind == STORE_LOST);
	cr_expect(a[1].calls == 1 && a[1].kind == STORE_LOST);
}
