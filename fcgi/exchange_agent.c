/* exchange_agent.c - what agents send for an exchange, checked against who has
 * it, and the response on its way to the client. */
#include "config.h"

#include <stdlib.h>
#include <string.h>

#include "common/log.h"
#include "fcgi/exchange_private.h"
#include "fcgi/reply.h"
#include "fcgi/response_head.h"

/* Frames that overtake each other close a gap within this time; else what is
 * missing was lost. */
static const double gap_seconds = 0.5;

/* In half of that time, a window's content is sent again so often at most. */
enum { RESENT_TIMES_MAX = 4 };

/* To a longer one lighttpd says 502, and not why. */
enum { LIGHTTPD_HEAD_MAX = 65535 };

/* With more than this to be sent to Redis, strangers are not answered: they
 * ask again. */
enum { REFUSE_UNSENT_MAX = 4 * 1024 * 1024 };

/* Tells a stranger that there is nothing here for it. */
static void
refuse(struct exchanges *all, const struct address *from,
    const struct frame *frame)
{
	struct address self = address_owner(&frame->id);
	struct frame reset = { .type = FRAME_RESET, .id = frame->id,
	    .code = FRAME_RESET_UNKNOWN };

	if (frame->type == FRAME_RESET || from->kind == ADDRESS_NONE ||
	    store_unsent(all->parts.store) > REFUSE_UNSENT_MAX)
		return;
	buf_drain(&all->scratch, buf_len(&all->scratch));
	if (frame_encode(&all->scratch, &reset) != WIRE_OK)
		return;
	mailbox_send(all->parts.mailbox, from, &self, span_of(NULL, 0),
	    buf_span(&all->scratch), NULL, NULL);
}

/* The agent broke a rule: its exchange ends, visibly. */
static void
fail_agent(struct exchange *x, const char *why)
{
	exchange_send_reset(x, FRAME_RESET_REFUSED);
	if (x->state == EXCHANGE_ANSWERS)
		exchange_break_off(x, why);
	else
		exchange_fail(x, 502, why);
}

/* --- who has it --- */

static void
response_deadline(struct exchange *x)
{
	x->active = ev_now(x->all->parts.loop);
	exchange_set_timer(x, (double)
	    x->all->parts.settings->response_timeout_ms / 1000);
}

/* OPEN has carried the first content. */
static void
count_inline_as_sent(struct exchange *x)
{
	uint64_t offset;
	struct span content;
	bool end;

	while (x->request.next < x->inline_len || (x->inline_end &&
	    !x->request.end_sent))
		if (!stream_out_next(&x->request, x->inline_len -
		    (size_t)x->request.next, &offset, &content, &end))
			break;
	/* The end may have come since OPEN was written. */
	if (!x->inline_end)
		x->request.end_sent = false;
}

static void
give_to_native(struct exchange *x, const struct address *agent)
{
	hand_out_release(&x->held);
	exchange_left_queue(x);
	x->deliveries++;
	x->classic = false;
	x->agent = x->answerer = *agent;
	x->active = ev_now(x->all->parts.loop);
	lease_join(x->all->leases, &x->lease, agent->instance);
	count_inline_as_sent(x);
	exchange_set_state(x, EXCHANGE_WAITS_FOR_ACCEPT);
	exchange_set_timer(x, 1.0);
	exchange_send_content(x);
}

/* Its id is in the answer to a classic agent's poll. */
static void
list_to_classic(struct exchange *x)
{
	hand_out_release(&x->held);
	exchange_left_queue(x);
	x->classic = true;
	x->active = ev_now(x->all->parts.loop);
	exchange_set_state(x, EXCHANGE_WAITS_FOR_ACCEPT);
	exchange_set_timer(x, (double)x->all->parts.settings->lease_ms /
	    1000);
}

static void
take_handed(struct exchange *x, const struct address *from,
    const struct frame *frame)
{
	if (x->state != EXCHANGE_WAITS_FOR_AGENT) {
		if (!address_is(from, &x->agent) &&
		    from->kind == ADDRESS_AGENT)
			refuse(x->all, from, frame);
		return;
	}
	if (from->kind == ADDRESS_AGENT)
		give_to_native(x, from);
	else
		list_to_classic(x);
}

/* A classic agent may fetch it from the start: all content is still kept. */
static void
rewind_fetch(struct exchange *x)
{
	x->answerer_seen = 0.;
	x->request.next = 0;
	x->request.limit = EXCHANGE_INLINE_MAX;
	x->request.end_sent = false;
	exchange_set_state(x, EXCHANGE_WAITS_FOR_ACCEPT);
}

