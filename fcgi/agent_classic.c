/* agent_classic.c - the classic protocol's list of pending exchanges, and what
 * its three calls share.  Fetch and response are in agent_classic_fetch.c and
 * agent_classic_post.c. */
#include "config.h"

#include <stdio.h>
#include <stdlib.h>

#include "common/log.h"
#include "fcgi/agent_classic_private.h"
#include "fcgi/auth.h"
#include "fcgi/lease.h"
#include "fcgi/reply.h"

enum { PENDING_MAX = 100, SWEEP_SECONDS = 60 };

struct poll {
	struct classic_call base;	/* first */
	struct waiter waiter;
	struct buf ids;			/* JSON, without its brackets */
	bool is_dirty;
	ev_timer timer;
	TAILQ_ENTRY(poll) link;		/* of all polls */
	TAILQ_ENTRY(poll) dirty_link;
};

void
classic_must(int r)
{
	if (r != WIRE_OK)
		fatal("agent_classic: %s", wire_strerror(r));
}

/* --- what the calls share --- */

/* The classic protocol has no name for an agent.  Ours give themselves one;
 * others are told apart by their tokens.  Not by where they call from: of one
 * with two addresses the first would seem lost, and the second a stranger. */
static void
find_instance(struct classic_call *c, struct span backend)
{
	struct span parts[] = { span_str(c->agent.identity), backend,
	    span_str(call_param(c->call, "HTTP_X_INVERTING_PROXY_AGENT_ID")),
	    span_str(call_param(c->call, "HTTP_X_INVERTING_PROXY_VM_ID")),
	    span_str(c->agent.token) };

	auth_digest(parts, sizeof parts / sizeof *parts, c->instance);
}

void
classic_call_sign(struct classic_call *c)
{
	struct agent_parts *parts = c->all->parts;
	ev_tstamp now = ev_now(parts->loop);
	struct classic_agent *agent;

	HASH_FIND(hh, c->all->agents, c->instance, AGENT_INSTANCE_LEN, agent);
	if (agent == NULL) {
		if ((agent = calloc(1, sizeof *agent)) == NULL)
			fatal("agent_classic: out of memory");
		memcpy(agent->instance, c->instance, AGENT_INSTANCE_LEN);
		HASH_ADD(hh, c->all->agents, instance, AGENT_INSTANCE_LEN,
		    agent);
	}
	exchanges_agent_seen(parts->exchanges, c->instance);
	if (now - agent->signed_at <=
	    (double)parts->settings->lease_ms / 8000)
		return;
	agent->signed_at = now;
	lease_sign(parts->store, c->instance, parts->settings->lease_ms);
}

static void
on_sweep(struct ev_loop *loop, ev_timer *timer, int events)
{
	struct agent_classic *all = timer->data;
	struct classic_agent *agent, *next;

	(void)events;
	HASH_ITER(hh, all->agents, agent, next)
		if (ev_now(loop) - agent->signed_at > SWEEP_SECONDS) {
			HASH_DELETE(hh, all->agents, agent);
			free(agent);
		}
}

bool
classic_call_init(struct classic_call *c, struct agent_classic *all,
    struct call *call, const struct agent_caller *caller,
    const struct agent_call_handler *handler)
{
	const char *backend = call_param(call,
	    "HTTP_X_INVERTING_PROXY_BACKEND_ID");

	if (backend == NULL || backend[0] == '\0') {
		reply_text(call, 400, "X-Inverting-Proxy-Backend-ID is "
		    "missing.", NULL, 0);
		return false;
	}
	if (!agent_call_begin(&c->agent, all->parts, call, caller, handler))
		return false;
	if (!agent_call_allow(&c->agent, all->parts, span_str(backend))) {
		agent_call_end(&c->agent);
		agent_call_refuse(all->parts, call, 403,
		    "This is not a backend of this agent.");
		return false;
	}
	c->all = all;
	c->call = call;
	c->number = call_number(call);
	find_instance(c, span_str(backend));
	classic_call_sign(c);
	HASH_ADD(hh, all->by_number, number, sizeof c->number, c);
	return true;
}

bool
classic_call_read_id(struct call *call, struct exchange_id *id)
{
	const char *text = call_param(call,
	    "HTTP_X_INVERTING_PROXY_REQUEST_ID");

	if (text == NULL || text[0] == '\0') {
		reply_text(call, 400, "X-Inverting-Proxy-Request-ID is "
		    "missing.", NULL, 0);
		return false;
	}
	if (!exchange_id_parse(span_str(text), id)) {
		reply_text(call, 404, "There is no such request.", NULL, 0);
		return false;
	}
	return true;
}

void
classic_call_clear(struct classic_call *c)
{
	HASH_DELETE(hh, c->all->by_number, c);
	agent_call_end(&c->agent);
}

struct call *
classic_call_release(struct classic_call *c)
{
	struct call *call = c->call;

	c->call = NULL;
	call_set_data(call, NULL);
	return call;
}

void
classic_call_send(struct classic_call *c, const struct exchange_id *id,
    struct frame *frame, mailbox_done_fn *done)
{
	struct mailbox *mailbox = c->all->parts->mailbox;
	struct address owner = address_owner(id);
	struct address self = mailbox_call_address(mailbox, c->number,
	    c->instance);
	struct buf *out = &c->all->scratch;

	frame->id = *id;
	buf_drain(out, buf_len(out));
	classic_must(frame_encode(out, frame));
	mailbox_send(mailbox, &owner, &self, buf_span(&c->agent.backends),
	    buf_span(out), done, c);
}

