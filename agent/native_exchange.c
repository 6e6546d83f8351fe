/* native_exchange.c - the native protocol: exchanges, and the frames that are
 * about them. */
#include "config.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "agent/native_private.h"
#include "common/log.h"

enum { TAKEN_COUNT = 16 * 1024 };

/* After this long without news one side asks the other. */
static const double patience_s = 1.;
static const double patience_max_s = 8.;
/* Frames of parallel calls overtake each other. */
static const double gap_s = .2;
/* ACCEPT goes with any call, or with one of its own after this. */
static const double press_s = .05;
/* A short response whose length is known is worth this to be sent whole:
 * servers write the head and the content one after the other. */
static const double hold_s = .002;
enum { HOLD_MAX = 16 * 1024 };

static const struct exchange_carrier carrier;

static void
must(int error)
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

static struct native_exchange *
find(struct native *n, const struct exchange_id *id)
{
	struct native_exchange *nx = *chain_of(n, id);

	while (nx != NULL && memcmp(&nx->id, id, sizeof(*id)) != 0)
		nx = nx->chain;
	return nx;
}

static bool
has_content_to_send(const struct native_exchange *nx)
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
	if (has_content_to_send(nx))
		return nx->has_head && nx->out.next < nx->out.limit;
	return nx->reset != 0 ||
	    (nx->has_head && nx->out.ended && !nx->out.end_sent);
}

static void
enqueue(struct native_exchange *nx)
{
	if (nx->is_queued || !is_ready(nx))
		return;
	nx->is_queued = true;
	TAILQ_INSERT_TAIL(&nx->native->queue, nx, queue);
}

static void
accepted(struct native_exchange *nx)
{
	if (nx->needs_accept)
		TAILQ_REMOVE(&nx->native->accepts, nx, accepts);
	nx->needs_accept = false;
}

static void
need_accept(struct native_exchange *nx)
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
static void
set_final(struct native_exchange *nx, struct native_call *call)
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

static void
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
	set_final(nx, NULL);
	accepted(nx);
	unhold(nx);
	if (nx->is_queued)
		TAILQ_REMOVE(&n->queue, nx, queue);
	exchange_clear(&nx->x);
	stream_in_clear(&nx->in);
	stream_out_clear(&nx->out);
	free(nx->reset_text);
	free(nx);
}

static struct native_exchange *
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
	stream_out_init(&nx->out, NATIVE_RESPONSE_KEPT, limit);
	nx->in_at = nx->out_at = ev_now(n->agent->loop);
	nx->patience = patience_s;
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
		enqueue(nx);
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
	enqueue(nx);
}

static bool
on_content(struct exchange *x, struct span content)
{
	struct native_exchange *nx = (struct native_exchange *)x;

	if (stream_out_room(&nx->out) < content.len)
		return false;
	must(stream_out_append(&nx->out, content));
	enqueue(nx);
	return true;
}

static void
on_ended(struct exchange *x)
{
	struct native_exchange *nx = (struct native_exchange *)x;

	stream_out_end(&nx->out);
	unhold(nx);
	enqueue(nx);
}

static void
set_reset(struct native_exchange *nx, enum frame_reset code, const char *text)
{
	nx->reset = code;
	unhold(nx);
	free(nx->reset_text);
	if ((nx->reset_text = strdup(text)) == NULL)
		fatal("out of memory");
	enqueue(nx);
}

static void
on_failed(struct exchange *x, enum frame_reset code, const char *text)
{
	set_reset((struct native_exchange *)x, code, text);
}

static void
on_took(struct exchange *x)
{
	struct native_exchange *nx = (struct native_exchange *)x;

	nx->in_at = ev_now(x->agent->loop);
	if (nx->needs_window || (nx->in.has_end && nx->in.end <= nx->in.limit) ||
	    nx->in.limit - x->request_taken > NATIVE_REQUEST_WINDOW / 2)
		return;
	nx->needs_window = true;
	enqueue(nx);
}

