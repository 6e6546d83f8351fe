/* registry.c - backends and tokens: kept in Redis, cached in the worker.
 *
 * Two hashes hold them (id -> JSON).  A writer changes a hash, counts the
 * version up and publishes the id, in one transaction; who hears that reads
 * that entry again (registry_load.c). */
#include "config.h"

#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "common/log.h"
#include "fcgi/registry_json.h"
#include "fcgi/registry_private.h"
#include "fcgi/store_keys.h"

enum { USED_EVERY_MS = 1000, SEEN_EVERY_MS = 10 * 1000 };

/* Everything. */
static const struct span all_ids = { "", 0 };

void
registry_refresh_times(struct registry *r, registry_done_fn *done, void *arg)
{
	registry_load(r, all_ids, true, done, arg);
}

struct registry *
registry_new(struct store *store)
{
	struct registry *r = registry_array(1, sizeof(*r));
	const struct store_key changed = store_key_changed();

	r->store = store;
	store_subscribe(store, store_key_span(&changed), NULL, NULL);
	if (store_is_up(store))
		registry_store_up(r);
	return r;
}

void
registry_free(struct registry *r)
{
	if (r == NULL)
		return;
	registry_view_free(r->view);
	registry_view_free(r->retired);
	load_clear(&r->next);
	free(r);
}

void
registry_store_up(struct registry *r)
{
	registry_load(r, all_ids, false, NULL, NULL);
}

bool
registry_store_message(struct registry *r, struct span channel,
    struct span id)
{
	const struct store_key changed = store_key_changed();

	if (!span_is(channel, store_key_span(&changed)))
		return false;
	registry_load(r, backend_id_is_valid(id) ? id : all_ids, false, NULL,
	    NULL);
	return true;
}

void
registry_on_change(struct registry *r, void (*fn)(void *), void *arg)
{
	r->changed = fn;
	r->changed_arg = arg;
}

/* --- the cached view --- */

unsigned long
registry_generation(const struct registry *r)
{
	return r->generation;
}

bool
registry_is_loaded(const struct registry *r)
{
	return r->view != NULL;
}

const struct backend *
registry_backend(const struct registry *r, struct span id)
{
	return registry_view_backend(r->view, id);
}

const struct token *
registry_token(const struct registry *r, struct span id)
{
	return registry_view_token(r->view, id);
}

size_t
registry_backend_count(const struct registry *r)
{
	return r->view == NULL ? 0 : r->view->backend_count;
}

const struct backend *
registry_backend_at(const struct registry *r, size_t i)
{
	return r->view->backend[i];
}

size_t
registry_token_count(const struct registry *r)
{
	return r->view == NULL ? 0 : r->view->token_count;
}

const struct token *
registry_token_at(const struct registry *r, size_t i)
{
	return r->view->token[i];
}

const struct backend *
registry_route(const struct registry *r, const char *user, struct span target)
{
	return r->view == NULL ? NULL :
	    route_table_find(r->view->routes, user, target);
}

/* --- writing --- */

struct write {
	struct registry *registry;
	char *id;
	registry_done_fn *fn;	/* or NULL */
	void *arg;
};

static void
write_done(struct write *w, const char *error)
{
	if (w->fn != NULL)
		w->fn(w->arg, error);
	free(w->id);
	free(w);
}

/* The change is in Redis.  Whether it could be read back does not matter to
 * the one who made it. */
static void
on_written_and_read(void *arg, const char *error)
{
	(void)error;
	write_done(arg, NULL);
}

/* The first error in the reply to an EXEC, or NULL. */
static const struct store_reply *
exec_error(const struct store_reply *reply)
{
	if (reply->kind == STORE_ERROR)
		return reply;
	for (size_t i = 0; reply->kind == STORE_ARRAY && i < reply->count; i++)
		if (reply->element[i].kind == STORE_ERROR)
			return &reply->element[i];
	return NULL;
}

static void
on_exec(void *arg, const struct store_reply *reply)
{
	struct write *w = arg;
	const struct store_reply *bad = exec_error(reply);
	const char *error = registry_redis_away;
	char text[256];

	if (reply->kind == STORE_ARRAY && bad == NULL) {
		registry_load(w->registry, span_str(w->id), false,
		    on_written_and_read, w);
		return;
	}
	if (bad != NULL) {
		snprintf(text, sizeof(text), "Redis refused it: %.*s",
		    bad->string.len < 200 ? (int)bad->string.len : 200,
		    bad->string.data);
		error = text;
	}
	write_done(w, error);
}

