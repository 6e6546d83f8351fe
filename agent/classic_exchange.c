/* classic_exchange.c - the classic protocol: one exchange.
 *
 * A fetch brings the request, whose content goes to the backend while it
 * arrives.  A post takes the response back: with Content-Length when it is
 * small and all there at once (some web servers don't take a chunked
 * request), else chunked, from its first byte.  When the backend is slow the
 * post is opened before there is anything to say, so that the proxy can close
 * it when the client leaves.
 *
 * When the backend breaks off, the post ends as it should and the response in
 * it does not: its last chunk is missing.  A post that broke off itself would
 * never leave a web server that collects a whole request first. */
#include "config.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "agent/classic_private.h"
#include "agent/exchange.h"
#include "common/http1_body.h"
#include "common/log.h"

enum {
	REQUEST_WINDOW = 256 * 1024,
	RESPONSE_WINDOW = 256 * 1024,
	WHOLE_MAX = 64 * 1024,		/* a response posted as a whole */
	RETRY_MAX = 64 * 1024,		/* sent of it when it is tried again */
	RETRIES = 7,			/* after 12 s in all */
	FETCH_TIMEOUT_MS = 45 * 1000,
	CHUNK_OVERHEAD = 32,
};

/* How long a response may stay unposted, in the hope that it is soon whole;
 * and how long the backend may think before the post is opened all the
 * same. */
static const double whole_delay_s = .002;
static const double open_delay_s = .1;

struct classic_exchange {
	struct exchange x;
	struct classic *classic;
	const struct backend *backend;
	struct classic_exchange *next, **at;
	char *id;

	struct transfer *fetch;
	unsigned fetches;
	char *user;
	struct buf head;		/* of the request, until it is whole */
	bool has_head;
	struct http1_body body;
	bool body_ended;
	int fetch_error;		/* a wire_error */

	struct transfer *post;
	unsigned posts;
	struct buf out;			/* the response in wire form */
	size_t sent;			/* of what is in out */
	bool forgot_sent;		/* sent bytes were drained */
	bool out_ended;
	bool is_broken;			/* out ends where the backend broke off */
	ev_timer timer;			/* opens the post; tries again */
	bool fetch_again;		/* that is what the timer is for */
	bool is_last_word;		/* out says that the response is lost */
};

/* Before the next try; Redis, or the web server, may be away for a while. */
static double
retry_delay(unsigned tries)
{
	return .1 * (double)(1u << (tries - 1));
}

static const struct transfer_handler fetch_handler, post_handler;
static const struct exchange_carrier carrier;

static void answer_error(struct classic_exchange *cx, int status,
    const char *text);

void
classic_exchange_free(struct classic_exchange *cx)
{
	struct classic *c = cx->classic;

	ev_timer_stop(c->agent->loop, &cx->timer);
	transfer_abort(cx->fetch);
	transfer_abort(cx->post);
	exchange_clear(&cx->x);
	*cx->at = cx->next;
	if (cx->next != NULL)
		cx->next->at = cx->at;
	buf_clear(&cx->head);
	buf_clear(&cx->out);
	free(cx->user);
	free(cx->id);
	free(cx);
	c->has_changed = true;
}

/* The client has left, or the proxy does not want it. */
static void
give_up(struct classic_exchange *cx, const char *why)
{
	if (cx->x.state == EXCHANGE_NEW)
		log_warn(cx->id, "%s", why);
	else
		exchange_cancel(&cx->x, why);
	classic_exchange_free(cx);
}

static void
set_timer(struct classic_exchange *cx, double seconds)
{
	struct ev_loop *loop = cx->classic->agent->loop;

	ev_timer_stop(loop, &cx->timer);
	ev_timer_set(&cx->timer, seconds, 0.);
	ev_timer_start(loop, &cx->timer);
}

static struct transfer *
call_proxy(struct classic_exchange *cx, enum proxy_endpoint endpoint,
    struct transfer_request *request, const struct transfer_handler *handler)
{
	struct transfer *t;
	struct fields fields;

	fields_init(&fields);
	proxy_add_field(&fields, "X-Inverting-Proxy-Backend-ID",
	    span_str(cx->backend->id));
	proxy_add_field(&fields, "X-Inverting-Proxy-Request-ID",
	    span_str(cx->id));
	if (endpoint == PROXY_RESPONSE)
		proxy_add_field(&fields, "Content-Type",
		    span_str("text/plain"));
	t = proxy_start(cx->classic->agent->proxy, endpoint, request, &fields,
	    handler, cx);
	fields_clear(&fields);
	return t;
}

/* --- the post --- */

