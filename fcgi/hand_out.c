/* hand_out.c - which agent's call gets the next exchange of a backend: one
 * that waits in this process, or through the backend's queue in Redis. */
#include "config.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/queue.h>
#include <uthash.h>

#include "common/http1_head.h"
#include "common/log.h"
#include "fcgi/hand_out.h"
#include "fcgi/store_keys.h"
#include "fcgi/withdrawal.h"

enum {
	SWEEP_SECONDS = 30,	/* how often empty rooms are given up */
	ROOM_IDLE_SECONDS = 60,
};

/* A call is noted as attendance unless another has just been. */
static const double attend_seconds = 10.;

/*
 * KEYS: queue, attended.  ARGV: element, limit, time to live in ms, channel.
 * Result: the place in the queue, -1 when no agent has been seen, -2 full.
 */
static struct store_script queue_script = { .text =
    "if redis.call('EXISTS', KEYS[2]) == 0 then return -1 end\n"
    "if redis.call('LLEN', KEYS[1]) >= tonumber(ARGV[2]) then\n"
    "  return -2\n"
    "end\n"
    "local n = redis.call('RPUSH', KEYS[1], ARGV[1])\n"
    "redis.call('PEXPIRE', KEYS[1], ARGV[3])\n"
    "redis.call('PUBLISH', ARGV[4], '')\n"
    "return n\n" };

/* One waiter in the room of one of its backends. */
struct waiter_seat {
	TAILQ_ENTRY(waiter_seat) link;
	struct waiter *waiter;
	struct room *room;
};

/* The calls that wait for exchanges of one backend. */
struct room {
	struct hand_out *all;
	char *backend;
	struct watch *watch;
	TAILQ_HEAD(, waiter_seat) seats;
	TAILQ_HEAD(, held) held;
	ev_timer held_timer;
	size_t listed;		/* in so many lists */
	ev_tstamp left;		/* when the last waiter left */
	ev_tstamp attended;	/* when that was last written */
	UT_hash_handle hh;
};

struct hand_out_list {
	size_t count;
	struct room *room[];
};

struct hand_out {
	struct ev_loop *loop;
	struct store *store;
	struct watches *watches;
	const struct settings *settings;
	struct room *rooms;
	bool (*alive)(void *arg, const struct exchange_id *id);
	void *alive_arg;
	bool (*alone)(void *arg);
	void *alone_arg;
	ev_timer sweep;
	ev_timer attend;
	struct withdrawals *withdrawals;
	ev_tstamp down_since;	/* Redis; 0: it is not */
	ev_timer truce;		/* nothing is taken from queues */
};

static struct span
room_backend(const struct room *room)
{
	return span_str(room->backend);
}

static size_t
room_capacity(void *arg)
{
	const struct room *room = arg;
	const struct waiter_seat *seat;
	size_t capacity = 0;

	TAILQ_FOREACH(seat, &room->seats, link)
		capacity += seat->waiter->capacity;
	return capacity;
}

/* A worker is heard again half a second after Redis is back, at the latest,
 * and begins with what it has to withdraw. */
static const double truce_seconds = 0.6;

static size_t
queue_room(void *arg)
{
	const struct room *room = arg;

	return ev_is_active(&room->all->truce) ? 0 : room_capacity(arg);
}

/* Nobody tells when the other end of a call that waits is gone, and what is
 * given to it then counts as fetched.  So what may not be done twice goes to a
 * call that came just now: an older one is answered, and who is alive comes
 * again at once. */
static const double fresh_seconds = 1.0;

static bool
is_stale(const struct room *room, const struct waiter *w,
    const struct frame *open)
{
	struct span method = span_of(open->head.data, 0);

	if (w->since <= 0. || w->recall == NULL ||
	    ev_now(room->all->loop) - w->since < fresh_seconds)
		return false;
	while (method.len < open->head.len &&
	    method.data[method.len] != ' ')
		method.len++;
	return !http1_method_is_idempotent(method);
}

/* To the waiter whose turn it is; it goes to the end of the line. */
static bool
room_give(struct room *room, struct span encoded, const struct frame *open)
{
	struct waiter_seat *seat;

	TAILQ_FOREACH(seat, &room->seats, link) {
		if (seat->waiter->capacity == 0)
			continue;
		if (is_stale(room, seat->waiter, open)) {
			seat->waiter->recall(seat->waiter);
			room->left = ev_now(room->all->loop);
			continue;
		}
		TAILQ_REMOVE(&room->seats, seat, link);
		TAILQ_INSERT_TAIL(&room->seats, seat, link);
		seat->waiter->give(seat->waiter, encoded, open);
		return true;
	}
	return false;
}

