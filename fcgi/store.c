/* store.c - Redis as an event loop sees it: the door to hiredis.
 *
 * Of hiredis only the parser of replies is used: its asynchronous contexts
 * allocate for each command, free themselves inside callbacks and assert on
 * what a server sends to a subscriber.  Each connection is a store_link (the
 * bytes), the store_waiters (for a reply, in order) and a parser. */
#include "config.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/log.h"
#include "fcgi/store_keys.h"
#include "fcgi/store_private.h"

enum {
	/* Whoever blocks or listens asks this often whether Redis is there. */
	QUIET_SECONDS = 10,
	POP_COUNT = 64,
};

/* --- refusal --- */

void
store_refuse(struct store *s, store_reply_fn *fn, void *arg)
{
	if (fn == NULL)
		return;
	store_waiters_push(&s->refused, (struct store_waiter){ fn, arg, 0. });
	if (!ev_is_active(&s->refuse)) {
		ev_timer_set(&s->refuse, 0., 0.);
		ev_timer_start(s->loop, &s->refuse);
	}
}

static void
on_refuse(struct ev_loop *loop, ev_timer *timer, int revents)
{
	struct store *s = timer->data;

	(void)loop;
	(void)revents;
	store_waiters_lose(&s->refused);
}

/* --- greeting, loss and return --- */

static void
store_look_up(struct store *s)
{
	for (int i = 0; i < CONN_COUNT; i++)
		if (!s->conn[i].ready)
			return;
	if (s->up)
		return;
	s->up = true;
	s->why[0] = '\0';
	s->logged[0] = '\0';
	log_info(NULL, "Redis at %s is there", s->address.text);
	if (s->handler.up != NULL)
		s->handler.up(s->handler.arg);
}

/* One line for each loss, however many connections and attempts it takes; and
 * one for each different reason that Redis itself gives. */
static void
log_loss(struct store *s, bool was_up, bool refused)
{
	if (!was_up && s->logged[0] != '\0' &&
	    (!refused || strcmp(s->logged, s->why) == 0)) {
		log_debug(NULL, "Redis at %s: %s", s->address.text, s->why);
		return;
	}
	memcpy(s->logged, s->why, sizeof(s->logged));
	log_warn(NULL, "Redis at %s %s: %s", s->address.text,
	    was_up ? "is lost" : "can't be used yet", s->why);
}

static void
on_lost(void *arg, const char *why)
{
	struct conn *c = arg;
	struct store *s = c->store;
	const bool was_up = s->up;

	s->up = false;
	c->ready = false;
	redisReaderFree(c->reader);
	c->reader = NULL;
	ev_timer_stop(s->loop, &c->watch);
	if (c->role == CONN_POP)
		s->popping = false;
	if (c->role == CONN_CHANNELS)
		ev_timer_stop(s->loop, &s->heartbeat);
	snprintf(s->why, sizeof(s->why), "%s", why);
	log_loss(s, was_up, c->refused);
	c->refused = false;
	store_waiters_lose(&c->waiters);
	if (was_up && s->handler.down != NULL)
		s->handler.down(s->handler.arg, s->why);
}

/* AUTH, SELECT and the heartbeat must succeed. */
static void
on_greeting(void *arg, const struct store_reply *reply)
{
	if (reply->kind == STORE_ERROR)
		store_conn_refused(arg, reply->string);
}

static void conn_start_work(struct conn *c);

static bool
is_forbidden(const struct store_reply *reply)
{
	const struct span noperm = span_str("NOPERM");

	return reply->kind == STORE_ERROR && reply->string.len >= noperm.len &&
	    span_is(span_of(reply->string.data, noperm.len), noperm);
}

/* The PING that ends the greeting: an error (loading its data, too many
 * clients, a password is needed) says that Redis does not work for us yet.
 * That PING itself is forbidden to us does not. */
static void
on_pong(void *arg, const struct store_reply *reply)
{
	struct conn *c = arg;

	if (reply->kind == STORE_LOST)
		return;
	if (reply->kind == STORE_ERROR && !is_forbidden(reply)) {
		store_conn_refused(c, reply->string);
		return;
	}
	c->ready = true;
	conn_start_work(c);
	store_look_up(c->store);
}

static void
conn_authenticate(struct conn *c)
{
	const struct store *s = c->store;
	const struct span argv[] = { span_str("AUTH"), span_str(s->user),
		span_str(s->password) };
	const struct span old[] = { argv[0], argv[2] };

	if (s->user != NULL)
		store_conn_command(c, on_greeting, c, 3, argv);
	else if (s->password != NULL)
		store_conn_command(c, on_greeting, c, 2, old);
}

