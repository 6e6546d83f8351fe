/* agent_classic_post.c - POST agent/response: the backend's response in
 * HTTP/1.1 wire form, passed on to the owner as frames. */
#include "config.h"

#include <stdlib.h>

#include "common/http1_body.h"
#include "common/log.h"
#include "common/stream.h"
#include "fcgi/agent_classic_private.h"
#include "fcgi/reply.h"

enum { READ_MAX = 64 * 1024 };

enum post_state {
	POST_READS_HEAD,
	POST_READS_CONTENT,
	POST_IS_READ,		/* all of it, or all that matters */
};

struct post {
	struct classic_call base;	/* first */
	struct exchange_id id;
	enum post_state state;
	struct buf in;			/* head that is not all there yet */
	size_t searched;		/* of it, for its end */
	struct http1_body body;
	struct stream_out content;
	struct buf head;		/* until the owner has taken it */
	bool head_sent;
	bool done;			/* the owner has all it wants */
	ev_timer alive;			/* an open call is a sign of life */
	unsigned busy;
};

static void
settle(struct post *p)
{
	if (p->base.call != NULL || p->busy > 0)
		return;
	ev_timer_stop(p->base.all->parts->loop, &p->alive);
	classic_call_clear(&p->base);
	buf_clear(&p->in);
	buf_clear(&p->head);
	stream_out_clear(&p->content);
	free(p);
}

static void
answer(struct post *p, int status, const char *why)
{
	reply_text(classic_call_release(&p->base), status, why, NULL,
	    status == 503 ? 1 : 0);
	settle(p);
}

static void
send_reset(struct post *p, enum frame_reset code)
{
	struct frame reset = { .type = FRAME_RESET, .code = code };

	classic_call_send(&p->base, &p->id, &reset, NULL);
}

/* What came is not HTTP: the client gets 502 (or a cut response). */
static void
refuse_response(struct post *p, const char *why)
{
	char id[EXCHANGE_ID_TEXT + 1];

	exchange_id_text(&p->id, id);
	log_warn(id, "the agent's response: %s", why);
	send_reset(p, FRAME_RESET_BROKEN);
	answer(p, 400, why);
}

static void
send_content(struct post *p)
{
	struct frame frame = { .type = FRAME_DATA };
	bool end;

	while (stream_out_next(&p->content, FRAME_DATA_MAX, &frame.offset,
	    &frame.content, &end)) {
		frame.flags = end ? FRAME_FLAG_END : 0;
		classic_call_send(&p->base, &p->id, &frame, NULL);
	}
}

static void
send_head(struct post *p)
{
	struct frame frame = { .type = FRAME_HEAD,
		.head = buf_span(&p->head) };

	classic_call_send(&p->base, &p->id, &frame, NULL);
}

/* Passes the head on; the length of what it took from `in`, 0: not all there
 * yet or refused (then the call is gone). */
static size_t
take_head(struct post *p, struct span in)
{
	const struct settings *settings = p->base.all->parts->settings;
	struct http1_response response;
	struct http1_framing framing;
	size_t head_len = 0;
	int r;

	r = http1_head_find_end(in, p->searched, (size_t)settings->head_limit,
	    &head_len);
	if (r == WIRE_MORE) {
		p->searched = in.len > 3 ? in.len - 3 : 0;
		return 0;
	}
	p->searched = 0;
	if (r != WIRE_DONE) {
		refuse_response(p, wire_strerror(r));
		return 0;
	}
	r = http1_response_decode(span_of(in.data, head_len),
	    (size_t)settings->field_limit, &response);
	if (r != WIRE_OK) {
		refuse_response(p, wire_strerror(r));
		return 0;
	}
	/* The method is the owner's knowledge: it takes no content after
	 * HEAD, whatever the framing says. */
	r = http1_response_framing(&response, span_str("GET"), &framing);
	int status = response.status;

	http1_response_clear(&response);
	if (status < 200 && status != 101)
		return head_len;
	if (r != WIRE_OK) {
		refuse_response(p, wire_strerror(r));
		return 0;
	}
	classic_must(buf_append(&p->head, in.data, head_len));
	send_head(p);
	p->head_sent = true;
	http1_body_init(&p->body, framing);
	p->state = POST_READS_CONTENT;
	return head_len;
}

