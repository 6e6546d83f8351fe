/* exchange.c - one exchange in the agent, between its carrier and libcurl. */
#include "config.h"

#include <stdio.h>
#include <string.h>

#include "agent/exchange.h"
#include "common/log.h"

static void
say_over(struct exchange *x, const char *outcome)
{
	struct log_line line;
	double ms = (ev_now(x->agent->loop) - x->began_at) * 1e3;

	log_line_begin(&line, LOG_LEVEL_INFO, x->id, "exchange");
	if (!line.wanted)
		return;
	log_line_span(&line, "method", x->method);
	log_line_span(&line, "target", x->target);
	log_line_number(&line, "status", x->status);
	log_line_number(&line, "bytes", (long long)x->response_len);
	log_line_number(&line, "request_bytes", (long long)x->request_taken);
	log_line_number(&line, "ms", (long long)(ms + .5));
	log_line_span(&line, "backend", span_str(x->backend->id));
	if (outcome != NULL)
		log_line_span(&line, "error", span_str(outcome));
	log_line_end(&line);
}

/* The one place where an exchange ends. */
static void
set_over(struct exchange *x, const char *outcome)
{
	x->state = EXCHANGE_OVER;
	transfer_abort(x->transfer);
	x->transfer = NULL;
	say_over(x, outcome);
}

static void
fail(struct exchange *x, enum frame_reset code, const char *text)
{
	if (x->status == 0)
		x->status = code == FRAME_RESET_TIMEOUT ? 504 : 502;
	set_over(x, text);
	x->carrier->failed(x, code, text);
}

/* --- what the backend says --- */

static bool
on_head(void *arg, int status, struct span head)
{
	struct exchange *x = arg;
	int r;

	r = backend_response(head, x->method, x->carrier->chunked, &x->head,
	    &x->response_framing);
	if (r != 0) {
		buf_clear(&x->head);
		x->refusal = r == WIRE_TOO_LARGE ?
		    "the backend's response head is too large" :
		    "the backend's response head is not valid HTTP";
		return false;
	}
	x->status = status;
	x->state = EXCHANGE_RESPONDS;
	x->carrier->head(x);
	/* libcurl would wait for content after HEAD with request content. */
	if (x->state == EXCHANGE_RESPONDS &&
	    x->request_framing.kind != HTTP1_FRAMING_NONE &&
	    span_is(x->method, span_str("HEAD"))) {
		set_over(x, NULL);
		x->carrier->ended(x);
	}
	return true;
}

static bool
on_content(void *arg, struct span content)
{
	struct exchange *x = arg;

	if (!x->carrier->content(x, content)) {
		x->response_waits = true;
		return false;
	}
	x->response_len += content.len;
	return true;
}

static long
on_send(void *arg, char *into, size_t len)
{
	struct exchange *x = arg;
	size_t n = buf_len(&x->request);
	uint64_t left = UINT64_MAX;

	/* Neither more nor less than was announced: the next request on the
	 * connection begins where this one ends. */
	if (x->request_framing.kind == HTTP1_FRAMING_LENGTH)
		left = x->request_framing.length - x->request_taken;
	if (n > left)
		n = (size_t)left;
	if (n == 0) {
		if (x->request_ended)
			return left == 0 || left == UINT64_MAX ?
			    TRANSFER_SEND_END : TRANSFER_SEND_BREAK;
		x->request_waits = true;
		return TRANSFER_SEND_LATER;
	}
	if (n > len)
		n = len;
	memcpy(into, buf_data(&x->request), n);
	buf_drain(&x->request, n);
	x->request_taken += n;
	x->carrier->took(x);
	return (long)n;
}

static void
on_done(void *arg, const struct transfer_result *result)
{
	struct exchange *x = arg;
	char text[400];

	x->transfer = NULL;
	switch (result->outcome) {
	case TRANSFER_COMPLETE:
		set_over(x, NULL);
		x->carrier->ended(x);
		return;
	case TRANSFER_UNREACHABLE:
		(void)snprintf(text, sizeof(text), "no connection to %.150s: "
		    "%.200s", x->backend->host, result->why);
		fail(x, FRAME_RESET_UNREACHABLE, text);
		return;
	case TRANSFER_TIMEOUT:
		fail(x, FRAME_RESET_TIMEOUT,
		    "the backend did not answer in time");
		return;
	case TRANSFER_BROKEN:
		fail(x, FRAME_RESET_BROKEN,
		    x->refusal != NULL ? x->refusal : result->why);
		return;
	}
}

