/* agent_native_session.c - what a worker keeps of a native agent between its
 * calls: the parked ones, its mail in Redis, and frames for its next call. */
#include "config.h"

#include <stdlib.h>
#include <string.h>

#include "common/hex.h"
#include "common/log.h"
#include "fcgi/agent_native_private.h"
#include "fcgi/auth.h"

/* Frames for an agent between two calls wait this long for the next one to
 * come here; then they go to Redis, where every worker finds them. */
static const double outbox_seconds = 0.02;
static const double outbox_recent_seconds = 0.1;

/* For so long it is enough to have noted that a backend is attended. */
static const double look_again_seconds = 1.0;

static struct native_call *
parked_call(struct session *s)
{
	struct native_call *c;

	TAILQ_FOREACH(c, &s->parked, session_link)
		if (buf_len(&c->answer) < ANSWER_SOFT_MAX)
			return c;
	return NULL;
}

static size_t
mail_room(void *arg)
{
	return parked_call(arg) == NULL ? 0 : 16;
}

static bool
mail_give(void *arg, struct span frames)
{
	struct native_call *c = parked_call(arg);

	if (frames.len > ANSWER_SOFT_MAX) {
		log_error(NULL, "frames of %zu bytes for an agent were "
		    "dropped", frames.len);
		return true;
	}
	if (c == NULL || buf_append_span(&c->answer, frames) != WIRE_OK)
		return false;
	native_call_mark_dirty(c);
	return true;
}

void
session_told(struct session *s, struct span word)
{
	struct native_call *c;

	if (span_is(word, span_str(SESSION_LEAVING)))
		s->leaving = true;
	TAILQ_FOREACH(c, &s->parked, session_link) {
		c->waiter.capacity = 0;
		native_call_mark_dirty(c);
	}
}

static void
mail_told(void *arg, struct span word)
{
	session_told(arg, word);
}

void
session_outbox_to_redis(struct session *s)
{
	if (buf_len(&s->outbox) == 0)
		return;
	ev_timer_stop(s->all->parts->loop, &s->outbox_timer);
	mailbox_store_for_agent(s->all->parts->mailbox, s->instance,
	    buf_span(&s->outbox));
	buf_clear(&s->outbox);
	watch_expect(s->mail);
}

static void
on_outbox_timer(struct ev_loop *loop, ev_timer *timer, int events)
{
	(void)loop;
	(void)events;
	session_outbox_to_redis(timer->data);
}

void
session_outbox_to_call(struct session *s, struct native_call *c)
{
	if (buf_len(&s->outbox) == 0 || buf_append_span(&c->answer,
	    buf_span(&s->outbox)) != WIRE_OK)
		return;
	ev_timer_stop(s->all->parts->loop, &s->outbox_timer);
	buf_clear(&s->outbox);
	native_call_mark_dirty(c);
}

static bool
outbox_take(struct session *s, struct span frames)
{
	if (!mailbox_is_alone(s->all->parts->mailbox) ||
	    ev_now(s->all->parts->loop) - s->called > outbox_recent_seconds ||
	    buf_append_span(&s->outbox, frames) != WIRE_OK)
		return false;
	if (!ev_is_active(&s->outbox_timer)) {
		ev_timer_set(&s->outbox_timer, outbox_seconds, 0.);
		ev_timer_start(s->all->parts->loop, &s->outbox_timer);
	}
	return true;
}

struct session *
session_find(struct agent_native *n, const unsigned char *instance)
{
	struct session *s;

	HASH_FIND(hh, n->sessions, instance, AGENT_INSTANCE_LEN, s);
	return s;
}

/* What an agent calls itself is its own word; its identity is proven. */
static void
bind_instance(const char *identity, const unsigned char *instance,
    unsigned char bound[AGENT_INSTANCE_LEN])
{
	struct span parts[] = { span_str(identity),
	    span_of((const char *)instance, AGENT_INSTANCE_LEN) };

	auth_digest(parts, sizeof parts / sizeof *parts, bound);
}

static struct session *
session_new(struct agent_native *n, const unsigned char *instance)
{
	char hex[2 * AGENT_INSTANCE_LEN + 1];
	struct session *s = calloc(1, sizeof *s);

	if (s == NULL)
		fatal("agent_native: out of memory");
	s->all = n;
	memcpy(s->instance, instance, AGENT_INSTANCE_LEN);
	TAILQ_INIT(&s->parked);
	buf_init(&s->outbox, ANSWER_SOFT_MAX);
	buf_init(&s->backends, FRAME_PAYLOAD_MAX);
	ev_timer_init(&s->outbox_timer, on_outbox_timer, 0., 0.);
	s->outbox_timer.data = s;
	hex_encode(instance, AGENT_INSTANCE_LEN, hex);
	struct watch_handler handler = { mail_room, mail_give, mail_told, s };

	s->mail = watch_new(n->parts->watches,
	    store_key_agent_mail(span_str(hex)),
	    store_key_agent_wake(span_str(hex)), &handler);
	HASH_ADD(hh, n->sessions, instance, AGENT_INSTANCE_LEN, s);
	return s;
}