/* An element of the queue.  One that is of no use is "taken": dropped. */
static bool
room_give_queued(void *arg, struct span element)
{
	struct room *room = arg;
	struct frame open;
	struct span rest = element;

	if (frame_decode(&rest, &open) != WIRE_DONE ||
	    open.type != FRAME_OPEN || rest.len > 0 ||
	    !span_is(open.backend, room_backend(room))) {
		log_error(NULL, "queue of backend %s: an element that is not "
		    "an exchange was dropped", room->backend);
		return true;
	}
	if (room->all->alive != NULL &&
	    !room->all->alive(room->all->alive_arg, &open.id))
		return true;
	return room_give(room, element, &open);
}

static const char roll_call_word[] = "roll call";

/* --- held exchanges ---
 *
 * An agent's calls are answered with what there is and come back within
 * milliseconds; going through Redis in between costs more than waiting. */

static const double hold_seconds = 0.02;
static const double recently_seconds = 0.1;

void
hand_out_release(struct held *held)
{
	struct room *room = held->room;

	if (room == NULL)
		return;
	held->room = NULL;
	TAILQ_REMOVE(&room->held, held, link);
	if (TAILQ_EMPTY(&room->held))
		ev_timer_stop(room->all->loop, &room->held_timer);
}

static void
on_held_timer(struct ev_loop *loop, ev_timer *timer, int events)
{
	struct room *room = timer->data;
	struct held *held;

	(void)loop;
	(void)events;
	while ((held = TAILQ_FIRST(&room->held)) != NULL) {
		hand_out_release(held);
		held->give_up(held);
	}
}

bool
hand_out_hold(struct hand_out *h, struct held *held, struct span backend)
{
	struct room *room;

	HASH_FIND(hh, h->rooms, backend.data, backend.len, room);
	if (room == NULL || !watch_is_quiet(room->watch) ||
	    h->alone == NULL || !h->alone(h->alone_arg) ||
	    ev_now(h->loop) - room->left > recently_seconds)
		return false;
	held->room = room;
	TAILQ_INSERT_TAIL(&room->held, held, link);
	if (!ev_is_active(&room->held_timer)) {
		ev_timer_set(&room->held_timer, hold_seconds, 0.);
		ev_timer_start(h->loop, &room->held_timer);
	}
	return true;
}

static void
serve_held(struct room *room)
{
	struct held *held;

	while ((held = TAILQ_FIRST(&room->held)) != NULL &&
	    room_capacity(room) > 0) {
		hand_out_release(held);
		held->offer(held);
	}
}

static void
room_told(void *arg, struct span word)
{
	struct room *room = arg;
	struct waiter_seat *seat;

	if (!span_is(word, span_str(roll_call_word)))
		return;
	TAILQ_FOREACH(seat, &room->seats, link)
		if (seat->waiter->recall != NULL)
			seat->waiter->recall(seat->waiter);
}

void
hand_out_roll_call(struct hand_out *h, struct span backend)
{
	struct store_key wake = store_key_wake(backend);
	struct span publish[] = { span_str("PUBLISH"), store_key_span(&wake),
	    span_str(roll_call_word) };

	store_command(h->store, NULL, NULL, 3, publish);
}

static struct room *
room_get(struct hand_out *h, struct span backend)
{
	struct room *room;

	HASH_FIND(hh, h->rooms, backend.data, backend.len, room);
	if (room != NULL)
		return room;
	if ((room = calloc(1, sizeof *room)) == NULL ||
	    (room->backend = span_strdup(backend)) == NULL)
		fatal("hand_out: out of memory");
	room->all = h;
	room->left = ev_now(h->loop);
	TAILQ_INIT(&room->seats);
	TAILQ_INIT(&room->held);
	ev_timer_init(&room->held_timer, on_held_timer, 0., 0.);
	room->held_timer.data = room;
	struct watch_handler handler = { queue_room, room_give_queued,
	    room_told, room };

	room->watch = watch_new(h->watches, store_key_queue(backend),
	    store_key_wake(backend), &handler);
	HASH_ADD_KEYPTR(hh, h->rooms, room->backend, backend.len, room);
	return room;
}

static void
room_free(struct room *room)
{
	ev_timer_stop(room->all->loop, &room->held_timer);
	HASH_DELETE(hh, room->all->rooms, room);
	watch_free(room->watch);
	free(room->backend);
	free(room);
}