/* The replies within a transaction say only that a command is queued; what is
 * wrong is in that of EXEC. */
static void
on_queued(void *arg, const struct store_reply *reply)
{
	(void)arg;
	if (reply->kind == STORE_ERROR)
		log_error(NULL, "Redis refused a change of the registry: %.*s",
		    (int)reply->string.len, reply->string.data);
}

static void
queue_command(struct registry *r, const char *verb, struct store_key key,
    struct span field, struct span value)
{
	const struct span argv[] = { span_str(verb), store_key_span(&key),
		field, value };

	store_command(r->store, on_queued, NULL, 2 + (field.len > 0) +
	    (value.len > 0), argv);
}

static void
write_begin(struct registry *r)
{
	const struct span multi = span_str("MULTI");

	store_command(r->store, on_queued, NULL, 1, &multi);
}

static void
write_end(struct registry *r, struct span id, registry_done_fn *done, void *arg)
{
	const struct span exec = span_str("EXEC"), none = { NULL, 0 };
	struct write *w = registry_array(1, sizeof(*w));

	*w = (struct write){ r, span_strdup(id), done, arg };
	if (w->id == NULL)
		fatal("out of memory");
	queue_command(r, "INCR", store_key_version(), none, none);
	queue_command(r, "PUBLISH", store_key_changed(), id, none);
	store_command(r->store, on_exec, w, 1, &exec);
}

static void
write_entry(struct registry *r, struct store_key key, const char *id,
    char *stored, registry_done_fn *done, void *arg)
{
	if (stored == NULL)
		fatal("out of memory");
	write_begin(r);
	queue_command(r, "HSET", key, span_str(id), span_str(stored));
	write_end(r, span_str(id), done, arg);
	free(stored);
}

void
registry_put_backend(struct registry *r, const struct backend *b,
    registry_done_fn *done, void *arg)
{
	write_entry(r, store_key_backends(), b->id, backend_to_stored(b), done,
	    arg);
}

void
registry_put_token(struct registry *r, const struct token *t,
    registry_done_fn *done, void *arg)
{
	write_entry(r, store_key_tokens(), t->id, token_to_stored(t), done,
	    arg);
}

void
registry_delete_token(struct registry *r, struct span id,
    registry_done_fn *done, void *arg)
{
	write_begin(r);
	queue_command(r, "HDEL", store_key_tokens(), id, span_of(NULL, 0));
	write_end(r, id, done, arg);
}

/* The queue has another hash tag, so it is no part of the transaction. */
void
registry_delete_backend(struct registry *r, struct span id,
    registry_done_fn *done, void *arg)
{
	const struct span none = { NULL, 0 };

	write_begin(r);
	queue_command(r, "HDEL", store_key_backends(), id, none);
	queue_command(r, "HDEL", store_key_used(), id, none);
	queue_command(r, "HDEL", store_key_seen(), id, none);
	write_end(r, id, done, arg);
	queue_command(r, "DEL", store_key_queue(id), none, none);
	queue_command(r, "DEL", store_key_attended(id), none, none);
}

/* --- times of use and sight --- */

static void
note_time(struct registry *r, struct span id, bool used)
{
	struct backend *b = registry_view_backend(r->view, id);
	struct timespec now;
	char text[24];
	long long ms, *noted;

	if (b == NULL)
		return;
	noted = used ? &b->used_ms : &b->seen_ms;
	clock_gettime(CLOCK_REALTIME_COARSE, &now);
	ms = (long long)now.tv_sec * 1000 + now.tv_nsec / 1000000;
	if (ms - *noted < (used ? USED_EVERY_MS : SEEN_EVERY_MS) &&
	    ms >= *noted)
		return;
	*noted = ms;
	snprintf(text, sizeof(text), "%lld", ms);
	queue_command(r, "HSET", used ? store_key_used() : store_key_seen(),
	    id, span_str(text));
}

void
registry_note_used(struct registry *r, struct span id)
{
	note_time(r, id, true);
}

void
registry_note_seen(struct registry *r, struct span id)
{
	note_time(r, id, false);
}
