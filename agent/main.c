/* main.c - the agent: options, signals, the loop, exit codes. */
#include "config.h"

#include <errno.h>
#include <ev.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#ifdef HAVE_SYSTEMD
#include <systemd/sd-daemon.h>
#endif

#include "agent/agent.h"
#include "agent/health.h"
#include "agent/service.h"
#include "common/log.h"
#include "common/memory.h"
#include "common/privilege.h"

enum { EXIT_USAGE = 2 };

/* How often one turn may go round before sockets are looked at again. */
enum { ROUNDS_MAX = 64 };

/* Free memory held on to. */
enum { KEPT_MEMORY = 16 * 1024 * 1024 };

struct program {
	struct agent agent;		/* first: agent->served gets it */
	struct service *service;
	struct health *health;
	ev_prepare prepare;
	ev_idle again;
	ev_signal on_term, on_int, on_hup;
	ev_timer shutdown;
	bool has_served;
	int exit_code;
};

static void
notify_systemd(const char *state)
{
#ifdef HAVE_SYSTEMD
	(void)sd_notify(0, state);
#else
	(void)state;
#endif
}

/* --- the turns of the loop --- */

/* What events of sockets and timers have brought goes on its way, until nothing
 * is left to do. */
static void
go_on(void *arg)
{
	struct program *p = arg;
	int rounds = 0;
	bool more;

	do {
		service_turn(p->service);
		more = transfer_engine_run(p->agent.engine);
	} while (more && ++rounds < ROUNDS_MAX);
	if (more)
		ev_idle_start(p->agent.loop, &p->again);
	else
		ev_idle_stop(p->agent.loop, &p->again);
}

static void
on_turn(struct ev_loop *loop, ev_prepare *prepare, int revents)
{
	struct program *p = prepare->data;

	(void)revents;
	go_on(p);
	if (p->agent.is_draining && service_is_idle(p->service))
		ev_break(loop, EVBREAK_ALL);
}

/* Only keeps the loop from sleeping. */
static void
on_again(struct ev_loop *loop, ev_idle *idle, int revents)
{
	(void)loop;
	(void)idle;
	(void)revents;
}

static void
on_change(void *arg)
{
	struct program *p = arg;

	/* The first token comes before there is a service. */
	if (p->service != NULL)
		service_changed(p->service);
}

static void
on_served(struct agent *agent)
{
	struct program *p = (struct program *)agent;

	if (p->has_served)
		return;
	p->has_served = true;
	log_info(NULL, "connected to %s, serving %zu backend%s",
	    agent->settings->proxy, agent->backend_count,
	    agent->backend_count == 1 ? "" : "s");
	notify_systemd("READY=1");
}

/* --- signals --- */

static void
on_shutdown_timeout(struct ev_loop *loop, ev_timer *timer, int revents)
{
	struct program *p = timer->data;

	(void)revents;
	log_warn(NULL, "%zu exchanges did not finish in time",
	    p->agent.in_flight + p->agent.waiting);
	ev_break(loop, EVBREAK_ALL);
}

static void
on_stop_signal(struct ev_loop *loop, ev_signal *signal, int revents)
{
	struct program *p = signal->data;
	double timeout = (double)
	    p->agent.settings->graceful_shutdown_timeout_ms / 1e3;

	(void)revents;
	if (p->agent.is_draining) {
		log_warn(NULL, "second signal: ending at once");
		p->exit_code = EXIT_FAILURE;
		ev_break(loop, EVBREAK_ALL);
		return;
	}
	log_info(NULL, "ending: %zu exchanges to finish",
	    p->agent.in_flight + p->agent.waiting);
	notify_systemd("STOPPING=1");
	p->agent.is_draining = true;
	service_changed(p->service);
	ev_timer_set(&p->shutdown, timeout, 0.);
	ev_timer_start(loop, &p->shutdown);
}

static void
on_reopen_signal(struct ev_loop *loop, ev_signal *signal, int revents)
{
	(void)loop;
	(void)signal;
	(void)revents;
	if (log_reopen() != 0)
		log_error(NULL, "the log file can't be opened again");
}

static void
watch_signals(struct program *p)
{
	struct ev_loop *loop = p->agent.loop;

	(void)signal(SIGPIPE, SIG_IGN);
	ev_signal_init(&p->on_term, on_stop_signal, SIGTERM);
	ev_signal_init(&p->on_int, on_stop_signal, SIGINT);
	ev_signal_init(&p->on_hup, on_reopen_signal, SIGHUP);
	p->on_term.data = p->on_int.data = p;
	ev_signal_start(loop, &p->on_term);
	ev_signal_start(loop, &p->on_int);
	ev_signal_start(loop, &p->on_hup);
	ev_timer_init(&p->shutdown, on_shutdown_timeout, 0., 0.);
	p->shutdown.data = p;
}

