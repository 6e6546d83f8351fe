/* store_conn.c - one connection to Redis: commands in the form that goes over
 * the wire, replies as the worker sees them, and the time they may take. */
#include "config.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/log.h"
#include "fcgi/store_private.h"

/* A reply that is not complete after this much is no reply of ours, nor is an
 * array of so many. */
enum { REPLY_MAX = 128 * 1024 * 1024, ELEMENTS_MAX = 1024 * 1024 };

/* --- the parser --- */

#if HIREDIS_MAJOR >= 1
typedef size_t element_count;
#else
typedef int element_count;
#endif

static void *(*make_array)(const redisReadTask *task, element_count count);

/* hiredis takes room for all elements that are announced, before any has
 * come: for 2 GiB of them that is 16 GiB, and a minute to look through. */
static void *
make_bounded_array(const redisReadTask *task, element_count count)
{
	return count > ELEMENTS_MAX ? NULL : make_array(task, count);
}

redisReader *
store_conn_reader(void)
{
	static redisReplyObjectFunctions functions;
	redisReader *reader = redisReaderCreate();

	if (reader == NULL)
		fatal("out of memory");
	if (make_array == NULL) {
		functions = *reader->fn;
		make_array = functions.createArray;
		functions.createArray = make_bounded_array;
	}
	reader->fn = &functions;
	return reader;
}

/* --- commands --- */

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

/* Of words in two parts, one after the other. */
static struct span
word_at(const struct span *first, size_t first_count, const struct span *rest,
    size_t i)
{
	return i < first_count ? first[i] : rest[i - first_count];
}

/* A command as an array of bulk strings.  `more` seconds: how much longer
 * than usual the reply may take. */
void
store_conn_send(struct conn *c, store_reply_fn *fn, void *arg, double more,
    const struct span *first, int first_count, const struct span *rest,
    int rest_count)
{
	enum { COUNT_LEN = 24 };
	const size_t count = (size_t)first_count + (size_t)rest_count;
	size_t size = COUNT_LEN * (count + 1);
	char *start, *p;

	for (size_t i = 0; i < count; i++)
		size += 2 + word_at(first, (size_t)first_count, rest, i).len;
	if ((start = buf_reserve(&c->link.out, size)) == NULL) {
		store_link_doom(&c->link, "too much waits to be sent");
		store_refuse(c->store, fn, arg);
		return;
	}
	p = put_count(start, '*', count);
	for (size_t i = 0; i < count; i++) {
		const struct span s = word_at(first, (size_t)first_count,
		    rest, i);

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

void
store_conn_command(struct conn *c, store_reply_fn *fn, void *arg, int argc,
    const struct span *argv)
{
	store_conn_send(c, fn, arg, 0., argv, argc, NULL, 0);
}

void
store_conn_watch(struct ev_loop *loop, ev_timer *timer, int revents)
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

	/* There is always one more, so that it points somewhere. */
	if (need >= s->element_cap) {
		free(s->elements);
		s->element_cap = need + need / 2 + 1;
		s->elements = calloc(s->element_cap, sizeof(*s->elements));
		if (s->elements == NULL)
			fatal("out of memory");
	}
	room = s->elements;
	return view_reply(r, &room);
}

int
store_brief_len(struct span message)
{
	return message.len < 200 ? (int)message.len : 200;
}

void
store_log_error(const struct store *s, struct span message)
{
	log_warn(NULL, "Redis at %s refused a command: %.*s", s->address.text,
	    store_brief_len(message), message.data);
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

/* Does Redis refuse whatever changes it: full, a replica, unable to save?
 * It is of no more use than one that is away, and half of what an exchange
 * needs done is worse than nothing. */
static bool
is_unusable(const struct store_reply *reply)
{
	static const char *const words[] = { "OOM ", "READONLY ", "MISCONF ",
		"NOREPLICAS " };

	if (reply->kind != STORE_ERROR)
		return false;
	for (size_t i = 0; i < sizeof words / sizeof *words; i++)
		if (reply->string.len >= strlen(words[i]) &&
		    memcmp(reply->string.data, words[i],
		    strlen(words[i])) == 0)
			return true;
	return false;
}

void
store_conn_refused(struct conn *c, struct span message)
{
	char why[256];

	snprintf(why, sizeof(why), "%.*s", store_brief_len(message),
	    message.data);
	c->refused = true;
	store_link_lose(&c->link, why);
}

static void
conn_take_reply(struct conn *c, const struct store_reply *reply)
{
	const struct store_reply lost = { .kind = STORE_LOST };
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
	if (is_unusable(reply)) {
		if (waiter.fn != NULL)
			waiter.fn(waiter.arg, &lost);
		store_conn_refused(c, reply->string);
		return;
	}
	if (waiter.fn != NULL)
		waiter.fn(waiter.arg, reply);
	else if (reply->kind == STORE_ERROR)
		store_log_error(s, reply->string);
}

void
store_conn_bytes(void *arg, struct span bytes)
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
		store_link_lose(&c->link, "a reply is over 128 MiB");
}