static void
on_sweep(struct ev_loop *loop, ev_timer *timer, int events)
{
	struct hand_out *h = timer->data;
	struct room *room, *next;

	(void)events;
	HASH_ITER(hh, h->rooms, room, next)
		if (room->listed == 0 && TAILQ_EMPTY(&room->seats) &&
		    TAILQ_EMPTY(&room->held) &&
		    ev_now(loop) - room->left > ROOM_IDLE_SECONDS)
			room_free(room);
}

/* For as long as an agent may be absent, from when it was seen. */
static void
write_attended(struct room *room)
{
	struct hand_out *h = room->all;
	struct store_key key = store_key_attended(room_backend(room));
	long left_ms = h->settings->agent_absence_ms -
	    (long)((ev_now(h->loop) - room->attended) * 1000);
	char ttl[24];

	if (left_ms <= 0)
		return;
	snprintf(ttl, sizeof ttl, "%ld", left_ms);
	struct span argv[] = { span_str("SET"), store_key_span(&key),
	    span_str("1"), span_str("PX"), span_str(ttl) };

	store_command(h->store, NULL, NULL, 5, argv);
}

/* Unless that was done in the last so many seconds. */
static void
attend(struct room *room, double seconds)
{
	struct hand_out *h = room->all;

	if (room->attended > 0 && ev_now(h->loop) - room->attended < seconds)
		return;
	if (!store_is_up(h->store))
		return;
	room->attended = ev_now(h->loop);
	write_attended(room);
}

void
hand_out_attend(struct hand_out *h, struct span backend)
{
	double enough = h->attend.repeat / 2;

	attend(room_get(h, backend), enough < attend_seconds ? enough :
	    attend_seconds);
}

/* Whose call waits asks all the time; that matters where an absence is shorter
 * than a poll. */
static void
on_attend(struct ev_loop *loop, ev_timer *timer, int events)
{
	struct hand_out *h = timer->data;
	struct room *room, *next;

	(void)loop;
	(void)events;
	HASH_ITER(hh, h->rooms, room, next)
		if (!TAILQ_EMPTY(&room->seats))
			attend(room, timer->repeat / 2);
}

static void
on_truce_end(struct ev_loop *loop, ev_timer *timer, int events)
{
	struct hand_out *h = timer->data;
	struct room *room, *next;

	(void)loop;
	(void)events;
	HASH_ITER(hh, h->rooms, room, next)
		watch_want(room->watch);
}

void
hand_out_store_down(struct hand_out *h)
{
	if (h->down_since <= 0)
		h->down_since = ev_now(h->loop);
}

/* For so long that workers may have answered clients with 503. */
static bool
was_away_for_long(const struct hand_out *h)
{
	return h->down_since > 0 && ev_now(h->loop) - h->down_since >
	    (double)h->settings->redis_timeout_ms / 2000;
}

void
hand_out_store_up(struct hand_out *h)
{
	struct room *room, *next;

	withdrawals_store_up(h->withdrawals);
	/* Whether there are other workers is not known yet. */
	if (was_away_for_long(h)) {
		ev_timer_stop(h->loop, &h->truce);
		ev_timer_set(&h->truce, truce_seconds, 0.);
		ev_timer_start(h->loop, &h->truce);
	}
	h->down_since = 0;
	HASH_ITER(hh, h->rooms, room, next)
		if (room->attended > 0)
			write_attended(room);
}

struct hand_out_list *
hand_out_list_new(struct hand_out *h, struct span backends)
{
	struct span backend, rest = backends;
	struct hand_out_list *list;
	size_t count = 0;

	while (frame_next_backend(&rest, &backend))
		count++;
	list = malloc(sizeof *list + count * sizeof *list->room);
	if (list == NULL)
		return NULL;
	rest = backends;
	for (list->count = 0; frame_next_backend(&rest, &backend);
	    list->count++) {
		struct room *room = room_get(h, backend);

		room->listed++;
		list->room[list->count] = room;
	}
	return list;
}

void
hand_out_list_free(struct hand_out_list *list)
{
	if (list == NULL)
		return;
	for (size_t i = 0; i < list->count; i++)
		list->room[i]->listed--;
	free(list);
}

int
hand_out_wait_by_list(struct waiter *w,
    const struct hand_out_list *list)
{
	if ((w->seats = calloc(list->count + 1, sizeof *w->seats)) == NULL)
		return -1;
	w->seat_count = list->count;
	for (size_t i = 0; i < w->seat_count; i++) {
		struct waiter_seat *seat = &w->seats[i];

		seat->waiter = w;
		seat->room = list->room[i];
		TAILQ_INSERT_TAIL(&seat->room->seats, seat, link);
	}
	for (size_t i = 0; i < w->seat_count; i++) {
		serve_held(w->seats[i].room);
		watch_want(w->seats[i].room->watch);
	}
	return 0;
}

