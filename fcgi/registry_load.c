/* registry_load.c - reads the registry from Redis: all of it at first and
 * after a loss of Redis, later the entries that a change names.
 *
 * One reading at a time: changes that come meanwhile cause one more reading,
 * not many.  What is read replaces what is cached when all of it has arrived.
 *
 * A Redis without a version, where there was one, has been restarted without
 * what it held.  The view that is cached then stays, and is given back to
 * it. */
#include "config.h"

#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/log.h"
#include "fcgi/registry_json.h"
#include "fcgi/registry_private.h"
#include "fcgi/store_keys.h"

const char registry_redis_away[] = "Redis is away";

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

/* --- what a reading is for --- */

void
load_clear(struct load *load)
{
	for (size_t i = 0; i < load->id_count; i++)
		free(load->id[i]);
	load->id_count = 0;
}

static void
load_add_all(struct load *load)
{
	load->all = true;
	load_clear(load);
}

static void
load_add_id(struct load *load, struct span id)
{
	if (load->all)
		return;
	for (size_t i = 0; i < load->id_count; i++)
		if (span_is(id, span_str(load->id[i])))
			return;
	if (id.len == 0 || load->id_count == LOAD_IDS_MAX) {
		load_add_all(load);
		return;
	}
	if ((load->id[load->id_count++] = span_strdup(id)) == NULL)
		fatal("out of memory");
}

static void
load_add_waiting(struct load *load, registry_done_fn *fn, void *arg)
{
	struct waiting **at = &load->waiting;

	if (fn == NULL)
		return;
	while (*at != NULL)
		at = &(*at)->next;
	*at = registry_array(1, sizeof(**at));
	**at = (struct waiting){ NULL, fn, arg };
}

static void
load_tell(struct load *load, const char *error)
{
	struct waiting *w;

	while ((w = load->waiting) != NULL) {
		load->waiting = w->next;
		w->fn(w->arg, error);
		free(w);
	}
}

/* --- reading --- */

static void read_next(struct registry *r);

static void
make_routes(struct registry_view *v)
{
	route_table_free(v->routes);
	v->routes = route_table_new(v->backend, v->backend_count);
	if (v->routes == NULL)
		fatal("out of memory");
}

/* The entries that were read change places with those that are cached; what
 * is returned holds the latter then. */
static struct registry_view *
replace_entries(struct registry *r)
{
	struct registry_view *v = r->view, *coming = r->coming;
	bool routes = false;

	for (size_t i = 0; i < r->now.id_count; i++) {
		const struct span id = span_str(r->now.id[i]);

		routes |= registry_view_swap_backend(v, id,
		    &coming->backend[i]);
		registry_view_swap_token(v, id, &coming->token[i]);
	}
	v->version = coming->version;
	if (routes)
		make_routes(v);
	return coming;
}

static struct registry_view *
replace_all(struct registry *r)
{
	struct registry_view *old = r->view;

	registry_view_keep_times(r->coming, old);
	make_routes(r->coming);
	r->view = r->coming;
	return old;
}

static void
take_coming(struct registry *r)
{
	struct registry_view *old;

	old = r->now.all || r->view == NULL ? replace_all(r) :
	    replace_entries(r);
	registry_view_free(r->retired);
	r->retired = old;
	r->coming = NULL;
	r->generation++;
	if (r->changed != NULL)
		r->changed(r->changed_arg);
}

static void
read_finish(struct registry *r)
{
	const char *error = r->failed ? registry_redis_away : NULL;
	struct load done = r->now;
	const long long known = r->view == NULL ? 0 : r->view->version;

	if (!r->failed && r->coming->version == 0 && known > 0)
		registry_restore(r);
	else if (!r->failed && (done.all || r->coming->version >= known))
		take_coming(r);
	else if (!done.all)	/* whatever it is that could not be read */
		load_add_all(&r->next);
	registry_view_free(r->coming);
	r->coming = NULL;
	load_clear(&done);
	if (r->next.all || r->next.id_count > 0)
		read_next(r);
	load_tell(&done, error);
}