/* --- start and end --- */

static void
make_backends(struct agent *agent)
{
	const struct option_list *list = &agent->settings->backends;

	agent->backends = calloc(list->count, sizeof(struct backend *));
	if (agent->backends == NULL)
		fatal("out of memory");
	for (size_t i = 0; i < list->count; i++) {
		struct backend *b = backend_new(agent->engine,
		    agent->settings, list->item[i]);

		if (b == NULL)
			fatal("backend %s can't be used", list->item[i]);
		agent->backends[agent->backend_count++] = b;
	}
}

/* Two for each exchange: its backend, and a call to the proxy now and then. */
static void
raise_descriptor_limit(const struct settings *s)
{
	const rlim_t wanted = (rlim_t)s->max_in_flight * 2 *
	    (AGENT_WAITING_FACTOR + 1) + 64;
	struct rlimit limit;

	if (getrlimit(RLIMIT_NOFILE, &limit) != 0 || limit.rlim_cur >= wanted)
		return;
	limit.rlim_cur = limit.rlim_max < wanted ? limit.rlim_max : wanted;
	(void)setrlimit(RLIMIT_NOFILE, &limit);
}

static void
program_start(struct program *p, struct settings *s)
{
	struct agent *agent = &p->agent;

	raise_descriptor_limit(s);
	agent->settings = s;
	agent->served = on_served;
	ev_set_allocator(memory_reallocate);
	if ((agent->loop = ev_default_loop(0)) == NULL)
		fatal("no event loop");
	memory_watch(agent->loop);
	agent->engine = transfer_engine_new(agent->loop,
	    (size_t)s->max_in_flight * 2 + 64);
	make_backends(agent);
	agent->proxy = proxy_new(agent->loop, agent->engine, s, on_change, p);
	if (agent->proxy == NULL)
		fatal("can't start");
	p->service = service_new(agent);
	p->health = health_new(agent, on_change, p);
	watch_signals(p);
	ev_idle_init(&p->again, on_again);
	ev_prepare_init(&p->prepare, on_turn);
	p->prepare.data = p;
	transfer_engine_set_between(agent->engine, go_on, p);
	ev_prepare_start(agent->loop, &p->prepare);
}

static void
program_end(struct program *p)
{
	struct agent *agent = &p->agent;

	ev_prepare_stop(agent->loop, &p->prepare);
	transfer_engine_set_between(agent->engine, NULL, NULL);
	health_free(p->health);
	service_free(p->service);
	while (transfer_engine_run(agent->engine))
		;
	proxy_free(agent->proxy);
	for (size_t i = 0; i < agent->backend_count; i++)
		backend_free(agent->backends[i]);
	free(agent->backends);
	transfer_engine_free(agent->engine);
	ev_loop_destroy(agent->loop);
}

static void
open_log(const struct settings *s)
{
	enum log_level level = s->debug ? LOG_LEVEL_DEBUG :
	    (enum log_level)log_level_from_name(s->log_level);

	if (log_open("inverting-proxy-agent", s->log_file, level,
	    strcmp(s->log_format, "json") == 0) != 0) {
		(void)fprintf(stderr, "%s: --log-file %s: %s\n",
		    settings_program.name, s->log_file, strerror(errno));
		exit(EXIT_FAILURE);
	}
}

int
main(int argc, char **argv)
{
	struct settings settings = { 0 };
	struct program program = { 0 };
	const char *wrong;

	(void)argc;
	memory_keep(KEPT_MEMORY);
	switch (option_parse(&settings_program, NULL, &argv, &settings)) {
	case OPTION_EXIT_OK:
		return EXIT_SUCCESS;
	case OPTION_EXIT_USAGE:
		return EXIT_USAGE;
	case OPTION_RUN:
		break;
	}
	if ((wrong = settings_check(&settings)) != NULL) {
		(void)fprintf(stderr, "%s: %s\n", settings_program.name,
		    wrong);
		option_clear(&settings_program, &settings);
		return EXIT_USAGE;
	}
	open_log(&settings);
	privilege_drop(settings.user);
	privilege_hide_memory();
	log_debug(NULL, "version %s, %s", PACKAGE_VERSION, transfer_library());
	program_start(&program, &settings);
	(void)ev_run(program.agent.loop, 0);
	log_info(NULL, "ended");
	program_end(&program);
	option_clear(&settings_program, &settings);
	return program.exit_code;
}
