/* exchange.c - the life of an exchange: its client, its content, its deadlines
 * and its ends.  How it finds an agent is in exchange_offer.c, what agents
 * send in exchange_agent.c.  No Redis and no FastCGI of its own: hand_out,
 * mailbox and responder do that. */
#include "config.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <time.h>

#include "common/http1_head.h"
#include "common/log.h"
#include "fcgi/exchange_private.h"
#include "fcgi/reply.h"

enum {
	RETRY_AFTER_SECONDS = 5,
	CONTENT_CHUNK = 64 * 1024,
};

/* How long the first content is waited for, so that a small request travels
 * whole; and for an ACCEPT before OPEN is repeated. */
static const double inline_wait_seconds = 0.01;
static const double accept_wait_seconds = 1.0;

static void exchange_end(struct exchange *x);
static void on_timer(struct ev_loop *loop, ev_timer *timer, int events);

static const char *
state_name(enum exchange_state state)
{
	switch (state) {
	case EXCHANGE_WAITS_FOR_CONTENT:
		return "waits for content";
	case EXCHANGE_WAITS_FOR_AGENT:
		return "waits for agent";
	case EXCHANGE_WAITS_FOR_ACCEPT:
		return "waits for accept";
	case EXCHANGE_WAITS_FOR_RESPONSE:
		return "waits for response";
	case EXCHANGE_ANSWERS:
		return "answers";
	}
	return "?";
}

void
exchange_set_state(struct exchange *x, enum exchange_state state)
{
	if (log_wants(LOG_LEVEL_DEBUG))
		log_debug(x->id_text, "%s -> %s", state_name(x->state),
		    state_name(state));
	x->state = state;
}

void
exchange_set_timer(struct exchange *x, double seconds)
{
	struct ev_loop *loop = x->all->parts.loop;

	ev_timer_stop(loop, &x->timer);
	ev_timer_set(&x->timer, seconds, 0.);
	ev_timer_start(loop, &x->timer);
}

struct exchange *
exchange_find(const struct exchanges *all, const struct exchange_id *id)
{
	struct exchange *x;

	HASH_FIND(hh, all->by_id, id, sizeof *id, x);
	return x;
}

/* 128 random bits for the part of an id that nobody may guess, drawn from the
 * kernel in batches. */
static void
draw_random(unsigned char *to, size_t len)
{
	static unsigned char pool[256];
	static size_t left;

	if (left < len) {
		if (getrandom(pool, sizeof pool, 0) != sizeof pool)
			fatal("getrandom: %s", strerror(errno));
		left = sizeof pool;
	}
	memcpy(to, pool + left - len, len);
	explicit_bzero(pool + left - len, len);
	left -= len;
}

void
exchange_renew_id(struct exchange *x)
{
	struct exchanges *all = x->all;

	HASH_DELETE(hh, all->by_id, x);
	for (size_t i = EXCHANGE_ID_LEN - 1; i >= WORKER_ID_LEN; i--)
		if (++x->id.byte[i] != 0)
			break;
	exchange_id_text(&x->id, x->id_text);
	HASH_ADD(hh, all->by_id, id, sizeof(x->id), x);
}

/* --- to the agent --- */

void
exchange_send(struct exchange *x, const struct address *to,
    struct frame *frame)
{
	struct exchanges *all = x->all;
	struct address self = address_owner(&x->id);
	int r;

	if (to->kind == ADDRESS_NONE)
		return;
	frame->id = x->id;
	buf_drain(&all->scratch, buf_len(&all->scratch));
	if ((r = frame_encode(&all->scratch, frame)) != WIRE_OK)
		fatal("exchange: %s", wire_strerror(r));
	mailbox_send(all->parts.mailbox, to, &self, span_of(NULL, 0),
	    buf_span(&all->scratch), NULL, NULL);
}

void
exchange_send_reset(struct exchange *x, enum frame_reset code)
{
	struct frame frame = { .type = FRAME_RESET, .code = code };

	exchange_send(x, &x->agent, &frame);
	if (!address_is(&x->agent, &x->answerer))
		exchange_send(x, &x->answerer, &frame);
}

