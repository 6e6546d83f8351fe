/* test_store.c - the store against a redis-server of its own: a unix socket in
 * a temporary directory, nothing persisted. */
#include "config.h"

#include <criterion/criterion.h>
#include <ev.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "common/log.h"
#include "fcgi/store.h"
#include "fcgi/store_address.h"
#include "tests/unit/own_redis.h"

enum { ARGS_MAX = 8, TEXT_MAX = 256, KEPT_MAX = 2048 };

static const double PATIENCE = 5.0;	/* seconds until a wait has failed */

static struct {
	struct ev_loop *loop;
	struct store *store;
	struct own_redis redis;
	int ups, downs;
	char messages[4][TEXT_MAX];
	int message_count;
	int popped[KEPT_MAX];
	int popped_count;
} t;

/* What a callback was told. */
struct answer {
	int calls;
	enum store_reply_kind kind;
	long long integer;
	size_t count;
	char text[TEXT_MAX];
};

static void
copy_text(char *into, struct span s)
{
	const size_t len = s.len < TEXT_MAX - 1 ? s.len : TEXT_MAX - 1;

	memcpy(into, s.data, len);
	into[len] = '\0';
}

static void
on_answer(void *arg, const struct store_reply *reply)
{
	struct answer *answer = arg;

	answer->calls++;
	answer->kind = reply->kind;
	answer->integer = reply->integer;
	answer->count = reply->count;
	if (reply->kind == STORE_STRING || reply->kind == STORE_ERROR)
		copy_text(answer->text, reply->string);
}

static void
on_up(void *arg)
{
	(void)arg;
	t.ups++;
	cr_expect(store_is_up(t.store));
}

static void
on_down(void *arg, const char *why)
{
	(void)arg;
	t.downs++;
	cr_expect(why[0] != '\0');
	cr_expect_not(store_is_up(t.store));
}

static void
on_message(void *arg, struct span channel, struct span payload)
{
	char both[TEXT_MAX];

	(void)arg;
	snprintf(both, sizeof(both), "%.*s=%.*s", (int)channel.len,
	    channel.data, (int)payload.len, payload.data);
	if (t.message_count < 4)
		copy_text(t.messages[t.message_count], span_str(both));
	t.message_count++;
}

static void
on_popped(void *arg, struct span element)
{
	char text[TEXT_MAX];

	(void)arg;
	copy_text(text, element);
	if (t.popped_count < KEPT_MAX)
		t.popped[t.popped_count] = (int)strtol(text, NULL, 10);
	t.popped_count++;
}

static const struct store_handler handler = {
	.up = on_up, .down = on_down, .message = on_message,
	.popped = on_popped,
};

static void
on_patience_over(struct ev_loop *loop, ev_timer *timer, int revents)
{
	(void)revents;
	*(bool *)timer->data = true;
	ev_break(loop, EVBREAK_ONE);
}

/* Turns the loop until *what is at least `least`; the seconds it took. */
static double
wait_for(const int *what, int least)
{
	const ev_tstamp start = ev_time();
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
	return ev_time() - start;
}

static void
redis_start(const char *more, const char *value)
{
	own_redis_start(&t.redis, more, value);
}

static void
store_start(const char *user, const char *password)
{
	const char *error = NULL;
	const struct store_settings settings = { .address = t.redis.address,
		.user = user, .password = password, .timeout_ms = 1000 };

	t.store = store_new(t.loop, &settings, &handler, &error);
	cr_assert_not_null(t.store, "%s", error);
}

static void
set_up_without_store(void)
{
	log_open("test_store", "/dev/null", LOG_LEVEL_WARN, false);
	t.loop = ev_loop_new(EVFLAG_AUTO);
	own_redis_init(&t.redis);
}

static void
set_up(void)
{
	set_up_without_store();
	redis_start(NULL, NULL);
	store_start(NULL, NULL);
	wait_for(&t.ups, 1);
}

static void
tear_down(void)
{
	store_free(t.store);
	own_redis_clear(&t.redis);
	ev_loop_destroy(t.loop);
}