/* Does the agent that has fetched it try again?  Then its first call ended
 * unseen, with the worker that held it. */
static bool
is_fetched_again(const struct exchange *x, const struct address *from)
{
	return x->state == EXCHANGE_WAITS_FOR_RESPONSE && x->classic &&
	    x->answerer.kind == ADDRESS_NONE && x->request.base == 0 &&
	    !address_is(from, &x->agent) &&
	    memcmp(from->instance, x->agent.instance,
	    AGENT_INSTANCE_LEN) == 0;
}

static void
send_open(struct exchange *x)
{
	struct address self = address_owner(&x->id);

	mailbox_send(x->all->parts.mailbox, &x->agent, &self,
	    span_of(NULL, 0), exchange_encode_open(x, NULL), NULL, NULL);
}

/* A classic agent asks for the request.  The answer goes to its call. */
static void
take_fetch(struct exchange *x, const struct address *from,
    const struct frame *frame)
{
	/* OPEN was lost on its way to the call, or FETCH came twice. */
	if (x->classic && address_is(from, &x->agent) &&
	    x->request.base == 0) {
		send_open(x);
		return;
	}
	/* The news that it was listed may come later than the fetch. */
	if (x->state == EXCHANGE_WAITS_FOR_AGENT &&
	    (x->line != NULL || x->missing)) {
		exchange_withdraw(x);
		list_to_classic(x);
	}
	if (is_fetched_again(x, from))
		rewind_fetch(x);
	if (x->state != EXCHANGE_WAITS_FOR_ACCEPT || !x->classic) {
		refuse(x->all, from, frame);
		return;
	}
	x->deliveries++;
	x->agent = *from;
	lease_leave(x->all->leases, &x->lease);
	lease_join(x->all->leases, &x->lease, from->instance);
	x->answerer.kind = ADDRESS_NONE;
	exchange_set_state(x, EXCHANGE_WAITS_FOR_RESPONSE);
	response_deadline(x);
	send_open(x);
	count_inline_as_sent(x);
	exchange_send_content(x);
}

void
exchange_answerer_seen(struct exchange *x)
{
	x->answerer_seen = ev_now(x->all->parts.loop);
	x->looks = 0;
}

void
exchange_forget_response(struct exchange *x)
{
	x->answerer = (struct address){ .kind = ADDRESS_NONE };
	stream_in_clear(&x->response);
	stream_in_init(&x->response,
	    (uint64_t)x->all->parts.settings->window);
	buf_clear(&x->early);
}

/* Only who fetched it may answer it.  Who posts once more has seen the post
 * before end, or the worker that held it. */
static void
bind_answerer(struct exchange *x, const struct address *from,
    const struct frame *frame)
{
	if (x->state != EXCHANGE_WAITS_FOR_RESPONSE ||
	    memcmp(from->instance, x->agent.instance,
	    AGENT_INSTANCE_LEN) != 0 || address_is(from, &x->answerer) ||
	    (x->answerer.kind != ADDRESS_NONE && frame->type != FRAME_ACCEPT))
		return;
	exchange_forget_response(x);
	x->answerer = *from;
	log_debug(x->id_text, "a post begins");
	/* It has to be heard of from now on. */
	exchange_set_timer(x, 0.);
}

/* A part of the response is at the client, and the agent posts it from its
 * beginning: the post before must be heard of soon. */
static void
note_newer_post(struct exchange *x, const struct address *from,
    const struct frame *frame)
{
	if (x->state != EXCHANGE_ANSWERS || frame->type != FRAME_ACCEPT ||
	    from->kind != ADDRESS_CALL || x->answerer.kind != ADDRESS_CALL ||
	    memcmp(from->instance, x->agent.instance,
	    AGENT_INSTANCE_LEN) != 0 || x->is_posted_again)
		return;
	log_info(x->id_text, "the agent posts its response again");
	x->is_posted_again = true;
	x->looks = 0;
}