struct span
exchange_encode_open(struct exchange *x, struct frame *open)
{
	struct exchanges *all = x->all;
	const struct settings *settings = all->parts.settings;
	struct frame frame = {
		.type = FRAME_OPEN,
		.flags = x->inline_end ? FRAME_FLAG_END : 0,
		.id = x->id,
		.start_ns = x->start_ns,
		.deadline_ms = (unsigned)settings->response_timeout_ms,
		.limit = (uint64_t)settings->window,
		.backend = span_str(x->backend),
		.user = span_str(x->user),
		.head = buf_span(&x->wire),
		.content = span_of(buf_data(&x->request.kept), x->inline_len),
	};
	int r;

	buf_drain(&all->scratch, buf_len(&all->scratch));
	if ((r = frame_encode(&all->scratch, &frame)) != WIRE_OK)
		fatal("exchange: %s", wire_strerror(r));
	if (open != NULL)
		*open = frame;
	return buf_span(&all->scratch);
}

/* The request's content has moved on.  A client that sends a byte now and then
 * does not hold its place for ever: that is no progress. */
static void
note_content(struct exchange *x)
{
	ev_tstamp now = ev_now(x->all->parts.loop);
	uint64_t moved = x->content_read;
	double least = (double)x->all->parts.settings->min_rate *
	    (now - x->active);

	if (!x->request.ended && (double)(moved - x->moved) < least)
		return;
	x->moved = moved;
	x->active = now;
}

void
exchange_send_content(struct exchange *x)
{
	struct frame frame = { .type = FRAME_DATA };
	bool end;

	if (x->agent.kind == ADDRESS_NONE)
		return;
	uint64_t sent = x->request.sent;

	while (stream_out_next(&x->request, FRAME_DATA_MAX, &frame.offset,
	    &frame.content, &end)) {
		frame.flags = end ? FRAME_FLAG_END : 0;
		exchange_send(x, &x->agent, &frame);
	}
	/* What is only sent again is no progress. */
	if (x->request.sent > sent)
		note_content(x);
}

/* --- leases --- */

static struct exchange *
leased_exchange(struct lease_item *item)
{
	return (struct exchange *)(void *)((char *)item -
	    offsetof(struct exchange, lease));
}

/* Classic agents say nothing while their polls wait: these are answered, and
 * who is alive polls again. */
static void
lease_doubt(void *arg, struct lease_item *item)
{
	struct exchange *x = leased_exchange(item);

	(void)arg;
	if (x->classic)
		hand_out_roll_call(x->all->parts.hand_out,
		    span_str(x->backend));
}

static void
lease_gone(void *arg, const unsigned char *instance)
{
	struct exchanges *all = arg;

	all->parts.agent_lost(all->parts.arg, instance);
}

static void
lease_lost(void *arg, struct lease_item *item)
{
	struct exchange *x = leased_exchange(item);

	(void)arg;
	exchange_agent_lost(x, false, "The agent was lost.");
}

/* --- from the client --- */

/* Content has come as far as is waited for: the exchange is ready. */
static void
open_exchange(struct exchange *x)
{
	size_t kept = buf_len(&x->request.kept);

	x->inline_len = kept < EXCHANGE_INLINE_MAX ? kept :
	    EXCHANGE_INLINE_MAX;
	x->inline_end = x->request.ended && x->inline_len == kept;
	exchange_offer(x);
}

/* What the client sends can't be accepted.  A response that has begun can't be
 * anything else any more. */
static void
refuse_content(struct exchange *x, int status, const char *why)
{
	exchange_withdraw(x);
	exchange_send_reset(x, FRAME_RESET_CANCELLED);
	if (x->state == EXCHANGE_ANSWERS)
		exchange_break_off(x, why);
	else
		exchange_fail(x, status, why);
}

