/* agent_native.c - the native protocol at the worker that an agent calls: its
 * calls and their frames.  It keeps nothing of an exchange: frames go to the
 * owners and come from them. */
#include "config.h"

#include <stdlib.h>
#include <string.h>

#include "common/log.h"
#include "fcgi/agent_native_private.h"
#include "fcgi/lease.h"
#include "fcgi/reply.h"

enum {
	SWEEP_SECONDS = 30,
	SESSION_IDLE_SECONDS = 60,
	READ_MAX = 64 * 1024,
	/* A call is read no further while so many of its envelopes are not
	 * confirmed, or any when so much waits for Redis: no agent fills the
	 * link to it. */
	BUSY_MAX = 16,
	UNSENT_MAX = 4 * 1024 * 1024,
};

static const char not_its_backends[] =
    "None of these backends is this agent's.";
static const char content_type[] = "application/vnd.inverting-proxy.frames";

void
native_must(int r)
{
	if (r != WIRE_OK)
		fatal("agent_native: %s", wire_strerror(r));
}

void
native_call_mark_dirty(struct native_call *c)
{
	if (c->is_dirty)
		return;
	c->is_dirty = true;
	TAILQ_INSERT_TAIL(&c->all->dirty, c, dirty_link);
}

/* --- the life of a call --- */

static void
unpark(struct native_call *c)
{
	if (!c->is_parked)
		return;
	c->is_parked = false;
	ev_timer_stop(c->all->parts->loop, &c->timer);
	TAILQ_REMOVE(&c->session->parked, c, session_link);
	hand_out_leave(c->all->parts->hand_out, &c->waiter);
}

/* Once it is answered (or gone) and nothing refers to it. */
static void
settle(struct native_call *c)
{
	if (c->call != NULL || c->busy > 0)
		return;
	if (c->is_dirty)
		TAILQ_REMOVE(&c->all->dirty, c, dirty_link);
	if (c->session != NULL)
		c->session->calls--;
	buf_clear(&c->in);
	buf_clear(&c->answer);
	agent_call_end(&c->agent);
	free(c);
}

static void
refuse(struct native_call *c, int status, const char *why)
{
	struct call *call = c->call;

	unpark(c);
	c->call = NULL;
	call_set_data(call, NULL);
	reply_text(call, status, why, NULL, status == 503 || status == 429 ?
	    1 : 0);
	settle(c);
}

/* Apache passes content of any size on from memory.  lighttpd writes what is
 * longer than 64 KiB to a temporary file, a new one for every 16 KiB of it. */
static uint32_t
best_call_size(const struct call *call)
{
	return call_is_from_apache(call) ? 0 : 64 * 1024;
}

static void
answer(struct native_call *c)
{
	const struct settings *settings = c->all->parts->settings;
	struct frame welcome = { .type = FRAME_WELCOME,
	    .version = FRAME_VERSION,
	    .park_ms = (unsigned)settings->poll_timeout_ms,
	    .lease_ms = (unsigned)(settings->lease_ms * 4 / 10),
	    .call_size = best_call_size(c->call) };
	struct call *call = c->call;
	struct buf head, out;

	unpark(c);
	buf_init(&head, 1024);
	native_must(frame_encode(&head, &welcome));
	buf_init(&out, 1024);
	native_must(buf_printf(&out, "Status: 200 OK\r\nContent-Type: %s\r\n"
	    "Content-Length: %zu\r\nCache-Control: no-store\r\n\r\n",
	    content_type, buf_len(&head) + buf_len(&c->answer)));
	native_must(buf_append_span(&out, buf_span(&head)));
	call_write(call, buf_data(&out), buf_len(&out));
	call_write(call, buf_data(&c->answer), buf_len(&c->answer));
	buf_clear(&head);
	buf_clear(&out);
	c->call = NULL;
	call_set_data(call, NULL);
	call_finish(call);
	settle(c);
}

/* Answered with what there is; its agent calls again if it is there. */
static void
recall(struct waiter *w)
{
	w->capacity = 0;
	native_call_mark_dirty((struct native_call *)(void *)((char *)w -
	    offsetof(struct native_call, waiter)));
}

