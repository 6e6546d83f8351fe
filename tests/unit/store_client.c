/* store_client.c - see store_client.h. */
#include "config.h"

#include <criterion/criterion.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/log.h"
#include "tests/unit/store_client.h"

enum { ARGS_MAX = 8 };

static const double PATIENCE = 5.0;	/* seconds until a wait has failed */

struct store_client client;

static void
copy_text(char *into, struct span s)
{
	const size_t len = s.len < TEXT_MAX - 1 ? s.len : TEXT_MAX - 1;

	memcpy(into, s.data, len);
	into[len] = '\0';
}

void
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
	client.ups++;
	cr_expect(store_is_up(client.store));
}

static void
on_down(void *arg, const char *why)
{
	(void)arg;
	client.downs++;
	cr_expect(why[0] != '\0');
	cr_expect_not(store_is_up(client.store));
}

static void
on_message(void *arg, struct span channel, struct span payload)
{
	char both[TEXT_MAX];

	(void)arg;
	snprintf(both, sizeof(both), "%.*s=%.*s", (int)channel.len,
	    channel.data, (int)payload.len, payload.data);
	if (client.message_count < 4)
		copy_text(client.messages[client.message_count],
		    span_str(both));
	client.message_count++;
}

static void
on_popped(void *arg, struct span element)
{
	char text[TEXT_MAX];

	(void)arg;
	copy_text(text, element);
	if (client.popped_count < KEPT_MAX)
		client.popped[client.popped_count] =
		    (int)strtol(text, NULL, 10);
	client.popped_count++;
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

double
wait_for(const int *what, int least)
{
	const ev_tstamp start = ev_time();
	bool over = false;
	ev_timer timer;

	ev_now_update(client.loop);
	ev_timer_init(&timer, on_patience_over, PATIENCE, 0.);
	timer.data = &over;
	ev_timer_start(client.loop, &timer);
	while (*what < least && !over)
		ev_run(client.loop, EVRUN_ONCE);
	ev_timer_stop(client.loop, &timer);
	cr_assert_geq(*what, least, "waited in vain");
	return ev_time() - start;
}

void
redis_start(const char *more, const char *value)
{
	own_redis_start(&client.redis, more, value);
}

void
store_start(const char *user, const char *password)
{
	const char *error = NULL;
	const struct store_settings settings = {
		.address = client.redis.address,
		.user = user, .password = password, .timeout_ms = 1000 };

	client.store = store_new(client.loop, &settings, &handler, &error);
	cr_assert_not_null(client.store, "%s", error);
}

void
set_up_without_client(void)
{
	log_open("test_store", "/dev/null", LOG_LEVEL_WARN, false);
	client.loop = ev_loop_new(EVFLAG_AUTO);
	own_redis_init(&client.redis);
}

void
set_up_client(void)
{
	set_up_without_client();
	redis_start(NULL, NULL);
	store_start(NULL, NULL);
	wait_for(&client.ups, 1);
}

void
tear_down_client(void)
{
	store_free(client.store);
	own_redis_clear(&client.redis);
	ev_loop_destroy(client.loop);
}

void
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
	store_command(client.store, answer == NULL ? NULL : on_answer, answer,
	    argc, argv);
}

struct answer
ask(const char *words)
{
	struct answer answer = { .calls = 0 };

	command(&answer, words);
	cr_assert_eq(answer.calls, 0, "answered inside the call");
	wait_for(&answer.calls, 1);
	return answer;
}
