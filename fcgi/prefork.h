/* prefork.h - the process that keeps the workers running. */
#ifndef FCGI_PREFORK_H
#define FCGI_PREFORK_H

#include "fcgi/settings.h"

/* Starts --workers of them on the one socket, another one when one ends, and a
 * new program on SIGUSR2 (upgrade.h); stops them on SIGTERM.  Returns the exit
 * code. */
int prefork_run(const struct settings *settings, const char *password,
    int listen_fd);

/* The same for one worker that needs no parent. */
int prefork_run_alone(const struct settings *settings, const char *password,
    int listen_fd);

#endif
