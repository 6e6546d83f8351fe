/* exchange_offer.c - an exchange looks for an agent: offered to calls that wait
 * here, queued in Redis, offered again when its agent is lost, and looked after
 * when Redis goes away and comes back. */
#include "config.h"

#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include "common/log.h"
#include "fcgi/exchange_private.h"

/* Before it is offered again to agents of which one has refused it. */
static const double refused_pause_seconds = 0.25;

/* Those of one backend that are queued, in their order. */
struct line {
	char *backend;
	TAILQ_HEAD(, exchange) exchanges;
	UT_hash_handle hh;
};

/* --- the queue, as this worker knows it --- */

static struct line *
line_get(struct exchanges *all, const char *backend)
{
	struct line *line;

	HASH_FIND_STR(all->lines, backend, line);
	if (line != NULL)
		return line;
	if ((line = calloc(1, sizeof *line)) == NULL ||
	    (line->backend = strdup(backend)) == NULL)
		fatal("exchange: out of memory");
	TAILQ_INIT(&line->exchanges);
	HASH_ADD_KEYPTR(hh, all->lines, line->backend, strlen(backend), line);
	if (!ev_is_active(&all->line_timer))
		ev_timer_again(all->parts.loop, &all->line_timer);
	return line;
}

static void
enter_queue(struct exchange *x)
{
	struct line *line = line_get(x->all, x->backend);

	x->line = line;
	x->seen_queued = ev_now(x->all->parts.loop);
	TAILQ_INSERT_TAIL(&line->exchanges, x, line_link);
}

void
exchange_left_queue(struct exchange *x)
{
	struct line *line = x->line;

	x->missing = false;
	if (line == NULL)
		return;
	x->line = NULL;
	TAILQ_REMOVE(&line->exchanges, x, line_link);
	if (!TAILQ_EMPTY(&line->exchanges))
		return;
	HASH_DELETE(hh, x->all->lines, line);
	if (x->all->lines == NULL)
		ev_timer_stop(x->all->parts.loop, &x->all->line_timer);
	free(line->backend);
	free(line);
}

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
	/* It may be there or not: seen to when Redis is back. */
	if (reply->kind == STORE_LOST && x->line != NULL)
		return;
	exchange_left_queue(x);
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
	if (x->line == NULL)
		return;
	exchange_left_queue(x);
	hand_out_drop(x->all->parts.hand_out, span_str(x->backend),
	    exchange_encode_open(x, NULL));
}

static void
queue(struct exchange *x)
{
	struct exchanges_parts *parts = &x->all->parts;

	enter_queue(x);
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
	x->answerer_seen = 0.;
	x->classic = false;
	x->resends = 0;
	exchange_forget_response(x);
}

/* Who had it may still speak of it, and may be the one who gets it again: then
 * it is by the id that the former is told from the latter. */
