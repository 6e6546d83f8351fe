/* upgrade.c - the program is executed again in place; what the new one has to
 * know is in one environment variable. */
#include "config.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "common/log.h"
#include "fcgi/upgrade.h"

enum {
	FORMER_MAX = 4096,
	PASSWORD_MAX = 1024,
	REHEARSAL_SECONDS = 5,
};

/* "rehearsal", or "FD,FD,FD:PID,PID,...": the pipe with the password (-1
 * without), the socket between the workers, and the former workers. */
static const char variable[] = "INVERTING_PROXY_UPGRADE";
static const char rehearsal_word[] = "rehearsal";

static char *const *command;
static bool is_rehearsal, is_under_way, is_dismissed;
static int password_fd = -1, pass_fds[2] = { -1, -1 };
static pid_t former[FORMER_MAX];
static size_t former_count;

/* Only those who are children of this process: nobody else is ours to stop. */
static void
read_former(const char *at)
{
	while (*at != '\0' && former_count < FORMER_MAX) {
		char *end;
		long pid = strtol(at, &end, 10);

		if (end == at)
			return;
		if (pid > 1 && waitpid((pid_t)pid, NULL, WNOHANG) == 0)
			former[former_count++] = (pid_t)pid;
		at = end + (*end == ',');
	}
}

/* A descriptor and what follows it; NULL without. */
static const char *
read_fd(const char *at, char follows, int *fd)
{
	char *end;
	long number = at == NULL ? 0 : strtol(at, &end, 10);

	if (at == NULL || end == at || *end != follows || number < -1 ||
	    number > INT_MAX)
		return NULL;
	*fd = (int)number;
	return end + 1;
}

void
upgrade_init(char *const *argv)
{
	const char *left = getenv(variable);

	command = argv;
	if (left == NULL)
		return;
	if (strcmp(left, rehearsal_word) == 0) {
		is_rehearsal = true;
	} else {
		left = read_fd(left, ',', &password_fd);
		left = read_fd(left, ',', &pass_fds[0]);
		left = read_fd(left, ':', &pass_fds[1]);
		if (left != NULL) {
			is_under_way = true;
			read_former(left);
		}
	}
	unsetenv(variable);
}

bool
upgrade_is_rehearsal(void)
{
	return is_rehearsal;
}

bool
upgrade_is_under_way(void)
{
	return is_under_way;
}

/* Does it outlive this program?  false: it is no descriptor. */
static bool
set_kept(const int ends[2], bool on)
{
	for (int i = 0; i < 2; i++)
		if (fcntl(ends[i], F_SETFD, on ? 0 : FD_CLOEXEC) < 0)
			return false;
	return true;
}

char *
upgrade_take_password(void)
{
	char text[PASSWORD_MAX], *password;
	ssize_t len;

	if (password_fd < 0)
		return NULL;
	len = read(password_fd, text, sizeof text - 1);
	close(password_fd);
	password_fd = -1;
	if (len < 0)
		return NULL;
	text[len] = '\0';
	if ((password = strdup(text)) == NULL)
		fatal("out of memory");
	explicit_bzero(text, sizeof text);
	return password;
}

bool
upgrade_take_pass(int ends[2])
{
	if (pass_fds[0] < 0)
		return false;
	memcpy(ends, pass_fds, sizeof pass_fds);
	return set_kept(ends, false);
}

void
upgrade_dismiss_former(void)
{
	if (is_dismissed)
		return;
	is_dismissed = true;
	for (size_t i = 0; i < former_count; i++)
		kill(former[i], SIGTERM);
}

size_t
upgrade_count_former(void)
{
	size_t left = 0;

	for (size_t i = 0; i < former_count; i++)
		if (waitpid(former[i], NULL, WNOHANG) == 0)
			former[left++] = former[i];
	former_count = left;
	return left;
}

/* --- handing over --- */

static void
rehearse(void)
{
	int null = open("/dev/null", O_RDWR);

	dup2(null, STDIN_FILENO);
	dup2(null, STDOUT_FILENO);
	if (setenv(variable, rehearsal_word, 1) != 0)
		_exit(127);
	alarm(REHEARSAL_SECONDS);
	execvp(command[0], command);
	_exit(127);
}

bool
upgrade_is_possible(void)
{
	pid_t pid = fork();
	int status;

	if (pid < 0) {
		log_error(NULL, "no upgrade: fork: %s", strerror(errno));
		return false;
	}
	if (pid == 0)
		rehearse();
	while (waitpid(pid, &status, 0) < 0)
		if (errno != EINTR)
			return false;
	if (WIFEXITED(status) && WEXITSTATUS(status) == 0)
		return true;
	log_error(NULL, "no upgrade: %s would not start (status %#x)",
	    command[0], (unsigned)status);
	return false;
}

/* A pipe holds it, so that it is in no environment; -1 without. */
static int
pass_password(const char *password)
{
	int ends[2];
	size_t len;

	if (password == NULL || (len = strlen(password)) >= PASSWORD_MAX ||
	    pipe(ends) != 0)
		return -1;
	if (write(ends[1], password, len) != (ssize_t)len) {
		close(ends[0]);
		ends[0] = -1;
	}
	close(ends[1]);
	return ends[0];
}

void
upgrade_execute(int listen_fd, const int pass[2], const char *password,
    const pid_t *workers, size_t count)
{
	int fd = pass_password(password);
	size_t room = 64 + count * 24, len;
	char *left = malloc(room);

	if (left == NULL)
		fatal("out of memory");
	len = (size_t)snprintf(left, room, "%d,%d,%d:", fd, pass[0], pass[1]);
	for (size_t i = 0; i < count; i++)
		len += (size_t)snprintf(left + len, room - len, "%s%ld",
		    i > 0 ? "," : "", (long)workers[i]);
	if (dup2(listen_fd, STDIN_FILENO) == STDIN_FILENO &&
	    setenv(variable, left, 1) == 0 && set_kept(pass, true))
		execvp(command[0], command);
	log_error(NULL, "no upgrade: %s: %s", command[0], strerror(errno));
	unsetenv(variable);
	(void)set_kept(pass, false);
	if (fd >= 0)
		close(fd);
	free(left);
}
