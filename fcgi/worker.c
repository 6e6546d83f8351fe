/* worker.c - one worker process: puts the parts together, and the loop.
 *
 * One turn of the loop: events (calls, Redis, timers), then on_turn: messages
 * within this process, agents' calls that have something to answer; then the
 * responder writes out, in a prepare watcher of lower priority. */
#include "config.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/log.h"
#include "common/memory.h"
#include "fcgi/admin_call.h"
#include "fcgi/agent_call.h"
#include "fcgi/agent_classic.h"
#include "fcgi/agent_native.h"
#include "fcgi/client_call.h"
#include "fcgi/reply.h"
#include "fcgi/worker.h"

struct worker {
	struct ev_loop *loop;
	const struct settings *settings;
	struct responder *responder;
	struct admin_settings admin;
	struct agent_parts parts;
	struct client_parts clients;
	int listen_fd;		/* -1: one CGI request */
	struct worker_owner owner;
	bool draining;
	ev_timer start_timer;
	ev_prepare turn;
	ev_signal terminate, interrupt, hang_up, upgrade;
	ev_timer drain_timer;
	ev_timer drain_check;
};

/* The responder's callbacks carry no argument of ours before a call has its
 * data; there is one worker in a process. */
static struct worker *worker;

/* --- calls --- */

enum role { ROLE_CLIENT, ROLE_AGENT, ROLE_ADMIN, ROLE_UNKNOWN };

/* By the mount, as the web server says it; never by what a client sends. */
static enum role
call_role(const struct call *call)
{
	const char *role = call_param(call, "INVERTING_PROXY_ROLE");

	if (role == NULL || strcmp(role, "client") == 0)
		return ROLE_CLIENT;
	if (strcmp(role, "agent") == 0)
		return ROLE_AGENT;
	if (strcmp(role, "admin") == 0)
		return ROLE_ADMIN;
	return ROLE_UNKNOWN;
}

/* The web server chose the mount by a path that it had decoded and simplified.
 * Agents and admins have no need of another spelling; a client could try to
 * get past something with one. */
static bool
is_plain_path(const struct call *call)
{
	static const char *const odd[] = { "..", "//", "%2f", "%2e", "%5c",
		"\\" };
	const char *target = call_param(call, "REQUEST_URI");
	char path[1024];
	size_t len;

	if (target == NULL || (len = strcspn(target, "?")) >= sizeof path)
		return false;
	memcpy(path, target, len);
	path[len] = '\0';
	for (size_t i = 0; i < sizeof odd / sizeof *odd; i++)
		if (strcasestr(path, odd[i]) != NULL)
			return false;
	return true;
}

static void
on_request(struct call *call)
{
	struct agent_parts *parts = &worker->parts;
	enum role role = call_role(call);

	call_set_kind(call, (int)role);
	if ((role == ROLE_AGENT || role == ROLE_ADMIN) &&
	    !is_plain_path(call)) {
		reply_text(call, 404, "There is nothing here.", NULL, 0);
		return;
	}
	switch (role) {
	case ROLE_CLIENT:
		if (call_is_unclaimed(call))
			reply_text(call, 503, "The proxy is stopping.", NULL,
			    1);
		else
			client_call_request(call, &worker->clients);
		break;
	case ROLE_AGENT:
		agent_call_request(call, parts);
		break;
	case ROLE_ADMIN:
		admin_call_request(call, parts->registry, parts->store,
		    &worker->admin);
		break;
	case ROLE_UNKNOWN:
		log_error(NULL, "INVERTING_PROXY_ROLE is none of client, "
		    "agent, admin: correct the web server's configuration");
		reply_text(call, 500, "The web server's configuration names "
		    "an unknown role.", NULL, 0);
		break;
	}
}

static void
on_content(struct call *call, void *data)
{
	if (data == NULL)
		return;
	switch ((enum role)call_kind(call)) {
	case ROLE_CLIENT:
		exchange_content(data);
		break;
	case ROLE_AGENT:
		((struct agent_call *)data)->handler->content(data);
		break;
	case ROLE_ADMIN:
		admin_call_content(call, data);
		break;
	case ROLE_UNKNOWN:
		break;
	}
}