static void
open_post(struct classic_exchange *cx)
{
	struct transfer_request request = {
		.method = span_str("POST"),
		.framing = { HTTP1_FRAMING_CHUNKED, 0 },
		.may_repeat = true,
	};

	ev_timer_stop(cx->classic->agent->loop, &cx->timer);
	cx->posts++;
	cx->sent = 0;
	if (cx->out_ended && buf_len(&cx->out) <= WHOLE_MAX) {
		request.framing = (struct http1_framing){
			HTTP1_FRAMING_LENGTH, buf_len(&cx->out) };
		request.content = buf_span(&cx->out);
	}
	cx->post = call_proxy(cx, PROXY_RESPONSE, &request, &post_handler);
}

/* There is more to send, or it has ended. */
static void
send_more(struct classic_exchange *cx)
{
	if (cx->post != NULL)
		transfer_resume_send(cx->post);
	else if (cx->posts == 0 && (cx->out_ended ||
	    buf_len(&cx->out) > WHOLE_MAX / 2))
		open_post(cx);
}

static long
on_post_send(void *arg, char *into, size_t len)
{
	struct classic_exchange *cx = arg;
	size_t n = buf_len(&cx->out) - cx->sent;

	if (n == 0)
		return cx->out_ended ? TRANSFER_SEND_END :
		    TRANSFER_SEND_LATER;
	if (n > len)
		n = len;
	memcpy(into, buf_data(&cx->out) + cx->sent, n);
	cx->sent += n;
	if (cx->forgot_sent || cx->sent > RETRY_MAX) {
		buf_drain(&cx->out, cx->sent);
		cx->sent = 0;
		cx->forgot_sent = true;
		exchange_resume(&cx->x);
	}
	return (long)n;
}

/* To the proxy this agent is well, so the client would wait for as long as the
 * proxy does.  One that has a part of the response sees it break off sooner,
 * too. */
static void
say_lost(struct classic_exchange *cx, const char *why)
{
	exchange_cancel(&cx->x, why);
	buf_drain(&cx->out, buf_len(&cx->out));
	cx->posts = 0;
	cx->sent = 0;
	cx->forgot_sent = cx->is_broken = false;
	cx->is_last_word = true;
	cx->x.status = 502;
	answer_error(cx, 502, why);
}

static void
on_posted(void *arg, const struct transfer_result *result)
{
	struct classic_exchange *cx = arg;
	int status = result->status;
	bool failed = result->outcome != TRANSFER_COMPLETE ||
	    status >= 500 || status == 429, says_lost;

	cx->post = NULL;
	/* Half a response is refused as such; it was heard all the same. */
	if (!failed && cx->out_ended && ((status >= 200 && status < 300) ||
	    (cx->is_broken && status != 401))) {
		classic_exchange_free(cx);
		return;
	}
	if (status == 401)
		proxy_refused(cx->classic->agent->proxy);
	if ((failed || status == 401) && !cx->forgot_sent &&
	    cx->posts <= RETRIES) {
		log_debug(cx->id, "posting the response failed: %s, status "
		    "%d; trying again", result->why, status);
		set_timer(cx, retry_delay(cx->posts));
		return;
	}
	if (status == 411)
		log_warn(cx->id, "the web server at the proxy takes no "
		    "chunked requests: use the native protocol");
	/* To 400, 401, 403 and 404 there is nothing to be said. */
	says_lost = (failed || status > 404) && !cx->is_last_word;
	if (says_lost || cx->x.state == EXCHANGE_OVER)
		log_warn(cx->id, "the response was not taken: status %d, %s",
		    status, result->why);
	if (says_lost) {
		say_lost(cx, "the response was lost on its way");
		return;
	}
	give_up(cx, status == 404 ? "the client has left" :
	    "the proxy did not take the response");
}

static const struct transfer_handler post_handler = {
	.send = on_post_send,
	.done = on_posted,
};

/* --- the response --- */

static void
append(struct classic_exchange *cx, int error)
{
	if (error != 0)
		fatal("%s: the response buffer: %s", cx->id,
		    wire_strerror(error));
}

static void
on_response_head(struct exchange *x)
{
	struct classic_exchange *cx = (struct classic_exchange *)x;

	append(cx, buf_append_span(&cx->out, buf_span(&x->head)));
	buf_clear(&x->head);
	if (cx->post != NULL)
		send_more(cx);
	else if (cx->posts == 0)
		set_timer(cx, whole_delay_s);
}

static bool
on_response_content(struct exchange *x, struct span content)
{
	struct classic_exchange *cx = (struct classic_exchange *)x;

	if (buf_len(&cx->out) > 0 && content.len + CHUNK_OVERHEAD +
	    buf_len(&cx->out) > RESPONSE_WINDOW)
		return false;
	append(cx, http1_chunk_encode(&cx->out, content));
	send_more(cx);
	return true;
}

