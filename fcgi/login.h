/* login.h - failed logins, answered late, and agents over a limit: told in the
 * log, but not so often that they fill it. */
#ifndef FCGI_LOGIN_H
#define FCGI_LOGIN_H

#include <ev.h>

#include "fcgi/responder.h"

struct logins;

struct logins *logins_new(struct ev_loop *loop, long delay_ms);
void logins_free(struct logins *l);

/* This call is about to be refused with this status; why is for people.  With
 * a wrong credential (401) what is answered goes out late; who brought none
 * has tried nothing. */
void login_failed(struct logins *l, struct call *call, int status,
    const char *why);

/* An agent's call is about to be refused, for it is over the limit that this
 * option sets ("--poll-limit"). */
void login_over_limit(struct logins *l, const struct call *call, int status,
    const char *identity, const char *limit);

#endif