/* Is this frame from who has the exchange?  Binds who is entitled to. */
static bool
is_from_holder(struct exchange *x, const struct address *from,
    const struct frame *frame)
{
	if (from->kind == ADDRESS_AGENT) {
		/* Its call was quicker than the news that it has it. */
		if (x->state == EXCHANGE_WAITS_FOR_AGENT) {
			/* In case its place in the queue is another's. */
			exchange_withdraw(x);
			give_to_native(x, from);
		}
		return address_is(from, &x->agent);
	}
	if (from->kind != ADDRESS_CALL || !x->classic)
		return false;
	if (address_is(from, &x->agent))
		return frame->type == FRAME_WINDOW ||
		    frame->type == FRAME_RESET;
	bind_answerer(x, from, frame);
	if (!address_is(from, &x->answerer))
		return false;
	exchange_answerer_seen(x);
	return true;
}

/* --- the response --- */

/* How far the agent may go: what the client's connection has not taken yet
 * counts against the window. */
static void
grant_window(struct exchange *x, bool always)
{
	uint64_t window = (uint64_t)x->all->parts.settings->window;
	uint64_t unsent = call_unsent(x->call);
	uint64_t taken = x->response.next;
	uint64_t limit = taken + window - (unsent < window ? unsent : window);

	if (limit > x->response.limit &&
	    (always || limit - x->response.limit >= window / 4))
		x->response.limit = limit;
	else if (!always)
		return;
	struct frame frame = { .type = FRAME_WINDOW, .offset = taken,
	    .limit = x->response.limit };

	exchange_send(x, &x->answerer, &frame);
}

void
exchange_ask_again(struct exchange *x)
{
	struct frame frame = { .type = FRAME_WINDOW,
	    .flags = FRAME_FLAG_RESEND, .offset = x->response.next,
	    .limit = x->response.limit };

	exchange_send(x, &x->answerer, &frame);
	exchange_set_timer(x, gap_seconds);
}

void
exchange_drained(struct exchange *x)
{
	if (x->state == EXCHANGE_ANSWERS && !x->response.has_end) {
		x->active = ev_now(x->all->parts.loop);
		grant_window(x, false);
	}
}

/* Everything of the response is there. */
static void
finish(struct exchange *x)
{
	bool is_short = x->has_content && x->has_response_length &&
	    x->response.next != x->response_length;

	/* A classic agent's POST is answered when the owner is content. */
	if (x->answerer.kind == ADDRESS_CALL) {
		struct frame done = { .type = FRAME_RESET, .code = is_short ?
		    FRAME_RESET_REFUSED : FRAME_RESET_DONE };

		exchange_send(x, &x->answerer, &done);
		x->answerer.kind = ADDRESS_NONE;
	}
	/* The request's content is not wanted any more (an early answer). */
	if (!stream_out_is_sent(&x->request))
		exchange_send_reset(x, FRAME_RESET_CANCELLED);
	if (is_short)
		exchange_break_off(x, "the response is shorter than its "
		    "Content-Length");
	else
		exchange_finish(x);
}

/* Puts a piece in its place.  *ready: what can go to the client now, in the
 * frame itself or in out.  false: the exchange is no more. */
static bool
take_content(struct exchange *x, const struct frame *frame, struct buf *out,
    struct span *ready)
{
	uint64_t offset = frame->type == FRAME_HEAD ? 0 : frame->offset;
	bool end = frame->flags & FRAME_FLAG_END;

	uint64_t before = x->response.next;

	*ready = frame->content;
	if (stream_in_take_next(&x->response, offset, frame->content, end)) {
		if (frame->content.len > 0)
			x->active = ev_now(x->all->parts.loop);
		return true;
	}
	if (stream_in_take(&x->response, offset, frame->content, end, out) !=
	    WIRE_OK) {
		fail_agent(x, "The agent sent more than it was allowed to.");
		return false;
	}
	if (x->response.next > before)
		x->active = ev_now(x->all->parts.loop);
	*ready = buf_span(out);
	return true;
}

/* What came goes to the client; all of it is there, or the agent may go on.
 * false: the exchange is no more. */
static bool
answer(struct exchange *x, struct span ready)
{
	if (x->has_response_length && x->response.next >
	    x->response_length) {
		fail_agent(x, "The response is longer than its "
		    "Content-Length.");
		return false;
	}
	if (ready.len > 0)
		call_write(x->call, ready.data, ready.len);
	/* The web server ends the call itself when the length is reached, so
	 * the END that may come later is not waited for. */
	if (stream_in_is_complete(&x->response) || (x->has_response_length &&
	    x->response.next == x->response_length)) {
		finish(x);
		return false;
	}
	return true;
}

static void
look_for_gap(struct exchange *x)
{
	bool had = x->gap;

	x->gap = stream_in_has_gap(&x->response);
	if (x->gap && !had)
		exchange_set_timer(x, gap_seconds);
}

