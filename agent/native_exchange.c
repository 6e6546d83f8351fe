/* native_exchange.c - the native protocol: exchanges: their table, what the
 * backend brings, and waits that last too long. */
#include "config.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "agent/native_private.h"
#include "common/log.h"

enum { TAKEN_COUNT = 16 * 1024 };

static const double patience_max_s = 8.;
/* Frames of parallel calls overtake each other. */
static const double gap_s = .2;
/* ACCEPT goes with any call, or with one of its own after this. */
static const double press_s = .05;
/* A short response whose length is known is worth this to be sent whole:
 * servers write the head and the content one after the other. */
static const double hold_s = .002;
enum { HOLD_MAX = 16 * 1024 };
/* The time in which a request's window comes. */
static const double window_s = .5;

static const struct exchange_carrier carrier;

void
native_must(int error)
{
	if (error != 0)
		fatal("a frame: %s", wire_strerror(error));
}

static void
unhold(struct native_exchange *nx)
{
	if (nx->is_held)
		TAILQ_REMOVE(&nx->native->holds, nx, holds);
	nx->is_held = false;
}

/* --- the table --- */

/* Most bytes of an id are random; the first ones name its owner. */
static struct native_exchange **
chain_of(struct native *n, const struct exchange_id *id)
{
	size_t hash;

	memcpy(&hash, id->byte + WORKER_ID_LEN, sizeof(hash));
	return &n->table[hash & n->table_mask];
}

struct native_exchange *
native_exchange_find(struct native *n, const struct exchange_id *id)
{
	struct native_exchange *nx = *chain_of(n, id);

	while (nx != NULL && memcmp(&nx->id, id, sizeof(*id)) != 0)
		nx = nx->chain;
	return nx;
}

bool
native_exchange_has_content(const struct native_exchange *nx)
{
	return nx->out.next < nx->out.base + buf_len(&nx->out.kept);
}

/* Is there a frame to send now? */
static bool
is_ready(const struct native_exchange *nx)
{
	if (nx->needs_window || nx->needs_probe)
		return true;
	if (nx->is_held)
		return false;
	if (nx->has_head && !nx->head_sent)
		return true;
	if (native_exchange_has_content(nx))
		return nx->has_head && nx->out.next < nx->out.limit;
	return nx->reset != 0 ||
	    (nx->has_head && nx->out.ended && !nx->out.end_sent);
}

void
native_exchange_enqueue(struct native_exchange *nx)
{
	if (nx->is_queued || !is_ready(nx))
		return;
	nx->is_queued = true;
	/* The beginning of a response overtakes the middle of others. */
	if (nx->head_sent)
		TAILQ_INSERT_TAIL(&nx->native->queue, nx, queue);
	else
		TAILQ_INSERT_HEAD(&nx->native->queue, nx, queue);
}

void
native_exchange_accepted(struct native_exchange *nx)
{
	if (nx->needs_accept)
		TAILQ_REMOVE(&nx->native->accepts, nx, accepts);
	nx->needs_accept = false;
}

void
native_exchange_need_accept(struct native_exchange *nx)
{
	struct native *n = nx->native;

	if (nx->needs_accept)
		return;
	nx->needs_accept = true;
	TAILQ_INSERT_TAIL(&n->accepts, nx, accepts);
	if (!ev_is_active(&n->press)) {
		ev_timer_set(&n->press, press_s, 0.);
		ev_timer_start(n->agent->loop, &n->press);
	}
}

/* Its last frame is in a call, or it isn't any more. */
void
native_exchange_set_final(struct native_exchange *nx, struct native_call *call)
{
	if (nx->final_call != NULL)
		LIST_REMOVE(nx, finals);
	nx->final_call = call;
	if (call != NULL)
		LIST_INSERT_HEAD(&call->finals, nx, finals);
	if (call != NULL && !nx->is_final) {
		nx->is_final = true;
		nx->native->unfinished--;
		exchange_uncount(&nx->x);
	}
}

void
native_exchange_free(struct native_exchange *nx)
{
	struct native *n = nx->native;
	struct native_exchange **at = chain_of(n, &nx->id);

	while (*at != nx)
		at = &(*at)->chain;
	*at = nx->chain;
	n->count--;
	if (!nx->is_final)
		n->unfinished--;
	native_exchange_set_final(nx, NULL);
	native_exchange_accepted(nx);
	unhold(nx);
	if (nx->is_queued)
		TAILQ_REMOVE(&n->queue, nx, queue);
	exchange_clear(&nx->x);
	stream_in_clear(&nx->in);
	stream_out_clear(&nx->out);
	free(nx->reset_text);
	free(nx);
}

