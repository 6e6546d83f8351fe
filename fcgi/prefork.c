/* prefork.c - the parent of the workers: no loop, no Redis, only signals. */
#include "config.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "common/log.h"
#include "fcgi/prefork.h"
#include "fcgi/responder.h"
#include "fcgi/upgrade.h"
#include "fcgi/worker.h"

/* A worker that ended sooner than this after its start is started again only
 * after a pause. */
enum { TOO_SOON_SECONDS = 1 };

struct child {
	pid_t pid;
	time_t started;
};

struct prefork {
	const struct settings *settings;
	const char *password;
	int listen_fd;
	int pass[2];		/* from worker to worker: kept connections */
	struct child *children;
	long count;
	sigset_t signals;	/* that it waits for */
	bool stopping;
};

/* What it lives by: SIGUSR1 is a worker that begins to serve. */
static const int signals[] = { SIGTERM, SIGINT, SIGHUP, SIGCHLD, SIGUSR1,
	SIGUSR2 };
enum { SIGNALS = sizeof signals / sizeof *signals };

static void
block_signals(sigset_t *set)
{
	sigemptyset(set);
	for (size_t i = 0; i < SIGNALS; i++)
		sigaddset(set, signals[i]);
	sigprocmask(SIG_BLOCK, set, NULL);
}

/* A signal that is ignored would not be waited for. */
static void
on_signal(int number)
{
	(void)number;
}

static void
handle(int number, void (*fn)(int))
{
	struct sigaction action = { .sa_handler = fn };

	sigemptyset(&action.sa_mask);
	sigaction(number, &action, NULL);
}

/* --- the workers --- */

static void
tell_parent(void *arg)
{
	(void)arg;
	kill(getppid(), SIGUSR1);
}

static void
start_child(struct prefork *p, struct child *child)
{
	const struct worker_owner owner = { .serving = tell_parent,
	    .pass = p->pass };
	pid_t parent = getpid();

	child->started = time(NULL);
	child->pid = fork();
	if (child->pid < 0) {
		log_error(NULL, "fork: %s", strerror(errno));
		return;
	}
	if (child->pid > 0)
		return;
	/* A worker without its parent would never be told to stop. */
	prctl(PR_SET_PDEATHSIG, SIGTERM);
	if (getppid() != parent)
		_exit(EXIT_FAILURE);
	for (size_t i = 0; i < SIGNALS; i++)
		handle(signals[i], SIG_DFL);
	handle(SIGUSR1, SIG_IGN);	/* the parent's affair */
	handle(SIGUSR2, SIG_IGN);
	sigprocmask(SIG_UNBLOCK, &p->signals, NULL);
	exit(worker_run(p->settings, p->password, p->listen_fd, &owner));
}

/* A former program's, so that its workers pass to ours. */
static void
open_pass(struct prefork *p)
{
	if (!upgrade_take_pass(p->pass) && !responder_pass_open(p->pass))
		fatal("no socket between the workers: %s", strerror(errno));
}

static void
signal_children(const struct prefork *p, int number)
{
	for (long i = 0; i < p->count; i++)
		if (p->children[i].pid > 0)
			kill(p->children[i].pid, number);
}

static void
reap(struct prefork *p)
{
	int status;

	for (long i = 0; i < p->count; i++) {
		struct child *c = &p->children[i];

		if (c->pid <= 0 || waitpid(c->pid, &status, WNOHANG) != c->pid)
			continue;
		if (WIFSIGNALED(status))
			log_error(NULL, "worker %ld was killed by signal %d",
			    (long)c->pid, WTERMSIG(status));
		else if (!p->stopping)
			log_event(WEXITSTATUS(status) == 0 ? LOG_LEVEL_WARN :
			    LOG_LEVEL_ERROR, NULL, "worker %ld ended with %d",
			    (long)c->pid, WEXITSTATUS(status));
		c->pid = 0;
	}
}

static long
count_children(const struct prefork *p)
{
	long count = 0;

	for (long i = 0; i < p->count; i++)
		count += p->children[i].pid > 0;
	return count;
}

static void
start_missing(struct prefork *p)
{
	for (long i = 0; i < p->count; i++)
		if (p->children[i].pid <= 0 && time(NULL) -
		    p->children[i].started > TOO_SOON_SECONDS)
			start_child(p, &p->children[i]);
}

/* --- signals --- */

