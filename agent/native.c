/* native.c - the native protocol: when to call.
 *
 * Two calls wait at the proxy, parked, so that one is there when the other
 * has just been answered.  Frames go in a call that will be parked in its
 * turn when one is missing, so that at one exchange at a time each costs one
 * call; else in a call of their own, which is answered at once.  Such calls
 * keep a distance that doubles with their number: when they are slow to
 * return, more frames share one, and still none waits longer than half of what
 * a call takes.
 *
 * A third one is parked when the two ask for no work, because there was no room
 * for any when they were made, and now there is.
 *
 * A parked call that may bring work is not taken back: its answer may be on
 * its way.  Who stops says so in a call of its own (LEAVING); the proxy then
 * answers the parked ones, and only after that nothing more can come. */
#include "config.h"

#include <stdlib.h>

#include "agent/native.h"
#include "agent/native_private.h"
#include "common/log.h"

enum {
	CARRYING_MAX = 8,
	PARK_MS = 30 * 1000,		/* before WELCOME says it */
	LEASE_MS = 4 * 1000,
};

static const double pace_s = .001;
static const double tick_s = .25;
/* Without an answer for this long beyond the lease: less than what the proxy
 * grants, more than a busy machine may need. */
static const double silence_s = 1.;
/* How long a stop may take that the proxy does not hear of. */
static const double leave_s = 5.;

void
native_start_timer(struct native *n, ev_timer *timer, double seconds)
{
	ev_timer_stop(n->agent->loop, timer);
	ev_timer_set(timer, seconds, 0.);
	ev_timer_start(n->agent->loop, timer);
}

/* --- leaving --- */

static void
leave(struct native *n)
{
	if (n->leave != NATIVE_STAYS)
		return;
	if (n->state != NATIVE_ON) {
		n->leave = NATIVE_HAS_LEFT;
		return;
	}
	n->leave = NATIVE_MUST_SAY;
	native_start_timer(n, &n->patience, leave_s);
}

static void
on_patience(struct ev_loop *loop, ev_timer *timer, int revents)
{
	struct native *n = timer->data;

	(void)loop;
	(void)revents;
	if (n->leave != NATIVE_HAS_LEFT)
		log_warn(NULL, "the proxy does not answer the farewell");
	n->leave = NATIVE_HAS_LEFT;
}

/* --- when to call --- */

/* How long until another call may carry frames: 0 when now. */
static double
carry_delay(const struct native *n)
{
	double since = ev_now(n->agent->loop) - n->carried_at, distance;

	if (n->carrying == 0)
		return 0.;
	if (n->carrying >= CARRYING_MAX || native_pace_room(&n->pace) == 0)
		return 1.;
	/* Waiting would not bring more into it. */
	if (native_has_full_call(n))
		return 0.;
	distance = pace_s * (double)(1 << (n->carrying - 1));
	return since >= distance || since < 0. ? 0. : distance - since;
}

/* Room has come back, and the calls that are parked ask for no work: they were
 * made when there was none. */
static bool
is_idle_unknown(const struct native *n)
{
	return native_capacity(n) > 0 && !native_asks_for_work(n);
}

static bool
may_park(struct native *n)
{
	if (n->agent->is_draining || ev_is_active(&n->rest))
		return false;
	if (n->parked >= NATIVE_PARKED_MAX)
		return n->parked == NATIVE_PARKED_MAX && is_idle_unknown(n);
	return n->unfinished > 0 || native_capacity(n) > 0;
}

static bool
has_frames(const struct native *n)
{
	return !TAILQ_EMPTY(&n->queue) || buf_len(&n->loose) > 0 ||
	    n->is_pressed;
}

/* Must one be made for the lease's sake? */
static bool
is_call_due(const struct native *n)
{
	return n->unfinished > 0 && ev_now(n->agent->loop) - n->called_at >=
	    (double)n->lease_ms / 3000.;
}

/* Calls that failed or were taken back go again. */
static void
send_waiting(struct native *n)
{
	struct native_call *call;

	while ((call = TAILQ_FIRST(&n->waiting)) != NULL &&
	    native_pace_room(&n->pace) > 0) {
		TAILQ_REMOVE(&n->waiting, call, link);
		native_call_send(call, false);
	}
}

static void
call_as_needed(struct native *n)
{
	double delay;

	send_waiting(n);
	/* After a loss one call that is answered at once shows the return.
	 * One that hangs must not cost the lease. */
	if (n->link.failures > 0) {
		if (n->carrying == 0 ||
		    (is_call_due(n) && n->carrying < CARRYING_MAX))
			native_call_open(n, false);
		return;
	}
	if (n->leave == NATIVE_MUST_SAY)
		native_call_open(n, false);
	while (has_frames(n)) {
		if (may_park(n)) {
			native_call_open(n, true);
		} else if ((delay = carry_delay(n)) <= 0.) {
			native_call_open(n, false);
		} else {
			if (!ev_is_active(&n->distance))
				native_start_timer(n, &n->distance, delay);
			break;
		}
	}
	/* Work and window updates must find a call to come by. */
	if (n->parked == 0 && !ev_is_active(&n->rest) &&
	    (n->unfinished > 0 || native_capacity(n) > 0))
		native_call_open(n, true);
	else if (may_park(n) && (n->unfinished == 0 || n->must_call ||
	    is_idle_unknown(n)))
		native_call_open(n, true);
	else if (n->must_call)
		native_call_open(n, false);
}