static void
on_drained(struct call *call, void *data)
{
	if (data == NULL)
		return;
	switch ((enum role)call_kind(call)) {
	case ROLE_CLIENT:
		exchange_drained(data);
		break;
	case ROLE_AGENT:
		((struct agent_call *)data)->handler->drained(data);
		break;
	case ROLE_ADMIN:
	case ROLE_UNKNOWN:
		break;
	}
}

static void
on_gone(struct call *call, void *data)
{
	if (data == NULL)
		return;
	switch ((enum role)call_kind(call)) {
	case ROLE_CLIENT:
		exchange_gone(data);
		break;
	case ROLE_AGENT:
		((struct agent_call *)data)->handler->gone(data);
		break;
	case ROLE_ADMIN:
		admin_call_gone(call, data);
		break;
	case ROLE_UNKNOWN:
		break;
	}
}

static const struct responder_handler call_handler = {
	on_request, on_content, on_drained, on_gone,
};

/* --- Redis and the other workers --- */

static void
store_up(void *arg)
{
	struct agent_parts *parts = &((struct worker *)arg)->parts;

	mailbox_store_up(parts->mailbox);
	registry_store_up(parts->registry);
	hand_out_store_up(parts->hand_out);
	watches_store_up(parts->watches);
	exchanges_store_up(parts->exchanges);
}

/* What it knew is given back, as if it had just come back. */
static void
forgotten(void *arg)
{
	log_warn(NULL, "Redis has lost what was in it while it was there");
	store_up(arg);
}

static void
store_down(void *arg, const char *why)
{
	struct agent_parts *parts = &((struct worker *)arg)->parts;

	(void)why;
	hand_out_store_down(parts->hand_out);
	exchanges_store_down(parts->exchanges);
}

static void
store_message(void *arg, struct span channel, struct span payload)
{
	struct agent_parts *parts = &((struct worker *)arg)->parts;

	if (!watches_message(parts->watches, channel, payload))
		registry_store_message(parts->registry, channel, payload);
}

static void
store_popped(void *arg, struct span element)
{
	mailbox_popped(((struct worker *)arg)->parts.mailbox, element);
}

static void
to_owner(void *arg, const struct address *from, struct span backends,
    const struct frame *frame)
{
	exchanges_take_frame(((struct worker *)arg)->parts.exchanges, from,
	    backends, frame);
}

static void
to_call(void *arg, unsigned long long call, const struct frame *frame)
{
	agent_classic_take(((struct worker *)arg)->parts.classic, call,
	    frame);
}

static bool
to_agent(void *arg, const unsigned char *instance, struct span frames)
{
	return agent_native_take(((struct worker *)arg)->parts.native,
	    instance, frames);
}

static bool
is_alone(void *arg)
{
	return mailbox_is_alone(((struct worker *)arg)->parts.mailbox);
}

static void
agent_lost(void *arg, const unsigned char *instance)
{
	agent_native_lost(((struct worker *)arg)->parts.native, instance);
}

/* Of its own exchanges a worker knows: one that its client was told 503 about
 * while Redis was away may still be in a queue that Redis kept. */
static bool
exchange_may_live(void *arg, const struct exchange_id *id)
{
	const struct agent_parts *parts = &((struct worker *)arg)->parts;

	if (memcmp(id->byte, mailbox_worker_id(parts->mailbox),
	    WORKER_ID_LEN) == 0)
		return exchanges_have(parts->exchanges, id);
	return mailbox_worker_may_live(parts->mailbox, id->byte);
}

static void
on_cgi_done(void *arg)
{
	ev_break(((struct worker *)arg)->loop, EVBREAK_ALL);
}

/* Begins to serve: once the registry is known, so that the first call is not
 * refused for that; or when Redis has let us wait long enough. */
static void
begin_serving(struct worker *w)
{
	ev_timer_stop(w->loop, &w->start_timer);
	if (w->responder != NULL || w->draining)
		return;
	if (w->listen_fd < 0)
		w->responder = responder_new_cgi(w->loop, &call_handler,
		    on_cgi_done, w);
	else
		w->responder = responder_new(w->loop, w->listen_fd,
		    &call_handler, (size_t)w->settings->max_connections);
	if (w->owner.pass != NULL)
		responder_pass(w->responder, w->owner.pass);
	if (w->owner.serving != NULL)
		w->owner.serving(w->owner.arg);
	responder_set_times(w->responder,
	    (double)w->settings->head_timeout_ms / 1000,
	    (double)w->settings->linger_timeout_ms / 1000);
}