/* Sends words separated by single spaces. */
static void
command(struct answer *answer, const char *words)
{
	struct span argv[ARGS_MAX];
	int argc = 0;

	for (const char *p = words; argc < ARGS_MAX; ) {
		const size_t len = strcspn(p, " ");

		argv[argc++] = span_of(p, len);
		if (p[len] == '\0')
			break;
		p += len + 1;
	}
	store_command(t.store, answer == NULL ? NULL : on_answer, answer, argc,
	    argv);
}

static struct answer
ask(const char *words)
{
	struct answer answer = { .calls = 0 };

	command(&answer, words);
	cr_assert_eq(answer.calls, 0, "answered inside the call");
	wait_for(&answer.calls, 1);
	return answer;
}

TestSuite(store, .init = set_up, .fini = tear_down, .timeout = 30);

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

	store_script(t.store, &script, on_nested, &ok, 0, 0, NULL);
	wait_for(&ok, 1);
}

Test(store, keeps_bytes_that_no_string_could_hold)
{
	const char bytes[] = "a\0b\r\n$5\r\n*1\r\n\xff";
	const struct span set[] = { span_str("SET"), span_of("k\0\n", 3),
		span_of(bytes, sizeof(bytes) - 1) };
	const struct span length[] = { span_str("STRLEN"), set[1] };
	struct answer a = { .calls = 0 };

	store_command(t.store, NULL, NULL, 3, set);
	store_command(t.store, on_answer, &a, 2, length);
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

	store_command(t.store, NULL, NULL, 3, set);
	store_command(t.store, on_answer, &a, 2, echo);
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

	store_script(t.store, &script, on_answer, &a, 1, 2, args);
	store_script(t.store, &script, on_answer, &a, 1, 2, args);
	wait_for(&a.calls, 2);
	cr_expect_eq(a.integer, 10);
	cr_expect_eq(strlen(script.sha1), 40);
	cr_expect_eq(ask("SCRIPT FLUSH").kind, STORE_STRING);
	store_script(t.store, &script, on_answer, &a, 1, 2, args);
	store_script(t.store, &script, on_answer, &a, 1, 2, args);
	wait_for(&a.calls, 4);
	cr_expect(a.kind == STORE_INTEGER && a.integer == 20);
	store_script(t.store, &script, on_answer, &a, 1, 2, args);
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
	store_script(t.store, &script, on_answer, &a, 1, 1, args);
	wait_for(&a.calls, 1);
	store_script(t.store, &script, on_answer, &a, 1, 1, args);
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
	store_pop_from(t.store, span_str("box"));
	wait_for(&t.popped_count, 500);
	for (int i = 500; i < 1000; i++) {
		snprintf(words, sizeof(words), "RPUSH box %d", i);
		command(NULL, words);
	}
	wait_for(&t.popped_count, 1000);
	for (int i = 0; i < 1000; i++)
		cr_assert_eq(t.popped[i], i);
}

Test(store, hears_what_is_published_after_a_subscription_is_confirmed)
{
	struct answer a = { .calls = 0 };

	store_subscribe(t.store, span_str("news"), on_answer, &a);
	cr_assert_eq(a.calls, 0);
	wait_for(&a.calls, 1);
	cr_expect_eq(a.kind, STORE_ARRAY);
	cr_expect_eq(ask("PUBLISH news hello").integer, 1);
	wait_for(&t.message_count, 1);
	cr_expect_str_eq(t.messages[0], "news=hello");
	store_unsubscribe(t.store, span_str("news"));
	store_subscribe(t.store, span_str("other"), on_answer, &a);
	wait_for(&a.calls, 2);
	cr_expect_eq(ask("PUBLISH news again").integer, 0);
	cr_expect_eq(t.message_count, 1);
}