struct native_exchange *
native_exchange_new(struct native *n, const struct exchange_id *id,
    uint64_t limit)
{
	struct native_exchange *nx = calloc(1, sizeof(*nx));
	struct native_exchange **chain = chain_of(n, id);

	if (nx == NULL)
		fatal("out of memory");
	nx->native = n;
	nx->id = *id;
	nx->chain = *chain;
	*chain = nx;
	n->count++;
	n->unfinished++;
	exchange_id_text(id, nx->id_text);
	exchange_init(&nx->x, n->agent, &carrier, nx->id_text,
	    NATIVE_REQUEST_WINDOW + FRAME_DATA_MAX);
	stream_in_init(&nx->in, FRAME_DATA_MAX);
	nx->window = NATIVE_REQUEST_WINDOW_FIRST;
	stream_out_init(&nx->out, NATIVE_RESPONSE_KEPT, limit);
	nx->in_at = nx->out_at = nx->measured_at = ev_now(n->agent->loop);
	nx->patience = nx->probe_patience = NATIVE_PATIENCE_S;
	if (!ev_is_active(&n->tick))
		ev_timer_again(n->agent->loop, &n->tick);
	return nx;
}

/* --- what the backend brings --- */

static void
hold(struct native_exchange *nx)
{
	struct native *n = nx->native;

	nx->is_held = true;
	nx->out_at = ev_now(n->agent->loop);
	TAILQ_INSERT_TAIL(&n->holds, nx, holds);
	if (!ev_is_active(&n->release)) {
		ev_timer_set(&n->release, hold_s, 0.);
		ev_timer_start(n->agent->loop, &n->release);
	}
}

void
native_release(struct native *n)
{
	ev_tstamp now = ev_now(n->agent->loop);
	struct native_exchange *nx;

	while ((nx = TAILQ_FIRST(&n->holds)) != NULL) {
		double left = nx->out_at + hold_s - now;

		if (left > 0. && left <= hold_s) {
			ev_timer_set(&n->release, left, 0.);
			ev_timer_start(n->agent->loop, &n->release);
			return;
		}
		unhold(nx);
		native_exchange_enqueue(nx);
	}
}

static void
on_head(struct exchange *x)
{
	struct native_exchange *nx = (struct native_exchange *)x;

	nx->has_head = true;
	if (x->response_framing.kind == HTTP1_FRAMING_LENGTH &&
	    x->response_framing.length > 0 &&
	    x->response_framing.length <= HOLD_MAX)
		hold(nx);
	native_exchange_enqueue(nx);
}

static bool
on_content(struct exchange *x, struct span content)
{
	struct native_exchange *nx = (struct native_exchange *)x;

	if (stream_out_room(&nx->out) < content.len ||
	    stream_out_ahead(&nx->out) >= NATIVE_RESPONSE_AHEAD)
		return false;
	native_must(stream_out_append(&nx->out, content));
	native_exchange_enqueue(nx);
	return true;
}

static void
on_ended(struct exchange *x)
{
	struct native_exchange *nx = (struct native_exchange *)x;

	stream_out_end(&nx->out);
	unhold(nx);
	native_exchange_enqueue(nx);
}

void
native_exchange_set_reset(struct native_exchange *nx,
    enum frame_reset code, const char *text)
{
	nx->reset = code;
	unhold(nx);
	free(nx->reset_text);
	if ((nx->reset_text = strdup(text)) == NULL)
		fatal("out of memory");
	native_exchange_enqueue(nx);
}

static void
on_failed(struct exchange *x, enum frame_reset code, const char *text)
{
	native_exchange_set_reset((struct native_exchange *)x, code, text);
}

/* What comes in half a second: on a slow line more would only wait there, and
 * what is small waits behind it.  It doubles at most, so that one measurement
 * is not believed too much. */
static void
adapt_window(struct native_exchange *nx)
{
	ev_tstamp now = ev_now(nx->native->agent->loop);
	double seconds = now - nx->measured_at, window;

	if (nx->x.request_taken <= nx->measured_from)
		return;
	window = (double)(nx->x.request_taken - nx->measured_from) *
	    window_s / (seconds > .0001 ? seconds : .0001);
	if (window > 2. * (double)nx->window)
		window = 2. * (double)nx->window;
	if (window > NATIVE_REQUEST_WINDOW)
		window = NATIVE_REQUEST_WINDOW;
	if (window < NATIVE_REQUEST_WINDOW_MIN)
		window = NATIVE_REQUEST_WINDOW_MIN;
	nx->window = (size_t)window;
	nx->measured_from = nx->x.request_taken;
	nx->measured_at = now;
}

static void
on_took(struct exchange *x)
{
	struct native_exchange *nx = (struct native_exchange *)x;

	nx->in_at = ev_now(x->agent->loop);
	if (nx->needs_window ||
	    (nx->in.has_end && nx->in.end <= nx->in.limit) ||
	    nx->in.limit - x->request_taken > nx->window / 2)
		return;
	adapt_window(nx);
	nx->needs_window = true;
	native_exchange_enqueue(nx);
}

