/* worker.h - one worker process: an event loop that serves FastCGI calls. */
#ifndef FCGI_WORKER_H
#define FCGI_WORKER_H

#include <stdbool.h>

#include "fcgi/settings.h"

/* Who runs the worker; each may be NULL.  serving: it accepts calls from now
 * on.  upgrade: SIGUSR2; true: this process is a copy that goes on with what
 * the worker has.  pass: the two ends of what it shares with other workers
 * (responder_pass_open). */
struct worker_owner {
	void (*serving)(void *arg);
	bool (*upgrade)(void *arg);
	void *arg;
	const int *pass;
};

/* Serves until SIGTERM (or SIGINT) and the end of what was under way then.
 * listen_fd: a listening socket, or -1 for the one CGI request of this
 * process's environment.  password: of Redis, or NULL.  owner may be NULL.
 * Returns the exit code. */
int worker_run(const struct settings *settings, const char *password,
    int listen_fd, const struct worker_owner *owner);

#endif
