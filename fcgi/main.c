/* main.c - the worker program: reads its options, gets the listening socket,
 * and runs one worker or the parent of several. */
#include "config.h"

#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

#include "common/log.h"
#include "common/memory.h"
#include "common/privilege.h"
#include "fcgi/prefork.h"
#include "fcgi/responder.h"
#include "fcgi/settings.h"
#include "fcgi/upgrade.h"
#include "fcgi/worker.h"

enum {
	EXIT_USAGE = 2,
	LISTEN_BACKLOG = 4096,
	KEPT_MEMORY = 8 * 1024 * 1024,
	OTHER_DESCRIPTORS = 64,	/* Redis, the log, epoll, the socket */
};

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

	if (upgrade_is_under_way() && responder_is_inherited())
		return STDIN_FILENO;
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
	char line[1024], *password = upgrade_take_password();
	int next;

	if (path == NULL || ((file = fopen(path, "r")) == NULL &&
	    password != NULL))
		return password;
	free(password);
	if (file == NULL)
		fatal("--redis-password-file %s: %s", path, strerror(errno));
	setvbuf(file, NULL, _IONBF, 0);
	if (fgets(line, sizeof line, file) == NULL)
		fatal("--redis-password-file %s: no line in it", path);
	if (strlen(line) == sizeof line - 1 && (next = fgetc(file)) != EOF &&
	    next != '\n')
		fatal("--redis-password-file %s: its first line is longer "
		    "than %zu bytes", path, sizeof line - 1);
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

	/* A former program has written the same. */
	if (path == NULL || upgrade_is_under_way())
		return;
	if ((file = fopen(path, "w")) == NULL)
		fatal("--pid-file %s: %s", path, strerror(errno));
	fprintf(file, "%ld\n", (long)getpid());
	if (fclose(file) != 0)
		fatal("--pid-file %s: %s", path, strerror(errno));
}

/* As it is before options are taken from it; kept for as long as we run. */
static char **
command_line(int argc, char **argv)
{
	char **copy = calloc((size_t)argc + 1, sizeof *copy);

	if (copy == NULL)
		fatal("out of memory");
	memcpy(copy, argv, (size_t)argc * sizeof *copy);
	return copy;
}

int
main(int argc, char **argv)
{
	struct settings settings = { 0 };
	char *password;
	int fd, status;

	upgrade_init(command_line(argc, argv));
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
		option_clear(&settings_program, &settings);
		return EXIT_USAGE;
	}
	memory_keep(KEPT_MEMORY);
	open_log(&settings);
	if (upgrade_is_rehearsal()) {
		option_clear(&settings_program, &settings);
		return EXIT_SUCCESS;
	}
	raise_descriptor_limit(&settings);
	fd = get_socket(&settings);
	write_pid_file(settings.pid_file);
	password = read_password(settings.redis_password_file);
	privilege_drop(settings.user);
	privilege_hide_memory();
	if (fd < 0)
		status = worker_run(&settings, password, fd, NULL);
	else if (settings.workers == 1)
		status = prefork_run_alone(&settings, password, fd);
	else
		status = prefork_run(&settings, password, fd);
	if (settings.pid_file != NULL)
		unlink(settings.pid_file);
	if (password != NULL)
		explicit_bzero(password, strlen(password));
	free(password);
	option_clear(&settings_program, &settings);
	return status;
}