static void
give(struct waiter *w, struct span encoded, const struct frame *open)
{
	struct native_call *c = (struct native_call *)(void *)((char *)w -
	    offsetof(struct native_call, waiter));
	struct address self = address_agent(c->session->instance);
	struct address owner = address_owner(&open->id);
	struct frame handed = { .type = FRAME_HANDED, .id = open->id };
	struct buf out;

	native_must(buf_append_span(&c->answer, encoded));
	w->capacity = buf_len(&c->answer) < ANSWER_SOFT_MAX ?
	    w->capacity - 1 : 0;
	native_call_mark_dirty(c);
	buf_init(&out, 256);
	native_must(frame_encode(&out, &handed));
	mailbox_send(c->all->parts->mailbox, &owner, &self,
	    buf_span(&c->agent.backends), buf_span(&out), NULL, NULL);
	buf_clear(&out);
}

static void
on_timer(struct ev_loop *loop, ev_timer *timer, int events)
{
	(void)loop;
	(void)events;
	answer(timer->data);
}

static void
park(struct native_call *c)
{
	struct agent_parts *parts = c->all->parts;
	double seconds = (double)parts->settings->poll_timeout_ms / 1000;
	double busy = (double)parts->settings->lease_ms / 4000;

	if (c->in_flight > 0 && busy < seconds)
		seconds = busy;
	c->is_parked = true;
	/* The newest gets what comes: an older one may have nobody left at its
	 * other end, which the web server does not tell. */
	TAILQ_INSERT_HEAD(&c->session->parked, c, session_link);
	ev_timer_set(&c->timer, seconds, 0.);
	ev_timer_start(parts->loop, &c->timer);
	if (buf_len(&c->answer) >= ANSWER_SOFT_MAX)
		c->waiter.capacity = 0;
	watch_want(c->session->mail);
	if (c->waiter.capacity > 0)
		session_wait(c->session, c);
}

/* Everything from the agent is in, and with the owners. */
static void
go_on(struct native_call *c)
{
	if (c->call == NULL || !c->is_in || c->busy > 0 || c->is_parked)
		return;
	if (c->session == NULL) {
		refuse(c, 400, "The call does not begin with HELLO.");
		return;
	}
	if (c->lost || !store_is_up(c->all->parts->store)) {
		refuse(c, 503, "The proxy's store is not available.");
		return;
	}
	c->session->called = ev_now(c->all->parts->loop);
	session_outbox_to_call(c->session, c);
	/* Who leaves has exchanges in hand all the same: their windows need
	 * a parked call. */
	if (c->wants_park && agent_call_may_park(c->all->parts, c->call) &&
	    (!c->session->leaving || c->waiter.capacity == 0)) {
		park(c);
		if (buf_len(&c->answer) > 0)
			native_call_mark_dirty(c);
	} else {
		native_call_mark_dirty(c);
	}
}

/* --- from the agent --- */

static void on_content(struct agent_call *agent);

void
native_call_sent(struct native_call *c)
{
	c->busy--;
	if (c->call == NULL)
		settle(c);
	else if (c->is_in)
		go_on(c);
	else if (!c->is_reading)
		on_content(&c->agent);
}

static bool
has_backend(struct span list, struct span backend)
{
	struct span other;

	while (frame_next_backend(&list, &other))
		if (span_is(other, backend))
			return true;
	return false;
}

/* Takes note of the backends the agent may serve, each once; false: none. */
static bool
allow_backends(struct native_call *c, struct span list)
{
	struct span backend;

	while (frame_next_backend(&list, &backend)) {
		if (has_backend(buf_span(&c->agent.backends), backend) ||
		    agent_call_allow(&c->agent, c->all->parts, backend))
			continue;
		struct frame refused = { .type = FRAME_REFUSED, .code = 403,
		    .backend = backend,
		    .text = span_str("not a backend of this agent") };

		native_must(frame_encode(&c->answer, &refused));
	}
	return buf_len(&c->agent.backends) > 0;
}

/* false: the call was refused. */
static bool
take_hello(struct native_call *c, const struct frame *hello)
{
	struct agent_parts *parts = c->all->parts;
	struct session *s;

	if (hello->version != FRAME_VERSION) {
		refuse(c, 400, "This version of the native protocol is not "
		    "spoken here.");
		return false;
	}
	s = session_of(c->all, c->agent.identity, hello->instance);
	if (s == NULL || !session_recall_backends(s, c, hello->backends)) {
		if (!allow_backends(c, hello->backends)) {
			login_failed(parts->logins, c->call, 403,
			    not_its_backends);
			refuse(c, 403, not_its_backends);
			return false;
		}
		if (s == NULL && (s = session_get(c->all, c->agent.identity,
		    hello->instance)) == NULL) {
			login_over_limit(parts->logins, c->call, 429,
			    c->agent.identity, "--agent-limit");
			refuse(c, 429, "There are too many agents of this "
			    "identity.");
			return false;
		}
		session_keep_backends(s, c, hello->backends);
	}
	c->session = s;
	s->calls++;
	s->called = ev_now(parts->loop);
	c->waiter.capacity = hello->capacity;
	c->wants_park = hello->flags & FRAME_FLAG_PARK;
	if (hello->flags & FRAME_FLAG_LEAVING && !s->leaving) {
		session_told(s, span_str(SESSION_LEAVING));
		watch_tell(s->mail, span_str(SESSION_LEAVING));
	}
	c->in_flight = hello->in_flight;
	exchanges_agent_seen(parts->exchanges, s->instance);
	if (hello->in_flight > 0 && ev_now(parts->loop) - s->signed_at >
	    (double)parts->settings->lease_ms / 8000) {
		s->signed_at = ev_now(parts->loop);
		lease_sign(parts->store, s->instance,
		    parts->settings->lease_ms);
	}
	return true;
}