static const struct exchange_carrier carrier = {
	.head = on_head,
	.content = on_content,
	.ended = on_ended,
	.failed = on_failed,
	.took = on_took,
};

/* --- frames to the proxy --- */

static void
append(struct native_call *call, const struct frame *frame)
{
	must(frame_encode(&call->body, frame));
	call->has_frames = true;
}

static void
append_window(struct native_exchange *nx, struct native_call *call)
{
	struct frame frame = { .type = FRAME_WINDOW, .id = nx->id,
		.offset = nx->in.next };
	uint64_t limit = nx->x.request_taken + NATIVE_REQUEST_WINDOW;

	if (nx->needs_resend)
		frame.flags = FRAME_FLAG_RESEND;
	if (limit > nx->in.limit)
		nx->in.limit = limit;
	frame.limit = nx->in.limit;
	append(call, &frame);
	nx->needs_window = nx->needs_resend = false;
	accepted(nx);
}

/* The head, with what content there is; or the next content. */
static void
append_response(struct native_exchange *nx, struct native_call *call)
{
	struct frame frame = { .type = nx->head_sent ? FRAME_DATA : FRAME_HEAD,
		.id = nx->id };
	bool end = false;

	if (!stream_out_next(&nx->out, FRAME_DATA_MAX, &frame.offset,
	    &frame.content, &end) && nx->head_sent)
		return;
	if (end)
		frame.flags = FRAME_FLAG_END;
	frame.head = nx->head_sent ? span_of("", 0) : buf_span(&nx->x.head);
	append(call, &frame);
	accepted(nx);
	if (!nx->head_sent) {
		buf_clear(&nx->x.head);
		nx->head_call = call->number;
	}
	nx->head_sent = true;
	nx->out_at = ev_now(nx->native->agent->loop);
	if (end)
		set_final(nx, call);
}

static void
append_reset(struct native_exchange *nx, struct native_call *call)
{
	struct frame frame = { .type = FRAME_RESET, .id = nx->id,
		.code = nx->reset, .text = span_str(nx->reset_text) };

	append(call, &frame);
	accepted(nx);
	nx->reset = 0;
	set_final(nx, call);
}

/* One frame of content at most, so that exchanges take turns. */
static void
append_exchange(struct native_exchange *nx, struct native_call *call)
{
	struct frame probe = { .type = FRAME_DATA, .id = nx->id,
		.offset = nx->out.next };

	if (nx->needs_window)
		append_window(nx, call);
	if (nx->needs_probe)
		append(call, &probe);
	nx->needs_probe = false;
	if (nx->has_head && !nx->is_held)
		append_response(nx, call);
	if (nx->reset != 0 && !has_content_to_send(nx))
		append_reset(nx, call);
}

static void
append_accept(struct native_exchange *nx, struct native_call *call)
{
	struct frame frame = { .type = FRAME_ACCEPT, .id = nx->id };

	append(call, &frame);
	accepted(nx);
}

void
native_fill_call(struct native *n, struct native_call *call)
{
	struct native_exchange *nx;

	if (buf_len(&n->loose) > 0) {
		must(buf_append_span(&call->body, buf_span(&n->loose)));
		buf_drain(&n->loose, buf_len(&n->loose));
		call->has_frames = true;
	}
	while ((nx = TAILQ_FIRST(&n->queue)) != NULL &&
	    buf_len(&call->body) < NATIVE_CALL_FULL) {
		TAILQ_REMOVE(&n->queue, nx, queue);
		nx->is_queued = false;
		append_exchange(nx, call);
		enqueue(nx);
	}
	while ((nx = TAILQ_FIRST(&n->accepts)) != NULL &&
	    buf_len(&call->body) < NATIVE_CALL_FULL)
		append_accept(nx, call);
	n->is_pressed = n->is_pressed && !TAILQ_EMPTY(&n->accepts);
	if (TAILQ_EMPTY(&n->accepts))
		ev_timer_stop(n->agent->loop, &n->press);
}

