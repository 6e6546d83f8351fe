/* watch.c - a Redis list with its wake-up channel, taken from when woken. */
#include "config.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/queue.h>
#include <uthash.h>

#include "common/log.h"
#include "fcgi/watch.h"

enum {
	TAKE_MAX = 64,		/* elements in one LPOP */
	LOOK_AGAIN_SECONDS = 10, /* wake-ups are not trusted for longer */
};

struct watch {
	struct watches *all;
	struct store_key list;
	struct store_key channel;
	struct watch_handler handler;
	bool subscribed;	/* Redis has confirmed */
	bool may_have;		/* the list may hold something */
	bool popping;		/* an LPOP is on its way */
	bool woken;		/* a wake-up came since that LPOP */
	bool doomed;		/* freed while a reply is on its way */
	unsigned replies;	/* on their way */
	size_t asked;		/* elements, by the LPOP */
	ev_tstamp looked;
	UT_hash_handle hh;	/* by channel */
};

struct watches {
	struct ev_loop *loop;
	struct store *store;
	struct watch *by_channel;
};

static void take(struct watch *w);

static void
settle(struct watch *w)
{
	if (w->doomed && w->replies == 0)
		free(w);
}

/* Elements nobody had room for go back in front, in their order. */
static void
put_back(struct watch *w, const struct store_reply *element, size_t count)
{
	struct span argv[TAKE_MAX + 2];
	int argc = 0;

	argv[argc++] = span_str("LPUSH");
	argv[argc++] = store_key_span(&w->list);
	while (count-- > 0)
		argv[argc++] = element[count].string;
	store_command(w->all->store, NULL, NULL, argc, argv);
	struct span expire[] = { span_str("PEXPIRE"),
	    store_key_span(&w->list), span_str("60000") };

	store_command(w->all->store, NULL, NULL, 3, expire);
	watch_tell(w, span_str(""));
}

static void
took(void *arg, const struct store_reply *reply)
{
	struct watch *w = arg;

	w->popping = false;
	if (reply->kind == STORE_ARRAY && reply->count > 0) {
		/* More than was asked for is no answer of a Redis. */
		const size_t count = reply->count < w->asked ? reply->count :
		    w->asked;
		size_t i = 0;

		if (!w->doomed)
			while (i < count && w->handler.give(w->handler.arg,
			    reply->element[i].string))
				i++;
		if (i < count)
			put_back(w, reply->element + i, count - i);
		else if (count < w->asked)
			w->may_have = w->woken;
	} else if (reply->kind == STORE_NIL || reply->kind == STORE_ARRAY) {
		w->may_have = w->woken;
	} else if (reply->kind == STORE_ERROR) {
		log_error(NULL, "Redis refused to give from a list: %.*s",
		    (int)reply->string.len, reply->string.data);
		w->may_have = false;
	}
	if (!w->doomed)
		take(w);
	w->replies--;
	settle(w);
}

static void
take(struct watch *w)
{
	size_t room;
	char count[8];

	if (w->popping || !w->subscribed || !w->may_have ||
	    !store_is_up(w->all->store) ||
	    (room = w->handler.room(w->handler.arg)) == 0)
		return;
	w->asked = room < TAKE_MAX ? room : TAKE_MAX;
	snprintf(count, sizeof count, "%zu", w->asked);
	struct span argv[] = { span_str("LPOP"), store_key_span(&w->list),
	    span_str(count) };

	w->popping = true;
	w->woken = false;
	w->replies++;
	w->looked = ev_now(w->all->loop);
	store_command(w->all->store, took, w, 3, argv);
}

static void
subscribed(void *arg, const struct store_reply *reply)
{
	struct watch *w = arg;

	w->replies--;
	if (reply->kind == STORE_ERROR)
		log_error(NULL, "Redis refused a subscription, so nothing "
		    "will be taken from its list: %.*s",
		    (int)reply->string.len, reply->string.data);
	if (!w->doomed && reply->kind != STORE_LOST &&
	    reply->kind != STORE_ERROR) {
		w->subscribed = true;
		w->may_have = true;
		take(w);
	}
	settle(w);
}

void
watch_want(struct watch *w)
{
	if (ev_now(w->all->loop) - w->looked > LOOK_AGAIN_SECONDS)
		w->may_have = true;
	take(w);
}

void
watch_expect(struct watch *w)
{
	w->may_have = true;
}

bool
watch_is_quiet(const struct watch *w)
{
	return w->subscribed && !w->may_have && !w->popping;
}

struct watch *
watch_new(struct watches *all, struct store_key list,
    struct store_key channel, const struct watch_handler *handler)
{
	struct watch *w = calloc(1, sizeof *w);

	if (w == NULL)
		fatal("watch: out of memory");
	w->all = all;
	w->list = list;
	w->channel = channel;
	w->handler = *handler;
	HASH_ADD_KEYPTR(hh, all->by_channel, w->channel.text, w->channel.len,
	    w);
	w->replies++;
	store_subscribe(all->store, store_key_span(&w->channel), subscribed,
	    w);
	return w;
}

void
watch_free(struct watch *w)
{
	if (w == NULL)
		return;
	HASH_DELETE(hh, w->all->by_channel, w);
	store_unsubscribe(w->all->store, store_key_span(&w->channel));
	w->doomed = true;
	settle(w);
}

void
watch_tell(struct watch *w, struct span word)
{
	struct span publish[] = { span_str("PUBLISH"),
	    store_key_span(&w->channel), word };

	store_command(w->all->store, NULL, NULL, 3, publish);
}

bool
watches_message(struct watches *all, struct span channel,
    struct span payload)
{
	struct watch *w;

	HASH_FIND(hh, all->by_channel, channel.data, channel.len, w);
	if (w == NULL)
		return false;
	if (payload.len > 0) {
		if (w->handler.told != NULL)
			w->handler.told(w->handler.arg, payload);
		return true;
	}
	w->may_have = true;
	w->woken = true;
	take(w);
	return true;
}

void
watches_store_up(struct watches *all)
{
	struct watch *w, *next;

	/* The store has subscribed again; what was published meanwhile is
	 * unknown. */
	HASH_ITER(hh, all->by_channel, w, next) {
		w->subscribed = true;
		w->may_have = true;
		take(w);
	}
}

struct watches *
watches_new(struct ev_loop *loop, struct store *store)
{
	struct watches *all = calloc(1, sizeof *all);

	if (all == NULL)
		fatal("watch: out of memory");
	all->loop = loop;
	all->store = store;
	return all;
}

void
watches_free(struct watches *all)
{
	struct watch *w, *next;

	if (all == NULL)
		return;
	HASH_ITER(hh, all->by_channel, w, next)
		watch_free(w);
	free(all);
}
