/* classic.c - the classic protocol: asking for work.
 * One poll waits at the proxy for each backend.  A poll can't say how much may
 * come: ids beyond what may be in flight wait here, and no poll begins while
 * any do. */
#include "config.h"

#include <jansson.h>
#include <stdlib.h>

#include "agent/classic.h"
#include "agent/classic_private.h"
#include "agent/link.h"
#include "common/log.h"

enum {
	/* The proxy holds a poll for 30 s; later it has lost it, or we
	 * the proxy. */
	POLL_TIMEOUT_MS = 45 * 1000,
	ANSWER_MAX = 1024 * 1024,
	ID_MAX = 1024,
	TAKEN_COUNT = 16 * 1024,
};

struct classic_poll {
	struct classic *classic;
	const struct backend *backend;
	struct link link;
	struct transfer *transfer;	/* NULL: not polling */
	struct buf answer;
	json_t *waiting;	/* ids that came, NULL: none left */
	size_t next;		/* of them */
	ev_timer retry;
	ev_tstamp began_at;
};

static bool
on_answer(void *arg, struct span content)
{
	struct classic_poll *poll = arg;

	if (buf_append_span(&poll->answer, content) != 0)
		fatal("out of memory");
	return true;
}

static void
take_id(struct classic_poll *poll, struct span id)
{
	struct classic *c = poll->classic;

	if (id.len == 0 || id.len > ID_MAX || !field_value_is_valid(id)) {
		log_warn(NULL, "%s: an exchange id that can't be used",
		    poll->link.what);
		return;
	}
	if (recent_has(c->taken, id)) {
		log_debug(NULL, "%.*s was taken already", (int)id.len,
		    id.data);
		return;
	}
	recent_add(c->taken, id);
	classic_exchange_start(c, poll->backend, id);
}

/* Begins what there is room for; draining ends no sooner than all that came
 * is done. */
static void
take_waiting(struct classic_poll *poll)
{
	const struct agent *agent = poll->classic->agent;
	json_t *id;

	while (poll->waiting != NULL &&
	    agent->in_flight < (size_t)agent->settings->max_in_flight) {
		id = json_array_get(poll->waiting, poll->next++);
		if (json_is_string(id))
			take_id(poll, span_of(json_string_value(id),
			    json_string_length(id)));
		if (poll->next >= json_array_size(poll->waiting)) {
			json_decref(poll->waiting);
			poll->waiting = NULL;
		}
	}
}

/* Takes the list, too. */
static void
take_list(struct classic_poll *poll, json_t *list)
{
	if (poll->waiting == NULL) {
		poll->waiting = list;
		poll->next = 0;
	} else {
		if (json_array_extend(poll->waiting, list) != 0)
			fatal("out of memory");
		json_decref(list);
	}
	take_waiting(poll);
}

/* An array of ids; null, [] and nothing at all say that none is pending. */
static bool
take_answer(struct classic_poll *poll, struct span text)
{
	json_t *list;
	bool ok;

	while (text.len > 0 && (*text.data == ' ' || *text.data == '\n' ||
	    *text.data == '\r' || *text.data == '\t')) {
		text.data++;
		text.len--;
	}
	if (text.len == 0)
		return true;
	list = json_loadb(text.data, text.len, JSON_DECODE_ANY, NULL);
	if (json_is_array(list) && json_array_size(list) > 0) {
		take_list(poll, list);
		return true;
	}
	ok = json_is_array(list) || json_is_null(list);
	json_decref(list);
	return ok;
}

static void
poll_again_after(struct classic_poll *poll, double seconds)
{
	struct ev_loop *loop = poll->classic->agent->loop;

	ev_timer_stop(loop, &poll->retry);
	ev_timer_set(&poll->retry, seconds, 0.);
	ev_timer_start(loop, &poll->retry);
}

static void
poll_failed(struct classic_poll *poll, int status, const char *why)
{
	struct agent *agent = poll->classic->agent;

	if (status == 401)
		proxy_refused(agent->proxy);
	poll_again_after(poll, link_failed(&poll->link, status, why));
}

static void
poll_worked(struct classic_poll *poll)
{
	struct agent *agent = poll->classic->agent;
	double rest = link_answered(&poll->link,
	    ev_now(agent->loop) - poll->began_at, poll->waiting == NULL &&
	    buf_len(&poll->answer) <= sizeof("null\r\n"));

	link_worked(&poll->link);
	if (rest > 0.)
		poll_again_after(poll, rest);
	agent->served(agent);
}

