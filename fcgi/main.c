/* main.c - the worker program: reads its options, gets the listening socket,
 * and keeps the workers running. */
#include "config.h"

#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <malloc.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "common/log.h"
#include "common/privilege.h"
#include "fcgi/responder.h"
#include "fcgi/settings.h"
#include "fcgi/worker.h"

enum {
	EXIT_USAGE = 2,
	LISTEN_BACKLOG = 4096,
	KEPT_MEMORY = 8 * 1024 * 1024,
	OTHER_DESCRIPTORS = 64,	/* Redis, the log, epoll, the socket */
	/* A worker that ended sooner than this after its start is started
	 * again only after a pause. */
	TOO_SOON_SECONDS = 1,
};

static volatile sig_atomic_t stop_signal, hang_up_signal;

static void
open_log(const struct settings *settings)
{
	int level = log_level_from_name(settings->log_level);
	bool json = strcmp(settings->log_format, "json") == 0;

	if (level < 0) {
		fprintf(stderr, "inverting-proxy.fcgi: --log-level %s: "
		    "must be error, warn, info or debug\n",
		    settings->log_level);
		exit(EXIT_USAGE);
	}
	if (!json && strcmp(settings->log_format, "text") != 0) {
		fprintf(stderr, "inverting-proxy.fcgi: --log-format %s: "
		    "must be text or json\n", settings->log_format);
		exit(EXIT_USAGE);
	}
	if (log_open("worker", settings->log_file, (enum log_level)level,
	    json) != 0) {
		fprintf(stderr, "inverting-proxy.fcgi: --log-file %s: %s\n",
		    settings->log_file, strerror(errno));
		exit(EXIT_FAILURE);
	}
}

/* As many descriptors as connections may need; else fewer connections. */
static void
raise_descriptor_limit(struct settings *settings)
{
	struct rlimit limit;
	rlim_t wanted = (rlim_t)settings->max_connections + OTHER_DESCRIPTORS;

	if (getrlimit(RLIMIT_NOFILE, &limit) != 0 || limit.rlim_cur >= wanted)
		return;
	limit.rlim_cur = limit.rlim_max < wanted ? limit.rlim_max : wanted;
	if (setrlimit(RLIMIT_NOFILE, &limit) == 0 && limit.rlim_cur >= wanted)
		return;
	if (getrlimit(RLIMIT_NOFILE, &limit) != 0)
		return;
	settings->max_connections = (long)limit.rlim_cur - OTHER_DESCRIPTORS;
	if (settings->max_connections < 16)
		fatal("only %llu descriptors are allowed (ulimit -n)",
		    (unsigned long long)limit.rlim_cur);
	log_warn(NULL, "only %llu descriptors are allowed: --max-connections "
	    "is lowered to %ld", (unsigned long long)limit.rlim_cur,
	    settings->max_connections);
}

/* The web server's group, which may connect; nobody else has to. */
static void
give_socket_to_group(const struct settings *settings)
{
	const char *path = settings->listen;
	const struct group *group;

	if (settings->socket_group == NULL)
		return;
	if (strncmp(path, "unix:", 5) == 0)
		path += 5;
	if (path[0] != '/')
		fatal("--socket-group: --listen is no unix socket");
	if ((group = getgrnam(settings->socket_group)) == NULL)
		fatal("--socket-group %s: there is no such group",
		    settings->socket_group);
	if (chown(path, (uid_t)-1, group->gr_gid) != 0)
		fatal("--socket-group %s: %s: %s", settings->socket_group,
		    path, strerror(errno));
}

/* The socket to serve; -1: there is none, but a CGI environment. */
static int
get_socket(const struct settings *settings)
{
	const char *error = NULL;
	int fd;

	if (settings->listen != NULL) {
		char *end;
		unsigned long mode = strtoul(settings->socket_mode, &end, 8);

		if (*end != '\0' || mode > 0777) {
			fprintf(stderr, "inverting-proxy.fcgi: --socket-mode "
			    "%s: must be octal digits, such as 0660\n",
			    settings->socket_mode);
			exit(EXIT_USAGE);
		}
		fd = responder_listen(settings->listen, (unsigned)mode,
		    LISTEN_BACKLOG, &error);
		if (fd < 0)
			fatal("--listen %s", error);
		give_socket_to_group(settings);
		return fd;
	}
	if (responder_is_inherited())
		return STDIN_FILENO;
	if (getenv("GATEWAY_INTERFACE") != NULL &&
	    getenv("REQUEST_METHOD") != NULL)
		return -1;
	fprintf(stderr, "inverting-proxy.fcgi: descriptor 0 is no listening "
	    "socket and this is no CGI environment: use --listen, or start "
	    "it from spawn-fcgi, the web server or systemd (see --help)\n");
	exit(EXIT_USAGE);
}

/* The first line of the file that --redis-password-file names, read while we
 * may; every worker has a use for it, also one that is started later. */
static char *
read_password(const char *path)
{
	FILE *file;
	char line[1024], *password;

	if (path == NULL)
		return NULL;
	if ((file = fopen(path, "r")) == NULL)
		fatal("--redis-password-file %s: %s", path, strerror(errno));
	setvbuf(file, NULL, _IONBF, 0);
	if (fgets(line, sizeof line, file) == NULL)
		fatal("--redis-password-file %s: no line in it", path);
	fclose(file);
	line[strcspn(line, "\r\n")] = '\0';
	if ((password = strdup(line)) == NULL)
		fatal("out of memory");
	explicit_bzero(line, sizeof line);
	return password;
}