/* false: refused. */
static bool
take_content(struct post *p, struct span *in)
{
	struct span content;
	int r;

	do {
		r = http1_body_decode(&p->body, in, &content);
		if (content.len > 0 && stream_out_append(&p->content,
		    content) != WIRE_OK)
			fatal("agent_classic: content over its window");
	} while (r == WIRE_MORE && (in->len > 0 || content.len > 0));
	if (r == WIRE_DONE) {
		stream_out_end(&p->content);
		p->state = POST_IS_READ;
	} else if (r != WIRE_MORE) {
		refuse_response(p, wire_strerror(r));
		return false;
	}
	send_content(p);
	return true;
}

/* false: refused. */
static bool
take_bytes(struct post *p)
{
	struct span in = buf_span(&p->in);
	size_t head_len;

	while (p->state == POST_READS_HEAD) {
		if (in.len == 0 || (head_len = take_head(p, in)) == 0) {
			if (p->base.call == NULL)
				return false;
			buf_drain(&p->in, buf_len(&p->in) - in.len);
			return true;
		}
		in = span_of(in.data + head_len, in.len - head_len);
	}
	if (p->state == POST_READS_CONTENT && !take_content(p, &in))
		return false;
	/* After the end of the response nothing matters. */
	buf_drain(&p->in, buf_len(&p->in));
	return true;
}

/* The agent has said everything. */
static void
end_of_content(struct post *p)
{
	if (p->state == POST_READS_HEAD) {
		refuse_response(p, "it ends before its head does");
		return;
	}
	if (p->state == POST_READS_CONTENT && !p->done) {
		if (http1_body_end(&p->body) == WIRE_DONE) {
			stream_out_end(&p->content);
			send_content(p);
		} else if (p->body.content_len > 0) {
			refuse_response(p, "it ends in the middle");
			return;
		} else {
			/* Whole if it answers HEAD; the owner knows. */
			send_reset(p, FRAME_RESET_BROKEN);
		}
	}
	p->state = POST_IS_READ;
	if (p->done)
		answer(p, 200, "Taken.");
}

static void
read_content(struct post *p)
{
	char bytes[READ_MAX];
	size_t room, len;

	for (;;) {
		/* Not more than the owner's window lets pass. */
		room = stream_out_room(&p->content);
		if (room > sizeof bytes || p->done)
			room = sizeof bytes;
		if (room == 0 || (len = call_read(p->base.call, bytes,
		    room)) == 0)
			break;
		if (p->state == POST_IS_READ || p->done)
			continue;
		classic_must(buf_append(&p->in, bytes, len));
		if (!take_bytes(p))
			return;
	}
	if (call_content_ended(p->base.call) &&
	    call_readable(p->base.call) == 0 &&
	    (p->state != POST_IS_READ || p->done))
		end_of_content(p);
}

static void
on_content(struct agent_call *agent)
{
	struct post *p = (struct post *)(void *)agent;

	/* It may be answered inside; it is freed at the end only. */
	p->busy++;
	read_content(p);
	p->busy--;
	settle(p);
}