int
hand_out_wait(struct hand_out *h, struct waiter *w, struct span backends)
{
	struct hand_out_list *list = hand_out_list_new(h, backends);
	int r = list == NULL ? -1 : hand_out_wait_by_list(w, list);

	hand_out_list_free(list);
	return r;
}

void
hand_out_leave(struct hand_out *h, struct waiter *w)
{
	for (size_t i = 0; i < w->seat_count; i++) {
		struct room *room = w->seats[i].room;

		TAILQ_REMOVE(&room->seats, &w->seats[i], link);
		room->left = ev_now(h->loop);
	}
	free(w->seats);
	w->seats = NULL;
	w->seat_count = 0;
}

bool
hand_out_offer(struct hand_out *h, struct span backend, struct span encoded,
    const struct frame *open)
{
	struct room *room;

	HASH_FIND(hh, h->rooms, backend.data, backend.len, room);
	return room != NULL && watch_is_quiet(room->watch) &&
	    room_give(room, encoded, open);
}

void
hand_out_queue(struct hand_out *h, struct span backend, struct span encoded,
    store_reply_fn *done, void *arg)
{
	struct store_key queue = store_key_queue(backend);
	struct store_key attended = store_key_attended(backend);
	struct store_key wake = store_key_wake(backend);
	char limit[24], ttl[24];

	snprintf(limit, sizeof limit, "%ld", h->settings->queue_limit);
	snprintf(ttl, sizeof ttl, "%ld", h->settings->queue_timeout_ms + 5000);
	struct span argv[] = { store_key_span(&queue),
	    store_key_span(&attended), encoded, span_str(limit),
	    span_str(ttl), store_key_span(&wake) };

	store_script(h->store, &queue_script, done, arg, 2, 6, argv);
}

void
hand_out_withdraw(struct hand_out *h, struct span backend,
    struct span encoded, store_reply_fn *done, void *arg)
{
	struct store_key queue = store_key_queue(backend);
	struct span argv[] = { span_str("LREM"), store_key_span(&queue),
	    span_str("1"), encoded };

	store_command(h->store, done, arg, 4, argv);
}

void
hand_out_drop(struct hand_out *h, struct span backend, struct span encoded)
{
	struct store_key queue = store_key_queue(backend);

	withdrawals_add(h->withdrawals, &queue, encoded);
}

void
hand_out_find(struct hand_out *h, struct span backend, struct span encoded,
    store_reply_fn *done, void *arg)
{
	struct store_key queue = store_key_queue(backend);
	struct span argv[] = { span_str("LPOS"), store_key_span(&queue),
	    encoded };

	store_command(h->store, done, arg, 3, argv);
}

void
hand_out_set_alone(struct hand_out *h, bool (*alone)(void *arg), void *arg)
{
	h->alone = alone;
	h->alone_arg = arg;
}

void
hand_out_set_alive(struct hand_out *h,
    bool (*alive)(void *arg, const struct exchange_id *id), void *arg)
{
	h->alive = alive;
	h->alive_arg = arg;
}

struct hand_out *
hand_out_new(struct ev_loop *loop, struct store *store,
    struct watches *watches, const struct settings *settings)
{
	struct hand_out *h = calloc(1, sizeof *h);

	if (h == NULL)
		fatal("hand_out: out of memory");
	h->loop = loop;
	h->store = store;
	h->watches = watches;
	h->settings = settings;
	h->withdrawals = withdrawals_new(store);
	ev_timer_init(&h->truce, on_truce_end, 0., 0.);
	h->truce.data = h;
	ev_timer_init(&h->sweep, on_sweep, SWEEP_SECONDS, SWEEP_SECONDS);
	h->sweep.data = h;
	ev_timer_start(loop, &h->sweep);
	ev_init(&h->attend, on_attend);
	h->attend.repeat = (double)settings->agent_absence_ms / 3000 + 1e-3;
	h->attend.data = h;
	ev_timer_again(loop, &h->attend);
	ev_unref(loop);
	ev_unref(loop);
	return h;
}

void
hand_out_free(struct hand_out *h)
{
	struct room *room, *next;

	if (h == NULL)
		return;
	ev_ref(h->loop);
	ev_ref(h->loop);
	ev_timer_stop(h->loop, &h->sweep);
	ev_timer_stop(h->loop, &h->attend);
	ev_timer_stop(h->loop, &h->truce);
	withdrawals_free(h->withdrawals);
	HASH_ITER(hh, h->rooms, room, next)
		room_free(room);
	free(h);
}