Test(store, keeps_many_subscriptions_apart)
{
	enum { MANY = 3000 };
	struct answer a = { .calls = 0 };
	char name[32];

	for (int i = 0; i < MANY; i++) {
		snprintf(name, sizeof(name), "c%d", i);
		store_subscribe(t.store, span_str(name), on_answer, &a);
	}
	wait_for(&a.calls, MANY);
	for (int i = 0; i < MANY; i += 2) {
		snprintf(name, sizeof(name), "c%d", i);
		store_unsubscribe(t.store, span_str(name));
	}
	store_subscribe(t.store, span_str("c1"), on_answer, &a);
	wait_for(&a.calls, MANY + 1);
	cr_expect_eq(ask("PUBLISH c2 x").integer, 0);
	cr_expect_eq(ask("PUBLISH c1 x").integer, 1);
	wait_for(&t.message_count, 1);
	cr_expect_str_eq(t.messages[0], "c1=x");
	store_unsubscribe(t.store, span_str("never"));
}

/* Kills one kind of connections, perhaps the very one that asks for it. */
static void
kill_connections(const char *type)
{
	const int downs = t.downs, ups = t.ups;
	char words[64];

	snprintf(words, sizeof(words), "CLIENT KILL TYPE %s SKIPME no", type);
	command(NULL, words);
	wait_for(&t.downs, downs + 1);
	cr_expect_not(store_is_up(t.store));
	wait_for(&t.ups, ups + 1);
	cr_expect_eq(t.downs, downs + 1);
	cr_expect_eq(t.ups, ups + 1);
}

Test(store, comes_back_when_its_command_connections_are_killed)
{
	store_pop_from(t.store, span_str("box"));
	kill_connections("normal");
	cr_expect_eq(ask("RPUSH box 7").kind, STORE_INTEGER);
	wait_for(&t.popped_count, 1);
	cr_expect_eq(t.popped[0], 7);
}

Test(store, subscribes_again_when_its_subscriptions_are_killed)
{
	struct answer a = { .calls = 0 };

	store_subscribe(t.store, span_str("news"), on_answer, &a);
	store_subscribe(t.store, span_str("old"), on_answer, &a);
	wait_for(&a.calls, 2);
	store_unsubscribe(t.store, span_str("old"));
	kill_connections("pubsub");
	/* Up means subscribed: nothing published from here on is missed. */
	cr_expect_eq(ask("PUBLISH news hello").integer, 1);
	cr_expect_eq(ask("PUBLISH old hello").integer, 0);
	wait_for(&t.message_count, 1);
	cr_expect_eq(a.calls, 2);
}

Test(store, gives_up_on_a_redis_that_hangs)
{
	struct answer a[3] = { { .calls = 0 } };
	double seconds;

	kill(t.redis.pid, SIGSTOP);
	command(&a[0], "PING");
	command(&a[1], "PING");
	seconds = wait_for(&a[1].calls, 1);
	cr_expect(a[0].kind == STORE_LOST && a[1].kind == STORE_LOST);
	cr_expect(seconds > 0.9 && seconds < 2.5, "after %f s", seconds);
	wait_for(&t.downs, 1);
	command(&a[2], "PING");
	cr_expect_eq(a[2].calls, 0);
	cr_expect_lt(wait_for(&a[2].calls, 1), 0.1);
	cr_expect_eq(a[2].kind, STORE_LOST);
	kill(t.redis.pid, SIGCONT);
	wait_for(&t.ups, 2);
	cr_expect_eq(ask("PING").kind, STORE_STRING);
}

Test(store, is_not_fooled_when_the_process_itself_was_stopped)
{
	struct answer a = { .calls = 0 };

	command(&a, "PING");
	ev_run(t.loop, EVRUN_NOWAIT);
	usleep(1200 * 1000);
	wait_for(&a.calls, 1);
	cr_expect_eq(a.kind, STORE_STRING);
	cr_expect_eq(t.downs, 0);
}