/* false: the exchange is no more. */
static bool
read_content(struct exchange *x)
{
	long limit = x->all->parts.settings->body_limit;
	char bytes[CONTENT_CHUNK];
	size_t room, len;

	while ((room = stream_out_room(&x->request)) > 0) {
		len = call_read(x->call, bytes, room < sizeof bytes ? room :
		    sizeof bytes);
		if (len == 0)
			break;
		x->content_read += len;
		if (limit > 0 && x->content_read > (uint64_t)limit) {
			refuse_content(x, 413,
			    "The request's content is too large.");
			return false;
		}
		if (stream_out_append(&x->request, span_of(bytes, len)) != 0)
			fatal("exchange: out of memory");
	}
	if (!call_content_ended(x->call) || x->request.ended)
		return true;
	if (x->has_length && x->content_read != x->length) {
		refuse_content(x, 400, "The request's content ended early.");
		return false;
	}
	stream_out_end(&x->request);
	return true;
}

void
exchange_content(struct exchange *x)
{
	uint64_t had = x->content_read;

	if (x->request.ended || !read_content(x))
		return;
	if (x->content_read > had || x->request.ended)
		note_content(x);
	switch (x->state) {
	case EXCHANGE_WAITS_FOR_CONTENT:
		if (x->request.ended ||
		    buf_len(&x->request.kept) >= EXCHANGE_INLINE_MAX)
			open_exchange(x);
		break;
	case EXCHANGE_WAITS_FOR_AGENT:
		break;
	case EXCHANGE_WAITS_FOR_ACCEPT:
	case EXCHANGE_WAITS_FOR_RESPONSE:
	case EXCHANGE_ANSWERS:
		exchange_send_content(x);
		break;
	}
}

void
exchange_gone(struct exchange *x)
{
	log_info(x->id_text, "the client has left");
	x->call = NULL;
	exchange_withdraw(x);
	exchange_send_reset(x, FRAME_RESET_CANCELLED);
	exchange_end(x);
}

void
exchange_begin(struct exchanges *all, struct call *call,
    const struct backend *backend, const char *user,
    const struct request_head *head, struct buf *wire,
    struct quota_place *place)
{
	struct exchange *x = calloc(1, sizeof *x);
	const struct settings *settings = all->parts.settings;
	struct timespec now;

	if (x == NULL || (x->backend = strdup(backend->id)) == NULL ||
	    (x->user = strdup(user == NULL ? "" : user)) == NULL)
		fatal("exchange: out of memory");
	clock_gettime(CLOCK_REALTIME, &now);
	x->all = all;
	x->call = call;
	x->place = place;
	memcpy(x->id.byte, mailbox_worker_id(all->parts.mailbox),
	    WORKER_ID_LEN);
	draw_random(x->id.byte + WORKER_ID_LEN,
	    EXCHANGE_ID_LEN - WORKER_ID_LEN);
	exchange_id_text(&x->id, x->id_text);
	x->start_ns = (uint64_t)now.tv_sec * 1000000000u +
	    (uint64_t)now.tv_nsec;
	x->began = x->active = ev_now(all->parts.loop);
	ev_timer_init(&x->timer, on_timer, 0., 0.);
	x->timer.data = x;
	x->wire = *wire;
	buf_init(wire, 0);
	/* The request line was written from these: same lengths, same place. */
	x->method = span_of(buf_data(&x->wire), head->method.len);
	x->target = span_of(x->method.data + head->method.len + 1,
	    strcspn(x->method.data + head->method.len + 1, " "));
	x->is_idempotent = http1_method_is_idempotent(x->method);
	x->has_length = head->has_length;
	x->length = head->length;
	stream_out_init(&x->request, (size_t)settings->window,
	    EXCHANGE_INLINE_MAX);
	stream_in_init(&x->response, (uint64_t)settings->window);
	buf_init(&x->early, (size_t)settings->window);
	HASH_ADD(hh, all->by_id, id, sizeof x->id, x);
	all->count++;
	call_set_data(call, x);
	registry_note_used(all->parts.registry, span_str(x->backend));

	if (!head->has_content) {
		stream_out_end(&x->request);
		open_exchange(x);
		return;
	}
	exchange_set_timer(x, inline_wait_seconds);
	exchange_content(x);
}

/* --- deadlines --- */

/* Time left of a limit that runs from the last progress. */
static double
time_left(const struct exchange *x, long limit_ms)
{
	return x->active + (double)limit_ms / 1000 -
	    ev_now(x->all->parts.loop);
}