struct session *
session_of(struct agent_native *n, const char *identity,
    const unsigned char *instance)
{
	unsigned char bound[AGENT_INSTANCE_LEN];

	bind_instance(identity, instance, bound);
	return session_find(n, bound);
}

struct session *
session_get(struct agent_native *n, const char *identity,
    const unsigned char *instance)
{
	unsigned char bound[AGENT_INSTANCE_LEN];
	struct quota_place *place;
	struct session *s;

	bind_instance(identity, instance, bound);
	if ((s = session_find(n, bound)) != NULL)
		return s;
	if (!quota_take(n->parts->agents_quota, span_str(identity), &place))
		return NULL;
	s = session_new(n, bound);
	s->place = place;
	return s;
}

/* Its mail is taken from Redis, in which it would be for a minute. */
void
session_lost(struct agent_native *n, const unsigned char *instance)
{
	char hex[2 * AGENT_INSTANCE_LEN + 1];
	struct session *s = session_find(n, instance);

	hex_encode(instance, AGENT_INSTANCE_LEN, hex);
	struct store_key mail = store_key_agent_mail(span_str(hex));
	struct store_key wake = store_key_agent_wake(span_str(hex));
	struct span del[] = { span_str("DEL"), store_key_span(&mail) };
	struct span tell[] = { span_str("PUBLISH"), store_key_span(&wake),
	    span_str(SESSION_LOST) };

	if (s != NULL)
		session_told(s, span_str(SESSION_LOST));
	store_command(n->parts->store, NULL, NULL, 2, del);
	store_command(n->parts->store, NULL, NULL, 3, tell);
}

void
session_free(struct session *s)
{
	quota_give_back(s->place);
	hand_out_list_free(s->rooms);
	buf_clear(&s->backends);
	ev_timer_stop(s->all->parts->loop, &s->outbox_timer);
	buf_clear(&s->outbox);
	HASH_DELETE(hh, s->all->sessions, s);
	watch_free(s->mail);
	free(s);
}

bool
session_take(struct session *s, struct span frames)
{
	/* Not past what still waits for it in Redis. */
	if (!watch_is_quiet(s->mail))
		return false;
	if (buf_len(&s->outbox) == 0 && mail_give(s, frames))
		return true;
	if (outbox_take(s, frames))
		return true;
	session_outbox_to_redis(s);
	return false;
}

bool
session_recall_backends(struct session *s, struct native_call *c,
    struct span named)
{
	struct agent_parts *parts = s->all->parts;

	if (s->rooms == NULL ||
	    s->generation != registry_generation(parts->registry) ||
	    ev_now(parts->loop) - s->looked > look_again_seconds ||
	    !span_is(named, buf_span(&s->backends)))
		return false;
	if (buf_append_span(&c->agent.backends, named) != WIRE_OK)
		fatal("agent_native: out of memory");
	return true;
}

void
session_keep_backends(struct session *s, const struct native_call *c,
    struct span named)
{
	struct agent_parts *parts = s->all->parts;

	hand_out_list_free(s->rooms);
	s->rooms = NULL;
	/* What is refused is said in each answer. */
	if (!span_is(named, buf_span(&c->agent.backends)))
		return;
	buf_drain(&s->backends, buf_len(&s->backends));
	s->rooms = hand_out_list_new(parts->hand_out, named);
	if (s->rooms == NULL || buf_append_span(&s->backends, named) !=
	    WIRE_OK)
		fatal("agent_native: out of memory");
	s->generation = registry_generation(parts->registry);
	s->looked = ev_now(parts->loop);
}

void
session_wait(struct session *s, struct native_call *c)
{
	struct span backends = buf_span(&c->agent.backends);
	int r;

	c->waiter.since = ev_now(s->all->parts->loop);
	/* Some may have been taken from the call since. */
	if (s->rooms != NULL && span_is(backends, buf_span(&s->backends)))
		r = hand_out_wait_by_list(&c->waiter, s->rooms);
	else
		r = hand_out_wait(s->all->parts->hand_out, &c->waiter,
		    backends);
	if (r != 0)
		fatal("agent_native: out of memory");
}
