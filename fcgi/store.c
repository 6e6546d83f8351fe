/* store.c - Redis as an event loop sees it: the door to hiredis.
 *
 * Of hiredis only the parser of replies is used: its asynchronous contexts
 * allocate for each command, free themselves inside callbacks and assert on
 * what a server sends to a subscriber.  Each connection is a store_link (the
 * bytes), the store_waiters (for a reply, in order) and a parser. */
#include "config.h"

#include <assert.h>
#include <hiredis/hiredis.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/log.h"
#include "fcgi/store_address.h"
#include "fcgi/store_channels.h"
#include "fcgi/store_link.h"
#include "fcgi/store_private.h"
#include "fcgi/store_waiters.h"

enum {
	/* A reply that is not complete after this much is no reply of ours. */
	REPLY_MAX = 128 * 1024 * 1024,
	/* Whoever blocks or listens asks this often whether Redis is there. */
	QUIET_SECONDS = 10,
	POP_COUNT = 64,
};

enum conn_role { CONN_COMMANDS, CONN_POP, CONN_CHANNELS, CONN_COUNT };

struct conn {
	struct store *store;
	enum conn_role role;
	struct store_link link;
	redisReader *reader;	/* while the link is open */
	struct store_waiters waiters;
	ev_timer watch;		/* runs while somebody waits */
	bool ready;		/* greeted: it does its work */
	bool refused;		/* Redis itself turned us away */
};

struct store {
	struct ev_loop *loop;
	struct store_handler handler;
	struct store_address address;
	char *user;
	char *password;
	double timeout;
	struct conn conn[CONN_COUNT];
	bool up;
	char why[256];		/* it is not up */
	char logged[256];	/* what the log was told last, "" while up */
	struct store_waiters refused;	/* get STORE_LOST in the next turn */
	ev_timer refuse;
	char *pop_key;
	size_t pop_key_len;
	bool popping;		/* a BLMPOP is under way */
	struct store_channels channels;
	ev_timer heartbeat;	/* of the subscriptions */
	struct store_reply *elements;	/* of the reply in hand */
	size_t element_cap;
};

/* --- refusal --- */

static void
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

/* --- commands on one connection --- */

/* Appends "<type><number>\r\n"; returns what follows. */
static char *
put_count(char *p, char type, size_t number)
{
	char digits[24];
	size_t n = 0;

	do {
		digits[n++] = (char)('0' + number % 10);
	} while ((number /= 10) > 0);
	*p++ = type;
	while (n > 0)
		*p++ = digits[--n];
	*p++ = '\r';
	*p++ = '\n';
	return p;
}

/* A command as an array of bulk strings.  `more` seconds: how much longer
 * than usual the reply may take. */
static void
conn_send(struct conn *c, store_reply_fn *fn, void *arg, double more,
    const struct span *first, int first_count, const struct span *rest,
    int rest_count)
{
	enum { COUNT_LEN = 24 };
	const size_t count = (size_t)first_count + (size_t)rest_count;
	size_t size = COUNT_LEN * (count + 1);
	char *start, *p;

	for (size_t i = 0; i < count; i++)
		size += 2 + (i < (size_t)first_count ? first[i] :
		    rest[i - (size_t)first_count]).len;
	if ((start = buf_reserve(&c->link.out, size)) == NULL) {
		store_link_doom(&c->link, "too much waits to be sent");
		store_refuse(c->store, fn, arg);
		return;
	}
	p = put_count(start, '*', count);
	for (size_t i = 0; i < count; i++) {
		const struct span s = i < (size_t)first_count ? first[i] :
		    rest[i - (size_t)first_count];

		p = put_count(p, '$', s.len);
		if (s.len > 0)
			memcpy(p, s.data, s.len);
		p += s.len;
		*p++ = '\r';
		*p++ = '\n';
	}
	buf_commit(&c->link.out, (size_t)(p - start));
	store_waiters_push(&c->waiters, (struct store_waiter){ fn, arg,
	    ev_now(c->store->loop) + c->store->timeout + more });
	if (!ev_is_active(&c->watch)) {
		ev_timer_set(&c->watch, c->store->timeout + more, 0.);
		ev_timer_start(c->store->loop, &c->watch);
	}
}

