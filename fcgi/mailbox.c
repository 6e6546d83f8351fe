/* mailbox.c - how workers talk: frames through Redis lists, and who is alive.
 * Uses the store; knows nothing of exchanges or calls. */
#include "config.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/queue.h>
#include <sys/random.h>
#include <uthash.h>

#include "common/hex.h"
#include "common/log.h"
#include "fcgi/mailbox.h"
#include "fcgi/store_keys.h"

enum {
	ENVELOPE_VERSION = 1,
	ENVELOPE_MAX = 8 * 1024 * 1024,
	WORKER_TEXT = WORKER_ID_LEN * 2,
	HEARTBEAT_SECONDS = 1,
	AMNESTY_SECONDS = 10,
	COMING_BACK_SECONDS = 3,	/* all that live have said so by then */
	FORGET_SECONDS = 60,	/* a dead worker's queued exchanges are known
				 * for what they are for this long */
	AGENT_MAIL_TTL_MS = 60000,
	AGENT_MAIL_MAX = 2048,	/* elements */
};

/*
 * KEYS[1] the living, ARGV[1] this worker.  Ten seconds without a heartbeat is
 * dead; after a minute somebody clears up after it.  Result: "1" when this
 * worker was not among them, the ids of the living, "", the ids of those to
 * clear up after.
 */
static struct store_script heartbeat_script = { .text =
    "local t = redis.call('TIME')\n"
    "local now = t[1] * 1000 + math.floor(t[2] / 1000)\n"
    "local new = redis.call('ZADD', KEYS[1], now, ARGV[1])\n"
    "local r = redis.call('ZRANGEBYSCORE', KEYS[1], now - 10000, '+inf')\n"
    "table.insert(r, 1, tostring(new))\n"
    "r[#r + 1] = ''\n"
    "local dead = redis.call('ZRANGEBYSCORE', KEYS[1], '-inf',\n"
    "    now - 60000)\n"
    "for _, id in ipairs(dead) do r[#r + 1] = id end\n"
    "return r\n" };

/*
 * KEYS[1] an agent's mail; ARGV: frames, how many elements it may have, time to
 * live in ms, channel.  Result: how many it has.  An agent that does not come
 * for them does not fill Redis: what is left out is asked for again.
 */
static struct store_script agent_mail_script = { .text =
    "local n = redis.call('LLEN', KEYS[1])\n"
    "if n < tonumber(ARGV[2]) then\n"
    "  n = redis.call('RPUSH', KEYS[1], ARGV[1])\n"
    "  redis.call('PEXPIRE', KEYS[1], ARGV[3])\n"
    "end\n"
    "redis.call('PUBLISH', ARGV[4], '')\n"
    "return n\n" };

struct local_message {
	STAILQ_ENTRY(local_message) link;
	struct address to;
	struct address from;
	char *bytes;		/* backends, then frames */
	size_t backends_len;
	size_t frames_len;
	mailbox_done_fn *done;
	void *arg;
};

/* Waits until it is known whether its receiver lives. */
struct held_message {
	STAILQ_ENTRY(held_message) link;
	char *bytes;
	size_t len;
	mailbox_done_fn *done;
	void *arg;
};

struct peer {
	unsigned char id[WORKER_ID_LEN];
	bool alive;
	ev_tstamp died;		/* when it was missed first, 0: never alive */
	STAILQ_HEAD(, held_message) held;
	bool is_late;		/* asked about since the look that is on its
				 * way: that one may be too old to know it */
	UT_hash_handle hh;
};

struct mailbox {
	struct ev_loop *loop;
	struct store *store;
	struct mailbox_handler handler;
	unsigned char id[WORKER_ID_LEN];
	char id_text[WORKER_TEXT + 1];
	struct peer *peers;
	ev_tstamp amnesty_until;
	ev_tstamp coming_back_until;
	bool is_listed;		/* in Redis, among the living */
	size_t others;		/* workers alive beside this one */
	bool looking;		/* a heartbeat is on its way */
	ev_timer heartbeat;
	STAILQ_HEAD(, local_message) local;
};

struct sent {
	mailbox_done_fn *done;
	void *arg;
};

static void look(struct mailbox *m);

struct address
address_owner(const struct exchange_id *id)
{
	struct address a = { .kind = ADDRESS_OWNER };

	memcpy(a.worker, id->byte, WORKER_ID_LEN);
	return a;
}

struct address
address_agent(const unsigned char *instance)
{
	struct address a = { .kind = ADDRESS_AGENT };

	memcpy(a.instance, instance, AGENT_INSTANCE_LEN);
	return a;
}

