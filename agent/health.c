/* health.c - asks each backend now and then whether it is well.  An unhealthy
 * one gets no work, until a check succeeds again. */
#include "config.h"

#include <stdio.h>
#include <stdlib.h>

#include "agent/health.h"
#include "common/log.h"

struct check {
	struct health *health;
	struct backend *backend;
	struct transfer *transfer;
	ev_timer timer;		/* begins the next one */
	ev_timer deadline;	/* of the one under way */
	long failures;		/* in a row */
};

struct health {
	struct agent *agent;
	void (*changed)(void *arg);
	void *arg;
	struct check *checks;	/* one for each backend */
};

static void
set_healthy(struct check *check, bool healthy, const char *why)
{
	if (check->backend->is_healthy == healthy)
		return;
	check->backend->is_healthy = healthy;
	if (healthy)
		log_info(NULL, "backend %s at %s is healthy again: takes work",
		    check->backend->id, check->backend->host);
	else
		log_warn(NULL, "backend %s at %s is unhealthy after %ld failed "
		    "checks: takes no work (%s)", check->backend->id,
		    check->backend->host, check->failures, why);
	check->health->changed(check->health->arg);
}

static void
check_failed(struct check *check, const char *why)
{
	struct agent *agent = check->health->agent;

	check->failures++;
	log_debug(NULL, "health check of %s failed: %s", check->backend->id,
	    why);
	if (check->failures >=
	    agent->settings->health_check_unhealthy_threshold)
		set_healthy(check, false, why);
}

static void
on_checked(void *arg, const struct transfer_result *result)
{
	struct check *check = arg;
	char why[200];

	check->transfer = NULL;
	ev_timer_stop(check->health->agent->loop, &check->deadline);
	if (result->outcome == TRANSFER_COMPLETE && result->status >= 200 &&
	    result->status < 400) {
		check->failures = 0;
		set_healthy(check, true, NULL);
		return;
	}
	(void)snprintf(why, sizeof(why), result->outcome == TRANSFER_COMPLETE ?
	    "status %d" : "status %d, %s", result->status, result->why);
	check_failed(check, why);
}

static const struct transfer_handler handler = { .done = on_checked };

static void
on_deadline(struct ev_loop *loop, ev_timer *deadline, int revents)
{
	struct check *check = deadline->data;

	(void)loop;
	(void)revents;
	transfer_abort(check->transfer);
	check->transfer = NULL;
	check_failed(check, "no whole response in time");
}

static void
on_timer(struct ev_loop *loop, ev_timer *timer, int revents)
{
	struct check *check = timer->data;
	const struct settings *s = check->health->agent->settings;
	struct transfer_request request = {
		.method = span_str("GET"),
		.target = span_str(s->health_check_path),
		.may_repeat = true,
	};
	struct fields fields;

	(void)revents;
	if (check->transfer != NULL)
		return;
	ev_timer_set(&check->deadline,
	    (double)s->health_check_timeout_ms / 1e3, 0.);
	ev_timer_start(loop, &check->deadline);
	fields_init(&fields);
	proxy_add_field(&fields, "User-Agent",
	    span_str("inverting-proxy-agent/" PACKAGE_VERSION));
	request.fields = &fields;
	check->transfer = transfer_start(check->backend->peer, &request,
	    &handler, check);
	fields_clear(&fields);
}

struct health *
health_new(struct agent *agent, void (*changed)(void *arg), void *arg)
{
	double interval = (double)agent->settings->health_check_interval_ms /
	    1e3;
	struct health *h;

	if (interval <= 0.)
		return NULL;
	if ((h = calloc(1, sizeof(*h))) == NULL || (h->checks =
	    calloc(agent->backend_count, sizeof(*h->checks))) == NULL)
		fatal("out of memory");
	h->agent = agent;
	h->changed = changed;
	h->arg = arg;
	for (size_t i = 0; i < agent->backend_count; i++) {
		struct check *check = &h->checks[i];

		check->health = h;
		check->backend = agent->backends[i];
		ev_timer_init(&check->timer, on_timer, 0., interval);
		check->timer.data = check;
		ev_timer_init(&check->deadline, on_deadline, 0., 0.);
		check->deadline.data = check;
		ev_timer_start(agent->loop, &check->timer);
	}
	return h;
}

void
health_free(struct health *h)
{
	if (h == NULL)
		return;
	for (size_t i = 0; i < h->agent->backend_count; i++) {
		ev_timer_stop(h->agent->loop, &h->checks[i].timer);
		ev_timer_stop(h->agent->loop, &h->checks[i].deadline);
		transfer_abort(h->checks[i].transfer);
	}
	free(h->checks);
	free(h);
}
