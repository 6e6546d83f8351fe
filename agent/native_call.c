/* native_call.c - the native protocol: one call: its HELLO, its answer, and
 * what becomes of it when it fails. */
#include "config.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

#include "agent/native_private.h"
#include "common/log.h"

enum {
	LEAVE_TRIES = 3,		/* at a proxy that is not there */
	SLACK_MS = 15 * 1000,
	ANSWER_TIMEOUT_MS = 30 * 1000,
	SLOWEST = 16,			/* bytes a ms, of a call's content */
	/* A proxy of another kind may take our question for a client's
	 * request, and keep it. */
	ASK_TIMEOUT_MS = 10 * 1000,
	EMPTY_ANSWER = 64,		/* bytes, as long as WELCOME */
};

static const char content_type[] = "application/vnd.inverting-proxy.frames";

static const struct transfer_handler handler;

/* --- HELLO --- */

static bool
is_well(const struct native *n)
{
	for (size_t i = 0; i < n->backend_count; i++)
		if (n->backends[i]->is_healthy)
			return true;
	return false;
}

unsigned
native_capacity(const struct native *n)
{
	size_t room = agent_room(n->agent), share;

	if (room <= n->agent->promised || !is_well(n))
		return 0;
	room -= n->agent->promised;
	share = room / (NATIVE_PARKED_MAX * n->agent->session_count);
	return (unsigned)(share > 0 ? share : 1);
}

bool
native_asks_for_work(const struct native *n)
{
	const struct native_call *call;

	TAILQ_FOREACH(call, &n->calls, link)
		if (call->capacity > 0 && !call->is_arriving)
			return true;
	return false;
}

/* Its length is always the same, so it can be written over an older one. */
static void
put_hello(struct native *n, struct native_call *call)
{
	struct buf hello;

	n->hello.flags = (call->is_parked ? FRAME_FLAG_PARK : 0) |
	    (call->is_leaving ? FRAME_FLAG_LEAVING : 0);
	n->hello.capacity = call->capacity;
	n->hello.in_flight = (uint32_t)n->unfinished;
	buf_init(&hello, FRAME_CALL_MAX);
	if (frame_encode(&hello, &n->hello) != 0)
		fatal("out of memory");
	if (buf_len(&call->body) == 0) {
		if (buf_append_span(&call->body, buf_span(&hello)) != 0)
			fatal("out of memory");
		n->hello_len = buf_len(&hello);
	} else {
		memcpy(call->body.data + call->body.off, buf_data(&hello),
		    n->hello_len);
	}
	buf_clear(&hello);
}

void
native_begin_instance(struct native *n)
{
	if (getrandom(n->hello.instance, AGENT_INSTANCE_LEN, 0) !=
	    AGENT_INSTANCE_LEN)
		fatal("no random bytes");
}

/* --- calls --- */

static void
call_free(struct native_call *call)
{
	/* Exchanges that ended in it are not confirmed; whoever frees it
	 * before has taken care of them. */
	while (!LIST_EMPTY(&call->finals)) {
		LIST_FIRST(&call->finals)->final_call = NULL;
		LIST_REMOVE(LIST_FIRST(&call->finals), finals);
	}
	buf_clear(&call->body);
	buf_clear(&call->answer);
	free(call);
}

/* It is with the proxy no more. */
static void
call_left(struct native_call *call, bool is_answered)
{
	struct native *n = call->native;

	call->transfer = NULL;
	TAILQ_REMOVE(&n->calls, call, link);
	if (call->is_arriving) {
		n->arriving--;
	} else if (call->is_parked) {
		n->parked--;
	} else {
		n->carrying--;
		native_pace_ended(&n->pace, call->number, n->last_number,
		    buf_len(&call->body), is_answered ?
		    ev_now(n->agent->loop) - call->began_at : -1.);
	}
	n->agent->promised -= call->capacity;
}