static void
take_head(struct exchange *x, const struct frame *frame)
{
	const struct settings *settings = x->all->parts.settings;
	struct response_head head;
	struct buf out;
	int r;

	if (x->state == EXCHANGE_ANSWERS)
		return;		/* a repeat; its content is known */
	buf_init(&out, (size_t)settings->head_limit + 1024);
	struct response_head_options options = {
		.max_fields = (size_t)settings->field_limit,
		.via = settings->via,
		.close = !(frame->flags & FRAME_FLAG_END) &&
		    reply_break_needs_close(x->call),
	};

	r = frame->head.len > (size_t)settings->head_limit ? WIRE_TOO_LARGE :
	    response_head_encode(frame->head, x->method, &options, &head,
	    &out);
	if (r == WIRE_OK && buf_len(&out) > LIGHTTPD_HEAD_MAX &&
	    !call_is_from_apache(x->call))
		r = WIRE_TOO_LARGE;
	if (r != WIRE_OK) {
		log_warn(x->id_text, "response head: %s", wire_strerror(r));
		buf_clear(&out);
		fail_agent(x, r == WIRE_TOO_LARGE ?
		    "The backend's response head is too large." :
		    "The backend's response is not valid HTTP.");
		return;
	}
	/* Nothing is out yet; and a connection that stays open would give the
	 * client what comes next as this response's rest. */
	if (frame->flags & FRAME_FLAG_END && head.has_content &&
	    head.has_length && frame->content.len < head.length) {
		buf_clear(&out);
		fail_agent(x, "The response is shorter than its "
		    "Content-Length.");
		return;
	}
	x->status = head.status;
	x->has_content = head.has_content;
	x->has_response_length = head.has_length;
	x->response_length = head.length;
	call_write(x->call, buf_data(&out), buf_len(&out));
	buf_clear(&out);
	exchange_set_state(x, EXCHANGE_ANSWERS);
	x->active = ev_now(x->all->parts.loop);
	/* To HEAD, and with 204 and 304, there is no content to wait for. */
	if (!x->has_content) {
		finish(x);
		return;
	}
	struct buf *content = &x->all->content;
	struct span ready;

	buf_drain(content, buf_len(content));
	if (x->has_response_length && x->response.next >
	    x->response_length) {
		fail_agent(x, "The response is longer than its "
		    "Content-Length.");
		return;
	}
	if (buf_len(&x->early) > 0)
		call_write(x->call, buf_data(&x->early), buf_len(&x->early));
	buf_clear(&x->early);
	if (!take_content(x, frame, content, &ready) || !answer(x, ready))
		return;
	x->gap = false;
	exchange_set_timer(x, exchange_watch_seconds(x,
	    (double)settings->idle_timeout_ms / 1000));
	look_for_gap(x);
	grant_window(x, x->answerer.kind == ADDRESS_CALL);
}

static void
take_data(struct exchange *x, const struct frame *frame)
{
	struct buf *content = &x->all->content;
	uint64_t before = x->response.next;
	struct span ready;

	/* It may have overtaken its head. */
	if (x->state != EXCHANGE_ANSWERS) {
		if (stream_in_take(&x->response, frame->offset,
		    frame->content, frame->flags & FRAME_FLAG_END,
		    &x->early) != WIRE_OK)
			fail_agent(x, "The agent sent more than it was "
			    "allowed to.");
		return;
	}
	buf_drain(content, buf_len(content));
	if (!take_content(x, frame, content, &ready) || !answer(x, ready))
		return;
	grant_window(x, x->response.next == before);
	look_for_gap(x);
}

/* Asking again and again does not bring more; nor does confirming byte by byte
 * and asking for all the rest each time, which would be a window for a few
 * bytes.  Who needs it asks again later. */
static bool
may_resend(struct exchange *x, uint64_t offset)
{
	ev_tstamp now = ev_now(x->all->parts.loop);

	if (now - x->resent_at >= gap_seconds / 2) {
		x->resent_at = now;
		x->resent_times = 0;
	} else if (offset == x->resent_from ||
	    x->resent_times == RESENT_TIMES_MAX) {
		return false;
	}
	x->resent_times++;
	x->resent_from = offset;
	return true;
}