static const struct transfer_handler handler = {
	.head = on_head,
	.content = on_content,
	.send = on_send,
	.done = on_done,
};

/* --- what the carrier says --- */

void
exchange_init(struct exchange *x, struct agent *agent,
    const struct exchange_carrier *carrier, const char *id, size_t window)
{
	*x = (struct exchange){ .agent = agent, .carrier = carrier, .id = id };
	buf_init(&x->request_head, TRANSFER_HEAD_MAX);
	buf_init(&x->request, window);
	buf_init(&x->head, TRANSFER_HEAD_MAX);
}

void
exchange_clear(struct exchange *x)
{
	exchange_uncount(x);
	transfer_abort(x->transfer);
	x->transfer = NULL;
	buf_clear(&x->request_head);
	buf_clear(&x->request);
	buf_clear(&x->head);
}

static void
start_transfer(struct exchange *x, const struct http1_request *request,
    long head_timeout_ms)
{
	struct transfer_request t = {
		.method = request->method,
		.target = request->target,
		.fields = &request->fields,
		.framing = x->request_framing,
		.head_timeout_ms =
		    x->agent->settings->request_forwarding_timeout_ms,
		.may_repeat = http1_method_is_idempotent(request->method),
	};

	if (head_timeout_ms > 0 && head_timeout_ms < t.head_timeout_ms)
		t.head_timeout_ms = head_timeout_ms;
	x->transfer = transfer_start(x->backend->peer, &t, &handler, x);
}

int
exchange_begin(struct exchange *x, const struct backend *backend,
    struct span user, struct span head, long head_timeout_ms)
{
	struct http1_request request;
	int r;

	if ((r = buf_append_span(&x->request_head, head)) != 0 ||
	    (r = http1_request_decode(buf_span(&x->request_head),
	    BACKEND_FIELDS_MAX, &request)) != 0)
		return r;
	r = backend_request(x->agent->settings, user, &request,
	    &x->request_framing);
	if (r == 0) {
		x->backend = backend;
		x->method = request.method;
		x->target = request.target;
		x->began_at = ev_now(x->agent->loop);
		x->state = EXCHANGE_WAITS_FOR_HEAD;
		exchange_count(x);
		start_transfer(x, &request, head_timeout_ms);
	}
	http1_request_clear(&request);
	return r;
}

void
exchange_request_arrived(struct exchange *x, bool ended)
{
	x->request_ended = x->request_ended || ended;
	if (!x->request_waits || x->transfer == NULL)
		return;
	x->request_waits = false;
	transfer_resume_send(x->transfer);
}

void
exchange_resume(struct exchange *x)
{
	if (!x->response_waits || x->transfer == NULL)
		return;
	x->response_waits = false;
	transfer_resume_receive(x->transfer);
}

void
exchange_cancel(struct exchange *x, const char *why)
{
	if (x->state == EXCHANGE_WAITS_FOR_HEAD ||
	    x->state == EXCHANGE_RESPONDS)
		set_over(x, why);
}

void
exchange_count(struct exchange *x)
{
	if (!x->is_counted)
		x->agent->in_flight++;
	x->is_counted = true;
}

void
exchange_uncount(struct exchange *x)
{
	if (x->is_counted && x->is_waiting)
		x->agent->waiting--;
	else if (x->is_counted)
		x->agent->in_flight--;
	x->is_counted = x->is_waiting = false;
}

void
exchange_set_waiting(struct exchange *x, bool is_waiting)
{
	if (!x->is_counted || x->is_waiting == is_waiting)
		return;
	exchange_uncount(x);
	x->is_counted = true;
	x->is_waiting = is_waiting;
	if (is_waiting)
		x->agent->waiting++;
	else
		x->agent->in_flight++;
}
