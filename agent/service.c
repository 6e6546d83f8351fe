/* service.c - which protocol serves: native where the proxy speaks it, else
 * classic; then native is tried again now and then. */
#include "config.h"

#include <stdlib.h>

#include "agent/classic.h"
#include "agent/native.h"
#include "agent/service.h"
#include "common/frame.h"
#include "common/log.h"

enum { PROBE_AGAIN_S = 5 * 60 };

struct service {
	struct agent *agent;
	enum protocol_choice choice;
	struct classic *classic;	/* NULL: never */
	struct native **sessions;
	size_t session_count;
	bool is_classic;
	ev_timer probe;
};

static void
use_classic(struct service *s, bool classic)
{
	s->is_classic = classic;
	for (size_t i = 0; i < s->session_count; i++)
		native_set_active(s->sessions[i], !classic);
	if (s->classic != NULL)
		classic_set_active(s->classic, classic);
}

/* What a session has found out. */
static void
on_verdict(void *arg, bool spoken, const struct backend *backend,
    struct span instead)
{
	struct service *s = arg;

	if (s->choice == PROTOCOL_NATIVE && !spoken) {
		log_warn(NULL, "the proxy does not speak the native protocol; "
		    "--protocol auto would use the classic one");
		return;
	}
	if (!spoken && !s->is_classic)
		log_info(NULL, "the proxy does not speak the native protocol: "
		    "using the classic one");
	else if (spoken && s->is_classic)
		log_info(NULL, "the proxy speaks the native protocol now");
	use_classic(s, !spoken);
	ev_timer_stop(s->agent->loop, &s->probe);
	if (spoken)
		return;
	ev_timer_start(s->agent->loop, &s->probe);
	/* There are proxies that take any call of an agent for a poll. */
	classic_take_ids(s->classic, backend, instead);
}

static void
on_probe(struct ev_loop *loop, ev_timer *timer, int revents)
{
	struct service *s = timer->data;

	(void)loop;
	(void)revents;
	if (s->is_classic && s->session_count > 0)
		native_probe(s->sessions[0]);
}

/* A session has one capacity for all its backends; so where a backend may
 * become unhealthy each has a session of its own. */
static void
make_sessions(struct service *s)
{
	struct agent *agent = s->agent;
	size_t share = agent->settings->health_check_interval_ms > 0 ? 1 :
	    FRAME_BACKENDS_MAX;

	s->session_count = (agent->backend_count + share - 1) / share;
	agent->session_count = s->session_count;
	s->sessions = calloc(s->session_count, sizeof(*s->sessions));
	if (s->sessions == NULL)
		fatal("out of memory");
	for (size_t i = 0; i < s->session_count; i++) {
		size_t first = i * share, left = agent->backend_count - first;

		s->sessions[i] = native_new(agent, agent->backends + first,
		    left < share ? left : share, on_verdict, s);
	}
}

struct service *
service_new(struct agent *agent)
{
	struct service *s = calloc(1, sizeof(*s));

	if (s == NULL)
		fatal("out of memory");
	s->agent = agent;
	s->choice = settings_protocol(agent->settings);
	ev_timer_init(&s->probe, on_probe, PROBE_AGAIN_S, PROBE_AGAIN_S);
	s->probe.data = s;
	if (s->choice != PROTOCOL_NATIVE)
		s->classic = classic_new(agent);
	if (s->choice == PROTOCOL_CLASSIC)
		use_classic(s, true);
	else
		make_sessions(s);
	for (size_t i = 0; i < s->session_count; i++)
		native_set_active(s->sessions[i], true);
	return s;
}

void
service_free(struct service *s)
{
	if (s == NULL)
		return;
	ev_timer_stop(s->agent->loop, &s->probe);
	classic_free(s->classic);
	for (size_t i = 0; i < s->session_count; i++)
		native_free(s->sessions[i]);
	free(s->sessions);
	free(s);
}

void
service_changed(struct service *s)
{
	if (s->classic != NULL)
		classic_changed(s->classic);
	for (size_t i = 0; i < s->session_count; i++)
		native_changed(s->sessions[i]);
}

void
service_turn(struct service *s)
{
	if (s->classic != NULL)
		classic_turn(s->classic);
	for (size_t i = 0; i < s->session_count; i++)
		native_turn(s->sessions[i]);
}

bool
service_is_idle(const struct service *s)
{
	if (s->classic != NULL && !classic_is_idle(s->classic))
		return false;
	for (size_t i = 0; i < s->session_count; i++)
		if (!native_is_idle(s->sessions[i]))
			return false;
	return true;
}