static void
take(struct classic_call *c, const struct frame *frame)
{
	struct post *p = (struct post *)(void *)c;

	/* The owner is content, and has forgotten it: what comes after that
	 * answers frames that were on their way. */
	if (p->done)
		return;
	if (frame->type == FRAME_WINDOW) {
		buf_clear(&p->head);
		if (stream_out_window(&p->content, frame->offset,
		    frame->limit, frame->flags & FRAME_FLAG_RESEND) !=
		    WIRE_OK) {
			send_reset(p, FRAME_RESET_BROKEN);
			answer(p, 404, "The request is over.");
			return;
		}
		send_content(p);
		on_content(&c->agent);
	} else if (frame->type == FRAME_RESET &&
	    frame->code == FRAME_RESET_DONE) {
		p->done = true;
		on_content(&c->agent);
	} else if (frame->type == FRAME_RESET &&
	    frame->code == FRAME_RESET_REFUSED) {
		answer(p, 400, "The response can't be passed on.");
	} else if (frame->type == FRAME_RESET) {
		answer(p, 404, "There is no such request (any more).");
	}
}

static void
announced(void *arg, enum mailbox_result result)
{
	struct post *p = arg;

	p->busy--;
	if (p->base.call != NULL && result == MAILBOX_DEAD)
		answer(p, 404, "There is no such request.");
	else if (p->base.call != NULL && result == MAILBOX_LOST)
		answer(p, 503, "The proxy's store is not available.");
	else
		settle(p);
}

/* Redis may have lost what was sent, or the answer to it: DATA without content
 * makes the owner see the gap, or say its window again.  And it tells that this
 * call is there. */
static void
remind_owner(struct post *p)
{
	struct frame frame = { .type = FRAME_DATA, .offset = p->content.sent,
	    .flags = p->content.end_sent ? FRAME_FLAG_END : 0 };

	if (p->done)
		return;
	if (buf_len(&p->head) > 0)
		send_head(p);
	classic_call_send(&p->base, &p->id, &frame, NULL);
}

static void
on_alive(struct ev_loop *loop, ev_timer *timer, int events)
{
	struct post *p = timer->data;

	(void)loop;
	(void)events;
	if (p->base.call == NULL)
		return;
	classic_call_sign(&p->base);
	remind_owner(p);
}

static void
on_drained(struct agent_call *agent)
{
	(void)agent;
}

/* What the owner waits for will not come by this call. */
static void
give_up(struct post *p)
{
	if (!p->done)
		send_reset(p, p->head_sent ? FRAME_RESET_BROKEN :
		    FRAME_RESET_NOT_STARTED);
}

static void
on_gone(struct agent_call *agent)
{
	struct post *p = (struct post *)(void *)agent;

	give_up(p);
	p->base.call = NULL;
	settle(p);
}

static void
on_revoked(struct agent_call *agent, int status, const char *why)
{
	struct post *p = (struct post *)(void *)agent;

	if (p->base.call == NULL)
		return;
	give_up(p);
	answer(p, status, why);
}

static const struct agent_call_handler post_handler = {
	.content = on_content,
	.drained = on_drained,
	.gone = on_gone,
	.revoked = on_revoked,
};

void
agent_classic_response(struct agent_classic *all, struct call *call,
    const struct agent_caller *caller)
{
	struct frame accept = { .type = FRAME_ACCEPT };
	const struct settings *settings = all->parts->settings;
	struct exchange_id id;
	struct post *p;

	if (!classic_call_read_id(call, &id))
		return;
	if ((p = calloc(1, sizeof *p)) == NULL)
		fatal("agent_classic: out of memory");
	if (!classic_call_init(&p->base, all, call, caller,
	    &post_handler)) {
		free(p);
		return;
	}
	call_set_data(call, p);
	p->id = id;
	p->base.take = take;
	buf_init(&p->in, (size_t)settings->head_limit + READ_MAX);
	buf_init(&p->head, (size_t)settings->head_limit);
	stream_out_init(&p->content, (size_t)settings->window, FRAME_DATA_MAX);
	ev_timer_init(&p->alive, on_alive, 0.,
	    (double)settings->lease_ms / 4000);
	p->alive.data = p;
	ev_timer_again(all->parts->loop, &p->alive);
	p->busy++;
	classic_call_send(&p->base, &p->id, &accept, announced);
	on_content(&p->base.agent);
}