bool
address_is(const struct address *a, const struct address *b)
{
	if (a->kind != b->kind)
		return false;
	switch (a->kind) {
	case ADDRESS_NONE:
		return true;
	case ADDRESS_OWNER:
		return memcmp(a->worker, b->worker, WORKER_ID_LEN) == 0;
	case ADDRESS_CALL:
		return a->call == b->call &&
		    memcmp(a->worker, b->worker, WORKER_ID_LEN) == 0;
	case ADDRESS_AGENT:
		return memcmp(a->instance, b->instance,
		    AGENT_INSTANCE_LEN) == 0;
	}
	return false;
}

static void
must(int r)
{
	if (r != WIRE_OK)
		fatal("mailbox: %s", wire_strerror(r));
}

/* --- the wire form of an envelope ---
 *
 *	version u8, to kind u8, to call u64,
 *	from kind u8, from worker 8 bytes, from call u64, from instance 16,
 *	backends length u16, backends, frames
 */
enum { ENVELOPE_HEAD_LEN = 1 + 1 + 8 + 1 + 8 + 8 + 16 + 2 };

static void
envelope_encode(struct buf *out, const struct address *to,
    const struct address *from, struct span backends, struct span frames)
{
	must(buf_append_u8(out, ENVELOPE_VERSION));
	must(buf_append_u8(out, to->kind));
	must(buf_append_u64(out, to->call));
	must(buf_append_u8(out, from->kind));
	must(buf_append(out, from->worker, WORKER_ID_LEN));
	must(buf_append_u64(out, from->call));
	must(buf_append(out, from->instance, AGENT_INSTANCE_LEN));
	must(buf_append_u16(out, (unsigned)backends.len));
	must(buf_append_span(out, backends));
	must(buf_append_span(out, frames));
}

static unsigned long long
read_big_endian(const unsigned char *p, size_t len)
{
	unsigned long long value = 0;

	for (size_t i = 0; i < len; i++)
		value = value << 8 | p[i];
	return value;
}

static bool
envelope_decode(struct span in, struct address *to, struct address *from,
    struct span *backends, struct span *frames)
{
	const unsigned char *p = (const unsigned char *)in.data;

	if (in.len < ENVELOPE_HEAD_LEN || p[0] != ENVELOPE_VERSION ||
	    p[1] > ADDRESS_AGENT || p[10] > ADDRESS_AGENT)
		return false;
	*to = (struct address){ .kind = p[1],
	    .call = read_big_endian(p + 2, 8) };
	*from = (struct address){ .kind = p[10],
	    .call = read_big_endian(p + 19, 8) };
	memcpy(from->worker, p + 11, WORKER_ID_LEN);
	memcpy(from->instance, p + 27, AGENT_INSTANCE_LEN);
	size_t backends_len = (size_t)read_big_endian(p + 43, 2);

	if (in.len - ENVELOPE_HEAD_LEN < backends_len)
		return false;
	*backends = span_of(in.data + ENVELOPE_HEAD_LEN, backends_len);
	*frames = span_of(backends->data + backends_len,
	    in.len - ENVELOPE_HEAD_LEN - backends_len);
	return true;
}

/* --- receiving --- */

static void
deliver(struct mailbox *m, const struct address *to,
    const struct address *from, struct span backends, struct span frames)
{
	struct frame frame;

	while (frames.len > 0) {
		if (frame_decode(&frames, &frame) != WIRE_DONE) {
			log_error(NULL, "mailbox: a message that is not "
			    "frames was dropped");
			return;
		}
		if (to->kind == ADDRESS_OWNER)
			m->handler.to_owner(m->handler.arg, from, backends,
			    &frame);
		else if (to->kind == ADDRESS_CALL)
			m->handler.to_call(m->handler.arg, to->call, &frame);
	}
}

void
mailbox_popped(struct mailbox *m, struct span element)
{
	struct address to, from;
	struct span backends, frames;

	if (!envelope_decode(element, &to, &from, &backends, &frames)) {
		log_error(NULL, "mailbox: a malformed message of %zu bytes "
		    "was dropped", element.len);
		return;
	}
	deliver(m, &to, &from, backends, frames);
}

void
mailbox_deliver_local(struct mailbox *m)
{
	struct local_message *message;

	while ((message = STAILQ_FIRST(&m->local)) != NULL) {
		STAILQ_REMOVE_HEAD(&m->local, link);
		struct span backends = span_of(message->bytes,
		    message->backends_len);
		struct span frames = span_of(message->bytes +
		    message->backends_len, message->frames_len);

		deliver(m, &message->to, &message->from, backends, frames);
		if (message->done != NULL)
			message->done(message->arg, MAILBOX_SENT);
		free(message->bytes);
		free(message);
	}
}

