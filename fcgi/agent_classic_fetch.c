/* agent_classic_fetch.c - GET agent/request: the client's request in HTTP/1.1
 * wire form, streamed while it arrives at its owner. */
#include "config.h"

#include <stdlib.h>
#include <time.h>

#include "common/http1_body.h"
#include "common/log.h"
#include "common/stream.h"
#include "fcgi/agent_classic_private.h"
#include "fcgi/reply.h"

enum { ASK_AGAIN_SECONDS = 2, ASKED_MAX = 5 };

struct fetch {
	struct classic_call base;	/* first */
	struct exchange_id id;
	struct stream_in content;
	bool begun;			/* the head was written */
	bool is_chunked;
	unsigned busy;			/* messages not yet confirmed */
	unsigned asks;			/* for the request */
	uint64_t asked;			/* content.next at the last tick */
	ev_timer timer;			/* the owner does not answer */
};

static void
settle(struct fetch *f)
{
	if (f->base.call != NULL || f->busy > 0)
		return;
	ev_timer_stop(f->base.all->parts->loop, &f->timer);
	classic_call_clear(&f->base);
	stream_in_clear(&f->content);
	free(f);
}

/* The owner may think that the agent has got it. */
static void
tell_owner(struct fetch *f)
{
	struct frame reset = { .type = FRAME_RESET,
	    .code = FRAME_RESET_NOT_STARTED };

	classic_call_send(&f->base, &f->id, &reset, NULL);
}

static void
refuse(struct fetch *f, int status, const char *why)
{
	if (status == 503)
		tell_owner(f);
	reply_text(classic_call_release(&f->base), status, why, NULL,
	    status == 503 ? 1 : 0);
	settle(f);
}

/* 2026-01-02T03:04:05.123456789Z */
static void
format_time(uint64_t unix_ns, char text[48])
{
	time_t seconds = (time_t)(unix_ns / 1000000000u);
	struct tm tm;
	size_t len;

	gmtime_r(&seconds, &tm);
	len = strftime(text, 48, "%Y-%m-%dT%H:%M:%S", &tm);
	snprintf(text + len, 48 - len, ".%09lluZ",
	    (unsigned long long)(unix_ns % 1000000000u));
}

/* The head of our own answer, with its length where that is known. */
static void
write_head(struct fetch *f, const struct frame *open)
{
	struct http1_request request;
	struct http1_framing framing;
	char id[EXCHANGE_ID_TEXT + 1], time_text[48];
	struct buf out;

	exchange_id_text(&f->id, id);
	format_time(open->start_ns, time_text);
	buf_init(&out, 4096);
	classic_must(buf_printf(&out, "Status: 200 OK\r\n"
	    "Content-Type: application/octet-stream\r\n"
	    "Cache-Control: no-store\r\n"
	    "X-Inverting-Proxy-Request-ID: %s\r\n"
	    "X-Inverting-Proxy-User-ID: %.*s\r\n"
	    "X-Inverting-Proxy-Request-Start-Time: %s\r\n", id,
	    (int)open->user.len, open->user.data, time_text));
	framing.kind = HTTP1_FRAMING_CHUNKED;
	if (http1_request_decode(open->head, SIZE_MAX, &request) == WIRE_OK) {
		if (http1_request_framing(&request, &framing) != WIRE_OK)
			framing.kind = HTTP1_FRAMING_CHUNKED;
		http1_request_clear(&request);
	}
	f->is_chunked = framing.kind == HTTP1_FRAMING_CHUNKED;
	if (!(open->flags & FRAME_FLAG_END) &&
	    reply_break_needs_close(f->base.call))
		classic_must(buf_append_str(&out, "Connection: close\r\n"));
	if (!f->is_chunked)
		classic_must(buf_printf(&out, "Content-Length: %llu\r\n",
		    open->head.len + (framing.kind == HTTP1_FRAMING_LENGTH ?
		    framing.length : 0)));
	classic_must(buf_append_str(&out, "\r\n"));
	call_write(f->base.call, buf_data(&out), buf_len(&out));
	call_write(f->base.call, open->head.data, open->head.len);
	buf_clear(&out);
	f->begun = true;
}

static void
grant_window(struct fetch *f)
{
	uint64_t window = (uint64_t)f->base.all->parts->settings->window;
	uint64_t unsent = call_unsent(f->base.call);
	uint64_t limit = f->content.next + window -
	    (unsent < window ? unsent : window);
	struct frame frame = { .type = FRAME_WINDOW,
	    .offset = f->content.next, .limit = limit };

	if (limit < f->content.limit + window / 4)
		return;
	f->content.limit = limit;
	classic_call_send(&f->base, &f->id, &frame, NULL);
}

