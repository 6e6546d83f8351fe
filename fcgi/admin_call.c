/* admin_call.c - the admin role: /api/backends and /healthz as JSON.
 *
 * A call that waits for Redis is held in a struct admin.  It may be gone
 * before Redis answers; the struct stays until both have happened. */
#include "config.h"

#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/buf.h"
#include "common/hex.h"
#include "common/http1_head.h"
#include "common/log.h"
#include "fcgi/admin_call.h"
#include "fcgi/auth.h"
#include "fcgi/registry_json.h"

enum {
	CONTENT_MAX = 1024 * 1024,
	LIST_MAX = 1024 * 1024 * 1024,
	RETRY_SECONDS = 1,
};

struct admin {
	struct call *call;	/* NULL when it is gone */
	struct registry *registry;
	const struct admin_settings *settings;
	char *who;		/* for the log */
	struct buf content;
	char *id;		/* of the backend that is written or deleted */
	char *result;		/* JSON to answer when it is written */
	bool waits;		/* for Redis */
};

/* What a path names. */
enum admin_resource { ADMIN_NOTHING, ADMIN_HEALTH, ADMIN_BACKENDS,
	ADMIN_BACKEND };

static const char backends_path[] = "/api/backends";
static const char redis_away[] = "Redis is away: try again";

/* --- answers --- */

static void
answer(struct call *call, int status, const char *fields, struct span content)
{
	const char *method = call_param(call, "REQUEST_METHOD");
	char head[512];
	const int len = snprintf(head, sizeof(head), "Status: %d %s\r\n"
	    "Content-Type: application/json\r\nContent-Length: %zu\r\n"
	    "Cache-Control: no-store\r\n%s\r\n", status,
	    http1_reason_phrase(status), content.len, fields);

	call_write(call, head, (size_t)len);
	if (method == NULL || strcmp(method, "HEAD") != 0)
		call_write(call, content.data, content.len);
	call_finish(call);
}

static void
answer_error(struct call *call, int status, const char *fields,
    const char *message)
{
	json_t *object = json_pack("{ss}", "error", message);
	char *text = json_text(object);

	/* A message with outside bytes that are not UTF-8 is no JSON. */
	answer(call, status, fields, text != NULL ? span_str(text) :
	    span_str("{\"error\":\"it is not valid\"}"));
	free(text);
	json_decref(object);
}

static void
answer_unavailable(struct call *call, const char *message)
{
	char field[32];

	snprintf(field, sizeof(field), "Retry-After: %d\r\n", RETRY_SECONDS);
	answer_error(call, 503, field, message);
}

static void
answer_health(struct call *call, bool redis)
{
	if (redis)
		answer(call, 200, "", span_str(
		    "{\"worker\":\"ok\",\"redis\":\"ok\"}"));
	else
		answer(call, 503, "", span_str(
		    "{\"worker\":\"ok\",\"redis\":\"down\"}"));
}

/* --- what is called --- */

static bool
starts_with(struct span s, const char *start)
{
	const struct span wanted = span_str(start);

	return s.len >= wanted.len &&
	    span_is(span_of(s.data, wanted.len), wanted);
}

/* *id: what follows "/api/backends/", still escaped. */
static enum admin_resource
resource_of(struct span path, struct span *id)
{
	const size_t len = sizeof(backends_path) - 1;

	if (span_is(path, span_str("/healthz")))
		return ADMIN_HEALTH;
	if (!starts_with(path, backends_path))
		return ADMIN_NOTHING;
	if (path.len == len)
		return ADMIN_BACKENDS;
	*id = span_of(path.data + len + 1, path.len - len - 1);
	if (path.data[len] != '/' || id->len == 0 ||
	    memchr(id->data, '/', id->len) != NULL)
		return ADMIN_NOTHING;
	return ADMIN_BACKEND;
}

/* The path of a request target in origin-form or absolute-form (which Apache
 * hands on), without the query. */
static struct span
path_of(const char *target)
{
	const char *scheme = strstr(target, "://");

	if (target[0] != '/' && scheme != NULL) {
		target = strchr(scheme + 3, '/');
		if (target == NULL)
			target = "/";
	}
	return span_of(target, strcspn(target, "?"));
}

static enum admin_resource
find_resource(const struct call *call, const char *mount, struct span *id)
{
	const char *target = call_param(call, "REQUEST_URI");
	struct span path = path_of(target != NULL ? target : "");
	size_t mount_len = mount == NULL ? 0 : strlen(mount);

	while (mount_len > 0 && mount[mount_len - 1] == '/')
		mount_len--;
	if (mount_len > 0) {
		if (path.len < mount_len ||
		    memcmp(path.data, mount, mount_len) != 0)
			return ADMIN_NOTHING;
		return resource_of(span_of(path.data + mount_len,
		    path.len - mount_len), id);
	}
	/* Whatever the mount is: the first tail that is one of ours. */
	for (size_t i = 0; i < path.len; i++) {
		enum admin_resource r;

		if (path.data[i] != '/')
			continue;
		r = resource_of(span_of(path.data + i, path.len - i), id);
		if (r != ADMIN_NOTHING)
			return r;
	}
	return ADMIN_NOTHING;
}

