/* admin_call.h - the admin role: /api/backends and /healthz. */
#ifndef FCGI_ADMIN_CALL_H
#define FCGI_ADMIN_CALL_H

#include "common/option.h"
#include "fcgi/login.h"
#include "fcgi/registry.h"
#include "fcgi/responder.h"

struct admin_settings {
	const struct option_list *admins;	/* REMOTE_USERs that are admins */
	const char *mount;			/* path prefix of the mount, "" */
	struct logins *logins;
};

/* Takes over a call whose role is admin: request, content, gone.  Answers
 * JSON.  GET /healthz needs no credential: 200 {"worker":"ok","redis":"ok"} or
 * 503. */
void admin_call_request(struct call *call, struct registry *registry,
    struct store *store, const struct admin_settings *settings);
void admin_call_content(struct call *call, void *data);
void admin_call_gone(struct call *call, void *data);

#endif