static void
write_pid_file(const char *path)
{
	FILE *file;

	if (path == NULL)
		return;
	if ((file = fopen(path, "w")) == NULL)
		fatal("--pid-file %s: %s", path, strerror(errno));
	fprintf(file, "%ld\n", (long)getpid());
	if (fclose(file) != 0)
		fatal("--pid-file %s: %s", path, strerror(errno));
}

/* --- the parent of several workers --- */

struct child {
	pid_t pid;
	time_t started;
};

static void
on_signal(int number)
{
	if (number == SIGHUP)
		hang_up_signal = 1;
	else if (number != SIGCHLD)
		stop_signal = 1;
}

static void
handle(int number, void (*fn)(int))
{
	struct sigaction action = { .sa_handler = fn };

	sigemptyset(&action.sa_mask);
	sigaction(number, &action, NULL);
}

static void
start_child(struct child *child, const struct settings *settings,
    const char *password, int fd, const sigset_t *unblocked)
{
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
	handle(SIGTERM, SIG_DFL);
	handle(SIGINT, SIG_DFL);
	handle(SIGHUP, SIG_DFL);
	handle(SIGCHLD, SIG_DFL);
	sigprocmask(SIG_SETMASK, unblocked, NULL);
	exit(worker_run(settings, password, fd));
}

static void
signal_children(const struct child *children, long count, int number)
{
	for (long i = 0; i < count; i++)
		if (children[i].pid > 0)
			kill(children[i].pid, number);
}

/* Takes note of those that ended; returns how many are left. */
static long
reap(struct child *children, long count)
{
	pid_t pid;
	long left = 0;
	int status;

	while ((pid = waitpid(-1, &status, WNOHANG)) > 0)
		for (long i = 0; i < count; i++)
			if (children[i].pid == pid) {
				children[i].pid = 0;
				if (WIFSIGNALED(status))
					log_error(NULL, "worker %ld was "
					    "killed by signal %d", (long)pid,
					    WTERMSIG(status));
				else if (!stop_signal)
					log_error(NULL, "worker %ld ended "
					    "with %d", (long)pid,
					    WEXITSTATUS(status));
			}
	for (long i = 0; i < count; i++)
		left += children[i].pid > 0;
	return left;
}

static void
start_missing(struct child *children, long count,
    const struct settings *settings, const char *password, int fd,
    const sigset_t *unblocked)
{
	for (long i = 0; i < count; i++) {
		if (children[i].pid > 0)
			continue;
		if (time(NULL) - children[i].started > TOO_SOON_SECONDS)
			start_child(&children[i], settings, password, fd,
			    unblocked);
	}
}

static int
run_parent(const struct settings *settings, const char *password, int fd)
{
	long count = settings->workers;
	struct child *children = calloc((size_t)count, sizeof *children);
	sigset_t blocked, unblocked;
	bool told = false;

	if (children == NULL)
		fatal("out of memory");
	sigemptyset(&blocked);
	sigaddset(&blocked, SIGTERM);
	sigaddset(&blocked, SIGINT);
	sigaddset(&blocked, SIGHUP);
	sigaddset(&blocked, SIGCHLD);
	sigprocmask(SIG_BLOCK, &blocked, &unblocked);
	handle(SIGTERM, on_signal);
	handle(SIGINT, on_signal);
	handle(SIGHUP, on_signal);
	handle(SIGCHLD, on_signal);
	for (;;) {
		struct timespec pause = { TOO_SOON_SECONDS + 1, 0 };
		long left = reap(children, count);

		if (stop_signal && left == 0)
			break;
		if (stop_signal && !told) {
			signal_children(children, count, SIGTERM);
			told = true;
		}
		if (hang_up_signal) {
			hang_up_signal = 0;
			log_reopen();
			signal_children(children, count, SIGHUP);
		}
		if (!stop_signal)
			start_missing(children, count, settings, password, fd,
			    &unblocked);
		left = 0;
		for (long i = 0; i < count; i++)
			left += children[i].pid > 0;
		/* Signals arrive only here. */
		int number = left == count || stop_signal ?
		    sigwaitinfo(&blocked, NULL) :
		    sigtimedwait(&blocked, NULL, &pause);

		if (number > 0)
			on_signal(number);
	}
	free(children);
	return EXIT_SUCCESS;
}

int
main(int argc, char **argv)
{
	struct settings settings = { 0 };
	char *password;
	int fd, status;

	switch (option_parse(&settings_program, &argc, &argv, &settings)) {
	case OPTION_RUN:
		break;
	case OPTION_EXIT_OK:
		return EXIT_SUCCESS;
	case OPTION_EXIT_USAGE:
		return EXIT_USAGE;
	}
	if (argc > 1) {
		fprintf(stderr, "inverting-proxy.fcgi: unexpected argument "
		    "'%s' (see --help)\n", argv[1]);
		return EXIT_USAGE;
	}
	/* Large buffers come and go with each call: their memory is kept
	 * rather than given back and faulted in again. */
	mallopt(M_MMAP_THRESHOLD, KEPT_MEMORY / 2);
	mallopt(M_TRIM_THRESHOLD, KEPT_MEMORY);
	open_log(&settings);
	raise_descriptor_limit(&settings);
	fd = get_socket(&settings);
	write_pid_file(settings.pid_file);
	password = read_password(settings.redis_password_file);
	privilege_drop(settings.user);
	privilege_hide_memory();
	if (fd < 0 || settings.workers == 1)
		status = worker_run(&settings, password, fd);
	else
		status = run_parent(&settings, password, fd);
	if (settings.pid_file != NULL)
		unlink(settings.pid_file);
	if (password != NULL)
		explicit_bzero(password, strlen(password));
	free(password);
	option_clear(&settings_program, &settings);
	return status;
}
