/* agent_native_session.c - what a worker keeps of a native agent between its
 * calls: the parked ones, its mail in Redis, and frames for its next call. */
#include "config.h"

#include <stdlib.h>
#include <string.h>

#include "common/hex.h"
#include "common/log.h"
#include "fcgi/agent_native_private.h"

/* Frames for an agent between two calls wait this long for the next one to
 * come here; then they go to Redis, where every worker finds them. */
static const double outbox_seconds = 0.02;
static const double outbox_recent_seconds = 0.1;

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

struct session *
session_get(struct agent_native *n, const unsigned char *instance)
{
	char hex[2 * AGENT_INSTANCE_LEN + 1];
	struct session *s = session_find(n, instance);

	if (s != NULL)
		return s;
	if ((s = calloc(1, sizeof *s)) == NULL)
		fatal("agent_native: out of memory");
	s->all = n;
	memcpy(s->instance, instance, AGENT_INSTANCE_LEN);
	TAILQ_INIT(&s->parked);
	buf_init(&s->outbox, ANSWER_SOFT_MAX);
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

void
session_free(struct session *s)
{
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