double
exchange_watch_seconds(const struct exchange *x, double seconds)
{
	double most = (double)x->all->parts.settings->lease_ms / 4000;

	return x->answerer_seen > 0. && seconds > most ? most : seconds;
}

/* The agent may well be alive: but its post, or the worker that held it, is
 * gone, and no other one has come in its place.  The looks are counted, too: a
 * worker that was held up has yet to read what came meanwhile. */
static bool
has_lost_post(struct exchange *x)
{
	double lease = (double)x->all->parts.settings->lease_ms / 1000;
	double silent = ev_now(x->all->parts.loop) - x->answerer_seen;

	if (x->answerer_seen == 0. || !store_is_up(x->all->parts.store))
		return false;
	x->looks++;
	/* The agent has lost it from sight; the web server may still have
	 * all of it. */
	if (x->is_posted_again)
		return x->looks >= 2 && silent > lease / 2;
	return x->looks >= 4 && silent > lease;
}

static void
repeat_open(struct exchange *x)
{
	struct address self = address_owner(&x->id);

	if (time_left(x, x->all->parts.settings->response_timeout_ms) <= 0) {
		exchange_fail(x, 504, "The agent did not take the request.");
		return;
	}
	x->resends++;
	mailbox_send(x->all->parts.mailbox, &x->agent, &self,
	    span_of(NULL, 0), exchange_encode_open(x, NULL), NULL, NULL);
	/* Often enough within the lease: an agent that knows of nothing in its
	 * hands calls seldom, and an OPEN is what makes it call. */
	exchange_set_timer(x, accept_wait_seconds *
	    (x->resends > 1 ? 2 : 1));
}

static void
on_timer(struct ev_loop *loop, ev_timer *timer, int events)
{
	struct exchange *x = timer->data;
	const struct settings *settings = x->all->parts.settings;
	double left;

	(void)loop;
	(void)events;
	switch (x->state) {
	case EXCHANGE_WAITS_FOR_CONTENT:
		open_exchange(x);
		return;
	case EXCHANGE_WAITS_FOR_AGENT:
		if (x->missing) {
			exchange_stays_missing(x);
			return;
		}
		if (x->paused && x->began + (double)
		    settings->queue_timeout_ms / 1000 >
		    ev_now(x->all->parts.loop)) {
			exchange_offer(x);
			return;
		}
		exchange_withdraw(x);
		exchange_fail(x, 504, "No agent took the request in time.");
		return;
	case EXCHANGE_WAITS_FOR_ACCEPT:
		if (x->classic)
			exchange_agent_lost(x, x->deliveries == 0,
			    "The agent did not fetch the request.");
		else
			repeat_open(x);
		return;
	case EXCHANGE_WAITS_FOR_RESPONSE:
		if (has_lost_post(x)) {
			exchange_agent_lost(x, false,
			    "The agent's response was lost.");
			return;
		}
		left = time_left(x, settings->response_timeout_ms);
		if (left > 0) {
			exchange_set_timer(x, exchange_watch_seconds(x,
			    left));
			return;
		}
		if (!x->request.ended && stream_out_room(&x->request) > 0) {
			refuse_content(x, 408,
			    "The request's content came too slowly.");
			return;
		}
		exchange_send_reset(x, FRAME_RESET_DEADLINE);
		exchange_fail(x, 504, "The backend did not answer in time.");
		return;
	case EXCHANGE_ANSWERS:
		if (has_lost_post(x)) {
			exchange_break_off(x, "the agent's response was lost");
			return;
		}
		left = time_left(x, settings->idle_timeout_ms);
		if (left > 0 && x->gap) {
			exchange_ask_again(x);
			return;
		}
		if (left > 0) {
			exchange_set_timer(x, exchange_watch_seconds(x,
			    left));
			return;
		}
		exchange_send_reset(x, FRAME_RESET_DEADLINE);
		exchange_break_off(x, "idle for too long");
		return;
	}
}

/* --- the ends --- */

