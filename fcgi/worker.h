/* worker.h - one worker process: an event loop that serves FastCGI calls. */
#ifndef FCGI_WORKER_H
#define FCGI_WORKER_H

#include "fcgi/settings.h"

/* Serves until SIGTERM (or SIGINT) and the end of what was under way then.
 * listen_fd: a listening socket, or -1 for the one CGI request of this
 * process's environment.  password: of Redis, or NULL.  Returns the exit
 * code. */
int worker_run(const struct settings *settings, const char *password,
    int listen_fd);

#endif