static void
on_polled(void *arg, const struct transfer_result *result)
{
	struct classic_poll *poll = arg;

	poll->transfer = NULL;
	poll->classic->has_changed = true;
	if (result->outcome != TRANSFER_COMPLETE) {
		poll_failed(poll, 0, result->why);
	} else if (result->status != 200) {
		poll_failed(poll, result->status, NULL);
	} else if (!take_answer(poll, buf_span(&poll->answer))) {
		poll_failed(poll, 0, "the answer is not a JSON array: is "
		    "--proxy the address of an agent mount?");
	} else {
		poll_worked(poll);
	}
	buf_clear(&poll->answer);
}

static const struct transfer_handler poll_handler = {
	.content = on_answer,
	.done = on_polled,
};

static void
poll_start(struct classic_poll *poll)
{
	struct transfer_request request = {
		.method = span_str("GET"),
		.timeout_ms = POLL_TIMEOUT_MS,
		.content_max = ANSWER_MAX,
		.may_repeat = true,
	};
	struct fields fields;

	/* The one before may have been broken off in its answer. */
	buf_clear(&poll->answer);
	fields_init(&fields);
	proxy_add_field(&fields, "X-Inverting-Proxy-Backend-ID",
	    span_str(poll->backend->id));
	poll->began_at = ev_now(poll->classic->agent->loop);
	poll->transfer = proxy_start(poll->classic->agent->proxy,
	    PROXY_PENDING, &request, &fields, &poll_handler, poll);
	fields_clear(&fields);
}

static void
on_retry(struct ev_loop *loop, ev_timer *timer, int revents)
{
	struct classic_poll *poll = timer->data;

	(void)loop;
	(void)revents;
	poll->classic->has_changed = true;
}

void
classic_turn(struct classic *c)
{
	struct agent *agent = c->agent;

	if (!c->has_changed)
		return;
	c->has_changed = false;
	for (size_t i = 0; i < agent->backend_count; i++) {
		struct classic_poll *poll = &c->polls[i];
		bool may_poll = c->is_active && !agent->is_draining &&
		    poll->backend->is_healthy && proxy_is_ready(agent->proxy);

		take_waiting(poll);
		if (!may_poll) {
			transfer_abort(poll->transfer);
			poll->transfer = NULL;
		} else if (poll->transfer == NULL && poll->waiting == NULL &&
		    agent_room(agent) > 0 && !ev_is_active(&poll->retry)) {
			poll_start(poll);
		}
	}
}

void
classic_changed(struct classic *c)
{
	/* A new credential or a healthy backend is worth a try at once. */
	for (size_t i = 0; i < c->agent->backend_count; i++)
		ev_timer_stop(c->agent->loop, &c->polls[i].retry);
	c->has_changed = true;
}

void
classic_set_active(struct classic *c, bool active)
{
	c->is_active = active;
	c->has_changed = true;
}

void
classic_take_ids(struct classic *c, const struct backend *backend,
    struct span answer)
{
	for (size_t i = 0; i < c->agent->backend_count; i++)
		if (c->polls[i].backend == backend)
			(void)take_answer(&c->polls[i], answer);
}

bool
classic_is_idle(const struct classic *c)
{
	for (size_t i = 0; i < c->agent->backend_count; i++)
		if (c->polls[i].waiting != NULL)
			return false;
	return c->exchanges == NULL;
}

struct classic *
classic_new(struct agent *agent)
{
	struct classic *c = calloc(1, sizeof(*c));

	if (c == NULL || (c->polls = calloc(agent->backend_count,
	    sizeof(*c->polls))) == NULL)
		fatal("out of memory");
	c->agent = agent;
	c->taken = recent_new(TAKEN_COUNT);
	for (size_t i = 0; i < agent->backend_count; i++) {
		struct classic_poll *poll = &c->polls[i];

		poll->classic = c;
		poll->backend = agent->backends[i];
		link_init(&poll->link, poll->backend->id, 1);
		buf_init(&poll->answer, ANSWER_MAX);
		ev_timer_init(&poll->retry, on_retry, 0., 0.);
		poll->retry.data = poll;
	}
	return c;
}

void
classic_free(struct classic *c)
{
	if (c == NULL)
		return;
	while (c->exchanges != NULL)
		classic_exchange_free(c->exchanges);
	for (size_t i = 0; i < c->agent->backend_count; i++) {
		transfer_abort(c->polls[i].transfer);
		ev_timer_stop(c->agent->loop, &c->polls[i].retry);
		buf_clear(&c->polls[i].answer);
		json_decref(c->polls[i].waiting);
	}
	recent_free(c->taken);
	free(c->polls);
	free(c);
}