static long
call_timeout_ms(const struct native *n, const struct native_call *call)
{
	if (n->state == NATIVE_ASKS)
		return ASK_TIMEOUT_MS;
	return (call->is_parked ? (long)n->park_ms + SLACK_MS :
	    ANSWER_TIMEOUT_MS) + (long)(buf_len(&call->body) / SLOWEST);
}

/* Sends what is in its body. */
void
native_call_send(struct native_call *call, bool park)
{
	struct native *n = call->native;
	struct transfer_request request = { .method = span_str("POST"),
		.may_repeat = true };
	char length[32];
	struct fields fields;

	call->is_parked = park;
	call->capacity = park ? native_capacity(n) : 0;
	put_hello(n, call);
	n->agent->promised += call->capacity;
	TAILQ_INSERT_TAIL(&n->calls, call, link);
	call->began_at = n->called_at = ev_now(n->agent->loop);
	if (park) {
		n->parked++;
	} else {
		n->carrying++;
		n->carried_at = n->called_at;
		native_pace_began(&n->pace, buf_len(&call->body));
	}
	call->is_frames = call->is_arriving = false;
	buf_drain(&call->answer, buf_len(&call->answer));

	request.content = buf_span(&call->body);
	request.framing = (struct http1_framing){ HTTP1_FRAMING_LENGTH,
		request.content.len };
	request.timeout_ms = call_timeout_ms(n, call);
	request.content_max = FRAME_CALL_MAX;
	fields_init(&fields);
	(void)snprintf(length, sizeof(length), "%zu", request.content.len);
	proxy_add_field(&fields, "Content-Type", span_str(content_type));
	proxy_add_field(&fields, "Content-Length", span_str(length));
	/* A proxy of the classic protocol knows an agent by this. */
	if (n->state == NATIVE_ASKS)
		proxy_add_field(&fields, "X-Inverting-Proxy-Backend-ID",
		    span_str(n->backends[0]->id));
	call->transfer = proxy_start(n->agent->proxy, PROXY_EXCHANGE, &request,
	    &fields, &handler, call);
	fields_clear(&fields);
}

/* How long it may get, when there is this much room on the line. */
static size_t
full_with(const struct native *n, const struct native_call *call, size_t room)
{
	size_t full = buf_len(&call->body) + room;

	return full < n->call_full ? full : n->call_full;
}

void
native_call_open(struct native *n, bool park)
{
	struct native_call *call = calloc(1, sizeof(*call));
	size_t room = native_pace_room(&n->pace);

	if (park && room > NATIVE_PARKED_FULL)
		room = NATIVE_PARKED_FULL;
	if (call == NULL)
		fatal("out of memory");
	call->native = n;
	call->number = ++n->last_number;
	LIST_INIT(&call->finals);
	buf_init(&call->body, FRAME_CALL_MAX);
	buf_init(&call->answer, FRAME_CALL_MAX);
	if (n->leave == NATIVE_MUST_SAY && !park) {
		n->leave = NATIVE_SAYS;
		call->is_leaving = true;
	}
	put_hello(n, call);
	if (n->state == NATIVE_ON)
		native_fill_call(n, call, full_with(n, call, room));
	n->must_call = false;
	native_call_send(call, park);
}

/* It failed: what it carried goes again. */
static void
call_again(struct native_call *call)
{
	struct native *n = call->native;

	if (call->has_frames) {
		TAILQ_INSERT_TAIL(&n->waiting, call, link);
		return;
	}
	if (call->is_leaving && n->leave == NATIVE_SAYS)
		n->leave = n->link.failures < LEAVE_TRIES ? NATIVE_MUST_SAY :
		    NATIVE_HAS_LEFT;
	call_free(call);
}

void
native_drop_all(struct native *n, const char *why)
{
	struct native_call *call;

	while ((call = TAILQ_FIRST(&n->calls)) != NULL) {
		transfer_abort(call->transfer);
		call_left(call, false);
		call_free(call);
	}
	while ((call = TAILQ_FIRST(&n->waiting)) != NULL) {
		TAILQ_REMOVE(&n->waiting, call, link);
		call_free(call);
	}
	native_exchanges_clear(n, why);
	/* Nothing is left that the proxy could know of. */
	if (n->leave != NATIVE_STAYS)
		n->leave = NATIVE_HAS_LEFT;
}