/* The newest call older than `call`, not confirmed yet, that may hold some of
 * the exchange's response; NULL when there is none. */
static struct native_call *
call_before(const struct native_exchange *nx, const struct native_call *call)
{
	const struct native *n = nx->native;
	struct native_call *other, *found = NULL;

	for (int list = 0; list < 2; list++) {
		other = list == 0 ? TAILQ_FIRST(&n->calls) :
		    TAILQ_FIRST(&n->waiting);
		for (; other != NULL; other = TAILQ_NEXT(other, link))
			if (other->has_frames &&
			    other->number >= nx->head_call &&
			    other->number < call->number &&
			    (found == NULL || other->number > found->number))
				found = other;
	}
	return found;
}

/* Not over before all its calls are, also those that failed and go again: of
 * what is late the proxy may ask for the content again. */
void
native_call_confirmed(struct native_call *call)
{
	struct native_exchange *nx;
	struct native_call *other;

	while ((nx = LIST_FIRST(&call->finals)) != NULL) {
		if ((other = call_before(nx, call)) != NULL)
			set_final(nx, other);
		else
			native_exchange_free(nx);
	}
}

/* --- frames from the proxy --- */

static const struct backend *
find_backend(const struct native *n, struct span id)
{
	for (size_t i = 0; i < n->backend_count; i++)
		if (span_is(id, span_str(n->backends[i]->id)))
			return n->backends[i];
	return NULL;
}

/* An exchange that is not begun at all. */
static void
decline(struct native *n, const struct exchange_id *id, enum frame_reset code,
    const char *text)
{
	struct frame frame = { .type = FRAME_RESET, .id = *id, .code = code,
		.text = span_str(text) };
	char id_text[EXCHANGE_ID_TEXT + 1];

	exchange_id_text(id, id_text);
	log_info(id_text, "not taken: %s", text);
	must(frame_encode(&n->loose, &frame));
}

/* An exchange that is over, of which the proxy misses something. */
static void
lose(struct native *n, const struct exchange_id *id)
{
	struct frame frame = { .type = FRAME_RESET, .id = *id,
		.code = FRAME_RESET_BROKEN,
		.text = span_str("the agent has it no more") };
	char id_text[EXCHANGE_ID_TEXT + 1];

	exchange_id_text(id, id_text);
	log_debug(id_text, "asked for again after its end");
	must(frame_encode(&n->loose, &frame));
}

static int
take_content(struct native_exchange *nx, const struct frame *frame)
{
	uint64_t before = nx->in.next;
	int r;

	r = stream_in_take(&nx->in, frame->offset, frame->content,
	    frame->flags & FRAME_FLAG_END, &nx->x.request);
	if (r != 0)
		return r;
	if (nx->in.next > before) {
		nx->in_at = ev_now(nx->native->agent->loop);
		nx->patience = patience_s;
	}
	if (!stream_in_has_gap(&nx->in))
		nx->gap_at = 0.;
	else if (nx->gap_at <= 0.)
		nx->gap_at = ev_now(nx->native->agent->loop);
	exchange_request_arrived(&nx->x, stream_in_is_complete(&nx->in));
	return 0;
}

static void
begin(struct native *n, const struct frame *frame,
    const struct backend *backend)
{
	struct native_exchange *nx = native_exchange_new(n, &frame->id,
	    frame->limit);
	int r;

	recent_add(n->taken, span_of(&frame->id, sizeof(frame->id)));
	if ((r = exchange_begin(&nx->x, backend, frame->user, frame->head,
	    (long)frame->deadline_ms)) == 0)
		r = take_content(nx, frame);
	if (r != 0) {
		native_exchange_free(nx);
		decline(n, &frame->id, FRAME_RESET_BROKEN,
		    "the request can't be forwarded: it is malformed");
		return;
	}
	need_accept(nx);
	if (!stream_in_is_complete(&nx->in) &&
	    nx->x.request_framing.kind != HTTP1_FRAMING_NONE) {
		nx->needs_window = true;
		enqueue(nx);
	}
}