static bool
is_for_owner(unsigned type)
{
	switch (type) {
	case FRAME_HEAD:
	case FRAME_DATA:
	case FRAME_WINDOW:
	case FRAME_RESET:
	case FRAME_ACCEPT:
		return true;
	default:
		return false;
	}
}

static bool
is_from_agent(const struct native_call *c, unsigned type)
{
	switch (type) {
	case FRAME_HELLO:
		return c->session == NULL;
	case FRAME_WELCOME:
	case FRAME_REFUSED:
	case FRAME_OPEN:
	case FRAME_HANDED:
	case FRAME_FETCH:
		return false;
	default:
		return c->session != NULL;
	}
}

/* A frame that might be one, but is more than we take. */
static bool
is_too_large(const struct native_call *c, struct span in)
{
	size_t len = frame_payload_len(in);

	return len > (size_t)c->all->parts->settings->frame_limit &&
	    len <= FRAME_CALL_MAX;
}

/* Takes the whole frames that are there.  false: the call was refused. */
static bool
take_frames(struct native_call *c)
{
	struct span rest = buf_span(&c->in);
	struct native_mail mail = { .call = c };
	const char *wrong = NULL;
	struct frame frame;
	int status = 400, r = WIRE_MORE;

	for (;;) {
		const char *start = rest.data;

		if (is_too_large(c, rest)) {
			status = 413;
			wrong = "A frame is too large.";
			break;
		}
		r = frame_decode(&rest, &frame);
		if (r != WIRE_DONE)
			break;
		if (!is_from_agent(c, frame.type)) {
			wrong = "A frame that is not an agent's, or "
			    "not in its place.";
			break;
		}
		if (is_for_owner(frame.type))
			native_mail_add(&mail, &frame.id, span_of(start,
			    (size_t)(rest.data - start)));
		else if (frame.type == FRAME_HELLO && !take_hello(c, &frame))
			/* It is the first: no frame is in the mail. */
			return false;
	}
	native_mail_send(&mail);
	if (wrong != NULL) {
		if (status == 413)
			login_over_limit(c->all->parts->logins, c->call,
			    status, c->agent.identity, "--frame-limit");
		refuse(c, status, wrong);
		return false;
	}
	if (r != WIRE_MORE) {
		refuse(c, 400, wire_strerror(r));
		return false;
	}
	buf_drain(&c->in, buf_len(&c->in) - rest.len);
	return true;
}

static bool
may_read_on(const struct native_call *c)
{
	return c->busy == 0 || (c->busy < BUSY_MAX &&
	    store_unsent(c->all->parts->store) < UNSENT_MAX);
}

static void
on_content(struct agent_call *agent)
{
	struct native_call *c = (struct native_call *)(void *)agent;
	size_t len;
	char *room;

	c->is_reading = true;
	while (may_read_on(c) && (len = call_readable(c->call)) > 0) {
		if (len > READ_MAX)
			len = READ_MAX;
		if ((room = buf_reserve(&c->in, len)) == NULL) {
			refuse(c, 413, "A frame is too large.");
			return;
		}
		len = call_read(c->call, room, len);
		buf_commit(&c->in, len);
		c->left -= len < c->left ? len : c->left;
		if (!take_frames(c))
			return;
	}
	c->is_reading = false;
	if (c->is_in || call_readable(c->call) > 0 ||
	    !call_content_ended(c->call))
		return;
	/* Some web server has sent it again without all of its content. */
	if (c->left > 0) {
		refuse(c, 503, "The call's content was lost on its way.");
		return;
	}
	if (buf_len(&c->in) > 0) {
		refuse(c, 400, "The content ends in the middle of a frame.");
		return;
	}
	c->is_in = true;
	go_on(c);
}

