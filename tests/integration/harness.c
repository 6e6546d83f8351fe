/* harness.c - directory, ports, child processes and failure reports of the
 * integration tests.
 *
 * Every child is put into the process group of a guardian, a process that only
 * waits for the end of a pipe.  When the test ends in whatever way, the pipe
 * closes and the guardian ends the group: nothing is ever left running. */
#include "config.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <netinet/in.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "tests/integration/harness.h"

extern char **environ;

enum {
	PORT_FIRST = 20000,	/* below the range of ephemeral ports */
	PORT_COUNT = 10000,
	STOP_MS = 5000,
	LOG_TAIL = 6000,	/* bytes of each log that a failure shows */
};

/* Tests leave what they allocate to the end of their process. */
int __lsan_is_turned_off(void);

int
__lsan_is_turned_off(void)
{
	return 1;
}

static char dir[PATH_LEN];
static pid_t guardian;
static int guardian_pipe = -1;
static struct process *newest;

long long
now_ns(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (long long)t.tv_sec * 1000000000LL + t.tv_nsec;
}

long long
now_ms(void)
{
	return now_ns() / 1000000;
}

void
harness_pause(void)
{
	struct timespec tick = { 0, 2000000 };

	nanosleep(&tick, NULL);
}

const char *
harness_dir(void)
{
	return dir;
}

static void
guardian_main(int pipe_read)
{
	char byte;

	setpgid(0, 0);
	signal(SIGTERM, SIG_IGN);
	signal(SIGINT, SIG_IGN);
	/* The runner waits for the end of what it reads from the test. */
	for (int fd = 0; fd < 1024; fd++)
		if (fd != pipe_read)
			close(fd);
	while (read(pipe_read, &byte, 1) == -1 && errno == EINTR)
		;
	/* A moment for those that have children elsewhere (Apache). */
	kill(0, SIGTERM);
	for (int i = 0; i < 20; i++)
		harness_pause();
	kill(0, SIGKILL);
	_exit(0);
}

void
harness_start(void)
{
	const char *tmp = getenv("TMPDIR");
	int ends[2];

	if (dir[0] != '\0')
		return;
	snprintf(dir, sizeof(dir), "%s/inverting-proxy-test-XXXXXX",
	    tmp == NULL ? "/tmp" : tmp);
	if (mkdtemp(dir) == NULL || chmod(dir, 0755) == -1 ||
	    pipe2(ends, O_CLOEXEC) == -1)
		cr_assert_fail("%s: %s", dir, strerror(errno));
	signal(SIGPIPE, SIG_IGN);
	if ((guardian = fork()) == 0)
		guardian_main(ends[0]);
	setpgid(guardian, guardian);
	close(ends[0]);
	guardian_pipe = ends[1];
	setenv("PATH", "/usr/local/bin:/usr/bin:/bin:/usr/local/sbin:"
	    "/usr/sbin:/sbin", 1);
	/* A proxy of the developer's must not catch the test's traffic. */
	unsetenv("http_proxy");
	unsetenv("HTTP_PROXY");
	unsetenv("all_proxy");
	unsetenv("ALL_PROXY");
}

static int
remove_entry(const char *path, const struct stat *st, int type, struct FTW *ftw)
{
	(void)st;
	(void)type;
	(void)ftw;
	remove(path);
	return 0;
}

/* What a program or its parent says of a death that is our bug.  SIGKILL is
 * only ever the test's. */
static const char *const crashes[] = { "ERROR: AddressSanitizer",
	"ERROR: LeakSanitizer", "runtime error:", "Assertion `",
	"killed by signal 4\n", "killed by signal 6\n", "killed by signal 7\n",
	"killed by signal 8\n", "killed by signal 11\n" };

static bool
has_crashed(struct process *p)
{
	for (size_t i = 0; i < sizeof(crashes) / sizeof(crashes[0]); i++)
		if (process_log_has(p, crashes[i]))
			return true;
	return !process_is_running(p) && WIFSIGNALED(p->status) &&
	    WTERMSIG(p->status) != SIGTERM && WTERMSIG(p->status) != SIGKILL;
}

/* The line that tests/run looks for: no second run excuses it. */
static bool
say_who_crashed(void)
{
	bool crashed = false;

	for (struct process *p = newest; p != NULL; p = p->older)
		if (has_crashed(p)) {
			fprintf(stderr, "==== crashed: %s\n", p->name);
			crashed = true;
		}
	return crashed;
}

void
harness_finish(void)
{
	for (struct process *p = newest; p != NULL; p = p->older)
		process_stop(p);
	check(!say_who_crashed(), "a program crashed");
	close(guardian_pipe);
	waitpid(guardian, NULL, 0);
	nftw(dir, remove_entry, 16, FTW_DEPTH | FTW_PHYS);
}

static char *
path_join(const char *base, const char *name)
{
	char *path;

	if (asprintf(&path, "%s/%s", base, name) == -1)
		abort();
	return path;
}