/* --- sending --- */

static void
send_local(struct mailbox *m, const struct address *to,
    const struct address *from, struct span backends, struct span frames,
    mailbox_done_fn *done, void *arg)
{
	struct local_message *message = calloc(1, sizeof *message);
	char *bytes = malloc(backends.len + frames.len + 1);

	if (message == NULL || bytes == NULL)
		fatal("mailbox: out of memory");
	if (backends.len > 0)
		memcpy(bytes, backends.data, backends.len);
	memcpy(bytes + backends.len, frames.data, frames.len);
	*message = (struct local_message){ .to = *to, .from = *from,
	    .bytes = bytes, .backends_len = backends.len,
	    .frames_len = frames.len, .done = done, .arg = arg };
	STAILQ_INSERT_TAIL(&m->local, message, link);
}

static struct sent *
sent_new(mailbox_done_fn *done, void *arg)
{
	struct sent *sent = malloc(sizeof *sent);

	if (sent == NULL)
		fatal("mailbox: out of memory");
	*sent = (struct sent){ done, arg };
	return sent;
}

static void
sent_reply(void *arg, const struct store_reply *reply)
{
	struct sent *sent = arg;

	if (reply->kind == STORE_ERROR)
		log_error(NULL, "Redis refused a message: %.*s",
		    (int)reply->string.len, reply->string.data);
	if (sent->done != NULL)
		sent->done(sent->arg, reply->kind == STORE_INTEGER ?
		    MAILBOX_SENT : MAILBOX_LOST);
	free(sent);
}

static void
push(struct mailbox *m, struct store_key key, struct span message,
    mailbox_done_fn *done, void *arg)
{
	struct span argv[] = { span_str("RPUSH"), store_key_span(&key),
	    message };

	store_command(m->store, sent_reply, sent_new(done, arg), 3, argv);
}

static void
push_to_worker(struct mailbox *m, const unsigned char *id,
    struct span message, mailbox_done_fn *done, void *arg)
{
	char text[WORKER_TEXT + 1];

	hex_encode(id, WORKER_ID_LEN, text);
	push(m, store_key_mail(span_str(text)), message, done, arg);
}

static void
hold(struct peer *p, struct span message, mailbox_done_fn *done, void *arg)
{
	struct held_message *held = calloc(1, sizeof *held);
	char *bytes = malloc(message.len);

	if (held == NULL || bytes == NULL)
		fatal("mailbox: out of memory");
	memcpy(bytes, message.data, message.len);
	*held = (struct held_message){ .bytes = bytes, .len = message.len,
	    .done = done, .arg = arg };
	STAILQ_INSERT_TAIL(&p->held, held, link);
}

static struct peer *
peer_get(struct mailbox *m, const unsigned char *id)
{
	struct peer *p;

	HASH_FIND(hh, m->peers, id, WORKER_ID_LEN, p);
	if (p != NULL)
		return p;
	if ((p = calloc(1, sizeof *p)) == NULL)
		fatal("mailbox: out of memory");
	memcpy(p->id, id, WORKER_ID_LEN);
	STAILQ_INIT(&p->held);
	HASH_ADD(hh, m->peers, id, WORKER_ID_LEN, p);
	return p;
}

static void
send_to_worker(struct mailbox *m, const struct address *to,
    const struct address *from, struct span backends, struct span frames,
    mailbox_done_fn *done, void *arg)
{
	struct buf message;
	struct peer *p = peer_get(m, to->worker);

	buf_init(&message, ENVELOPE_MAX);
	envelope_encode(&message, to, from, backends, frames);
	if (p->alive) {
		push_to_worker(m, p->id, buf_span(&message), done, arg);
	} else {
		/* New to us, or dead: a look at the living decides. */
		hold(p, buf_span(&message), done, arg);
		if (m->looking)
			p->is_late = true;
		look(m);
	}
	buf_clear(&message);
}

static void
send_to_agent(struct mailbox *m, const struct address *to,
    struct span frames, mailbox_done_fn *done, void *arg)
{
	char hex[AGENT_INSTANCE_LEN * 2 + 1], most[16], ttl[16];

	hex_encode(to->instance, AGENT_INSTANCE_LEN, hex);
	struct store_key list = store_key_agent_mail(span_str(hex));
	struct store_key wake = store_key_agent_wake(span_str(hex));

