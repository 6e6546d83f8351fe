/* native_receive.c - the native protocol: frames from the proxy. */
#include "config.h"

#include <stdio.h>
#include <string.h>

#include "agent/native_private.h"
#include "common/log.h"

enum { DECLINED_LINES = 20 };

static const struct backend *
find_backend(const struct native *n, struct span id)
{
	for (size_t i = 0; i < n->backend_count; i++)
		if (span_is(id, span_str(n->backends[i]->id)))
			return n->backends[i];
	return NULL;
}

/* What finds no room the proxy will ask about again. */
static bool
say_reset(struct native *n, const struct frame *reset)
{
	int r = frame_encode(&n->loose, reset);

	if (r != WIRE_TOO_LARGE)
		native_must(r);
	return r == 0;
}

/* So many lines a second: each is one frame of the proxy's. */
static void
log_declined(struct native *n, const struct exchange_id *id, const char *text)
{
	char id_text[EXCHANGE_ID_TEXT + 1];
	ev_tstamp now = ev_now(n->agent->loop);

	if (now - n->declined_at >= 1. || now < n->declined_at) {
		if (n->declined > DECLINED_LINES)
			log_info(NULL, "%u more were not taken",
			    n->declined - DECLINED_LINES);
		n->declined_at = now;
		n->declined = 0;
	}
	if (n->declined++ >= DECLINED_LINES)
		return;
	exchange_id_text(id, id_text);
	log_info(id_text, "not taken: %s", text);
}

/* An exchange that is not begun at all. */
static void
decline(struct native *n, const struct exchange_id *id, enum frame_reset code,
    const char *text)
{
	struct frame frame = { .type = FRAME_RESET, .id = *id, .code = code,
		.text = span_str(text) };

	if (!say_reset(n, &frame))
		return;
	log_declined(n, id, text);
	if (code == FRAME_RESET_NOT_STARTED)
		recent_add(n->given_back, span_of(id, sizeof(*id)));
}

/* An exchange that is over, of which the proxy misses something. */
static void
lose(struct native *n, const struct exchange_id *id)
{
	struct frame frame = { .type = FRAME_RESET, .id = *id,
		.code = FRAME_RESET_BROKEN,
		.text = span_str("the agent has it no more") };
	char id_text[EXCHANGE_ID_TEXT + 1];

	if (!say_reset(n, &frame))
		return;
	exchange_id_text(id, id_text);
	log_debug(id_text, "asked for again after its end");
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
		nx->patience = NATIVE_PATIENCE_S;
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
	native_exchange_need_accept(nx);
	if (!stream_in_is_complete(&nx->in) &&
	    nx->x.request_framing.kind != HTTP1_FRAMING_NONE) {
		nx->measured_from = nx->in.next;
		nx->needs_window = true;
		native_exchange_enqueue(nx);
	}
}

/* Why an exchange is not begun; NULL: it is. */
static const char *
why_not(const struct native *n, const struct exchange_id *id,
    const struct backend *backend)
{
	/* By then another agent may have it. */
	if (recent_has(n->given_back, span_of(id, sizeof(*id))))
		return "it was given back before";
	if (n->agent->is_draining)
		return "the agent is ending";
	if (backend == NULL || !backend->is_healthy)
		return "the backend is not well";
	if (agent_room(n->agent) == 0)
		return "the agent has enough to do";
	return NULL;
}

static void
take_open(struct native *n, const struct frame *frame)
{
	struct native_exchange *nx = native_exchange_find(n, &frame->id);
	const struct backend *backend = find_backend(n, frame->backend);
	const char *why;

	if (nx != NULL) {
		/* Our ACCEPT may be lost. */
		native_exchange_need_accept(nx);
		return;
	}
	/* Nothing it said of it has got there. */
	if (recent_has(n->taken, span_of(&frame->id, sizeof(frame->id)))) {
		lose(n, &frame->id);
		return;
	}
	if ((why = why_not(n, &frame->id, backend)) != NULL)
		decline(n, &frame->id, FRAME_RESET_NOT_STARTED, why);
	else
		begin(n, frame, backend);
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
		native_exchange_set_reset(nx, FRAME_RESET_BROKEN,
		    "request content breaks a rule");
		return;
	}
	/* Without content it is a question. */
	if (frame->content.len == 0 && !(frame->flags & FRAME_FLAG_END)) {
		nx->needs_window = true;
		native_exchange_enqueue(nx);
	}
}

static void
take_window(struct native_exchange *nx, const struct frame *frame)
{
	/* On a slow line what is on its way is easily taken for lost. */
	if (stream_out_window(&nx->out, frame->offset, frame->limit,
	    frame->flags & FRAME_FLAG_RESEND && !native_is_on_its_way(nx)) !=
	    0) {
		log_debug(nx->id_text, "a window that can't be");
		return;
	}
	nx->out_at = ev_now(nx->native->agent->loop);
	/* Its end may have to be sent again. */
	if (nx->final_call != NULL && nx->out.ended && !nx->out.end_sent)
		native_exchange_set_final(nx, NULL);
	exchange_resume(&nx->x);
	native_exchange_enqueue(nx);
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
	if ((nx = native_exchange_find(n, &frame->id)) == NULL) {
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