/* --- answers --- */

static bool
on_head(void *arg, int status, struct span head)
{
	struct native_call *call = arg;
	struct http1_response response;
	const struct field *type;

	if (status != 200 || http1_response_decode(head, BACKEND_FIELDS_MAX,
	    &response) != 0)
		return true;
	type = fields_find(&response.fields, "Content-Type");
	call->is_frames = type != NULL &&
	    span_is_nocase(type->value, span_str(content_type));
	http1_response_clear(&response);
	return true;
}

/* A parked call waits no more; while its answer takes its time, what is small
 * finds another one. */
static void
set_arriving(struct native_call *call)
{
	struct native *n = call->native;

	if (!call->is_parked || call->is_arriving ||
	    n->arriving >= NATIVE_ARRIVING_MAX)
		return;
	call->is_arriving = true;
	n->parked--;
	n->arriving++;
}

static bool
on_content(void *arg, struct span content)
{
	struct native_call *call = arg;

	set_arriving(call);
	if (buf_append_span(&call->answer, content) != 0)
		fatal("out of memory");
	return true;
}

/* May an answer still bring work? */
static bool
may_bring_work(const struct native *n)
{
	const struct native_call *call;

	TAILQ_FOREACH(call, &n->calls, link)
		if (call->capacity > 0)
			return true;
	return false;
}

static void
say_refused(struct native *n, const struct frame *frame)
{
	for (size_t i = 0; i < n->backend_count; i++) {
		if (n->is_refused[i] ||
		    !span_is(frame->backend, span_str(n->backends[i]->id)))
			continue;
		n->is_refused[i] = true;
		log_warn(NULL, "the proxy gives no work for backend %s: status "
		    "%u, %.*s", n->backends[i]->id, frame->code,
		    (int)frame->text.len, frame->text.data);
	}
}

/* Is every frame whole?  Only then is any of them acted on. */
static bool
is_answer(struct span frames)
{
	struct frame frame;
	bool is_first = true;

	while (frames.len > 0) {
		if (frame_decode(&frames, &frame) != WIRE_DONE ||
		    (is_first && frame.type != FRAME_WELCOME))
			return false;
		is_first = false;
	}
	return !is_first;
}

static void
set_call_size(struct native *n, size_t size)
{
	n->call_full = NATIVE_CALL_FULL;
	if (size > 0 && size < n->call_full)
		n->call_full = size > NATIVE_CALL_FULL_MIN ? size :
		    NATIVE_CALL_FULL_MIN;
}

static void
take_answer(struct native *n, struct span frames)
{
	struct frame frame;

	while (frames.len > 0 && frame_decode(&frames, &frame) == WIRE_DONE) {
		switch (frame.type) {
		case FRAME_WELCOME:
			n->park_ms = frame.park_ms;
			n->lease_ms = frame.lease_ms;
			set_call_size(n, frame.call_size);
			break;
		case FRAME_REFUSED:
			say_refused(n, &frame);
			break;
		case FRAME_OPEN:
		case FRAME_DATA:
		case FRAME_WINDOW:
		case FRAME_RESET:
			native_take_frame(n, &frame);
			break;
		default:
			break;
		}
	}
}

static void
parked_answered(struct native *n, const struct native_call *call)
{
	double rest = link_answered(&n->link, n->heard_at - call->began_at,
	    buf_len(&call->answer) <= EMPTY_ANSWER && !call->has_frames);

	if (rest > 0.)
		native_start_timer(n, &n->rest, rest);
}