static void
on_start_timer(struct ev_loop *loop, ev_timer *timer, int events)
{
	(void)loop;
	(void)events;
	begin_serving(timer->data);
}

static void
registry_changed(void *arg)
{
	struct worker *w = arg;

	begin_serving(w);
	exchanges_registry_changed(w->parts.exchanges);
	agent_calls_registry_changed(&w->parts);
}

/* --- the loop --- */

static void
on_turn(struct ev_loop *loop, ev_prepare *prepare, int events)
{
	struct agent_parts *parts = &((struct worker *)prepare->data)->parts;

	(void)loop;
	(void)events;
	mailbox_deliver_local(parts->mailbox);
	agent_classic_turn(parts->classic);
	agent_native_turn(parts->native);
}

/* The responses that clients here wait for come in new calls of agents.  Where
 * there is no other worker, this one has to take them. */
static void
take_responses(struct worker *w, bool on)
{
	if (on == (w->parts.parking == AGENT_PARKS_UNCLAIMED))
		return;
	responder_take_unclaimed(w->responder, on);
	agent_calls_set_parking(&w->parts, on ? AGENT_PARKS_UNCLAIMED :
	    AGENT_PARKS_NONE);
}

static void
on_drain_check(struct ev_loop *loop, ev_timer *timer, int events)
{
	struct worker *w = timer->data;

	(void)events;
	take_responses(w, exchanges_count(w->parts.exchanges) > 0);
	/* What an LPOP on its way brings belongs to another worker now. */
	if (responder_is_done(w->responder) &&
	    store_is_quiet(w->parts.store))
		ev_break(loop, EVBREAK_ALL);
}

static void
on_drain_timeout(struct ev_loop *loop, ev_timer *timer, int events)
{
	struct worker *w = timer->data;

	(void)events;
	log_warn(NULL, "%zu calls were cut at the end of the drain timeout",
	    responder_calls(w->responder));
	ev_break(loop, EVBREAK_ALL);
}

static void
on_terminate(struct ev_loop *loop, ev_signal *signal, int events)
{
	struct worker *w = signal->data;

	(void)events;
	if (w->draining)
		return;
	w->draining = true;
	if (w->responder == NULL) {
		ev_break(loop, EVBREAK_ALL);
		return;
	}
	log_info(NULL, "stopping: %zu calls under way",
	    responder_calls(w->responder));
	responder_stop_accepting(w->responder);
	agent_calls_set_parking(&w->parts, AGENT_PARKS_NONE);
	take_responses(w, exchanges_count(w->parts.exchanges) > 0);
	ev_timer_set(&w->drain_timer,
	    (double)w->settings->drain_timeout_ms / 1000, 0.);
	ev_timer_start(loop, &w->drain_timer);
	ev_timer_start(loop, &w->drain_check);
}

static void
on_hang_up(struct ev_loop *loop, ev_signal *signal, int events)
{
	(void)loop;
	(void)signal;
	(void)events;
	if (log_reopen() != 0)
		log_error(NULL, "the log file can't be opened again: %s",
		    strerror(errno));
}

static void
on_upgrade(struct ev_loop *loop, ev_signal *signal, int events)
{
	struct worker *w = signal->data;

	(void)events;
	if (!w->draining && w->owner.upgrade(w->owner.arg))
		ev_loop_fork(loop);
}

static void
watch_signal(struct worker *w, ev_signal *watcher, int number,
    void (*fn)(struct ev_loop *, ev_signal *, int))
{
	ev_signal_init(watcher, fn, number);
	watcher->data = w;
	ev_signal_start(w->loop, watcher);
	ev_unref(w->loop);
}