static void
take_window(struct exchange *x, const struct frame *frame)
{
	struct exchanges *all = x->all;
	bool resend = (frame->flags & FRAME_FLAG_RESEND) &&
	    may_resend(x, frame->offset);

	if (stream_out_window(&x->request, frame->offset, frame->limit,
	    resend) != WIRE_OK) {
		fail_agent(x, "The agent confirmed what it was not sent.");
		return;
	}
	/* There is room for more of the client's content. */
	exchange_content(x);
	if (exchange_find(all, &frame->id) == x)
		exchange_send_content(x);
}

static void
take_reset(struct exchange *x, const struct frame *frame)
{
	static const char broken[] = "The backend broke off or did not "
	    "answer in HTTP.";

	if (frame->text.len > 0)
		log_info(x->id_text, "agent: %s: %.*s",
		    frame_reset_name(frame->code), (int)frame->text.len,
		    frame->text.data);
	lease_leave(x->all->leases, &x->lease);
	if (frame->code == FRAME_RESET_NOT_STARTED &&
	    x->state != EXCHANGE_ANSWERS) {
		exchange_agent_lost(x, true, "The agent did not take it.");
		return;
	}
	/* The sender knows that it is over; only the other call of a classic
	 * agent may not. */
	if (x->answerer.kind == ADDRESS_CALL)
		exchange_send_reset(x, FRAME_RESET_UNKNOWN);
	if (x->state == EXCHANGE_ANSWERS)
		exchange_break_off(x, "the backend broke off");
	else if (frame->code == FRAME_RESET_UNREACHABLE)
		exchange_fail(x, 502, "The backend can't be reached.");
	else if (frame->code == FRAME_RESET_TIMEOUT)
		exchange_fail(x, 504, "The backend did not answer in time.");
	else
		exchange_fail(x, 502, broken);
}

/* One of a classic agent's two calls ended before its time. */
static void
take_classic_reset(struct exchange *x, const struct address *from,
    const struct frame *frame)
{
	if (x->state == EXCHANGE_ANSWERS ||
	    frame->code != FRAME_RESET_NOT_STARTED) {
		take_reset(x, frame);
		return;
	}
	if (address_is(from, &x->answerer)) {
		/* Before any head: the agent may post again, for a while. */
		exchange_forget_response(x);
		return;
	}
	/* The request did not get through; it may be fetched again. */
	x->agent.kind = ADDRESS_NONE;
	if (x->request.base > 0) {
		exchange_fail(x, 502, "The agent was lost.");
		return;
	}
	lease_leave(x->all->leases, &x->lease);
	rewind_fetch(x);
	exchange_set_timer(x, (double)x->all->parts.settings->lease_ms /
	    1000);
}

static void
accept_from_agent(struct exchange *x)
{
	if (x->state != EXCHANGE_WAITS_FOR_ACCEPT)
		return;
	exchange_set_state(x, EXCHANGE_WAITS_FOR_RESPONSE);
	response_deadline(x);
}

static void
dispatch(struct exchange *x, const struct address *from,
    const struct frame *frame)
{
	switch (frame->type) {
	case FRAME_ACCEPT:
		accept_from_agent(x);
		break;
	case FRAME_HEAD:
		accept_from_agent(x);
		take_head(x, frame);
		break;
	case FRAME_DATA:
		accept_from_agent(x);
		take_data(x, frame);
		break;
	case FRAME_WINDOW:
		accept_from_agent(x);
		take_window(x, frame);
		break;
	case FRAME_RESET:
		if (from->kind == ADDRESS_CALL)
			take_classic_reset(x, from, frame);
		else
			take_reset(x, frame);
		break;
	default:
		break;
	}
}

static bool
is_for_backend(const struct exchange *x, struct span backends)
{
	struct span backend;

	while (frame_next_backend(&backends, &backend))
		if (span_is(backend, span_str(x->backend)))
			return true;
	return false;
}

void
exchanges_take_frame(struct exchanges *all, const struct address *from,
    struct span backends, const struct frame *frame)
{
	struct exchange *x = exchange_find(all, &frame->id);

	leases_seen(all->leases, from->instance);
	if (x == NULL || !is_for_backend(x, backends)) {
		if (x != NULL)
			log_warn(x->id_text, "refused: a frame from an agent "
			    "of another backend");
		refuse(all, from, frame);
		return;
	}
	if (frame->type == FRAME_HANDED) {
		take_handed(x, from, frame);
	} else if (frame->type == FRAME_FETCH) {
		take_fetch(x, from, frame);
	} else if (is_from_holder(x, from, frame)) {
		dispatch(x, from, frame);
	} else {
		note_newer_post(x, from, frame);
		refuse(all, from, frame);
	}
}