void
agent_classic_take(struct agent_classic *all, unsigned long long number,
    const struct frame *frame)
{
	struct classic_call *c;

	HASH_FIND(hh, all->by_number, &number, sizeof number, c);
	if (c != NULL && c->call != NULL && c->take != NULL)
		c->take(c, frame);
}

/* --- GET agent/pending --- */

static void
poll_end(struct poll *p)
{
	struct agent_classic *all = p->base.all;

	ev_timer_stop(all->parts->loop, &p->timer);
	hand_out_leave(all->parts->hand_out, &p->waiter);
	TAILQ_REMOVE(&all->polls, p, link);
	if (p->is_dirty)
		TAILQ_REMOVE(&all->dirty, p, dirty_link);
	classic_call_clear(&p->base);
	buf_clear(&p->ids);
	free(p);
}

static void
poll_answer(struct poll *p)
{
	struct call *call = classic_call_release(&p->base);
	struct buf json;

	buf_init(&json, 64 * 1024);
	classic_must(buf_append_str(&json, "["));
	classic_must(buf_append_span(&json, buf_span(&p->ids)));
	classic_must(buf_append_str(&json, "]"));
	reply_content(call, 200, "application/json", buf_span(&json));
	buf_clear(&json);
	poll_end(p);
}

static void
poll_mark_dirty(struct poll *p)
{
	if (p->is_dirty)
		return;
	p->is_dirty = true;
	TAILQ_INSERT_TAIL(&p->base.all->dirty, p, dirty_link);
}

static void
poll_give(struct waiter *w, struct span encoded, const struct frame *open)
{
	struct poll *p = (struct poll *)(void *)((char *)w -
	    offsetof(struct poll, waiter));
	struct frame handed = { .type = FRAME_HANDED };
	char text[EXCHANGE_ID_TEXT + 1];

	(void)encoded;
	exchange_id_text(&open->id, text);
	classic_must(buf_printf(&p->ids, "%s\"%s\"",
	    buf_len(&p->ids) > 0 ? "," : "", text));
	w->capacity--;
	classic_call_send(&p->base, &open->id, &handed, NULL);
	poll_mark_dirty(p);
}

static void
poll_recall(struct waiter *w)
{
	poll_mark_dirty((struct poll *)(void *)((char *)w -
	    offsetof(struct poll, waiter)));
}

static void
poll_timer(struct ev_loop *loop, ev_timer *timer, int events)
{
	(void)loop;
	(void)events;
	poll_answer(timer->data);
}

static void
poll_nothing(struct agent_call *agent)
{
	(void)agent;
}

static void
poll_gone(struct agent_call *agent)
{
	poll_end((struct poll *)(void *)agent);
}

static void
poll_revoked(struct agent_call *agent, int status, const char *why)
{
	struct poll *p = (struct poll *)(void *)agent;

	reply_text(classic_call_release(&p->base), status, why, NULL, 0);
	poll_end(p);
}

static const struct agent_call_handler poll_handler = {
	.content = poll_nothing,
	.drained = poll_nothing,
	.gone = poll_gone,
	.revoked = poll_revoked,
};

void
agent_classic_pending(struct agent_classic *all, struct call *call,
    const struct agent_caller *caller)
{
	struct poll *p = calloc(1, sizeof *p);
	struct agent_parts *parts = all->parts;

	if (p == NULL)
		fatal("agent_classic: out of memory");
	if (!classic_call_init(&p->base, all, call, caller,
	    &poll_handler)) {
		free(p);
		return;
	}
	call_set_data(call, p);
	buf_init(&p->ids, 32 * 1024);
	p->waiter.capacity = PENDING_MAX;
	p->waiter.give = poll_give;
	p->waiter.recall = poll_recall;
	TAILQ_INSERT_TAIL(&all->polls, p, link);
	ev_timer_init(&p->timer, poll_timer,
	    (double)parts->settings->poll_timeout_ms / 1000, 0.);
	p->timer.data = p;
	ev_timer_start(parts->loop, &p->timer);
	if (!agent_call_may_park(parts, call))
		poll_mark_dirty(p);
	else if (hand_out_wait(parts->hand_out, &p->waiter,
	    buf_span(&p->base.agent.backends)) != 0)
		fatal("agent_classic: out of memory");
}

/* --- all of them --- */

void
agent_classic_turn(struct agent_classic *all)
{
	struct poll *p;

	while ((p = TAILQ_FIRST(&all->dirty)) != NULL)
		poll_answer(p);
}

void
agent_classic_recall(struct agent_classic *all)
{
	struct poll *p;

	TAILQ_FOREACH(p, &all->polls, link)
		poll_mark_dirty(p);
}

struct agent_classic *
agent_classic_new(struct agent_parts *parts)
{
	struct agent_classic *all = calloc(1, sizeof *all);

	if (all == NULL)
		fatal("agent_classic: out of memory");
	all->parts = parts;
	TAILQ_INIT(&all->polls);
	TAILQ_INIT(&all->dirty);
	buf_init(&all->scratch, FRAME_PAYLOAD_MAX + FRAME_HEADER_LEN);
	ev_timer_init(&all->sweep, on_sweep, SWEEP_SECONDS, SWEEP_SECONDS);
	all->sweep.data = all;
	ev_timer_start(parts->loop, &all->sweep);
	ev_unref(parts->loop);
	return all;
}

/* The responder is gone, and with it every call. */
void
agent_classic_free(struct agent_classic *all)
{
	struct classic_agent *agent, *next;

	if (all == NULL)
		return;
	ev_ref(all->parts->loop);
	ev_timer_stop(all->parts->loop, &all->sweep);
	HASH_ITER(hh, all->agents, agent, next) {
		HASH_DELETE(hh, all->agents, agent);
		free(agent);
	}
	buf_clear(&all->scratch);
	free(all);
}