Test(store, goes_on_with_a_redis_that_was_restarted)
{
	static struct store_script script = { .text = "return 1" };
	struct answer a = { .calls = 0 }, s = { .calls = 0 };

	store_pop_from(t.store, span_str("box"));
	store_subscribe(t.store, span_str("news"), on_answer, &s);
	store_script(t.store, &script, on_answer, &a, 0, 0, NULL);
	wait_for(&a.calls, 1);
	wait_for(&s.calls, 1);
	own_redis_stop(&t.redis);
	command(&a, "PING");
	wait_for(&a.calls, 2);
	cr_expect_eq(a.kind, STORE_LOST);
	wait_for(&t.downs, 1);
	store_subscribe(t.store, span_str("more"), on_answer, &s);
	cr_expect_eq(s.calls, 1);
	wait_for(&s.calls, 2);
	cr_expect_eq(s.kind, STORE_LOST);
	redis_start(NULL, NULL);
	wait_for(&t.ups, 2);
	cr_expect_eq(t.downs, 1);
	cr_expect_eq(ask("PUBLISH more x").integer, 1);
	cr_expect_eq(ask("PUBLISH news x").integer, 1);
	ask("RPUSH box 3");
	wait_for(&t.popped_count, 1);
	store_script(t.store, &script, on_answer, &a, 0, 0, NULL);
	wait_for(&a.calls, 3);
	cr_expect(a.kind == STORE_INTEGER && a.integer == 1);
}

Test(store, tells_pending_callbacks_when_it_is_freed)
{
	struct answer a[2] = { { .calls = 0 } };
	static struct store_script script = { .text = "return 1",
		.sha1 = "e0e1f9fabfc9d4800c877a703b823ac0578ff8db" };

	command(&a[0], "PING");
	store_script(t.store, &script, on_answer, &a[1], 0, 0, NULL);
	store_free(t.store);
	t.store = NULL;
	cr_expect(a[0].calls == 1 && a[0].kind == STORE_LOST);
	cr_expect(a[1].calls == 1 && a[1].kind == STORE_LOST);
}

TestSuite(store_start, .init = set_up_without_store, .fini = tear_down,
    .timeout = 30);

Test(store_start, waits_for_a_redis_that_comes_later)
{
	struct answer a = { .calls = 0 };

	store_start(NULL, NULL);
	command(&a, "PING");
	wait_for(&a.calls, 1);
	cr_expect_eq(a.kind, STORE_LOST);
	cr_expect(strlen(store_why_down(t.store)) > 0);
	redis_start(NULL, NULL);
	wait_for(&t.ups, 1);
	cr_expect_eq(t.downs, 0);
	cr_expect_str_eq(store_why_down(t.store), "");
}

Test(store_start, logs_in_with_a_password)
{
	redis_start("--requirepass", "pass word");
	store_start(NULL, "pass word");
	wait_for(&t.ups, 1);
	cr_expect_eq(ask("PING").kind, STORE_STRING);
}

Test(store_start, logs_in_as_a_user)
{
	redis_start(NULL, NULL);
	store_start(NULL, NULL);
	wait_for(&t.ups, 1);
	/* Not even PING is needed to be let in. */
	cr_assert_eq(ask("ACL SETUSER worker on >secret +@all -ping").kind,
	    STORE_STRING);
	store_free(t.store);
	store_start("worker", "secret");
	wait_for(&t.ups, 2);
	const struct answer a = ask("ACL WHOAMI");

	cr_expect_str_eq(a.text, "worker");
}

/* Reads back what is logged as Redis turns us away. */
Test(store_start, says_why_redis_turns_it_away_but_never_the_password)
{
	char path[128], text[4096];
	struct answer a = { .calls = 0 };
	FILE *log;

	snprintf(path, sizeof(path), "%s/log", t.redis.dir);
	log_open("test_store", path, LOG_LEVEL_WARN, false);
	redis_start("--requirepass", "right");
	store_start(NULL, "mistaken-secret");
	for (int i = 1; strstr(store_why_down(t.store), "WRONGPASS") == NULL;
	    i++) {
		cr_assert_lt(i, 2000);
		command(&a, "PING");
		wait_for(&a.calls, i);
		usleep(1000);
	}
	log = fopen(path, "r");
	cr_assert_not_null(log);
	text[fread(text, 1, sizeof(text) - 1, log)] = '\0';
	fclose(log);
	unlink(path);
	cr_expect_not_null(strstr(text, "WRONGPASS"));
	cr_expect_not_null(strstr(text, t.redis.address));
	cr_expect_null(strstr(text, "mistaken-secret"));
	cr_expect_eq(t.ups, 0);
}