static void
on_response_ended(struct exchange *x)
{
	struct classic_exchange *cx = (struct classic_exchange *)x;

	if (x->response_framing.kind != HTTP1_FRAMING_NONE)
		append(cx, http1_chunk_encode_last(&cx->out));
	cx->out_ended = true;
	send_more(cx);
}

static void
answer_error(struct classic_exchange *cx, int status, const char *text)
{
	char body[1024];
	int len;

	len = snprintf(body, sizeof(body), "%d %s: %.700s\nexchange %.100s\n",
	    status, http1_reason_phrase(status), text, cx->id);
	append(cx, buf_printf(&cx->out, "HTTP/1.1 %d %s\r\n"
	    "Content-Type: text/plain; charset=utf-8\r\n"
	    "Cache-Control: no-store\r\n"
	    "Transfer-Encoding: chunked\r\n\r\n%x\r\n%s\r\n0\r\n\r\n", status,
	    http1_reason_phrase(status), (unsigned)len, body));
	cx->out_ended = true;
	send_more(cx);
}

static void
on_response_failed(struct exchange *x, enum frame_reset code, const char *text)
{
	struct classic_exchange *cx = (struct classic_exchange *)x;
	char message[800];

	if (cx->forgot_sent || cx->sent > 0 || x->response_len > 0) {
		cx->is_broken = cx->out_ended = true;
		send_more(cx);
		return;
	}
	/* The head alone has not gone yet. */
	buf_drain(&cx->out, buf_len(&cx->out));
	x->status = code == FRAME_RESET_TIMEOUT ? 504 : 502;
	(void)snprintf(message, sizeof(message), "%s: %.600s",
	    code == FRAME_RESET_UNREACHABLE ?
	    "the backend can't be reached" :
	    code == FRAME_RESET_TIMEOUT ? "the backend is too slow" :
	    "the backend broke off", text);
	answer_error(cx, x->status, message);
}

/* The backend has taken request content: the fetch can go on. */
static void
on_request_taken(struct exchange *x)
{
	struct classic_exchange *cx = (struct classic_exchange *)x;

	if (cx->fetch != NULL && buf_len(&x->request) < REQUEST_WINDOW / 2)
		transfer_resume_receive(cx->fetch);
}

static const struct exchange_carrier carrier = {
	.chunked = true,
	.head = on_response_head,
	.content = on_response_content,
	.ended = on_response_ended,
	.failed = on_response_failed,
	.took = on_request_taken,
};

/* --- the fetch --- */

/* The answer to the fetch, not the request that is its content. */
static bool
on_fetch_head(void *arg, int status, struct span head)
{
	struct classic_exchange *cx = arg;
	struct http1_response response;
	const struct field *user;

	if (status != 200 || http1_response_decode(head, BACKEND_FIELDS_MAX,
	    &response) != 0)
		return true;
	user = fields_find(&response.fields, "X-Inverting-Proxy-User-ID");
	free(cx->user);
	cx->user = span_strdup(user == NULL ? span_of("", 0) : user->value);
	if (cx->user == NULL)
		fatal("out of memory");
	http1_response_clear(&response);
	return true;
}

/* Content of the request, up to its end. */
static int
take_body(struct classic_exchange *cx, struct span bytes)
{
	struct span content;
	int r;

	do {
		r = http1_body_decode(&cx->body, &bytes, &content);
		if (r < 0)
			return r;
		/* There is room: on_fetch_content has looked. */
		if (buf_append_span(&cx->x.request, content) != 0)
			return WIRE_TOO_LARGE;
	} while (r == WIRE_MORE && (bytes.len > 0 || content.len > 0));
	cx->body_ended = r == WIRE_DONE;
	exchange_request_arrived(&cx->x, cx->body_ended);
	return WIRE_OK;
}

static int
take_head(struct classic_exchange *cx, struct span bytes)
{
	size_t before = buf_len(&cx->head), head_len;
	int r;

	if ((r = buf_append_span(&cx->head, bytes)) != 0)
		return r;
	r = http1_head_find_end(buf_span(&cx->head), before,
	    TRANSFER_HEAD_MAX, &head_len);
	if (r != WIRE_DONE)
		return r == WIRE_MORE ? WIRE_OK : r;
	r = exchange_begin(&cx->x, cx->backend, span_str(cx->user),
	    span_of(buf_data(&cx->head), head_len), 0);
	if (r != 0)
		return r;
	cx->has_head = true;
	http1_body_init(&cx->body, cx->x.request_framing);
	set_timer(cx, open_delay_s);
	r = take_body(cx, span_of(buf_data(&cx->head) + head_len,
	    buf_len(&cx->head) - head_len));
	buf_clear(&cx->head);
	return r;
}