char *
harness_path(const char *format, ...)
{
	va_list ap;
	char *name, *path;

	va_start(ap, format);
	if (vasprintf(&name, format, ap) == -1)
		abort();
	va_end(ap);
	path = path_join(dir, name);
	free(name);
	return path;
}

char *
harness_name(const char *format, ...)
{
	va_list ap;
	char *name;

	va_start(ap, format);
	if (vasprintf(&name, format, ap) == -1)
		abort();
	va_end(ap);
	return name;
}

char *
harness_text(size_t *len, const char *format, va_list ap)
{
	char *text;
	int n = vasprintf(&text, format, ap);

	if (n < 0)
		abort();
	*len = (size_t)n;
	return text;
}

char *
harness_program(const char *name)
{
	const char *build = getenv("INVERTING_PROXY_BUILD");
	char *path = path_join(build == NULL ? "." : build, name);

	check(access(path, X_OK) == 0, "%s: %s (is INVERTING_PROXY_BUILD the "
	    "build directory?)", path, strerror(errno));
	return path;
}

char *
harness_source(const char *name)
{
	const char *source = getenv("INVERTING_PROXY_SOURCE");
	char *path = path_join(source == NULL ? "." : source, name);
	/* Apache takes a relative one to be below its ServerRoot. */
	char *absolute = realpath(path, NULL);

	check(absolute != NULL && access(absolute, R_OK) == 0, "%s: %s (is "
	    "INVERTING_PROXY_SOURCE the source directory?)", path,
	    strerror(errno));
	free(path);
	return absolute;
}

struct sockaddr_in
harness_loopback(int port)
{
	return (struct sockaddr_in){ .sin_family = AF_INET,
		.sin_port = htons((unsigned short)port),
		.sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
}

static bool
port_is_free(int port)
{
	struct sockaddr_in a = harness_loopback(port);
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0), on = 1;
	bool is_free;

	setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on));
	is_free = bind(fd, (struct sockaddr *)&a, sizeof(a)) == 0;
	close(fd);
	return is_free;
}

/* Tests run side by side: each holds a lock on the file of its port until it
 * ends, so a port is never given twice, and never lost by a crash. */
int
harness_port(void)
{
	const char *locks = "/tmp/inverting-proxy-test-ports";

	mkdir(locks, 0777);
	for (int i = 0; i < PORT_COUNT; i++) {
		int port = PORT_FIRST + (getpid() * 7 + i) % PORT_COUNT;
		char path[PATH_LEN];
		int fd;

		snprintf(path, sizeof(path), "%s/%d", locks, port);
		fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0666);
		if (fd == -1)
			continue;
		if (flock(fd, LOCK_EX | LOCK_NB) == 0 && port_is_free(port))
			return port;	/* fd stays open: the lock */
		close(fd);
	}
	harness_fail(__FILE__, __LINE__, "no free port");
}

static void
show_log(const char *name, const char *path)
{
	size_t len;
	char *text = file_read(path, &len);

	if (text == NULL || len == 0) {
		free(text);
		return;
	}
	fprintf(stderr, "---- %s%s\n%s\n", name,
	    len > LOG_TAIL ? " (its end)" : "",
	    len > LOG_TAIL ? text + len - LOG_TAIL : text);
	free(text);
}

static int
show_entry(const char *path, const struct stat *st, int type, struct FTW *ftw)
{
	size_t len = strlen(path);

	(void)st;
	if (type == FTW_F && len > 4 && strcmp(path + len - 4, ".log") == 0)
		show_log(path + ftw->base, path);
	return 0;
}

void
harness_fail(const char *file, int line, const char *format, ...)
{
	char message[4096];
	va_list ap;

	va_start(ap, format);
	vsnprintf(message, sizeof(message), format, ap);
	va_end(ap);
	fprintf(stderr, "\n==== %s:%d: %s\n==== files are kept in %s\n", file,
	    line, message, dir);
	say_who_crashed();
	nftw(dir, show_entry, 16, FTW_PHYS);
	fflush(stderr);
	cr_assert_fail("%s:%d: %s", file, line, message);
	abort();
}

/* --- processes --- */

struct process *
process_new(const char *name)
{
	struct process *p = calloc(1, sizeof(*p));

	if (p == NULL)
		abort();
	p->name = name;
	p->log = harness_path("%s.log", name);
	p->older = newest;
	newest = p;
	return p;
}

void
process_arg(struct process *p, const char *format, ...)
{
	size_t n = 0;
	va_list ap;

	while (p->argv[n] != NULL)
		n++;
	check(n < PROCESS_ARGS_MAX, "%s: too many arguments", p->name);
	va_start(ap, format);
	if (vasprintf(&p->argv[n], format, ap) == -1)
		abort();
	va_end(ap);
}

