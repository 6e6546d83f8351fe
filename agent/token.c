/* token.c - the credential for the proxy.  A token never shows in the log. */
#include "config.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "agent/token.h"
#include "common/buf.h"
#include "common/field.h"
#include "common/log.h"

enum {
	TOKEN_MAX = 16 * 1024,
	AGAIN_AFTER_S = 5,
};

struct token {
	struct ev_loop *loop;
	const char *file, *command;
	double command_timeout;	/* seconds */
	void (*changed)(void *arg);
	void *arg;
	struct buf value;	/* "Bearer TOKEN" */
	struct buf output;	/* of the command, so far */
	pid_t pid;		/* 0: not running */
	int fd;
	ev_io io;
	ev_child child;
	ev_timer timer;		/* ends a command that hangs, or waits */
	ev_tstamp tried_at;
	bool is_wanted;		/* to be tried again when the time has come */
};

static void token_obtain(struct token *t);

/* The first line counts.  False when it is not a token. */
static bool
set_value(struct token *t, struct span text)
{
	const char *end = memchr(text.data, '\n', text.len);
	struct span line = end == NULL ? text :
	    span_of(text.data, (size_t)(end - text.data));
	struct buf value;

	if (line.len > 0 && line.data[line.len - 1] == '\r')
		line.len--;
	line = span_trim(line);
	if (line.len == 0 || !field_value_is_valid(line))
		return false;
	buf_init(&value, TOKEN_MAX + 16);
	if (buf_append_str(&value, "Bearer ") != 0 ||
	    buf_append_span(&value, line) != 0)
		fatal("out of memory");
	if (span_is(buf_span(&value), buf_span(&t->value))) {
		buf_wipe(&value);
		return true;
	}
	buf_wipe(&t->value);
	t->value = value;
	t->changed(t->arg);
	return true;
}

static bool
read_file(struct token *t)
{
	char text[TOKEN_MAX];
	FILE *f = fopen(t->file, "re");
	size_t len;
	bool is_token;

	if (f == NULL) {
		log_error(NULL, "--token-file %s: %s", t->file,
		    strerror(errno));
		return false;
	}
	/* No copy stays in stdio's buffer, nor here. */
	(void)setvbuf(f, NULL, _IONBF, 0);
	len = fread(text, 1, sizeof(text), f);
	(void)fclose(f);
	is_token = set_value(t, span_of(text, len));
	explicit_bzero(text, len);
	if (is_token)
		return true;
	log_error(NULL, "--token-file %s: its first line is no token",
	    t->file);
	return false;
}

/* --- the command --- */

static void
retry_later(struct token *t)
{
	t->is_wanted = true;
	ev_timer_stop(t->loop, &t->timer);
	ev_timer_set(&t->timer, AGAIN_AFTER_S, 0.);
	ev_timer_start(t->loop, &t->timer);
}

/* Both the end of its output and its exit have come. */
static void
command_ended(struct token *t, int status)
{
	bool ok = WIFEXITED(status) && WEXITSTATUS(status) == 0;

	t->pid = 0;
	ev_timer_stop(t->loop, &t->timer);
	if (!ok)
		log_error(NULL, "--token-command failed (%s %d)",
		    WIFSIGNALED(status) ? "signal" : "exit status",
		    WIFSIGNALED(status) ? WTERMSIG(status) :
		    WEXITSTATUS(status));
	else if (!(ok = set_value(t, buf_span(&t->output))))
		log_error(NULL, "--token-command printed no token");
	buf_wipe(&t->output);
	if (!ok)
		retry_later(t);
}

static void
close_output(struct token *t)
{
	if (t->fd < 0)
		return;
	ev_io_stop(t->loop, &t->io);
	(void)close(t->fd);
	t->fd = -1;
}

/* What is there; false at the end. */
static bool
read_output(struct token *t)
{
	char text[4096];
	ssize_t n;

	while ((n = read(t->fd, text, sizeof(text))) > 0)
		if (buf_append(&t->output, text, (size_t)n) != 0)
			return false;
	return n < 0 && (errno == EAGAIN || errno == EINTR);
}

static void
on_output(struct ev_loop *loop, ev_io *io, int revents)
{
	struct token *t = io->data;

	(void)loop;
	(void)revents;
	if (!read_output(t))
		close_output(t);
}

static void
on_exit_status(struct ev_loop *loop, ev_child *child, int revents)
{
	struct token *t = child->data;

	(void)revents;
	ev_child_stop(loop, child);
	if (t->fd >= 0)
		(void)read_output(t);
	close_output(t);
	command_ended(t, child->rstatus);
}

