/* registry.c - backends and tokens: kept in Redis, cached in the worker.
 *
 * Two hashes hold them (id -> JSON).  A writer changes a hash, counts the
 * version up and publishes, in one transaction; who hears that reads both
 * hashes again, and the new view replaces the old one when all of it has
 * arrived.  One reading at a time: changes that come meanwhile cause one more
 * reading, not many.
 *
 * A Redis without a version, where there was one, has been restarted without
 * what it held.  The view that is cached then stays, and is given back to
 * it. */
#include "config.h"

#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "common/log.h"
#include "fcgi/registry.h"
#include "fcgi/registry_json.h"
#include "fcgi/registry_view.h"
#include "fcgi/store_keys.h"

enum { USED_EVERY_MS = 1000, SEEN_EVERY_MS = 10 * 1000 };

/* Somebody who waits for a reading to be over. */
struct waiting {
	struct waiting *next;
	registry_done_fn *fn;
	void *arg;
};

struct registry {
	struct store *store;
	struct registry_view *view;	/* NULL until loaded */
	struct registry_view *retired;	/* pointers into it may still be in
					 * use in this turn of the loop */
	struct registry_view *coming;	/* being read, or NULL */
	int replies;			/* still to come for it */
	bool failed;
	bool again;			/* something changed meanwhile */
	bool next_with_times;
	unsigned long generation;	/* of the view */
	struct waiting *now, *next;	/* this reading's, the next one's */
	void (*changed)(void *);
	void *changed_arg;
};

static const char redis_away[] = "Redis is away";

/* --- giving it back --- */

/*
 * KEYS: version, backends, tokens.  ARGV: version, channel, how many backends,
 * then id and JSON of each backend and of each token.  Result: 1, or 0 when
 * somebody was quicker.
 */
static struct store_script restore_script = { .text =
    "if redis.call('EXISTS', KEYS[1]) == 1 then return 0 end\n"
    "local last = 3 + 2 * tonumber(ARGV[3])\n"
    "for i = 4, #ARGV, 2 do\n"
    "  local key = KEYS[2]\n"
    "  if i > last then key = KEYS[3] end\n"
    "  redis.call('HSET', key, ARGV[i], ARGV[i + 1])\n"
    "end\n"
    "redis.call('SET', KEYS[1], ARGV[1])\n"
    "redis.call('PUBLISH', ARGV[2], '')\n"
    "return 1\n" };

static void
on_restored(void *arg, const struct store_reply *reply)
{
	(void)arg;
	if (reply->kind == STORE_ERROR)
		log_error(NULL, "the registry can't be given back to Redis: "
		    "%.*s", (int)reply->string.len, reply->string.data);
}

static void
registry_restore(struct registry *r)
{
	enum { HEAD = 6 };
	const struct registry_view *v = r->view;
	const struct store_key version = store_key_version(),
	    backends = store_key_backends(), tokens = store_key_tokens(),
	    changed = store_key_changed();
	const size_t entries = v->backend_count + v->token_count;
	struct span *argv = registry_array(HEAD + 2 * entries, sizeof(*argv));
	char **stored = registry_array(entries, sizeof(*stored));
	char number[24], count[24];
	size_t n = 0;

	snprintf(number, sizeof(number), "%lld", v->version);
	snprintf(count, sizeof(count), "%zu", v->backend_count);
	argv[n++] = store_key_span(&version);
	argv[n++] = store_key_span(&backends);
	argv[n++] = store_key_span(&tokens);
	argv[n++] = span_str(number);
	argv[n++] = store_key_span(&changed);
	argv[n++] = span_str(count);
	for (size_t i = 0; i < entries; i++) {
		const bool is_backend = i < v->backend_count;
		const size_t t = i - v->backend_count;

		stored[i] = is_backend ? backend_to_stored(v->backend[i]) :
		    token_to_stored(v->token[t]);
		if (stored[i] == NULL)
			fatal("out of memory");
		argv[n++] = span_str(is_backend ? v->backend[i]->id :
		    v->token[t]->id);
		argv[n++] = span_str(stored[i]);
	}
	log_warn(NULL, "Redis has forgotten the registry: it is given back");
	store_script(r->store, &restore_script, on_restored, NULL, 3, (int)n,
	    argv);
	for (size_t i = 0; i < entries; i++)
		free(stored[i]);
	free(stored);
	free(argv);
}

/* --- reading --- */

static void registry_load(struct registry *r, bool with_times,
    registry_done_fn *fn, void *arg);

static void
load_finish(struct registry *r)
{
	struct registry_view *coming = r->coming;
	struct waiting *done = r->now;
	const bool again = r->again;

	r->coming = NULL;
	r->now = r->next;
	r->next = NULL;
	r->again = false;
	if (r->failed) {
		registry_view_free(coming);
	} else if (coming->version == 0 && r->view != NULL &&
	    r->view->version > 0) {
		registry_view_free(coming);
		registry_restore(r);
	} else {
		registry_view_keep_times(coming, r->view);
		coming->routes = route_table_new(coming->backend,
		    coming->backend_count);
		if (coming->routes == NULL)
			fatal("out of memory");
		registry_view_free(r->retired);
		r->retired = r->view;
		r->view = coming;
		r->generation++;
		if (r->changed != NULL)
			r->changed(r->changed_arg);
	}
	const char *error = r->failed ? redis_away : NULL;

	if (again)
		registry_load(r, r->next_with_times, NULL, NULL);
	while (done != NULL) {
		struct waiting *w = done;

		done = w->next;
		w->fn(w->arg, error);
		free(w);
	}
}