static void
call_answered(struct native_call *call)
{
	struct native *n = call->native;

	link_worked(&n->link);
	n->heard_at = ev_now(n->agent->loop);
	if (call->is_parked)
		parked_answered(n, call);
	if (n->state == NATIVE_ASKS) {
		n->state = NATIVE_ON;
		n->verdict(n->arg, true, NULL, span_of(NULL, 0));
		if (n->state != NATIVE_ON) {
			call_free(call);
			return;
		}
	}
	take_answer(n, buf_span(&call->answer));
	native_call_confirmed(call);
	if (n->was_lost)
		native_ask_again(n);
	n->was_lost = false;
	if (call->is_leaving && n->leave < NATIVE_WAS_HEARD)
		n->leave = NATIVE_WAS_HEARD;
	call_free(call);
	if (n->leave == NATIVE_WAS_HEARD && !may_bring_work(n))
		n->leave = NATIVE_HAS_LEFT;
	n->agent->served(n->agent);
}

/* --- failures --- */

/* Does this answer to the first question mean that it was not understood? */
static bool
is_unspoken(const struct transfer_result *result)
{
	int status = result->status;

	if (result->outcome == TRANSFER_TIMEOUT)
		return true;
	return result->outcome == TRANSFER_COMPLETE &&
	    ((status >= 200 && status < 300) || status == 501 ||
	    (status >= 400 && status < 500 && status != 401 &&
	    status != 403 && status != 408 && status != 429));
}

static void
wait_to_retry(struct native *n, int status, const char *why)
{
	if (ev_is_active(&n->retry))
		return;
	native_start_timer(n, &n->retry, link_failed(&n->link, status, why));
}

/* The proxy says that we broke a rule: everything begins anew. */
static void
begin_anew(struct native *n, int status, struct span text)
{
	log_error(NULL, "the proxy refused a call with status %d, beginning "
	    "anew: %.*s", status, (int)(text.len > 200 ? 200 : text.len),
	    text.data);
	native_drop_all(n, "the proxy refused a call");
	native_begin_instance(n);
	wait_to_retry(n, status, NULL);
}

static void
ask_failed(struct native_call *call, const struct transfer_result *result)
{
	struct native *n = call->native;
	int status = result->outcome == TRANSFER_COMPLETE ? result->status : 0;
	char *instead;
	size_t len;

	/* The verdict ends all calls. */
	if (status < 200 || status > 299)
		buf_clear(&call->answer);
	len = buf_take(&call->answer, &instead);
	call_again(call);
	if (is_unspoken(result))
		n->verdict(n->arg, false, n->backends[0],
		    span_of(instead, len));
	free(instead);
	if (n->state != NATIVE_OFF)
		wait_to_retry(n, status, result->why);
}

static void
call_failed(struct native_call *call, const struct transfer_result *result)
{
	struct native *n = call->native;
	int status = result->outcome == TRANSFER_COMPLETE ? result->status : 0;

	if (status == 401)
		proxy_refused(n->agent->proxy);
	if (n->state == NATIVE_ASKS) {
		ask_failed(call, result);
		return;
	}
	if (status == 400 || status == 413) {
		begin_anew(n, status, buf_span(&call->answer));
		call_free(call);
		return;
	}
	/* It is there, but not its Redis: it gives nothing to others, either. */
	if (status == 503)
		n->heard_at = ev_now(n->agent->loop);
	/* The proxy may have become one of another kind. */
	if (status == 404 || status == 405 || status == 501)
		n->state = NATIVE_ASKS;
	n->was_lost = true;
	call_again(call);
	wait_to_retry(n, status, status == 200 ?
	    "the answer is not frames" : result->why);
}

static void
on_done(void *arg, const struct transfer_result *result)
{
	struct native_call *call = arg;

	bool is_answered = result->outcome == TRANSFER_COMPLETE &&
	    result->status == 200 && call->is_frames &&
	    is_answer(buf_span(&call->answer));

	call_left(call, is_answered);
	if (is_answered)
		call_answered(call);
	else
		call_failed(call, result);
}

static const struct transfer_handler handler = {
	.head = on_head,
	.content = on_content,
	.done = on_done,
};
