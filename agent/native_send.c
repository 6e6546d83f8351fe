/* native_send.c - the native protocol: frames to the proxy, as they go into a
 * call, until the call is confirmed. */
#include "config.h"

#include "agent/native_private.h"
#include "common/log.h"

/* Less content is not worth a frame of its own, when there is more. */
enum { CONTENT_MIN = 1024 };

static void
append(struct native_call *call, const struct frame *frame)
{
	native_must(frame_encode(&call->body, frame));
	call->has_frames = true;
}

static void
append_window(struct native_exchange *nx, struct native_call *call)
{
	struct frame frame = { .type = FRAME_WINDOW, .id = nx->id,
		.offset = nx->in.next };
	uint64_t limit = nx->x.request_taken + nx->window;

	if (nx->needs_resend)
		frame.flags = FRAME_FLAG_RESEND;
	if (limit > nx->in.limit)
		nx->in.limit = limit;
	frame.limit = nx->in.limit;
	append(call, &frame);
	nx->needs_window = nx->needs_resend = false;
	native_exchange_accepted(nx);
}

/* How much content of it fits into the call; always some. */
static size_t
room_for_content(const struct native_exchange *nx,
    const struct native_call *call, size_t full)
{
	size_t most = native_pace_frame(&nx->native->pace);
	size_t len = buf_len(&call->body) + FRAME_DATA_OVERHEAD +
	    (nx->head_sent ? 0 : buf_len(&nx->x.head));
	size_t room = len + CONTENT_MIN < full ? full - len : CONTENT_MIN;

	return room < most ? room : most;
}

/* The head, with what content there is; or the next content. */
static void
append_response(struct native_exchange *nx, struct native_call *call,
    size_t full)
{
	struct frame frame = { .type = nx->head_sent ? FRAME_DATA : FRAME_HEAD,
		.id = nx->id };
	bool end = false;

	if (!stream_out_next(&nx->out, room_for_content(nx, call, full),
	    &frame.offset, &frame.content, &end) && nx->head_sent)
		return;
	if (end)
		frame.flags = FRAME_FLAG_END;
	frame.head = nx->head_sent ? span_of("", 0) : buf_span(&nx->x.head);
	append(call, &frame);
	native_exchange_accepted(nx);
	if (!nx->head_sent) {
		buf_clear(&nx->x.head);
		nx->head_call = call->number;
	}
	nx->head_sent = true;
	nx->last_call = call->number;
	nx->out_at = ev_now(nx->native->agent->loop);
	if (end)
		native_exchange_set_final(nx, call);
}

static void
append_reset(struct native_exchange *nx, struct native_call *call)
{
	struct frame frame = { .type = FRAME_RESET, .id = nx->id,
		.code = nx->reset, .text = span_str(nx->reset_text) };

	append(call, &frame);
	native_exchange_accepted(nx);
	nx->reset = 0;
	native_exchange_set_final(nx, call);
}

/* One frame of content at most, so that exchanges take turns. */
static void
append_exchange(struct native_exchange *nx, struct native_call *call,
    size_t full)
{
	struct frame probe = { .type = FRAME_DATA, .id = nx->id,
		.offset = nx->out.next };

	if (nx->needs_window)
		append_window(nx, call);
	if (nx->needs_probe)
		append(call, &probe);
	nx->needs_probe = false;
	if (nx->has_head && !nx->is_held)
		append_response(nx, call, full);
	if (nx->reset != 0 && !native_exchange_has_content(nx))
		append_reset(nx, call);
}

static void
append_accept(struct native_exchange *nx, struct native_call *call)
{
	struct frame frame = { .type = FRAME_ACCEPT, .id = nx->id };

	append(call, &frame);
	native_exchange_accepted(nx);
}

/* Is there no more room for content? */
static bool
is_full(const struct native_call *call, size_t full)
{
	return buf_len(&call->body) + FRAME_DATA_OVERHEAD + CONTENT_MIN > full;
}

bool
native_has_full_call(const struct native *n)
{
	const struct native_exchange *nx;
	size_t len = 0;

	TAILQ_FOREACH(nx, &n->queue, queue) {
		len += FRAME_DATA_OVERHEAD + stream_out_ready(&nx->out);
		if (len >= n->call_full)
			return true;
	}
	return false;
}

void
native_fill_call(struct native *n, struct native_call *call, size_t full)
{
	struct native_exchange *nx;

	if (buf_len(&n->loose) > 0) {
		native_must(buf_append_span(&call->body, buf_span(&n->loose)));
		buf_drain(&n->loose, buf_len(&n->loose));
		call->has_frames = true;
	}
	while ((nx = TAILQ_FIRST(&n->queue)) != NULL && !is_full(call, full)) {
		TAILQ_REMOVE(&n->queue, nx, queue);
		nx->is_queued = false;
		append_exchange(nx, call, full);
		native_exchange_enqueue(nx);
	}
	while ((nx = TAILQ_FIRST(&n->accepts)) != NULL && !is_full(call, full))
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

bool
native_is_on_its_way(const struct native_exchange *nx)
{
	const struct native *n = nx->native;
	const struct native_call *call;

	if (!nx->head_sent)
		return false;
	/* What a parked call brought has long been taken. */
	TAILQ_FOREACH(call, &n->calls, link)
		if (!call->is_parked && call->number >= nx->head_call &&
		    call->number <= nx->last_call)
			return true;
	TAILQ_FOREACH(call, &n->waiting, link)
		if (call->number >= nx->head_call &&
		    call->number <= nx->last_call)
			return true;
	return false;
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
			native_exchange_set_final(nx, other);
		else
			native_exchange_free(nx);
	}
}
