/* agent_native_mail.c - frames of an agent's call on their way to the workers
 * that own their exchanges. */
#include "config.h"

#include <stdlib.h>
#include <string.h>

#include "common/log.h"
#include "fcgi/agent_native_private.h"

/* The owner of these is dead: the agent is told to forget them. */
static void
reset_unknown(struct native_call *c, struct span frames)
{
	struct frame frame;

	while (frames.len > 0 && frame_decode(&frames, &frame) == WIRE_DONE) {
		struct frame reset = { .type = FRAME_RESET, .id = frame.id,
		    .code = FRAME_RESET_UNKNOWN };

		/* What finds no room it will ask about again. */
		if (frame.type != FRAME_RESET &&
		    buf_len(&c->answer) < ANSWER_SOFT_MAX)
			native_must(frame_encode(&c->answer, &reset));
	}
}

/* Frames on their way; a copy while it is not known whether their owner
 * lives. */
struct sending {
	struct native_call *call;
	size_t len;
	char frames[];
};

static void
on_sent(void *arg, enum mailbox_result result)
{
	struct sending *sending = arg;
	struct native_call *c = sending->call;

	if (result == MAILBOX_LOST)
		c->lost = true;
	else if (result == MAILBOX_DEAD)
		reset_unknown(c, span_of(sending->frames, sending->len));
	free(sending);
	native_call_sent(c);
}

/* This worker is the owner: no need of the mailbox, nor of a copy. */
static void
deliver_here(struct native_call *c, const struct address *self,
    struct span frames)
{
	struct frame frame;

	while (frames.len > 0 && frame_decode(&frames, &frame) == WIRE_DONE)
		exchanges_take_frame(c->all->parts->exchanges, self,
		    buf_span(&c->agent.backends), &frame);
}

static bool
is_here(const struct native_call *c, const struct address *owner)
{
	return memcmp(owner->worker, mailbox_worker_id(c->all->parts->mailbox),
	    WORKER_ID_LEN) == 0;
}

static void
send_to_owner(struct native_call *c, const struct address *owner,
    struct span frames)
{
	struct mailbox *mailbox = c->all->parts->mailbox;
	struct address self = address_agent(c->session->instance);
	struct sending *sending;
	size_t len;

	if (!mailbox_worker_may_live(mailbox, owner->worker)) {
		reset_unknown(c, frames);
		return;
	}
	if (is_here(c, owner)) {
		deliver_here(c, &self, frames);
		return;
	}
	len = mailbox_worker_lives(mailbox, owner->worker) ? 0 : frames.len;
	if ((sending = malloc(sizeof(*sending) + len)) == NULL)
		fatal("agent_native: out of memory");
	sending->call = c;
	sending->len = len;
	if (len > 0)
		memcpy(sending->frames, frames.data, len);
	c->busy++;
	mailbox_send(mailbox, owner, &self, buf_span(&c->agent.backends),
	    frames, on_sent, sending);
}

static void
send_gathered(struct native_mail *m)
{
	for (size_t i = 0; i < m->count; i++) {
		send_to_owner(m->call, &m->to[i].owner,
		    buf_span(&m->to[i].frames));
		buf_clear(&m->to[i].frames);
	}
	m->count = 0;
}

static bool
is_same_worker(const struct address *a, const struct address *b)
{
	return memcmp(a->worker, b->worker, WORKER_ID_LEN) == 0;
}

/* The run is over, and another one follows. */
static void
gather(struct native_mail *m)
{
	struct mailbox *mailbox = m->call->all->parts->mailbox;
	size_t i = 0;

	/* These cost no envelope. */
	if (!mailbox_worker_may_live(mailbox, m->owner.worker) ||
	    is_here(m->call, &m->owner)) {
		send_to_owner(m->call, &m->owner, m->run);
		return;
	}
	while (i < m->count && !is_same_worker(&m->to[i].owner, &m->owner))
		i++;
	if (i == NATIVE_MAIL_OWNERS) {
		send_gathered(m);
		i = 0;
	}
	if (i == m->count) {
		m->to[i].owner = m->owner;
		buf_init(&m->to[i].frames, m->call->in.max);
		m->count++;
	}
	native_must(buf_append_span(&m->to[i].frames, m->run));
}

void
native_mail_add(struct native_mail *m, const struct exchange_id *id,
    struct span frame)
{
	struct address owner = address_owner(id);

	if (m->run.len > 0 && frame.data == m->run.data + m->run.len &&
	    is_same_worker(&owner, &m->owner)) {
		m->run.len += frame.len;
		return;
	}
	if (m->run.len > 0)
		gather(m);
	m->owner = owner;
	m->run = frame;
}

void
native_mail_send(struct native_mail *m)
{
	if (m->run.len > 0 && m->count == 0)
		send_to_owner(m->call, &m->owner, m->run);
	else if (m->run.len > 0)
		gather(m);
	send_gathered(m);
	m->run.len = 0;
}