	snprintf(most, sizeof most, "%d", AGENT_MAIL_MAX);
	snprintf(ttl, sizeof ttl, "%d", AGENT_MAIL_TTL_MS);
	struct span argv[] = { store_key_span(&list), frames, span_str(most),
	    span_str(ttl), store_key_span(&wake) };

	store_script(m->store, &agent_mail_script, sent_reply,
	    sent_new(done, arg), 1, 5, argv);
}

void
mailbox_store_for_agent(struct mailbox *m, const unsigned char *instance,
    struct span frames)
{
	struct address to = address_agent(instance);

	send_to_agent(m, &to, frames, NULL, NULL);
}

void
mailbox_send(struct mailbox *m, const struct address *to,
    const struct address *from, struct span backends, struct span frames,
    mailbox_done_fn *done, void *arg)
{
	switch (to->kind) {
	case ADDRESS_NONE:
		break;
	case ADDRESS_OWNER:
	case ADDRESS_CALL:
		if (memcmp(to->worker, m->id, WORKER_ID_LEN) == 0)
			send_local(m, to, from, backends, frames, done, arg);
		else
			send_to_worker(m, to, from, backends, frames, done,
			    arg);
		break;
	case ADDRESS_AGENT:
		if (!m->handler.to_agent(m->handler.arg, to->instance,
		    frames))
			send_to_agent(m, to, frames, done, arg);
		break;
	}
}

/* --- who is alive --- */

static void
release_held(struct mailbox *m, struct peer *p, enum mailbox_result result)
{
	struct held_message *held;

	while ((held = STAILQ_FIRST(&p->held)) != NULL) {
		STAILQ_REMOVE_HEAD(&p->held, link);
		if (result == MAILBOX_SENT)
			push_to_worker(m, p->id, span_of(held->bytes,
			    held->len), held->done, held->arg);
		else if (held->done != NULL)
			held->done(held->arg, result);
		free(held->bytes);
		free(held);
	}
}

/* Deletes what a dead worker left in Redis. */
static void
clear_up_after(struct mailbox *m, struct span worker)
{
	struct store_key alive = store_key_workers();
	unsigned char id[WORKER_ID_LEN];
	struct span rem[] = { span_str("ZREM"), store_key_span(&alive),
	    worker };

	store_command(m->store, NULL, NULL, 3, rem);
	/* What is no worker's id has no list, and may be too long for a
	 * key. */
	if (!hex_decode(worker, id, WORKER_ID_LEN))
		return;
	struct store_key mail = store_key_mail(worker);
	struct span del[] = { span_str("DEL"), store_key_span(&mail) };

	store_command(m->store, NULL, NULL, 2, del);
}

static void
learn_the_living(struct mailbox *m, const struct store_reply *reply)
{
	struct peer *p, *next;
	unsigned char id[WORKER_ID_LEN];
	size_t i = 1;

	/* While Redis was away nobody could say that it is alive; those that
	 * were get the time to say it. */
	HASH_ITER(hh, m->peers, p, next) {
		if (!p->alive || ev_now(m->loop) < m->amnesty_until)
			continue;
		p->died = ev_now(m->loop);
		p->alive = false;
	}
	m->others = 0;
	for (; i < reply->count && reply->element[i].string.len > 0; i++) {
		if (!hex_decode(reply->element[i].string, id, WORKER_ID_LEN))
			continue;
		peer_get(m, id)->alive = true;
		m->others += memcmp(id, m->id, WORKER_ID_LEN) != 0;
	}
	for (i++; i < reply->count; i++)
		clear_up_after(m, reply->element[i].string);
	HASH_ITER(hh, m->peers, p, next) {
		if (p->is_late && !p->alive) {
			p->is_late = false;
			look(m);
			continue;
		}
		p->is_late = false;
		/* Not known yet: the next look tells. */
		if (!p->alive && ev_now(m->loop) < m->coming_back_until)
			continue;
		release_held(m, p, p->alive ? MAILBOX_SENT : MAILBOX_DEAD);
		if (!p->alive && ev_now(m->loop) - p->died > FORGET_SECONDS) {
			HASH_DELETE(hh, m->peers, p);
			free(p);
		}
	}
}