static void
process_exec(struct process *p)
{
	int log = open(p->log, O_WRONLY | O_CREAT | O_APPEND, 0666);
	int out = p->out == NULL ? log :
	    open(p->out, O_WRONLY | O_CREAT | O_TRUNC, 0666);
	int in = p->stdin_fd > 0 ? p->stdin_fd : open("/dev/null", O_RDONLY);
	sigset_t none;

	setpgid(0, guardian);
	prctl(PR_SET_PDEATHSIG, SIGTERM);
	sigemptyset(&none);
	sigprocmask(SIG_SETMASK, &none, NULL);
	signal(SIGPIPE, SIG_DFL);
	dup2(in, 0);
	dup2(out, 1);
	dup2(log, 2);
	close_range(3, ~0U, 0);
	execvpe(p->argv[0], p->argv, environ);
	_exit(127);
}

void
process_start(struct process *p)
{
	check(p->pid == 0, "%s runs already", p->name);
	p->may_fail = false;
	p->pid = fork();
	if (p->pid == 0)
		process_exec(p);
	check(p->pid > 0, "fork: %s", strerror(errno));
}

bool
process_is_running(struct process *p)
{
	if (p->pid == 0)
		return false;
	if (waitpid(p->pid, &p->status, WNOHANG) == 0)
		return true;
	p->pid = 0;
	return false;
}

void
process_signal(struct process *p, int signal_number)
{
	check(process_is_running(p), "%s has ended (status %#x)", p->name,
	    (unsigned)p->status);
	kill(p->pid, signal_number);
}

void
process_wait(struct process *p, int ms)
{
	wait_for(!process_is_running(p), ms, "%s does not end", p->name);
}

void
process_stop(struct process *p)
{
	long long deadline = now_ms() + STOP_MS;
	bool stuck;

	if (process_is_running(p)) {
		kill(p->pid, SIGCONT);
		kill(p->pid, SIGTERM);
		while (process_is_running(p) && now_ms() < deadline)
			harness_pause();
	}
	stuck = process_is_running(p);
	if (stuck)
		process_kill(p);
	check(!stuck, "%s does not end on SIGTERM", p->name);
	check(p->may_fail || p->status == 0 ||
	    (WIFSIGNALED(p->status) && WTERMSIG(p->status) == SIGTERM),
	    "%s ended with status %#x", p->name, (unsigned)p->status);
}

void
process_kill(struct process *p)
{
	if (!process_is_running(p))
		return;
	p->may_fail = true;
	kill(p->pid, SIGKILL);
	waitpid(p->pid, &p->status, 0);
	p->pid = 0;
}

char *
process_run(struct process *p)
{
	char *log;

	p->out = harness_path("%s.out", p->name);
	process_start(p);
	process_wait(p, PATIENCE_MS);
	log = file_read(p->log, NULL);
	check(p->status == 0, "%s failed (status %#x): %s", p->argv[0],
	    (unsigned)p->status, log == NULL ? "" : log);
	free(log);
	return file_read(p->out, NULL);
}

size_t
process_children(const struct process *p, pid_t *child, size_t max)
{
	char path[PATH_LEN], *text, *at;
	size_t n = 0;

	snprintf(path, sizeof(path), "/proc/%d/task/%d/children", (int)p->pid,
	    (int)p->pid);
	text = at = file_read(path, NULL);
	while (at != NULL && *at != '\0' && n < max) {
		child[n] = (pid_t)strtol(at, &at, 10);
		if (child[n] == 0)
			break;
		n++;
	}
	free(text);
	return n;
}

static long
proc_status_kib(pid_t pid, const char *key)
{
	char path[PATH_LEN], *text, *at;
	long kib = 0;

	snprintf(path, sizeof(path), "/proc/%d/status", (int)pid);
	text = file_read(path, NULL);
	if (text != NULL && (at = strstr(text, key)) != NULL)
		kib = strtol(at + strlen(key), NULL, 10);
	free(text);
	return kib;
}

long
process_rss_kib(pid_t pid)
{
	return proc_status_kib(pid, "\nVmRSS:");
}

long
process_peak_kib(pid_t pid)
{
	return proc_status_kib(pid, "\nVmHWM:");
}

bool
process_log_has(const struct process *p, const char *text)
{
	char *log = file_read(p->log, NULL);
	bool has = log != NULL && strstr(log, text) != NULL;

	free(log);
	return has;
}

/* --- files --- */

char *
file_read(const char *path, size_t *len)
{
	FILE *f = fopen(path, "re");
	size_t have = 0, room = 4096, n;
	char *text;

	if (f == NULL)
		return NULL;
	text = malloc(room + 1);
	while (text != NULL &&
	    (n = fread(text + have, 1, room - have, f)) > 0) {
		have += n;
		if (have == room)
			text = realloc(text, (room *= 2) + 1);
	}
	fclose(f);
	if (text == NULL)
		abort();
	text[have] = '\0';
	if (len != NULL)
		*len = have;
	return text;
}

void
file_write(const char *path, const char *text)
{
	FILE *f = fopen(path, "we");

	check(f != NULL, "%s: %s", path, strerror(errno));
	fputs(text, f);
	check(fclose(f) == 0, "%s: %s", path, strerror(errno));
}