static void
renew_id(struct exchange *x, const char *why)
{
	char former[EXCHANGE_ID_TEXT + 1];

	memcpy(former, x->id_text, sizeof(former));
	exchange_renew_id(x);
	log_info(former, "given to another agent as %s: %s", x->id_text, why);
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
	exchange_send_reset(x, FRAME_RESET_UNKNOWN);
	/* Listing it to a classic agent was no delivery yet. */
	if (not_started && !x->classic && x->deliveries > 0)
		x->deliveries--;
	bool refused = not_started && !x->classic;

	/* What was only listed to a classic agent nobody has had. */
	if (x->agent.kind != ADDRESS_NONE || x->deliveries > 0)
		renew_id(x, why);
	else
		log_info(x->id_text, "listed to another agent: %s", why);
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

/* It is not in the queue, and nobody has said that he has it: whoever took it
 * may just not have been heard yet, or died with it.  An agent that has it
 * speaks within what WELCOME tells it, less than half of the lease. */
static void
miss(struct exchange *x)
{
	exchange_left_queue(x);
	x->missing = true;
	log_info(x->id_text, "taken from the queue, and no word of it");
	exchange_set_timer(x, (double)x->all->parts.settings->lease_ms /
	    2000);
}

void
exchange_stays_missing(struct exchange *x)
{
	if (!x->is_idempotent || ++x->deliveries > 1) {
		exchange_fail(x, 503, "It is not known what became of the "
		    "request.");
		return;
	}
	x->missing = false;
	/* In case it came back into the queue meanwhile. */
	hand_out_drop(x->all->parts.hand_out, span_str(x->backend),
	    exchange_encode_open(x, NULL));
	renew_id(x, "Nobody has said that he has it.");
	exchange_offer(x);
}

static void look(struct exchange *first);

static void
looked(void *arg, const struct store_reply *reply)
{
	struct exchange *x = pending_take(arg), *next;

	if (x == NULL || x->line == NULL)
		return;
	if (reply->kind == STORE_INTEGER)
		x->seen_queued = ev_now(x->all->parts.loop);
	if (reply->kind != STORE_NIL)
		return;
	/* The queue is taken from its front: the next one may be missing,
	 * too. */
	if ((next = TAILQ_NEXT(x, line_link)) != NULL)
		look(next);
	miss(x);
}

static void
look(struct exchange *first)
{
	struct exchanges *all = first->all;

	if (ev_now(all->parts.loop) - first->seen_queued <
	    (double)all->parts.settings->lease_ms / 10000)
		return;
	hand_out_find(all->parts.hand_out, span_str(first->backend),
	    exchange_encode_open(first, NULL), looked, pending_new(first));
}

void
exchanges_on_line_timer(struct ev_loop *loop, ev_timer *timer, int events)
{
	struct exchanges *all = timer->data;
	struct line *line, *next;

	(void)loop;
	(void)events;
	HASH_ITER(hh, all->lines, line, next)
		look(TAILQ_FIRST(&line->exchanges));
}

/* What was in the queue when Redis went away may not be any more. */
static void
looked_up(void *arg, const struct store_reply *reply)
{
	struct exchange *x = pending_take(arg);

	if (x == NULL || x->line == NULL || reply->kind == STORE_LOST)
		return;
	if (reply->kind == STORE_INTEGER && reply->integer > 0) {
		exchange_left_queue(x);
		exchange_offer(x);
	} else {
		miss(x);
	}
}

void
exchanges_store_up(struct exchanges *all)
{
	struct exchange *x, *next;

	ev_timer_stop(all->parts.loop, &all->down_timer);
	leases_store_up(all->leases);
	HASH_ITER(hh, all->by_id, x, next) {
		if (x->state == EXCHANGE_WAITS_FOR_AGENT && x->line != NULL)
			hand_out_withdraw(all->parts.hand_out,
			    span_str(x->backend), exchange_encode_open(x,
			    NULL), looked_up, pending_new(x));
		/* Frames may have been lost on their way to us. */
		else if (x->state == EXCHANGE_ANSWERS)
			exchange_ask_again(x);
		if (x->answerer_seen > 0.)
			exchange_answerer_seen(x);
	}
}

void
exchanges_on_down_timer(struct ev_loop *loop, ev_timer *timer, int events)
{
	struct exchanges *all = timer->data;
	struct exchange *x, *next;

	(void)loop;
	(void)events;
	HASH_ITER(hh, all->by_id, x, next) {
		if (x->state != EXCHANGE_WAITS_FOR_AGENT)
			continue;
		exchange_withdraw(x);
		exchange_fail(x, 503, "The proxy's store is not available.");
	}
}

void
exchanges_store_down(struct exchanges *all)
{
	leases_store_down(all->leases);
	if (ev_is_active(&all->down_timer))
		return;
	ev_timer_set(&all->down_timer,
	    (double)all->parts.settings->redis_timeout_ms / 1000, 0.);
	ev_timer_start(all->parts.loop, &all->down_timer);
}