static void
looked(void *arg, const struct store_reply *reply)
{
	struct mailbox *m = arg;
	struct peer *p, *next;

	m->looking = false;
	if (reply->kind == STORE_ARRAY && reply->count > 0) {
		bool was_listed = m->is_listed;

		m->is_listed = true;
		/* Somebody has emptied Redis, under our eyes. */
		if (was_listed && span_is(reply->element[0].string,
		    span_str("1")))
			m->handler.forgotten(m->handler.arg);
		learn_the_living(m, reply);
		return;
	}
	if (reply->kind == STORE_ERROR)
		log_error(NULL, "heartbeat: %.*s", (int)reply->string.len,
		    reply->string.data);
	HASH_ITER(hh, m->peers, p, next)
		release_held(m, p, MAILBOX_LOST);
}

static void
look(struct mailbox *m)
{
	struct store_key alive = store_key_workers();
	struct span argv[] = { store_key_span(&alive), span_str(m->id_text) };

	if (m->looking)
		return;
	m->looking = true;
	store_script(m->store, &heartbeat_script, looked, m, 1, 2, argv);
}

static void
on_heartbeat(struct ev_loop *loop, ev_timer *timer, int events)
{
	struct mailbox *m = timer->data;

	(void)loop;
	(void)events;
	if (store_is_up(m->store))
		look(m);
}

bool
mailbox_is_alone(const struct mailbox *m)
{
	return m->others == 0;
}

bool
mailbox_worker_lives(const struct mailbox *m, const unsigned char *worker)
{
	const struct peer *p;

	if (memcmp(worker, m->id, WORKER_ID_LEN) == 0)
		return true;
	HASH_FIND(hh, m->peers, worker, WORKER_ID_LEN, p);
	return p != NULL && p->alive;
}

bool
mailbox_worker_may_live(const struct mailbox *m, const unsigned char *worker)
{
	const struct peer *p;

	if (memcmp(worker, m->id, WORKER_ID_LEN) == 0)
		return true;
	HASH_FIND(hh, m->peers, worker, WORKER_ID_LEN, p);
	/* One that is not known may have started since the last look; while
	 * messages are held for it, that is being found out. */
	return p == NULL || p->alive || !STAILQ_EMPTY(&p->held);
}

void
mailbox_store_up(struct mailbox *m)
{
	/* Before the first time nobody is known. */
	if (m->amnesty_until > 0.)
		m->coming_back_until = ev_now(m->loop) + COMING_BACK_SECONDS;
	m->amnesty_until = ev_now(m->loop) + AMNESTY_SECONDS;
	m->is_listed = false;
	look(m);
}

void
mailbox_retire(struct mailbox *m)
{
	clear_up_after(m, span_str(m->id_text));
}

const unsigned char *
mailbox_worker_id(const struct mailbox *m)
{
	return m->id;
}

struct address
mailbox_call_address(const struct mailbox *m, unsigned long long call,
    const unsigned char *instance)
{
	struct address a = { .kind = ADDRESS_CALL, .call = call };

	memcpy(a.instance, instance, AGENT_INSTANCE_LEN);
	memcpy(a.worker, m->id, WORKER_ID_LEN);
	return a;
}

struct mailbox *
mailbox_new(struct ev_loop *loop, struct store *store,
    const struct mailbox_handler *handler)
{
	struct mailbox *m = calloc(1, sizeof *m);

	if (m == NULL)
		fatal("mailbox: out of memory");
	m->loop = loop;
	m->store = store;
	m->handler = *handler;
	STAILQ_INIT(&m->local);
	if (getrandom(m->id, sizeof m->id, 0) != sizeof m->id)
		fatal("getrandom: %s", strerror(errno));
	hex_encode(m->id, WORKER_ID_LEN, m->id_text);
	struct store_key mail = store_key_mail(span_str(m->id_text));

	store_pop_from(store, store_key_span(&mail));
	ev_timer_init(&m->heartbeat, on_heartbeat, HEARTBEAT_SECONDS,
	    HEARTBEAT_SECONDS);
	m->heartbeat.data = m;
	ev_timer_start(loop, &m->heartbeat);
	ev_unref(loop);
	return m;
}

void
mailbox_free(struct mailbox *m)
{
	struct local_message *message;
	struct peer *p, *next;

	if (m == NULL)
		return;
	ev_ref(m->loop);
	ev_timer_stop(m->loop, &m->heartbeat);
	while ((message = STAILQ_FIRST(&m->local)) != NULL) {
		STAILQ_REMOVE_HEAD(&m->local, link);
		free(message->bytes);
		free(message);
	}
	HASH_ITER(hh, m->peers, p, next) {
		release_held(m, p, MAILBOX_LOST);
		HASH_DELETE(hh, m->peers, p);
		free(p);
	}
	free(m);
}