static void
make_parts(struct worker *w, const char *password)
{
	const struct settings *settings = w->settings;
	struct store_settings store = { settings->redis,
	    settings->redis_user, password, settings->redis_timeout_ms };
	struct store_handler store_handler = { store_up, store_down,
	    store_message, store_popped, w };
	struct mailbox_handler mailbox_handler = { to_owner, to_call,
	    forgotten, to_agent, w };
	struct agent_parts *parts = &w->parts;
	const char *error = NULL;

	parts->loop = w->loop;
	parts->settings = settings;
	parts->store = store_new(w->loop, &store, &store_handler, &error);
	if (parts->store == NULL)
		fatal("--redis %s: %s", settings->redis, error);
	parts->registry = registry_new(parts->store);
	parts->mailbox = mailbox_new(w->loop, parts->store,
	    &mailbox_handler);
	parts->watches = watches_new(w->loop, parts->store);
	parts->hand_out = hand_out_new(w->loop, parts->store, parts->watches,
	    settings);
	hand_out_set_alive(parts->hand_out, exchange_may_live, w);
	hand_out_set_alone(parts->hand_out, is_alone, w);
	struct exchanges_parts own = { w->loop, settings, parts->store,
	    parts->registry, parts->mailbox, parts->hand_out, agent_lost, w };

	parts->exchanges = exchanges_new(&own);
	parts->logins = logins_new(w->loop, settings->login_delay_ms);
	parts->calls_quota = quota_new(settings->poll_limit);
	parts->agents_quota = quota_new(settings->agent_limit);
	w->clients = (struct client_parts){ settings, parts->exchanges,
	    parts->registry, quota_new(settings->backend_limit),
	    quota_new(settings->client_limit) };
	parts->classic = agent_classic_new(parts);
	parts->native = agent_native_new(parts);
	registry_on_change(parts->registry, registry_changed, w);
	w->admin = (struct admin_settings){ .admins = &settings->admins,
	    .mount = "", .logins = parts->logins };
}

static void
free_parts(struct worker *w)
{
	struct agent_parts *parts = &w->parts;

	/* Calls end first, then what Redis still owes an answer. */
	if (w->responder != NULL)
		responder_free(w->responder);
	mailbox_deliver_local(parts->mailbox);
	store_free(parts->store);
	exchanges_free(parts->exchanges);
	agent_classic_free(parts->classic);
	agent_native_free(parts->native);
	quota_free(parts->calls_quota);
	quota_free(parts->agents_quota);
	quota_free(w->clients.backends);
	quota_free(w->clients.addresses);
	logins_free(parts->logins);
	hand_out_free(parts->hand_out);
	watches_free(parts->watches);
	mailbox_free(parts->mailbox);
	registry_free(parts->registry);
}

int
worker_run(const struct settings *settings, const char *password,
    int listen_fd, const struct worker_owner *owner)
{
	struct worker w = { .settings = settings, .listen_fd = listen_fd };

	worker = &w;
	if (owner != NULL)
		w.owner = *owner;
	ev_set_allocator(memory_reallocate);
	w.loop = ev_loop_new(EVFLAG_AUTO);
	if (w.loop == NULL)
		fatal("no event loop: %s", strerror(errno));
	memory_watch(w.loop);
	make_parts(&w, password);
	ev_timer_init(&w.start_timer, on_start_timer,
	    (double)settings->redis_timeout_ms / 1000, 0.);
	w.start_timer.data = &w;
	ev_timer_start(w.loop, &w.start_timer);

	signal(SIGPIPE, SIG_IGN);
	watch_signal(&w, &w.terminate, SIGTERM, on_terminate);
	watch_signal(&w, &w.interrupt, SIGINT, on_terminate);
	watch_signal(&w, &w.hang_up, SIGHUP, on_hang_up);
	if (w.owner.upgrade != NULL)
		watch_signal(&w, &w.upgrade, SIGUSR2, on_upgrade);
	ev_timer_init(&w.drain_timer, on_drain_timeout, 0., 0.);
	ev_timer_init(&w.drain_check, on_drain_check, 0., 0.05);
	w.drain_timer.data = w.drain_check.data = &w;
	ev_prepare_init(&w.turn, on_turn);
	ev_set_priority(&w.turn, 1);
	w.turn.data = &w;
	ev_prepare_start(w.loop, &w.turn);
	ev_unref(w.loop);

	log_info(NULL, "worker started");
	ev_run(w.loop, 0);

	mailbox_retire(w.parts.mailbox);
	/* One more turn lets the farewell out. */
	ev_run(w.loop, EVRUN_NOWAIT);
	free_parts(&w);
	ev_loop_destroy(w.loop);
	log_info(NULL, "worker stopped");
	return EXIT_SUCCESS;
}