static void
upgrade(struct prefork *p)
{
	pid_t *pid;
	size_t count = 0;

	if (upgrade_count_former() > 0) {
		log_warn(NULL, "no upgrade: the last one is under way");
		return;
	}
	if (!upgrade_is_possible())
		return;
	if ((pid = calloc((size_t)p->count, sizeof *pid)) == NULL)
		fatal("out of memory");
	for (long i = 0; i < p->count; i++)
		if (p->children[i].pid > 0)
			pid[count++] = p->children[i].pid;
	log_info(NULL, "a new program takes over from %zu workers", count);
	upgrade_execute(p->listen_fd, p->pass, p->password, pid, count);
	free(pid);
}

static void
take_signal(struct prefork *p, int number)
{
	switch (number) {
	case SIGTERM:
	case SIGINT:
		if (p->stopping)
			break;
		p->stopping = true;
		signal_children(p, SIGTERM);
		upgrade_dismiss_former();
		break;
	case SIGHUP:
		if (log_reopen() != 0)
			log_error(NULL, "the log file can't be opened again: "
			    "%s", strerror(errno));
		signal_children(p, SIGHUP);
		break;
	case SIGUSR1:
		upgrade_dismiss_former();
		break;
	case SIGUSR2:
		if (!p->stopping)
			upgrade(p);
		break;
	default:
		break;
	}
}

int
prefork_run(const struct settings *settings, const char *password,
    int listen_fd)
{
	const struct timespec pause = { TOO_SOON_SECONDS + 1, 0 };
	struct prefork p = { .settings = settings, .password = password,
	    .listen_fd = listen_fd, .count = settings->workers };

	p.children = calloc((size_t)p.count, sizeof *p.children);
	if (p.children == NULL)
		fatal("out of memory");
	open_pass(&p);
	block_signals(&p.signals);
	for (size_t i = 0; i < SIGNALS; i++)
		handle(signals[i], on_signal);
	for (;;) {
		reap(&p);
		if (p.stopping && count_children(&p) == 0 &&
		    upgrade_count_former() == 0)
			break;
		if (!p.stopping)
			start_missing(&p);
		(void)upgrade_count_former();
		/* Signals arrive only here. */
		take_signal(&p, count_children(&p) == p.count || p.stopping ?
		    sigwaitinfo(&p.signals, NULL) :
		    sigtimedwait(&p.signals, NULL, &pause));
	}
	free(p.children);
	return EXIT_SUCCESS;
}

/* --- one alone --- */

/* A former worker has ended. */
static void
on_child(int number)
{
	int saved = errno;

	(void)number;
	(void)upgrade_count_former();
	errno = saved;
}

/* The former program has blocked them until there is somebody to hear. */
static void
serving_alone(void *arg)
{
	const struct prefork *p = arg;

	sigprocmask(SIG_UNBLOCK, &p->signals, NULL);
	upgrade_dismiss_former();
}

/* The worker can't leave what it has: its copy goes on with that, and it
 * executes the program.  The copy does nothing before that has worked. */
static bool
upgrade_alone(void *arg)
{
	struct prefork *p = arg;
	pid_t copy;
	int ends[2];
	char byte;

	if (upgrade_count_former() > 0) {
		log_warn(NULL, "no upgrade: the last one is under way");
		return false;
	}
	handle(SIGCHLD, SIG_DFL);
	if (!upgrade_is_possible() || pipe2(ends, O_CLOEXEC) != 0)
		return false;
	log_info(NULL, "a new program takes over");
	copy = fork();
	if (copy == 0) {
		close(ends[1]);
		prctl(PR_SET_PDEATHSIG, SIGTERM);
		if (read(ends[0], &byte, 1) != 0)
			_exit(EXIT_FAILURE);
		close(ends[0]);
		return true;
	}
	close(ends[0]);
	if (copy > 0) {
		block_signals(&p->signals);
		upgrade_execute(p->listen_fd, p->pass, p->password, &copy, 1);
		sigprocmask(SIG_UNBLOCK, &p->signals, NULL);
		(void)!write(ends[1], "", 1);
		waitpid(copy, NULL, 0);
	} else {
		log_error(NULL, "no upgrade: fork: %s", strerror(errno));
	}
	close(ends[1]);
	return false;
}

int
prefork_run_alone(const struct settings *settings, const char *password,
    int listen_fd)
{
	struct prefork p = { .settings = settings, .password = password,
	    .listen_fd = listen_fd };
	const struct worker_owner owner = { .serving = serving_alone,
	    .upgrade = upgrade_alone, .arg = &p, .pass = p.pass };

	open_pass(&p);
	block_signals(&p.signals);
	handle(SIGCHLD, on_child);
	handle(SIGUSR1, SIG_IGN);
	return worker_run(settings, password, listen_fd, &owner);
}