static void
on_drained(struct agent_call *agent)
{
	(void)agent;
}

static void
on_gone(struct agent_call *agent)
{
	struct native_call *c = (struct native_call *)(void *)agent;

	unpark(c);
	c->call = NULL;
	settle(c);
}

/* Its next call names what it serves anew. */
static void
on_recall(struct agent_call *agent)
{
	struct native_call *c = (struct native_call *)(void *)agent;

	if (!c->is_parked)
		return;
	c->waiter.capacity = 0;
	native_call_mark_dirty(c);
}

static void
on_revoked(struct agent_call *agent, int status, const char *why)
{
	struct native_call *c = (struct native_call *)(void *)agent;

	if (c->call != NULL)
		refuse(c, status, why);
}

static const struct agent_call_handler native_handler = {
	.content = on_content,
	.drained = on_drained,
	.gone = on_gone,
	.recall = on_recall,
	.revoked = on_revoked,
};

void
agent_native_exchange(struct agent_native *n, struct call *call,
    const struct agent_caller *caller)
{
	const char *length = call_param(call, "CONTENT_LENGTH");
	unsigned long long len;
	struct native_call *c;

	if (length == NULL || !span_to_u64(span_str(length), &len)) {
		reply_text(call, 411, "Content-Length is needed.", NULL, 0);
		return;
	}
	if (len > FRAME_CALL_MAX) {
		login_over_limit(n->parts->logins, call, 413, caller->identity,
		    "4 MiB of a call");
		reply_text(call, 413, "A call may have at most 4 MiB.", NULL,
		    0);
		return;
	}
	if ((c = calloc(1, sizeof *c)) == NULL)
		fatal("agent_native: out of memory");
	if (!agent_call_begin(&c->agent, n->parts, call, caller,
	    &native_handler)) {
		free(c);
		return;
	}
	c->waiter.give = give;
	c->waiter.recall = recall;
	c->all = n;
	c->call = call;
	c->left = len;
	buf_init(&c->in, (size_t)n->parts->settings->frame_limit +
	    FRAME_HEADER_LEN + READ_MAX);
	buf_init(&c->answer, FRAME_CALL_MAX);
	ev_timer_init(&c->timer, on_timer, 0., 0.);
	c->timer.data = c;
	call_set_data(call, c);
	on_content(&c->agent);
}

/* --- from the owners --- */

bool
agent_native_take(struct agent_native *n, const unsigned char *instance,
    struct span frames)
{
	struct session *s = session_find(n, instance);

	return s != NULL && session_take(s, frames);
}

void
agent_native_lost(struct agent_native *n, const unsigned char *instance)
{
	session_lost(n, instance);
}

void
agent_native_turn(struct agent_native *n)
{
	struct native_call *c;

	while ((c = TAILQ_FIRST(&n->dirty)) != NULL) {
		TAILQ_REMOVE(&n->dirty, c, dirty_link);
		c->is_dirty = false;
		if (c->call != NULL)
			answer(c);
	}
}

void
agent_native_recall(struct agent_native *n)
{
	struct session *s, *next;
	struct native_call *c;

	HASH_ITER(hh, n->sessions, s, next) {
		session_outbox_to_redis(s);
		TAILQ_FOREACH(c, &s->parked, session_link)
			native_call_mark_dirty(c);
	}
}

static void
on_sweep(struct ev_loop *loop, ev_timer *timer, int events)
{
	struct agent_native *n = timer->data;
	struct session *s, *next;

	(void)events;
	HASH_ITER(hh, n->sessions, s, next)
		if (s->calls == 0 &&
		    ev_now(loop) - s->called > SESSION_IDLE_SECONDS)
			session_free(s);
}

struct agent_native *
agent_native_new(struct agent_parts *parts)
{
	struct agent_native *n = calloc(1, sizeof *n);

	if (n == NULL)
		fatal("agent_native: out of memory");
	n->parts = parts;
	TAILQ_INIT(&n->dirty);
	ev_timer_init(&n->sweep, on_sweep, SWEEP_SECONDS, SWEEP_SECONDS);
	n->sweep.data = n;
	ev_timer_start(parts->loop, &n->sweep);
	ev_unref(parts->loop);
	return n;
}

/* The responder is gone, and with it every call. */
void
agent_native_free(struct agent_native *n)
{
	struct session *s, *next;

	if (n == NULL)
		return;
	ev_ref(n->parts->loop);
	ev_timer_stop(n->parts->loop, &n->sweep);
	HASH_ITER(hh, n->sessions, s, next)
		session_free(s);
	free(n);
}