static void
conn_select(struct conn *c)
{
	char number[24];
	const int len = snprintf(number, sizeof(number), "%ld",
	    c->store->address.database);
	const struct span argv[] = { span_str("SELECT"),
		span_of(number, (size_t)len) };

	if (c->store->address.database != 0)
		store_conn_command(c, on_greeting, c, 2, argv);
}

static void
on_probed(void *arg, const struct store_reply *reply)
{
	if (reply->kind == STORE_ERROR && !is_forbidden(reply))
		store_conn_refused(arg, reply->string);
}

/* Does it take what is written?  The answer comes before that to PING. */
static void
conn_probe(struct conn *c)
{
	const struct store_key key = store_key_probe();
	const struct span argv[] = { span_str("SET"), store_key_span(&key),
		span_str("1"), span_str("PX"), span_str("1000") };

	if (c->role == CONN_COMMANDS)
		store_conn_command(c, on_probed, c, 5, argv);
}

static void
channels_send(struct store *s, const char *verb, struct span name,
    store_reply_fn *done, void *arg)
{
	const struct span argv[] = { span_str(verb), name };

	store_conn_command(&s->conn[CONN_CHANNELS], done, arg, 2, argv);
}

static void
channels_subscribe_all(struct store *s)
{
	for (const struct store_channel *ch = s->channels.first; ch != NULL;
	    ch = ch->next)
		channels_send(s, "SUBSCRIBE", ch->name, NULL, NULL);
}

static void
on_open(void *arg)
{
	struct conn *c = arg;
	const struct span ping = span_str("PING");

	c->reader = store_conn_reader();
	conn_authenticate(c);
	conn_select(c);
	if (c->role == CONN_CHANNELS)
		channels_subscribe_all(c->store);
	conn_probe(c);
	store_conn_command(c, on_pong, c, 1, &ping);
}

/* --- the blocking pop --- */

static void store_pop(struct store *s);

static void
on_popped(void *arg, const struct store_reply *reply)
{
	struct store *s = arg;
	const struct store_reply *list;

	if (reply->kind == STORE_LOST)
		return;
	s->popping = false;
	if (reply->kind == STORE_ERROR) {
		store_conn_refused(&s->conn[CONN_POP], reply->string);
		return;
	}
	store_pop(s);
	if (reply->kind != STORE_ARRAY || reply->count != 2 ||
	    reply->element[1].kind != STORE_ARRAY)
		return;		/* the time is over and nothing came */
	list = &reply->element[1];
	for (size_t i = 0; i < list->count; i++)
		if (list->element[i].kind == STORE_STRING &&
		    s->handler.popped != NULL)
			s->handler.popped(s->handler.arg,
			    list->element[i].string);
}

static void
store_pop(struct store *s)
{
	struct conn *c = &s->conn[CONN_POP];
	char seconds[16], count[16];

	if (s->pop_key == NULL || s->popping || !c->ready)
		return;
	snprintf(seconds, sizeof(seconds), "%d", QUIET_SECONDS);
	snprintf(count, sizeof(count), "%d", POP_COUNT);
	const struct span argv[] = { span_str("BLMPOP"), span_str(seconds),
		span_str("1"), span_of(s->pop_key, s->pop_key_len),
		span_str("LEFT"), span_str("COUNT"), span_str(count) };

	s->popping = true;
	store_conn_send(c, on_popped, s, QUIET_SECONDS, argv,
	    sizeof(argv) / sizeof(argv[0]), NULL, 0);
}

void
store_pop_from(struct store *s, struct span key)
{
	assert(s->pop_key == NULL);
	if ((s->pop_key = span_strdup(key)) == NULL)
		fatal("out of memory");
	s->pop_key_len = key.len;
	store_pop(s);
}

/* --- subscriptions --- */

void
store_subscribe(struct store *s, struct span channel, store_reply_fn *done,
    void *arg)
{
	/* From now on each greeting subscribes to it. */
	store_channels_add(&s->channels, channel);
	if (s->conn[CONN_CHANNELS].link.state == STORE_LINK_OPEN)
		channels_send(s, "SUBSCRIBE", channel, done, arg);
	else
		store_refuse(s, done, arg);
}

void
store_unsubscribe(struct store *s, struct span channel)
{
	if (store_channels_remove(&s->channels, channel) &&
	    s->conn[CONN_CHANNELS].link.state == STORE_LINK_OPEN)
		channels_send(s, "UNSUBSCRIBE", channel, NULL, NULL);
}

/* A subscriber hears nothing from a Redis that hangs, nor from one where
 * nothing happens: asking tells them apart. */
