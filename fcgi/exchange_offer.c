/* exchange_offer.c - an exchange looks for an agent: offered to calls that wait
 * here, queued in Redis, offered again when its agent is lost, and looked after
 * when Redis goes away and comes back. */
#include "config.h"

#include <stddef.h>
#include <stdlib.h>

#include "common/log.h"
#include "fcgi/exchange_private.h"

/* Before it is offered again to agents of which one has refused it. */
static const double refused_pause_seconds = 0.25;

/* --- offering --- */

/* An exchange that may be gone when Redis answers. */
struct pending {
	struct exchanges *all;
	struct exchange_id id;
};

static struct pending *
pending_new(const struct exchange *x)
{
	struct pending *p = malloc(sizeof *p);

	if (p == NULL)
		fatal("exchange: out of memory");
	*p = (struct pending){ x->all, x->id };
	return p;
}

static struct exchange *
pending_take(struct pending *p)
{
	struct exchange *x = exchange_find(p->all, &p->id);

	free(p);
	return x;
}

static void
queued(void *arg, const struct store_reply *reply)
{
	struct exchange *x = pending_take(arg);

	if (x == NULL || x->state != EXCHANGE_WAITS_FOR_AGENT)
		return;
	if (reply->kind == STORE_INTEGER && reply->integer > 0)
		return;
	x->queued = false;
	if (reply->kind == STORE_INTEGER &&
	    reply->integer == HAND_OUT_UNATTENDED)
		exchange_fail(x, 503, "No agent of this backend has been "
		    "seen lately.");
	else if (reply->kind == STORE_INTEGER)
		exchange_fail(x, 503, "Too many requests already wait for "
		    "this backend.");
	else {
		if (reply->kind == STORE_ERROR)
			log_error(x->id_text, "Redis refused to queue: %.*s",
			    (int)reply->string.len, reply->string.data);
		exchange_fail(x, 503, "The proxy's store is not available.");
	}
}

void
exchange_withdraw(struct exchange *x)
{
	if (!x->queued)
		return;
	x->queued = false;
	hand_out_withdraw(x->all->parts.hand_out, span_str(x->backend),
	    exchange_encode_open(x, NULL), NULL, NULL);
}

static void
queue(struct exchange *x)
{
	struct exchanges_parts *parts = &x->all->parts;

	x->queued = true;
	hand_out_queue(parts->hand_out, span_str(x->backend),
	    exchange_encode_open(x, NULL), queued, pending_new(x));
}

static struct exchange *
held_exchange(struct held *held)
{
	return (struct exchange *)(void *)((char *)held -
	    offsetof(struct exchange, held));
}

static void
held_offer(struct held *held)
{
	exchange_offer(held_exchange(held));
}

static void
held_give_up(struct held *held)
{
	queue(held_exchange(held));
}

void
exchange_offer(struct exchange *x)
{
	struct exchanges_parts *parts = &x->all->parts;
	double left = x->began + (double)parts->settings->queue_timeout_ms /
	    1000 - ev_now(parts->loop);
	struct frame open;
	struct span encoded;

	x->paused = false;
	if (x->state != EXCHANGE_WAITS_FOR_AGENT)
		exchange_set_state(x, EXCHANGE_WAITS_FOR_AGENT);
	exchange_set_timer(x, left > 0 ? left : 0);
	/* An agent that waits here could be given it, but could do no other
	 * call without Redis. */
	if (!store_is_up(parts->store)) {
		exchange_fail(x, 503, "The proxy's store is not available.");
		return;
	}
	encoded = exchange_encode_open(x, &open);
	if (hand_out_offer(parts->hand_out, open.backend, encoded, &open))
		return;
	x->held.offer = held_offer;
	x->held.give_up = held_give_up;
	if (!hand_out_hold(parts->hand_out, &x->held, open.backend))
		queue(x);
}

/* As before the first hand-out: all content is still kept. */
static void
rewind_request(struct exchange *x)
{
	x->request.next = 0;
	x->request.limit = EXCHANGE_INLINE_MAX;
	x->request.end_sent = false;
	x->agent = (struct address){ .kind = ADDRESS_NONE };
	x->answerer = x->agent;
	x->classic = false;
	x->resends = 0;
	stream_in_clear(&x->response);
	stream_in_init(&x->response,
	    (uint64_t)x->all->parts.settings->window);
	buf_clear(&x->early);
}

void
exchange_agent_lost(struct exchange *x, bool not_started, const char *why)
{
	bool again = not_started || (x->is_idempotent && x->deliveries < 2);

	lease_leave(x->all->leases, &x->lease);
	if (x->state == EXCHANGE_ANSWERS) {
		exchange_break_off(x, why);
		return;
	}
	/* A request whose content has been let go can't be sent again. */
	if (!again || x->request.base > 0) {
		exchange_send_reset(x, FRAME_RESET_UNKNOWN);
		exchange_fail(x, 502, why);
		return;
	}
	log_info(x->id_text, "given to another agent: %s", why);
	exchange_send_reset(x, FRAME_RESET_UNKNOWN);
	/* Listing it to a classic agent was no delivery yet. */
	if (not_started && !x->classic && x->deliveries > 0)
		x->deliveries--;
	x->former = x->agent;
	bool refused = not_started && !x->classic;

	rewind_request(x);
	if (!refused) {
		exchange_offer(x);
		return;
	}
	/* An agent that is full or stops would be given it again at once. */
	exchange_set_state(x, EXCHANGE_WAITS_FOR_AGENT);
	x->paused = true;
	exchange_set_timer(x, refused_pause_seconds);
}

/* --- Redis goes and comes --- */

/* What was in the queue when Redis went away may not be any more. */
static void
looked_up(void *arg, const struct store_reply *reply)
{
	struct exchange *x = pending_take(arg);

	if (x == NULL || x->state != EXCHANGE_WAITS_FOR_AGENT || !x->queued ||
	    reply->kind == STORE_LOST)
		return;
	/* Withdrawn, so it can be queued anew; or it was lost with Redis, or
	 * an agent has it and the news of that was lost. */
	if ((reply->kind == STORE_INTEGER && reply->integer > 0) ||
	    x->is_idempotent)
		exchange_offer(x);
	else
		exchange_fail(x, 503, "The proxy's store was not available.");
}

void
exchanges_store_up(struct exchanges *all)
{
	struct exchange *x, *next;

	ev_timer_stop(all->parts.loop, &all->down_timer);
	leases_store_up(all->leases);
	HASH_ITER(hh, all->by_id, x, next) {
		if (x->state == EXCHANGE_WAITS_FOR_AGENT && x->queued)
			hand_out_withdraw(all->parts.hand_out,
			    span_str(x->backend), exchange_encode_open(x,
			    NULL), looked_up, pending_new(x));
		/* Frames may have been lost on their way to us. */
		else if (x->state == EXCHANGE_ANSWERS)
			exchange_ask_again(x);
	}
}

void
exchanges_on_down_timer(struct ev_loop *loop, ev_timer *timer, int events)
{
	struct exchanges *all = timer->data;
	struct exchange *x, *next;

	(void)loop;
	(void)events;
	HASH_ITER(hh, all->by_id, x, next)
		if (x->state == EXCHANGE_WAITS_FOR_AGENT)
			exchange_fail(x, 503,
			    "The proxy's store is not available.");
}

void
exchanges_store_down(struct exchanges *all)
{
	if (ev_is_active(&all->down_timer))
		return;
	ev_timer_set(&all->down_timer,
	    (double)all->parts.settings->redis_timeout_ms / 1000, 0.);
	ev_timer_start(all->parts.loop, &all->down_timer);
}