/* The id of a backend out of a path: "%40" is "@".  A '%' that is no escape
 * makes no valid id. */
static bool
decode_id(struct span escaped, char id[BACKEND_ID_MAX + 1])
{
	size_t n = 0;

	for (size_t i = 0; i < escaped.len; i++) {
		char c = escaped.data[i];

		if (c == '%' && escaped.len - i > 2) {
			int high = hex_digit(escaped.data[i + 1]);
			int low = hex_digit(escaped.data[i + 2]);

			if (high < 0 || low < 0)
				return false;
			c = (char)(high << 4 | low);
			i += 2;
		}
		if (n == BACKEND_ID_MAX)
			return false;
		id[n++] = c;
	}
	id[n] = '\0';
	return backend_id_is_valid(span_of(id, n));
}

/* --- who calls --- */

static bool
is_listed(const struct option_list *admins, const char *user)
{
	for (size_t i = 0; admins != NULL && i < admins->count; i++)
		if (strcmp(admins->item[i], user) == 0)
			return true;
	return false;
}

/* Does a page in a browser make this call?  Pages of backends have the same
 * origin as the admin mount, so to the browser they may use the login of an
 * admin who looks at them.  Browsers say who asks, and no script can take these
 * fields away (Fetch, "forbidden request-header"). */
static bool
is_made_by_page(const struct call *call)
{
	const char *site = call_param(call, "HTTP_SEC_FETCH_SITE");

	return call_param(call, "HTTP_ORIGIN") != NULL ||
	    (site != NULL && strcmp(site, "none") != 0);
}

static void
refuse(struct call *call, const struct admin_settings *settings, int status,
    const char *why)
{
	login_failed(settings->logins, call, status, why);
	answer_error(call, status, status == 401 ?
	    "WWW-Authenticate: Bearer realm=\"inverting-proxy\"\r\n" : "",
	    why);
}

/* The name of the admin who calls, or NULL: then the call is answered. */
static const char *
authorize(struct call *call, const struct registry *registry,
    const struct admin_settings *settings)
{
	const char *authorization = call_param(call, "HTTP_AUTHORIZATION");
	const char *user = call_param(call, "REMOTE_USER");
	const struct token *token = auth_check_bearer(registry, authorization,
	    TOKEN_ROLE_ADMIN);
	bool is_logged_in = user != NULL && user[0] != '\0';

	if (token != NULL)
		return token->user;
	if (is_logged_in && is_listed(settings->admins, user)) {
		if (!is_made_by_page(call))
			return user;
		refuse(call, settings, 403, "a page in a browser may not use "
		    "an admin's login: use an admin token");
	} else if (auth_check_bearer(registry, authorization,
	    TOKEN_ROLE_AGENT)) {
		refuse(call, settings, 403,
		    "an agent's token is no admin's token");
	} else if (is_logged_in) {
		refuse(call, settings, 403, "this user is no admin");
	} else {
		refuse(call, settings, 401, authorization != NULL ?
		    "the token is wrong" :
		    "an admin token is needed: Authorization: Bearer TOKEN");
	}
	return NULL;
}

/* --- calls that wait --- */

static void
admin_free(struct admin *a)
{
	buf_clear(&a->content);
	free(a->who);
	free(a->id);
	free(a->result);
	free(a);
}

/* Redis has answered; is anybody left to tell? */
static bool
admin_resume(struct admin *a, const char *error)
{
	a->waits = false;
	if (a->call == NULL)
		return false;
	if (error == NULL)
		return true;
	answer_unavailable(a->call, error);
	return false;
}

static void
log_change(const struct admin *a, const char *message)
{
	struct log_line line;

	log_line_begin(&line, LOG_LEVEL_INFO, NULL, message);
	log_line_span(&line, "backend", span_str(a->id));
	log_line_span(&line, "by", span_str(a->who));
	log_line_end(&line);
}

static bool
append_list(const struct registry *r, struct buf *list)
{
	bool ok = buf_append_str(list, "[") == 0;

	for (size_t i = 0; ok && i < registry_backend_count(r); i++) {
		char *json = backend_to_json(registry_backend_at(r, i));

		ok = json != NULL &&
		    buf_append_str(list, i > 0 ? ",\n" : "\n") == 0 &&
		    buf_append_str(list, json) == 0;
		free(json);
	}
	return ok && buf_append_str(list, "\n]\n") == 0;
}

static void
on_listed(void *arg, const char *error)
{
	struct admin *a = arg;
	struct buf list;

	buf_init(&list, LIST_MAX);
	if (admin_resume(a, error)) {
		if (append_list(a->registry, &list))
			answer(a->call, 200, "", buf_span(&list));
		else
			answer_error(a->call, 500, "", "out of memory");
	}
	buf_clear(&list);
	admin_free(a);
}