static void
conn_command(struct conn *c, store_reply_fn *fn, void *arg, int argc,
    const struct span *argv)
{
	conn_send(c, fn, arg, 0., argv, argc, NULL, 0);
}

/* The oldest waiter has waited long enough, or a later one will have. */
static void
on_watch(struct ev_loop *loop, ev_timer *timer, int revents)
{
	struct conn *c = timer->data;
	const struct store_waiter *oldest = store_waiters_oldest(&c->waiters);

	(void)revents;
	/* Was it us who slept?  Then the reply is already here. */
	if (oldest != NULL && oldest->due <= ev_now(loop))
		store_link_read(&c->link);
	oldest = store_waiters_oldest(&c->waiters);
	if (c->link.state != STORE_LINK_OPEN || oldest == NULL ||
	    ev_is_active(timer))
		return;
	if (oldest->due <= ev_now(loop)) {
		store_link_lose(&c->link, "no answer in time");
		return;
	}
	ev_timer_set(timer, oldest->due - ev_now(loop), 0.);
	ev_timer_start(loop, timer);
}

/* --- replies --- */

static size_t
count_elements(const redisReply *r)
{
	size_t n = 0;

	if (r->type != REDIS_REPLY_ARRAY)
		return 0;
	for (size_t i = 0; i < r->elements; i++)
		n += 1 + count_elements(r->element[i]);
	return n;
}

/* hiredis bounds the depth (7) and reads only whole replies.  Elements are
 * laid out in *room, an array's side by side. */
static struct store_reply
view_reply(const redisReply *r, struct store_reply **room)
{
	struct store_reply view = { .kind = STORE_NIL };
	struct store_reply *element;

	switch (r->type) {
	case REDIS_REPLY_STRING:
	case REDIS_REPLY_STATUS:
		view.kind = STORE_STRING;
		view.string = span_of(r->str, (size_t)r->len);
		break;
	case REDIS_REPLY_ERROR:
		view.kind = STORE_ERROR;
		view.string = span_of(r->str, (size_t)r->len);
		break;
	case REDIS_REPLY_INTEGER:
		view.kind = STORE_INTEGER;
		view.integer = r->integer;
		break;
	case REDIS_REPLY_ARRAY:
		view.kind = STORE_ARRAY;
		view.count = r->elements;
		view.element = element = *room;
		*room += r->elements;
		for (size_t i = 0; i < r->elements; i++)
			element[i] = view_reply(r->element[i], room);
		break;
	}
	return view;
}

static struct store_reply
store_view(struct store *s, const redisReply *r)
{
	const size_t need = count_elements(r);
	struct store_reply *room;

	if (need > s->element_cap) {
		free(s->elements);
		s->element_cap = need + need / 2;
		s->elements = calloc(s->element_cap, sizeof(*s->elements));
		if (s->elements == NULL)
			fatal("out of memory");
	}
	room = s->elements;
	return view_reply(r, &room);
}

/* How much of a message is worth a line. */
static int
brief_len(struct span message)
{
	return message.len < 200 ? (int)message.len : 200;
}

void
store_log_error(const struct store *s, struct span message)
{
	log_warn(NULL, "Redis at %s refused a command: %.*s", s->address.text,
	    brief_len(message), message.data);
}

/* A publish, in a connection that also carries replies? */
static bool
is_message(const struct store_reply *r)
{
	return r->kind == STORE_ARRAY && r->count == 3 &&
	    r->element[0].kind == STORE_STRING &&
	    span_is(r->element[0].string, span_str("message")) &&
	    r->element[1].kind == STORE_STRING &&
	    r->element[2].kind == STORE_STRING;
}