static void
on_heartbeat(struct ev_loop *loop, ev_timer *timer, int revents)
{
	struct store *s = timer->data;
	const struct span ping = span_str("PING");

	(void)loop;
	(void)revents;
	if (s->conn[CONN_CHANNELS].waiters.count == 0)
		store_conn_command(&s->conn[CONN_CHANNELS], on_greeting,
		    &s->conn[CONN_CHANNELS], 1, &ping);
}

static void
conn_start_work(struct conn *c)
{
	struct store *s = c->store;

	if (c->role == CONN_POP)
		store_pop(s);
	if (c->role == CONN_CHANNELS) {
		ev_timer_set(&s->heartbeat, QUIET_SECONDS, QUIET_SECONDS);
		ev_timer_start(s->loop, &s->heartbeat);
	}
}

/* --- commands --- */

void
store_send(struct store *s, store_reply_fn *fn, void *arg,
    const struct span *first, int first_count, const struct span *rest,
    int rest_count)
{
	if (s->up)
		store_conn_send(&s->conn[CONN_COMMANDS], fn, arg, 0., first,
		    first_count, rest, rest_count);
	else
		store_refuse(s, fn, arg);
}

void
store_command(struct store *s, store_reply_fn *fn, void *arg, int argc,
    const struct span *argv)
{
	store_send(s, fn, arg, argv, argc, NULL, 0);
}

/* --- the store --- */

static const struct store_link_handler link_handler = {
	.open = on_open, .bytes = store_conn_bytes, .lost = on_lost,
};

bool
store_is_up(const struct store *s)
{
	return s->up;
}

size_t
store_unsent(const struct store *s)
{
	return buf_len(&s->conn[CONN_COMMANDS].link.out);
}

bool
store_is_quiet(const struct store *s)
{
	return !s->up || s->conn[CONN_COMMANDS].waiters.count == 0;
}

const char *
store_why_down(const struct store *s)
{
	return s->why;
}

static void
conn_init(struct store *s, enum conn_role role)
{
	struct conn *c = &s->conn[role];

	c->store = s;
	c->role = role;
	ev_init(&c->watch, store_conn_watch);
	c->watch.data = c;
	store_link_init(&c->link, s->loop, &s->address, s->timeout,
	    &link_handler, c);
}

struct store *
store_new(struct ev_loop *loop, const struct store_settings *settings,
    const struct store_handler *handler, const char **error)
{
	struct store_address address;
	const char *user;
	struct store *s;

	if (store_address_parse(&address, settings->address, error) != 0)
		return NULL;
	if ((s = calloc(1, sizeof(*s))) == NULL)
		fatal("out of memory");
	user = settings->user != NULL && settings->user[0] != '\0' ?
	    settings->user : address.user;
	s->loop = loop;
	s->address = address;
	s->timeout = (double)settings->timeout_ms / 1000.;
	if (handler != NULL)
		s->handler = *handler;
	if (user != NULL && (s->user = strdup(user)) == NULL)
		fatal("out of memory");
	if (settings->password != NULL && settings->password[0] != '\0' &&
	    (s->password = strdup(settings->password)) == NULL)
		fatal("out of memory");
	snprintf(s->why, sizeof(s->why), "not connected yet");
	ev_now_update(loop);
	ev_timer_init(&s->refuse, on_refuse, 0., 0.);
	s->refuse.data = s;
	ev_timer_init(&s->heartbeat, on_heartbeat, 0., 0.);
	s->heartbeat.data = s;
	for (int role = 0; role < CONN_COUNT; role++)
		conn_init(s, (enum conn_role)role);
	return s;
}

void
store_free(struct store *s)
{
	if (s == NULL)
		return;
	s->up = false;
	for (int i = 0; i < CONN_COUNT; i++) {
		struct conn *c = &s->conn[i];

		store_link_clear(&c->link);
		ev_timer_stop(s->loop, &c->watch);
		c->ready = false;
		redisReaderFree(c->reader);
		c->reader = NULL;
	}
	for (int i = 0; i < CONN_COUNT; i++)
		store_waiters_lose(&s->conn[i].waiters);
	while (s->refused.count > 0)
		store_waiters_lose(&s->refused);
	for (int i = 0; i < CONN_COUNT; i++)
		store_waiters_clear(&s->conn[i].waiters);
	store_waiters_clear(&s->refused);
	ev_timer_stop(s->loop, &s->refuse);
	ev_timer_stop(s->loop, &s->heartbeat);
	store_channels_clear(&s->channels);
	if (s->password != NULL)
		explicit_bzero(s->password, strlen(s->password));
	free(s->password);
	free(s->user);
	free(s->pop_key);
	free(s->elements);
	store_address_clear(&s->address);
	free(s);
}