static void
on_saved(void *arg, const char *error)
{
	struct admin *a = arg;

	if (error == NULL)
		log_change(a, "backend saved");
	if (admin_resume(a, error))
		answer(a->call, 200, "", span_str(a->result));
	admin_free(a);
}

static void
on_deleted(void *arg, const char *error)
{
	struct admin *a = arg;

	if (error == NULL)
		log_change(a, "backend deleted");
	if (admin_resume(a, error))
		answer(a->call, 200, "", span_str("{}\n"));
	admin_free(a);
}

static void
save(struct admin *a)
{
	char *error;
	struct backend *b = backend_from_json(buf_span(&a->content), &error);

	if (b == NULL) {
		answer_error(a->call, 400, "", error != NULL ? error :
		    "out of memory");
		free(error);
		admin_free(a);
		return;
	}
	a->id = span_strdup(span_str(b->id));
	a->result = backend_to_json(b);
	if (a->id == NULL || a->result == NULL)
		fatal("out of memory");
	a->waits = true;
	registry_put_backend(a->registry, b, on_saved, a);
	backend_free(b);
}

static void
read_content(struct admin *a)
{
	char *room;
	size_t n;

	while ((n = call_readable(a->call)) > 0) {
		if ((room = buf_reserve(&a->content, n)) == NULL) {
			answer_error(a->call, 413, "",
			    "the content is over 1 MiB");
			admin_free(a);
			return;
		}
		buf_commit(&a->content, call_read(a->call, room, n));
	}
	if (call_content_ended(a->call))
		save(a);
}

static void
delete(struct admin *a, struct span escaped)
{
	char id[BACKEND_ID_MAX + 1];

	/* What can't be an id is no backend's: absent, like any other. */
	if (!decode_id(escaped, id)) {
		answer(a->call, 200, "", span_str("{}\n"));
		admin_free(a);
		return;
	}
	if ((a->id = span_strdup(span_str(id))) == NULL)
		fatal("out of memory");
	a->waits = true;
	registry_delete_backend(a->registry, span_str(a->id), on_deleted, a);
}

/* --- the handler --- */

static struct admin *
admin_new(struct call *call, struct registry *registry,
    const struct admin_settings *settings, const char *who)
{
	struct admin *a = calloc(1, sizeof(*a));

	if (a == NULL || (a->who = strdup(who)) == NULL)
		fatal("out of memory");
	a->call = call;
	a->registry = registry;
	a->settings = settings;
	buf_init(&a->content, CONTENT_MAX);
	call_set_data(call, a);
	return a;
}

/* NULL when the method is one of the resource's. */
static const char *
other_methods(enum admin_resource resource, const char *method)
{
	const bool get = strcmp(method, "GET") == 0 ||
	    strcmp(method, "HEAD") == 0;

	switch (resource) {
	case ADMIN_NOTHING:
		break;
	case ADMIN_HEALTH:
		return get ? NULL : "Allow: GET, HEAD\r\n";
	case ADMIN_BACKENDS:
		return get || strcmp(method, "POST") == 0 ? NULL :
		    "Allow: GET, HEAD, POST\r\n";
	case ADMIN_BACKEND:
		return strcmp(method, "DELETE") == 0 ? NULL :
		    "Allow: DELETE\r\n";
	}
	return NULL;
}

void
admin_call_request(struct call *call, struct registry *registry,
    struct store *store, const struct admin_settings *settings)
{
	const char *method = call_param(call, "REQUEST_METHOD");
	struct span id = { NULL, 0 };
	const enum admin_resource resource = find_resource(call,
	    settings->mount, &id);
	const char *who = NULL, *allow;
	struct admin *a;

	if (method == NULL)
		method = "";
	if (resource != ADMIN_HEALTH) {
		if (!registry_is_loaded(registry)) {
			answer_unavailable(call, redis_away);
			return;
		}
		if ((who = authorize(call, registry, settings)) == NULL)
			return;
	}
	allow = other_methods(resource, method);
	if (resource == ADMIN_NOTHING) {
		answer_error(call, 404, "", "no such path: there are "
		    "/api/backends, /api/backends/ID and /healthz");
	} else if (allow != NULL) {
		answer_error(call, 405, allow,
		    "this method is not for this path");
	} else if (resource == ADMIN_HEALTH) {
		answer_health(call, store_is_up(store));
	} else if (!store_is_up(store)) {
		answer_unavailable(call, redis_away);
	} else {
		a = admin_new(call, registry, settings, who);
		if (resource == ADMIN_BACKEND)
			delete(a, id);
		else if (strcmp(method, "POST") == 0)
			read_content(a);
		else {
			a->waits = true;
			registry_refresh_times(registry, on_listed, a);
		}
	}
}

void
admin_call_content(struct call *call, void *data)
{
	struct admin *a = data;

	(void)call;
	if (!a->waits)
		read_content(a);
}

void
admin_call_gone(struct call *call, void *data)
{
	struct admin *a = data;

	(void)call;
	a->call = NULL;
	if (!a->waits)
		admin_free(a);
}
