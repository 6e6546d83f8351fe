/* harness.h - what every integration test stands on: a directory of its own,
 * ports nobody else takes, child processes that never outlive the test, waits
 * with a deadline, and all logs on failure. */
#ifndef INTEGRATION_HARNESS_H
#define INTEGRATION_HARNESS_H

#include <criterion/criterion.h>
#include <netinet/in.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

#if defined(__SANITIZE_ADDRESS__)
#define HARNESS_IS_SANITIZED 1
#elif defined(__has_feature)
#define HARNESS_IS_SANITIZED __has_feature(address_sanitizer)
#else
#define HARNESS_IS_SANITIZED 0
#endif

enum {
	/* What AddressSanitizer keeps of freed memory, and more. */
	SANITIZER_KIB = HARNESS_IS_SANITIZED ? 512 * 1024 : 0,
	PATIENCE_MS = 10000,	/* for what normally takes milliseconds */
	PATH_LEN = 512,
};

/* Makes the directory and the guardian; before anything else. */
void harness_start(void);

/* Stops what still runs, newest first, checks that nothing crashed and no
 * sanitizer complained, and removes the directory. */
void harness_finish(void);

const char *harness_dir(void);

/* A path inside the directory.  Heap, never freed: a test is short. */
char *harness_path(const char *format, ...)
    __attribute__((format(printf, 1, 2)));

/* A name, likewise. */
char *harness_name(const char *format, ...)
    __attribute__((format(printf, 1, 2)));

/* A text; the caller frees it. */
char *harness_text(size_t *len, const char *format, va_list ap)
    __attribute__((format(printf, 2, 0)));

/* The file `name` among the built programs, or of the source tree. */
char *harness_program(const char *name);
char *harness_source(const char *name);

/* 127.0.0.1, and that port. */
struct sockaddr_in harness_loopback(int port);

/* A TCP port of 127.0.0.1 that is free and stays this test's own. */
int harness_port(void);

long long now_ns(void);		/* monotonic */
long long now_ms(void);

/* Says what went wrong, shows the end of every log and fails the test. */
void harness_fail(const char *file, int line, const char *format, ...)
    __attribute__((format(printf, 3, 4), noreturn));

#define check(condition, ...) \
	((condition) ? (void)0 : harness_fail(__FILE__, __LINE__, __VA_ARGS__))

/* Waits until the condition holds; fails the test after ms. */
#define wait_for(condition, ms, ...) do { \
	long long wait_deadline = now_ms() + (ms); \
	while (!(condition)) { \
		check(now_ms() < wait_deadline, __VA_ARGS__); \
		harness_pause(); \
	} \
} while (0)

void harness_pause(void);	/* a tick of wait_for: 2 ms */

enum { PROCESS_ARGS_MAX = 64 };

struct process {
	const char *name;	/* also of its log: DIR/name.log */
	pid_t pid;		/* 0: not running */
	int status;		/* of wait, once it ended */
	int stdin_fd;		/* its descriptor 0; 0: /dev/null */
	bool may_fail;		/* killed by the test on purpose */
	char *log;		/* standard error, and output without out */
	char *out;		/* standard output of process_run */
	char *argv[PROCESS_ARGS_MAX + 1];
	struct process *older;
};

/* Arguments are collected, then the process starts with the test's
 * environment.  name must be unique in a test. */
struct process *process_new(const char *name);
void process_arg(struct process *p, const char *format, ...)
    __attribute__((format(printf, 2, 3)));
void process_start(struct process *p);

/* Runs to its end, which must be success; returns what it printed on standard
 * output (heap). */
char *process_run(struct process *p);

bool process_is_running(struct process *p);
void process_signal(struct process *p, int signal_number);

/* Waits until it ended by itself; fails the test after ms. */
void process_wait(struct process *p, int ms);

/* SIGTERM, wait; SIGKILL and a failed test when that does not end it. */
void process_stop(struct process *p);

/* SIGKILL, on purpose. */
void process_kill(struct process *p);

/* Direct children, as many as fit. */
size_t process_children(const struct process *p, pid_t *child, size_t max);

/* Resident memory of one process id in KiB; 0 when it is gone.  peak: the
 * most it ever was. */
long process_rss_kib(pid_t pid);
long process_peak_kib(pid_t pid);

bool process_log_has(const struct process *p, const char *text);

/* The whole file, NUL-terminated, heap; NULL when there is none. */
char *file_read(const char *path, size_t *len);
void file_write(const char *path, const char *text);

#endif