static void
take_content(struct fetch *f, uint64_t offset, struct span content, bool end)
{
	struct buf plain, coded;
	bool complete;

	buf_init(&plain, SIZE_MAX);
	buf_init(&coded, SIZE_MAX);
	if (stream_in_take(&f->content, offset, content, end, &plain) !=
	    WIRE_OK) {
		log_error(NULL, "fetch: an owner sent too much");
		tell_owner(f);
		call_abort(classic_call_release(&f->base));
		settle(f);
		goto out;
	}
	complete = stream_in_is_complete(&f->content);
	if (f->is_chunked) {
		classic_must(http1_chunk_encode(&coded, buf_span(&plain)));
		if (complete)
			classic_must(http1_chunk_encode_last(&coded));
		call_write(f->base.call, buf_data(&coded), buf_len(&coded));
	} else {
		call_write(f->base.call, buf_data(&plain), buf_len(&plain));
	}
	if (complete) {
		call_finish(classic_call_release(&f->base));
		settle(f);
	} else {
		grant_window(f);
	}
out:	buf_clear(&plain);
	buf_clear(&coded);
}

static void
take_reset(struct fetch *f, const struct frame *reset)
{
	if (f->begun) {
		call_abort(classic_call_release(&f->base));
		settle(f);
	} else if (reset->code == FRAME_RESET_UNKNOWN) {
		refuse(f, 404, "There is no such request.");
	} else {
		refuse(f, 404, "The request is over.");
	}
}

static void
take(struct classic_call *c, const struct frame *frame)
{
	struct fetch *f = (struct fetch *)(void *)c;

	if (frame->type == FRAME_RESET) {
		take_reset(f, frame);
	} else if (frame->type == FRAME_OPEN && !f->begun) {
		write_head(f, frame);
		take_content(f, 0, frame->content, frame->flags &
		    FRAME_FLAG_END);
	} else if (frame->type == FRAME_DATA && f->begun) {
		take_content(f, frame->offset, frame->content, frame->flags &
		    FRAME_FLAG_END);
	}
}

static void
asked(void *arg, enum mailbox_result result)
{
	struct fetch *f = arg;

	f->busy--;
	if (f->base.call == NULL || f->begun)
		settle(f);
	else if (result == MAILBOX_DEAD)
		refuse(f, 404, "There is no such request.");
	else if (result == MAILBOX_LOST)
		refuse(f, 503, "The proxy's store is not available.");
	else
		settle(f);
}

static void
ask(struct fetch *f)
{
	struct frame frame = { .type = FRAME_FETCH };

	f->asks++;
	f->busy++;
	classic_call_send(&f->base, &f->id, &frame, asked);
}

/* Without news for a while: Redis may have lost it. */
static void
ask_again(struct fetch *f)
{
	struct frame frame = { .type = FRAME_WINDOW,
	    .flags = FRAME_FLAG_RESEND, .offset = f->content.next,
	    .limit = f->content.limit };

	if (f->content.next == f->asked)
		classic_call_send(&f->base, &f->id, &frame, NULL);
	f->asked = f->content.next;
}

static void
on_timer(struct ev_loop *loop, ev_timer *timer, int events)
{
	struct fetch *f = timer->data;

	(void)loop;
	(void)events;
	if (f->base.call == NULL)
		return;
	if (f->begun)
		ask_again(f);
	else if (f->asks < ASKED_MAX)
		ask(f);
	else
		refuse(f, 503, "The worker that has this request does not "
		    "answer.");
}

static void
on_content(struct agent_call *agent)
{
	(void)agent;
}

static void
on_drained(struct agent_call *agent)
{
	struct fetch *f = (struct fetch *)(void *)agent;

	if (f->begun)
		grant_window(f);
}

static void
on_gone(struct agent_call *agent)
{
	struct fetch *f = (struct fetch *)(void *)agent;

	tell_owner(f);
	f->base.call = NULL;
	settle(f);
}

static void
on_revoked(struct agent_call *agent, int status, const char *why)
{
	struct fetch *f = (struct fetch *)(void *)agent;
	struct call *call;

	if (f->base.call == NULL)
		return;
	tell_owner(f);
	call = classic_call_release(&f->base);
	if (f->begun)
		call_abort(call);
	else
		reply_text(call, status, why, NULL, 0);
	settle(f);
}

static const struct agent_call_handler fetch_handler = {
	.content = on_content,
	.drained = on_drained,
	.gone = on_gone,
	.revoked = on_revoked,
};

void
agent_classic_fetch(struct agent_classic *all, struct call *call,
    const struct agent_caller *caller)
{
	struct exchange_id id;
	struct fetch *f;

	if (!classic_call_read_id(call, &id))
		return;
	if ((f = calloc(1, sizeof *f)) == NULL)
		fatal("agent_classic: out of memory");
	if (!classic_call_init(&f->base, all, call, caller,
	    &fetch_handler)) {
		free(f);
		return;
	}
	call_set_data(call, f);
	f->id = id;
	f->base.take = take;
	stream_in_init(&f->content, FRAME_DATA_MAX);
	ev_timer_init(&f->timer, on_timer, 0., ASK_AGAIN_SECONDS);
	f->timer.data = f;
	ev_timer_again(all->parts->loop, &f->timer);
	ask(f);
}