static const struct exchange_carrier carrier = {
	.head = on_head,
	.content = on_content,
	.ended = on_ended,
	.failed = on_failed,
	.took = on_took,
};

/* --- time --- */

static bool
lacks_content(const struct native_exchange *nx)
{
	return nx->x.request_framing.kind != HTTP1_FRAMING_NONE &&
	    !stream_in_is_complete(&nx->in) && !nx->is_final &&
	    (nx->x.state == EXCHANGE_WAITS_FOR_HEAD ||
	    nx->x.state == EXCHANGE_RESPONDS);
}

static void
ask_for_content(struct native_exchange *nx)
{
	nx->needs_window = nx->needs_resend = true;
	nx->in_at = ev_now(nx->native->agent->loop);
	nx->gap_at = 0.;
	native_exchange_enqueue(nx);
}

static void
each(struct native *n, void (*fn)(struct native_exchange *, ev_tstamp),
    ev_tstamp now)
{
	for (size_t i = 0; i <= n->table_mask; i++)
		for (struct native_exchange *nx = n->table[i]; nx != NULL;
		    nx = nx->chain)
			fn(nx, now);
}

static void
ask_again(struct native_exchange *nx, ev_tstamp now)
{
	(void)now;
	if (lacks_content(nx))
		ask_for_content(nx);
}

void
native_ask_again(struct native *n)
{
	each(n, ask_again, 0.);
}

/* Is an answer just coming in?  It may have what is missing. */
static bool
is_receiving(const struct native *n)
{
	const struct native_call *call;

	TAILQ_FOREACH(call, &n->calls, link)
		if (buf_len(&call->answer) > 0)
			return true;
	return false;
}

/* Does it wait for its client?  What is sent goes as far as the client takes
 * it; what is missing of the request the client has not sent. */
static bool
waits_for_client(const struct native_exchange *nx, ev_tstamp now)
{
	if (now - nx->x.began_at < NATIVE_PATIENCE_S)
		return false;
	if (lacks_content(nx) && buf_len(&nx->x.request) == 0)
		return true;
	return native_exchange_has_content(nx) &&
	    nx->out.next >= nx->out.limit &&
	    now - nx->advanced_at >= NATIVE_PATIENCE_S;
}

static void
tick(struct native_exchange *nx, ev_tstamp now)
{
	bool is_hungry = buf_len(&nx->x.request) == 0;
	bool is_held = native_exchange_has_content(nx) || nx->x.response_waits;

	if (nx->advanced_to != nx->out.next) {
		nx->advanced_at = now;
		nx->probe_patience = NATIVE_PATIENCE_S;
	}
	nx->advanced_to = nx->out.next;
	bool waits = waits_for_client(nx, now);

	if (waits)
		buf_fit(&nx->out.kept);
	exchange_set_waiting(&nx->x, waits);
	if (lacks_content(nx) && !is_receiving(nx->native)) {
		if (nx->gap_at > 0. && now - nx->gap_at >= gap_s) {
			ask_for_content(nx);
		} else if (is_hungry && now - nx->in_at >= nx->patience) {
			ask_for_content(nx);
			/* The client may just be slow. */
			nx->patience *= 2;
			if (nx->patience > patience_max_s)
				nx->patience = patience_max_s;
		}
	}
	if (is_held && !nx->is_queued && nx->head_sent &&
	    now - nx->out_at >= nx->probe_patience) {
		nx->out_at = now;
		nx->needs_probe = true;
		/* The client may just not take it. */
		nx->probe_patience *= 2;
		if (nx->probe_patience > patience_max_s)
			nx->probe_patience = patience_max_s;
		native_exchange_enqueue(nx);
	}
}

void
native_exchanges_tick(struct native *n, ev_tstamp now)
{
	each(n, tick, now);
}

void
native_exchanges_init(struct native *n)
{
	size_t size = 64;

	while (size < (size_t)n->agent->settings->max_in_flight * 2)
		size *= 2;
	if ((n->table = calloc(size, sizeof(*n->table))) == NULL)
		fatal("out of memory");
	n->table_mask = size - 1;
	TAILQ_INIT(&n->queue);
	TAILQ_INIT(&n->accepts);
	TAILQ_INIT(&n->holds);
	buf_init(&n->loose, FRAME_CALL_MAX / 2);
	n->taken = recent_new(TAKEN_COUNT);
	n->given_back = recent_new(TAKEN_COUNT);
}

void
native_exchanges_clear(struct native *n, const char *why)
{
	for (size_t i = 0; i <= n->table_mask; i++)
		while (n->table[i] != NULL) {
			exchange_cancel(&n->table[i]->x, why);
			native_exchange_free(n->table[i]);
		}
	buf_clear(&n->loose);
}