static void
load_took(struct registry *r, const struct store_reply *reply, bool ok)
{
	if (!ok) {
		r->failed = true;
		if (reply->kind == STORE_ERROR)
			log_error(NULL, "the registry can't be read: %.*s",
			    (int)reply->string.len, reply->string.data);
	}
	if (--r->replies == 0)
		load_finish(r);
}

static void
load_take(struct registry *r, const struct store_reply *reply,
    void (*take)(struct registry_view *, const struct store_reply *))
{
	const bool ok = reply->kind == STORE_ARRAY;

	if (ok)
		take(r->coming, reply);
	load_took(r, reply, ok);
}

static void
take_used(struct registry_view *v, const struct store_reply *reply)
{
	registry_view_take_times(v, reply, true);
}

static void
take_seen(struct registry_view *v, const struct store_reply *reply)
{
	registry_view_take_times(v, reply, false);
}

static void
on_backends(void *arg, const struct store_reply *reply)
{
	load_take(arg, reply, registry_view_take_backends);
}

static void
on_tokens(void *arg, const struct store_reply *reply)
{
	load_take(arg, reply, registry_view_take_tokens);
}

static void
on_used(void *arg, const struct store_reply *reply)
{
	load_take(arg, reply, take_used);
}

static void
on_seen(void *arg, const struct store_reply *reply)
{
	load_take(arg, reply, take_seen);
}

static void
on_version(void *arg, const struct store_reply *reply)
{
	struct registry *r = arg;
	unsigned long long version;

	if (reply->kind == STORE_STRING &&
	    span_to_u64(reply->string, &version) && version <= INT64_MAX)
		r->coming->version = (long long)version;
	load_took(r, reply, reply->kind == STORE_STRING ||
	    reply->kind == STORE_NIL);
}

static void
read_key(struct registry *r, const char *verb, struct store_key key,
    store_reply_fn *fn)
{
	const struct span argv[] = { span_str(verb), store_key_span(&key) };

	r->replies++;
	store_command(r->store, fn, r, 2, argv);
}

static void
wait_push(struct waiting **list, registry_done_fn *fn, void *arg)
{
	struct waiting *w;

	if (fn == NULL)
		return;
	w = registry_array(1, sizeof(*w));
	*w = (struct waiting){ NULL, fn, arg };
	while (*list != NULL)
		list = &(*list)->next;
	*list = w;
}

/* fn (or NULL) is called when a reading that began after now is over. */
static void
registry_load(struct registry *r, bool with_times, registry_done_fn *fn,
    void *arg)
{
	if (r->coming != NULL) {
		r->again = true;
		r->next_with_times |= with_times;
		wait_push(&r->next, fn, arg);
		return;
	}
	r->coming = registry_array(1, sizeof(*r->coming));
	r->failed = false;
	r->replies = 0;
	r->next_with_times = false;
	wait_push(&r->now, fn, arg);
	read_key(r, "GET", store_key_version(), on_version);
	read_key(r, "HGETALL", store_key_backends(), on_backends);
	read_key(r, "HGETALL", store_key_tokens(), on_tokens);
	if (with_times || r->view == NULL) {
		/* After the backends, whom they are written into. */
		read_key(r, "HGETALL", store_key_used(), on_used);
		read_key(r, "HGETALL", store_key_seen(), on_seen);
	}
}

void
registry_refresh_times(struct registry *r, registry_done_fn *done, void *arg)
{
	registry_load(r, true, done, arg);
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
	free(r);
}

void
registry_store_up(struct registry *r)
{
	registry_load(r, false, NULL, NULL);
}

bool
registry_store_message(struct registry *r, struct span channel)
{
	const struct store_key changed = store_key_changed();

	if (!span_is(channel, store_key_span(&changed)))
		return false;
	registry_load(r, false, NULL, NULL);
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
	registry_done_fn *fn;	/* or NULL */
	void *arg;
};

/* The change is in Redis.  Whether it could be read back does not matter to
 * the one who made it. */
static void
on_written_and_read(void *arg, const char *error)
{
	struct write *w = arg;

	(void)error;
	if (w->fn != NULL)
		w->fn(w->arg, NULL);
	free(w);
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
	const char *error = redis_away;
	char text[256];

	if (reply->kind == STORE_ARRAY && bad == NULL) {
		registry_load(w->registry, false, on_written_and_read, w);
		return;
	}
	if (bad != NULL) {
		snprintf(text, sizeof(text), "Redis refused it: %.*s",
		    bad->string.len < 200 ? (int)bad->string.len : 200,
		    bad->string.data);
		error = text;
	}
	if (w->fn != NULL)
		w->fn(w->arg, error);
	free(w);
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

	*w = (struct write){ r, done, arg };
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