void
native_turn(struct native *n)
{
	if (n->state == NATIVE_OFF || ev_is_active(&n->retry) ||
	    !proxy_is_ready(n->agent->proxy))
		return;
	if (n->state == NATIVE_ON)
		call_as_needed(n);
	else if (TAILQ_EMPTY(&n->calls) && !n->agent->is_draining)
		native_call_open(n, false);
}

/* --- timers --- */

/* The turn that follows does what the timer is for. */
static void
on_timer(struct ev_loop *loop, ev_timer *timer, int revents)
{
	(void)loop;
	(void)timer;
	(void)revents;
}

static void
on_release(struct ev_loop *loop, ev_timer *timer, int revents)
{
	(void)loop;
	(void)revents;
	native_release(timer->data);
}

static void
on_press(struct ev_loop *loop, ev_timer *timer, int revents)
{
	struct native *n = timer->data;

	(void)loop;
	(void)revents;
	n->is_pressed = !TAILQ_EMPTY(&n->accepts);
}

/* What we have in hand will be another agent's: it must not be done by both at
 * the same time.  For the proxy we are a new one from here on. */
static void
give_up(struct native *n)
{
	log_warn(NULL, "the proxy can't be heard: %zu exchanges are given up",
	    n->unfinished);
	native_drop_all(n, "the proxy can't be heard");
	native_begin_instance(n);
}

static void
on_tick(struct ev_loop *loop, ev_timer *timer, int revents)
{
	struct native *n = timer->data;
	ev_tstamp now = ev_now(loop);

	(void)revents;
	if (n->count == 0) {
		ev_timer_stop(loop, timer);
		return;
	}
	if (n->unfinished > 0 &&
	    now - n->heard_at > (double)n->lease_ms / 1000. + silence_s) {
		give_up(n);
		return;
	}
	native_exchanges_tick(n, now);
	if ((n->unfinished > 0 && may_park(n)) || is_call_due(n))
		n->must_call = true;
}

/* --- from outside --- */

void
native_set_active(struct native *n, bool active)
{
	if (active == (n->state != NATIVE_OFF))
		return;
	ev_timer_stop(n->agent->loop, &n->retry);
	if (active) {
		native_begin_instance(n);
		n->state = NATIVE_ASKS;
	} else {
		n->state = NATIVE_OFF;
		native_drop_all(n,
		    "the proxy does not speak the native protocol");
	}
}

void
native_probe(struct native *n)
{
	native_set_active(n, true);
}

void
native_changed(struct native *n)
{
	/* A new credential is worth a try at once. */
	ev_timer_stop(n->agent->loop, &n->retry);
	if (n->agent->is_draining)
		leave(n);
}

bool
native_is_idle(const struct native *n)
{
	const struct native_call *call;

	if (n->state == NATIVE_OFF)
		return true;
	if (n->leave != NATIVE_HAS_LEFT || n->count > 0 || has_frames(n) ||
	    !TAILQ_EMPTY(&n->waiting))
		return false;
	TAILQ_FOREACH(call, &n->calls, link)
		if (call->has_frames)
			return false;
	return true;
}

struct native *
native_new(struct agent *agent, struct backend *const *backends, size_t count,
    native_verdict_fn *verdict, void *arg)
{
	struct native *n = calloc(1, sizeof(*n));

	if (n == NULL || (n->is_refused = calloc(count, 1)) == NULL)
		fatal("out of memory");
	n->agent = agent;
	n->backends = backends;
	n->backend_count = count;
	n->verdict = verdict;
	n->arg = arg;
	n->park_ms = PARK_MS;
	n->lease_ms = LEASE_MS;
	n->call_full = NATIVE_CALL_FULL;
	link_init(&n->link, "the proxy", 50);
	TAILQ_INIT(&n->calls);
	TAILQ_INIT(&n->waiting);
	ev_timer_init(&n->retry, on_timer, 0., 0.);
	ev_timer_init(&n->rest, on_timer, 0., 0.);
	ev_timer_init(&n->distance, on_timer, 0., 0.);
	ev_timer_init(&n->press, on_press, 0., 0.);
	ev_timer_init(&n->tick, on_tick, tick_s, tick_s);
	ev_timer_init(&n->release, on_release, 0., 0.);
	ev_timer_init(&n->patience, on_patience, 0., 0.);
	n->press.data = n->tick.data = n->release.data = n->patience.data = n;
	buf_init(&n->hello_backends, FRAME_CALL_MAX);
	for (size_t i = 0; i < count; i++)
		if (frame_append_backend(&n->hello_backends,
		    span_str(backends[i]->id)) != 0)
			fatal("backend %s: its id is too long",
			    backends[i]->id);
	n->hello = (struct frame){
		.type = FRAME_HELLO,
		.version = FRAME_VERSION,
		.backend_count = (unsigned)count,
		.backends = buf_span(&n->hello_backends),
		.text = span_str("inverting-proxy-agent/" PACKAGE_VERSION),
	};
	native_pace_init(&n->pace);
	native_exchanges_init(n);
	return n;
}

void
native_free(struct native *n)
{
	if (n == NULL)
		return;
	native_drop_all(n, "the agent is ending");
	ev_timer_stop(n->agent->loop, &n->retry);
	ev_timer_stop(n->agent->loop, &n->rest);
	ev_timer_stop(n->agent->loop, &n->distance);
	ev_timer_stop(n->agent->loop, &n->press);
	ev_timer_stop(n->agent->loop, &n->tick);
	ev_timer_stop(n->agent->loop, &n->release);
	ev_timer_stop(n->agent->loop, &n->patience);
	recent_free(n->taken);
	recent_free(n->given_back);
	buf_clear(&n->loose);
	buf_clear(&n->hello_backends);
	free(n->is_refused);
	free(n->table);
	free(n);
}