Test(store_start, refuses_addresses_that_it_cannot_read)
{
	static const char *const bad[] = { "", "host:", "host:0", "host:65536",
		"host:6379x", "::1", "[::1", "[::1]6379", "unix:", "unix:rel",
		"redis://h/x", "redis://u:p@h", "rediss://h", "redis://h:x",
		("/aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"
		"aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa") };

	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		const struct store_settings settings = { .address = bad[i],
			.timeout_ms = 1000 };
		const char *error = NULL;

		cr_expect_null(store_new(t.loop, &settings, NULL, &error),
		    "took \"%s\"", bad[i]);
		cr_expect_not_null(error);
	}
}

Test(store_start, takes_addresses_of_every_form)
{
	static const struct {
		const char *text, *host, *port, *user;
		long database;
	} good[] = {
		{ "localhost", "localhost", "6379", NULL, 0 },
		{ "h:1", "h", "1", NULL, 0 },
		{ ":7000", "127.0.0.1", "7000", NULL, 0 },
		{ "[::1]:7000", "::1", "7000", NULL, 0 },
		{ "[::1]", "::1", "6379", NULL, 0 },
		{ "unix:/a/b", "/a/b", NULL, NULL, 0 },
		{ "/a/b", "/a/b", NULL, NULL, 0 },
		{ "redis://h", "h", "6379", NULL, 0 },
		{ "redis://u@h:1/5", "h", "1", "u", 5 },
		{ "redis://@[::1]:1/", "::1", "1", NULL, 0 },
	};

	for (size_t i = 0; i < sizeof(good) / sizeof(good[0]); i++) {
		struct store_address a;
		const char *error = NULL;

		cr_assert_eq(store_address_parse(&a, good[i].text, &error), 0,
		    "%s: %s", good[i].text, error);
		cr_expect_str_eq(a.text, good[i].text);
		cr_expect_str_eq(a.host, good[i].host);
		cr_expect_eq(a.is_unix, good[i].port == NULL);
		if (good[i].port != NULL)
			cr_expect_str_eq(a.port, good[i].port);
		cr_expect_eq(a.user == NULL, good[i].user == NULL);
		if (good[i].user != NULL && a.user != NULL)
			cr_expect_str_eq(a.user, good[i].user);
		cr_expect_eq(a.database, good[i].database);
		store_address_clear(&a);
	}
}

/* --- a server that is not Redis --- */

static void
serve_text(const char *text)
{
	struct sockaddr_un un = { .sun_family = AF_UNIX };
	const int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

	memcpy(un.sun_path, t.redis.socket, strlen(t.redis.socket) + 1);
	cr_assert_eq(bind(fd, (struct sockaddr *)&un, sizeof(un)), 0);
	cr_assert_eq(listen(fd, 8), 0);
	if ((t.redis.pid = fork()) != 0) {
		close(fd);
		return;
	}
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	for (;;) {
		const int client = accept(fd, NULL, NULL);

		if (write(client, text, strlen(text)) < 0)
			_exit(1);
	}
}

/* Whatever the peer says, the store stays down, or up, but sane. */
Test(store_start, survives_a_peer_that_is_not_redis)
{
	static const char *const text[] = { "HTTP/1.1 400 Bad Request\r\n\r\n",
		"$-5\r\n", "*99999999999999999999\r\n", "$5\r\nab", ":x\r\n",
		"*1\r\n*1\r\n*1\r\n*1\r\n*1\r\n*1\r\n*1\r\n*1\r\n*1\r\n*1\r\n",
		"+PONG\r\n+PONG\r\n", "*3\r\n$7\r\nmessage\r\n:1\r\n:2\r\n",
		"*0\r\n*-1\r\n", "-ERR max number of clients reached\r\n" };

	for (size_t i = 0; i < sizeof(text) / sizeof(text[0]); i++) {
		serve_text(text[i]);
		store_start(NULL, NULL);
		store_pop_from(t.store, span_str("box"));
		for (int turn = 0; turn < 12; turn++) {
			ev_run(t.loop, EVRUN_NOWAIT);
			usleep(5 * 1000);
		}
		cr_expect_eq(t.popped_count, 0);
		store_free(t.store);
		t.store = NULL;
		own_redis_stop(&t.redis);
		unlink(t.redis.socket);
	}
}