static void
conn_take_reply(struct conn *c, const struct store_reply *reply)
{
	struct store *s = c->store;
	struct store_waiter waiter;

	if (c->role == CONN_CHANNELS && is_message(reply)) {
		if (s->handler.message != NULL)
			s->handler.message(s->handler.arg,
			    reply->element[1].string,
			    reply->element[2].string);
		return;
	}
	if (!store_waiters_shift(&c->waiters, &waiter)) {
		store_link_lose(&c->link, "a reply that nobody asked for");
		return;
	}
	if (waiter.fn != NULL)
		waiter.fn(waiter.arg, reply);
	else if (reply->kind == STORE_ERROR)
		store_log_error(s, reply->string);
}

static void
on_bytes(void *arg, struct span bytes)
{
	struct conn *c = arg;
	void *object;

	if (redisReaderFeed(c->reader, bytes.data, bytes.len) != REDIS_OK) {
		store_link_lose(&c->link, "out of memory for a reply");
		return;
	}
	for (;;) {
		struct store_reply reply;

		if (redisReaderGetReply(c->reader, &object) != REDIS_OK) {
			char why[128];

			snprintf(why, sizeof(why), "%s", c->reader->errstr);
			store_link_lose(&c->link, why);
			return;
		}
		if (object == NULL)
			break;
		reply = store_view(c->store, object);
		conn_take_reply(c, &reply);
		freeReplyObject(object);
		if (c->link.state != STORE_LINK_OPEN)
			return;
	}
	if (c->reader->len - c->reader->pos > REPLY_MAX)
		store_link_lose(&c->link, "a reply is too large");
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

static void
conn_refused(struct conn *c, struct span message)
{
	char why[256];

	snprintf(why, sizeof(why), "%.*s", brief_len(message), message.data);
	c->refused = true;
	store_link_lose(&c->link, why);
}

/* AUTH, SELECT and the heartbeat must succeed. */
static void
on_greeting(void *arg, const struct store_reply *reply)
{
	if (reply->kind == STORE_ERROR)
		conn_refused(arg, reply->string);
}

static void conn_start_work(struct conn *c);

/* The PING that ends the greeting: an error (loading its data, too many
 * clients, a password is needed) says that Redis does not work for us yet.
 * That PING itself is forbidden to us does not. */
static void
on_pong(void *arg, const struct store_reply *reply)
{
	struct conn *c = arg;
	const struct span noperm = span_str("NOPERM");

	if (reply->kind == STORE_LOST)
		return;
	if (reply->kind == STORE_ERROR && (reply->string.len < noperm.len ||
	    !span_is(span_of(reply->string.data, noperm.len), noperm))) {
		conn_refused(c, reply->string);
		return;
	}
	c->ready = true;
	store_link_is_good(&c->link);
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
		conn_command(c, on_greeting, c, 3, argv);
	else if (s->password != NULL)
		conn_command(c, on_greeting, c, 2, old);
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
		conn_command(c, on_greeting, c, 2, argv);
}

static void
channels_send(struct store *s, const char *verb, struct span name,
    store_reply_fn *done, void *arg)
{
	const struct span argv[] = { span_str(verb), name };

	conn_command(&s->conn[CONN_CHANNELS], done, arg, 2, argv);
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

	if ((c->reader = redisReaderCreate()) == NULL)
		fatal("out of memory");
	conn_authenticate(c);
	conn_select(c);
	if (c->role == CONN_CHANNELS)
		channels_subscribe_all(c->store);
	conn_command(c, on_pong, c, 1, &ping);
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
		conn_refused(&s->conn[CONN_POP], reply->string);
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
	conn_send(c, on_popped, s, QUIET_SECONDS, argv,
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
		conn_command(&s->conn[CONN_CHANNELS], on_greeting,
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
		conn_send(&s->conn[CONN_COMMANDS], fn, arg, 0., first,
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
	.open = on_open, .bytes = on_bytes, .lost = on_lost,
};

bool
store_is_up(const struct store *s)
{
	return s->up;
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
	ev_init(&c->watch, on_watch);
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