static void
take_open(struct native *n, const struct frame *frame)
{
	struct native_exchange *nx = find(n, &frame->id);
	const struct backend *backend = find_backend(n, frame->backend);

	if (nx != NULL) {
		/* Our ACCEPT may be lost. */
		need_accept(nx);
	} else if (recent_has(n->taken, span_of(&frame->id,
	    sizeof(frame->id)))) {
		return;
	} else if (n->agent->is_draining) {
		decline(n, &frame->id, FRAME_RESET_NOT_STARTED,
		    "the agent is ending");
	} else if (backend == NULL || !backend->is_healthy) {
		decline(n, &frame->id, FRAME_RESET_NOT_STARTED,
		    "the backend is not well");
	} else if (agent_room(n->agent) == 0) {
		decline(n, &frame->id, FRAME_RESET_NOT_STARTED,
		    "the agent has enough to do");
	} else {
		begin(n, frame, backend);
	}
}

static void
take_data(struct native_exchange *nx, const struct frame *frame)
{
	int r;

	if (nx->is_final || nx->x.state == EXCHANGE_OVER)
		return;
	if ((r = take_content(nx, frame)) != 0) {
		log_warn(nx->id_text, "request content from the proxy: %s",
		    wire_strerror(r));
		exchange_cancel(&nx->x, "request content breaks a rule");
		set_reset(nx, FRAME_RESET_BROKEN,
		    "request content breaks a rule");
		return;
	}
	/* Without content it is a question. */
	if (frame->content.len == 0 && !(frame->flags & FRAME_FLAG_END)) {
		nx->needs_window = true;
		enqueue(nx);
	}
}

static void
take_window(struct native_exchange *nx, const struct frame *frame)
{
	if (stream_out_window(&nx->out, frame->offset, frame->limit,
	    frame->flags & FRAME_FLAG_RESEND) != 0) {
		log_debug(nx->id_text, "a window that can't be");
		return;
	}
	nx->out_at = ev_now(nx->native->agent->loop);
	/* Its end may have to be sent again. */
	if (nx->final_call != NULL && nx->out.ended && !nx->out.end_sent)
		set_final(nx, NULL);
	exchange_resume(&nx->x);
	enqueue(nx);
}

static void
take_reset(struct native_exchange *nx, const struct frame *frame)
{
	char why[200];

	if (frame->code == FRAME_RESET_CANCELLED)
		(void)strcpy(why, "the client has left");
	else
		(void)snprintf(why, sizeof(why), "the proxy ended it: %s%s"
		    "%.*s", frame_reset_name(frame->code),
		    frame->text.len > 0 ? ", " : "",
		    (int)(frame->text.len > 100 ? 100 : frame->text.len),
		    frame->text.len > 0 ? frame->text.data : "");
	exchange_cancel(&nx->x, why);
	native_exchange_free(nx);
}

void
native_take_frame(struct native *n, const struct frame *frame)
{
	struct native_exchange *nx;

	if (frame->type == FRAME_OPEN) {
		take_open(n, frame);
		return;
	}
	if ((nx = find(n, &frame->id)) == NULL) {
		if (frame->type == FRAME_WINDOW &&
		    frame->flags & FRAME_FLAG_RESEND)
			lose(n, &frame->id);
		return;
	}
	if (frame->type == FRAME_DATA)
		take_data(nx, frame);
	else if (frame->type == FRAME_WINDOW)
		take_window(nx, frame);
	else if (frame->type == FRAME_RESET)
		take_reset(nx, frame);
}

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
	enqueue(nx);
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

static void
tick(struct native_exchange *nx, ev_tstamp now)
{
	bool is_hungry = buf_len(&nx->x.request) == 0;
	bool is_held = has_content_to_send(nx) || nx->x.response_waits;

	if (lacks_content(nx)) {
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
	    now - nx->out_at >= patience_s) {
		nx->out_at = now;
		nx->needs_probe = true;
		enqueue(nx);
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