/* The child must not inherit the mask and handlers of a daemon. */
static int
spawn(struct token *t, int out)
{
	char *argv[] = { (char[]){ "sh" }, (char[]){ "-c" }, NULL, NULL };
	posix_spawn_file_actions_t actions;
	posix_spawnattr_t attributes;
	sigset_t none, all;
	int r;

	if ((argv[2] = strdup(t->command)) == NULL)
		fatal("out of memory");
	(void)sigemptyset(&none);
	(void)sigemptyset(&all);
	(void)sigaddset(&all, SIGPIPE);
	(void)posix_spawn_file_actions_init(&actions);
	(void)posix_spawn_file_actions_addopen(&actions, 0, "/dev/null",
	    O_RDONLY, 0);
	(void)posix_spawn_file_actions_adddup2(&actions, out, 1);
	(void)posix_spawnattr_init(&attributes);
	(void)posix_spawnattr_setsigmask(&attributes, &none);
	(void)posix_spawnattr_setsigdefault(&attributes, &all);
	(void)posix_spawnattr_setpgroup(&attributes, 0);
	(void)posix_spawnattr_setflags(&attributes, POSIX_SPAWN_SETSIGMASK |
	    POSIX_SPAWN_SETSIGDEF | POSIX_SPAWN_SETPGROUP);
	r = posix_spawn(&t->pid, "/bin/sh", &actions, &attributes, argv,
	    environ);
	(void)posix_spawn_file_actions_destroy(&actions);
	(void)posix_spawnattr_destroy(&attributes);
	free(argv[2]);
	return r;
}

static void
run_command(struct token *t)
{
	int fd[2], r;

	if (pipe2(fd, O_CLOEXEC) != 0) {
		log_error(NULL, "--token-command: pipe: %s", strerror(errno));
		retry_later(t);
		return;
	}
	r = spawn(t, fd[1]);
	(void)close(fd[1]);
	if (r != 0) {
		(void)close(fd[0]);
		t->pid = 0;
		log_error(NULL, "--token-command: %s", strerror(r));
		retry_later(t);
		return;
	}
	t->fd = fd[0];
	(void)fcntl(t->fd, F_SETFL, O_NONBLOCK);
	ev_io_set(&t->io, t->fd, EV_READ);
	ev_io_start(t->loop, &t->io);
	ev_child_set(&t->child, t->pid, 0);
	ev_child_start(t->loop, &t->child);
	ev_timer_stop(t->loop, &t->timer);
	ev_timer_set(&t->timer, t->command_timeout, 0.);
	ev_timer_start(t->loop, &t->timer);
}

static void
on_token_timer(struct ev_loop *loop, ev_timer *timer, int revents)
{
	struct token *t = timer->data;

	(void)loop;
	(void)revents;
	if (t->pid != 0) {
		log_error(NULL, "--token-command took over %g s, see "
		    "--token-command-timeout", t->command_timeout);
		(void)kill(-t->pid, SIGKILL);
	} else if (t->is_wanted) {
		token_obtain(t);
	}
}

static void
token_obtain(struct token *t)
{
	t->is_wanted = false;
	t->tried_at = ev_now(t->loop);
	if (t->command != NULL)
		run_command(t);
	else if (t->file != NULL && !read_file(t))
		retry_later(t);
}

struct token *
token_new(struct ev_loop *loop, const char *file, const char *command,
    double command_timeout, void (*changed)(void *arg), void *arg)
{
	struct token *t = calloc(1, sizeof(*t));

	if (t == NULL)
		fatal("out of memory");
	t->loop = loop;
	t->file = file;
	t->command = command;
	t->command_timeout = command_timeout;
	t->changed = changed;
	t->arg = arg;
	t->fd = -1;
	buf_init(&t->value, TOKEN_MAX + 16);
	buf_init(&t->output, TOKEN_MAX);
	ev_io_init(&t->io, on_output, -1, EV_READ);
	t->io.data = t;
	ev_child_init(&t->child, on_exit_status, 0, 0);
	t->child.data = t;
	ev_timer_init(&t->timer, on_token_timer, 0., 0.);
	t->timer.data = t;
	t->tried_at = ev_now(loop);
	if (file != NULL && !read_file(t)) {
		token_free(t);
		return NULL;
	}
	if (command != NULL)
		run_command(t);
	return t;
}

void
token_free(struct token *t)
{
	if (t == NULL)
		return;
	if (t->pid != 0)
		(void)kill(-t->pid, SIGTERM);
	close_output(t);
	ev_child_stop(t->loop, &t->child);
	ev_timer_stop(t->loop, &t->timer);
	buf_wipe(&t->value);
	buf_wipe(&t->output);
	free(t);
}

bool
token_is_ready(const struct token *t)
{
	return buf_len(&t->value) > 0 ||
	    (t->file == NULL && t->command == NULL);
}

struct span
token_authorization(const struct token *t)
{
	return buf_span(&t->value);
}

void
token_refused(struct token *t)
{
	double since = ev_now(t->loop) - t->tried_at;

	if ((t->file == NULL && t->command == NULL) || t->pid != 0 ||
	    t->is_wanted)
		return;
	if (since >= AGAIN_AFTER_S) {
		token_obtain(t);
		return;
	}
	t->is_wanted = true;
	ev_timer_stop(t->loop, &t->timer);
	ev_timer_set(&t->timer, AGAIN_AFTER_S - since, 0.);
	ev_timer_start(t->loop, &t->timer);
}