static bool
on_fetch_content(void *arg, struct span bytes)
{
	struct classic_exchange *cx = arg;

	if (cx->user == NULL || cx->fetch_error != 0 || cx->body_ended ||
	    (cx->has_head && cx->x.state == EXCHANGE_OVER))
		return true;
	if (buf_len(&cx->x.request) + bytes.len > REQUEST_WINDOW)
		return false;
	cx->fetch_error = cx->has_head ? take_body(cx, bytes) :
	    take_head(cx, bytes);
	return true;
}

static void
fetch(struct classic_exchange *cx)
{
	struct transfer_request request = {
		.method = span_str("GET"),
		.head_timeout_ms = FETCH_TIMEOUT_MS,
		.may_repeat = true,
	};

	cx->fetches++;
	cx->fetch_again = false;
	cx->fetch = call_proxy(cx, PROXY_REQUEST, &request, &fetch_handler);
}

/* The request came, but it is not one, or it was cut short. */
static void
refuse_request(struct classic_exchange *cx)
{
	const char *why = cx->fetch_error == 0 ? "it was cut short" :
	    wire_strerror(cx->fetch_error);
	char text[300];

	if (cx->x.state == EXCHANGE_NEW) {
		(void)snprintf(text, sizeof(text),
		    "the request can't be forwarded: %s", why);
		log_warn(cx->id, "%s", text);
		answer_error(cx, cx->fetch_error == WIRE_TOO_LARGE ? 431 : 400,
		    text);
		return;
	}
	exchange_cancel(&cx->x, "the request's content broke off");
	cx->x.status = 502;
	on_response_failed(&cx->x, FRAME_RESET_BROKEN,
	    "the request's content broke off");
}

static void
on_fetched(void *arg, const struct transfer_result *result)
{
	struct classic_exchange *cx = arg;
	bool failed = result->outcome != TRANSFER_COMPLETE ||
	    result->status >= 500 || result->status == 401;

	cx->fetch = NULL;
	if (result->status == 401)
		proxy_refused(cx->classic->agent->proxy);
	if (failed && cx->fetches <= RETRIES && !cx->has_head &&
	    cx->fetch_error == 0) {
		buf_clear(&cx->head);
		cx->fetch_again = true;
		set_timer(cx, retry_delay(cx->fetches));
		return;
	}
	if (!cx->has_head && cx->fetch_error == 0 &&
	    (failed || result->status != 200)) {
		char why[300];

		(void)snprintf(why, sizeof(why), "the request could not be "
		    "fetched: %.150s, status %d", result->why,
		    result->status);
		if (failed) {
			log_warn(cx->id, "%s", why);
			say_lost(cx, "the request could not be fetched");
		} else {
			give_up(cx, why);
		}
		return;
	}
	if (cx->has_head && cx->x.state == EXCHANGE_OVER)
		return;
	if (cx->fetch_error == 0 && cx->has_head &&
	    result->outcome == TRANSFER_COMPLETE &&
	    http1_body_end(&cx->body) == WIRE_DONE) {
		exchange_request_arrived(&cx->x, true);
		return;
	}
	refuse_request(cx);
}

static const struct transfer_handler fetch_handler = {
	.head = on_fetch_head,
	.content = on_fetch_content,
	.done = on_fetched,
};

static void
on_timer(struct ev_loop *loop, ev_timer *timer, int revents)
{
	struct classic_exchange *cx = timer->data;

	(void)loop;
	(void)revents;
	if (cx->fetch_again)
		fetch(cx);
	else if (cx->post == NULL)
		open_post(cx);
}

void
classic_exchange_start(struct classic *c, const struct backend *backend,
    struct span id)
{
	struct classic_exchange *cx = calloc(1, sizeof(*cx));

	if (cx == NULL || (cx->id = span_strdup(id)) == NULL)
		fatal("out of memory");
	cx->classic = c;
	cx->backend = backend;
	cx->next = c->exchanges;
	cx->at = &c->exchanges;
	if (cx->next != NULL)
		cx->next->at = &cx->next;
	c->exchanges = cx;
	exchange_init(&cx->x, c->agent, &carrier, cx->id, REQUEST_WINDOW);
	exchange_count(&cx->x);
	buf_init(&cx->head, TRANSFER_HEAD_MAX + REQUEST_WINDOW);
	buf_init(&cx->out, RESPONSE_WINDOW + TRANSFER_HEAD_MAX);
	ev_timer_init(&cx->timer, on_timer, 0., 0.);
	cx->timer.data = cx;
	fetch(cx);
}