static void
log_exchange(const struct exchange *x, int status, const char *why)
{
	struct log_line line;

	log_line_begin(&line, LOG_LEVEL_INFO, x->id_text, "exchange");
	log_line_span(&line, "method", x->method);
	log_line_span(&line, "target", x->target);
	log_line_span(&line, "backend", span_str(x->backend));
	if (x->user[0] != '\0')
		log_line_span(&line, "user", span_str(x->user));
	log_line_number(&line, "status", status);
	log_line_number(&line, "in", (long long)x->content_read);
	log_line_number(&line, "out", (long long)x->response.next);
	log_line_number(&line, "ms", (long long)((ev_now(x->all->parts.loop) -
	    x->began) * 1000));
	if (why != NULL)
		log_line_span(&line, "why", span_str(why));
	log_line_end(&line);
}

static void
exchange_end(struct exchange *x)
{
	struct exchanges *all = x->all;

	ev_timer_stop(all->parts.loop, &x->timer);
	hand_out_release(&x->held);
	exchange_left_queue(x);
	lease_leave(all->leases, &x->lease);
	HASH_DELETE(hh, all->by_id, x);
	all->count--;
	stream_out_clear(&x->request);
	stream_in_clear(&x->response);
	buf_clear(&x->wire);
	buf_clear(&x->early);
	quota_give_back(x->place);
	free(x->backend);
	free(x->user);
	free(x);
}

void
exchange_fail(struct exchange *x, int status, const char *why)
{
	log_exchange(x, status, why);
	call_set_data(x->call, NULL);
	/* What may have been done nobody is asked to repeat. */
	reply_text(x->call, status, why, x->id_text, status == 503 &&
	    !(x->missing && !x->is_idempotent) ? RETRY_AFTER_SECONDS : 0);
	exchange_end(x);
}

void
exchange_break_off(struct exchange *x, const char *why)
{
	log_exchange(x, x->status, why);
	call_set_data(x->call, NULL);
	call_abort(x->call);
	exchange_end(x);
}

void
exchange_finish(struct exchange *x)
{
	log_exchange(x, x->status, NULL);
	call_set_data(x->call, NULL);
	call_finish(x->call);
	exchange_end(x);
}

/* --- all of them --- */

void
exchanges_registry_changed(struct exchanges *all)
{
	struct exchange *x, *next;

	HASH_ITER(hh, all->by_id, x, next) {
		if (x->state != EXCHANGE_WAITS_FOR_AGENT ||
		    registry_backend(all->parts.registry,
		    span_str(x->backend)) != NULL)
			continue;
		exchange_withdraw(x);
		exchange_fail(x, 404, "The backend has been removed.");
	}
}

void
exchanges_agent_seen(struct exchanges *all, const unsigned char *instance)
{
	leases_seen(all->leases, instance);
}

bool
exchanges_have(const struct exchanges *all, const struct exchange_id *id)
{
	return exchange_find(all, id) != NULL;
}

size_t
exchanges_count(const struct exchanges *all)
{
	return all->count;
}

struct exchanges *
exchanges_new(const struct exchanges_parts *parts)
{
	struct exchanges *all = calloc(1, sizeof *all);

	if (all == NULL)
		fatal("exchange: out of memory");
	all->parts = *parts;
	struct lease_handler handler = { lease_doubt, lease_gone, lease_lost,
	    all };

	all->leases = leases_new(parts->loop, parts->store,
	    parts->settings->lease_ms, &handler);
	buf_init(&all->scratch, FRAME_PAYLOAD_MAX + FRAME_HEADER_LEN);
	buf_init(&all->content, (size_t)parts->settings->window + 1);
	ev_timer_init(&all->line_timer, exchanges_on_line_timer, 0.,
	    (double)parts->settings->lease_ms / 5000);
	all->line_timer.data = all;
	ev_timer_init(&all->down_timer, exchanges_on_down_timer, 0., 0.);
	all->down_timer.data = all;
	return all;
}

/* The responder is gone, and with it every client. */
void
exchanges_free(struct exchanges *all)
{
	if (all == NULL)
		return;
	ev_timer_stop(all->parts.loop, &all->down_timer);
	ev_timer_stop(all->parts.loop, &all->line_timer);
	while (all->by_id != NULL)
		exchange_end(all->by_id);
	leases_free(all->leases);
	buf_clear(&all->scratch);
	buf_clear(&all->content);
	free(all);
}