static void
read_took(struct registry *r, struct store_key key,
    const struct store_reply *reply, bool ok)
{
	const struct span name = store_key_span(&key);

	if (!ok) {
		if (reply->kind == STORE_ERROR)
			log_error(NULL, "%.*s of the registry can't be read: "
			    "%.*s", (int)name.len, name.data,
			    (int)reply->string.len, reply->string.data);
		else if (!r->failed)
			log_warn(NULL, "the connection to Redis ended while "
			    "%.*s of the registry was read", (int)name.len,
			    name.data);
		r->failed = true;
	}
	if (--r->replies == 0)
		read_finish(r);
}

static void
on_version(void *arg, const struct store_reply *reply)
{
	struct registry *r = arg;
	unsigned long long version;

	if (reply->kind == STORE_STRING &&
	    span_to_u64(reply->string, &version) && version <= INT64_MAX)
		r->coming->version = (long long)version;
	read_took(r, store_key_version(), reply, reply->kind == STORE_STRING ||
	    reply->kind == STORE_NIL);
}

static void
on_backends(void *arg, const struct store_reply *reply)
{
	struct registry *r = arg;
	const bool ok = reply->kind == STORE_ARRAY;

	if (ok && r->now.all)
		registry_view_take_backends(r->coming, reply);
	for (size_t i = 0; ok && !r->now.all && i < r->now.id_count &&
	    i < reply->count; i++)
		r->coming->backend[i] = registry_view_read_backend(
		    span_str(r->now.id[i]), &reply->element[i]);
	read_took(r, store_key_backends(), reply, ok);
}

static void
on_tokens(void *arg, const struct store_reply *reply)
{
	struct registry *r = arg;
	const bool ok = reply->kind == STORE_ARRAY;

	if (ok && r->now.all)
		registry_view_take_tokens(r->coming, reply);
	for (size_t i = 0; ok && !r->now.all && i < r->now.id_count &&
	    i < reply->count; i++)
		r->coming->token[i] = registry_view_read_token(
		    span_str(r->now.id[i]), &reply->element[i]);
	read_took(r, store_key_tokens(), reply, ok);
}

static void
take_times(struct registry *r, const struct store_reply *reply, bool used)
{
	const bool ok = reply->kind == STORE_ARRAY;

	if (ok)
		registry_view_take_times(r->coming, reply, used);
	read_took(r, used ? store_key_used() : store_key_seen(), reply, ok);
}

static void
on_used(void *arg, const struct store_reply *reply)
{
	take_times(arg, reply, true);
}

static void
on_seen(void *arg, const struct store_reply *reply)
{
	take_times(arg, reply, false);
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
read_entries(struct registry *r, struct store_key key, store_reply_fn *fn)
{
	struct span argv[2 + LOAD_IDS_MAX] = { span_str("HMGET"),
	    store_key_span(&key) };

	for (size_t i = 0; i < r->now.id_count; i++)
		argv[2 + i] = span_str(r->now.id[i]);
	r->replies++;
	store_command(r->store, fn, r, (int)(2 + r->now.id_count), argv);
}

static void
read_next(struct registry *r)
{
	if (r->view == NULL)
		load_add_all(&r->next);
	r->now = r->next;
	r->next = (struct load){ 0 };
	r->coming = registry_array(1, sizeof(*r->coming));
	r->failed = false;
	r->replies = 0;
	read_key(r, "GET", store_key_version(), on_version);
	if (!r->now.all) {
		const size_t count = r->now.id_count;

		r->coming->backend = registry_array(count,
		    sizeof(*r->coming->backend));
		r->coming->token = registry_array(count,
		    sizeof(*r->coming->token));
		r->coming->backend_count = r->coming->token_count = count;
		read_entries(r, store_key_backends(), on_backends);
		read_entries(r, store_key_tokens(), on_tokens);
		return;
	}
	read_key(r, "HGETALL", store_key_backends(), on_backends);
	read_key(r, "HGETALL", store_key_tokens(), on_tokens);
	if (r->now.with_times || r->view == NULL) {
		/* After the backends, whom they are written into. */
		read_key(r, "HGETALL", store_key_used(), on_used);
		read_key(r, "HGETALL", store_key_seen(), on_seen);
	}
}

void
registry_load(struct registry *r, struct span id, bool with_times,
    registry_done_fn *fn, void *arg)
{
	load_add_id(&r->next, id);
	r->next.with_times |= with_times;
	load_add_waiting(&r->next, fn, arg);
	if (r->coming == NULL)
		read_next(r);
}
