/* registry.h - backends and tokens: kept in Redis, cached in the worker. */
#ifndef FCGI_REGISTRY_H
#define FCGI_REGISTRY_H

#include <stdbool.h>
#include <stddef.h>

#include "common/span.h"
#include "fcgi/store.h"

enum { BACKEND_ID_MAX = 128, USER_MAX = 255, PREFIX_MAX = 1024,
	PREFIXES_MAX = 64 };

/* The end user of backends that serve everybody. */
#define USER_ALL "allUsers"

struct backend {
	char *id;		/* 1 to 128 of A-Z a-z 0-9 - _ . : @ */
	char *end_user;		/* one user, or "allUsers" */
	char *backend_user;	/* identity its agents must have */
	char **prefix;		/* each begins with '/' */
	size_t prefix_count;
	long long used_ms;	/* unix time of the last exchange, 0: never */
	long long seen_ms;	/* of the last call of an agent, 0: never */
};

enum token_role { TOKEN_ROLE_AGENT, TOKEN_ROLE_ADMIN };

struct token {
	char *id;		/* public part */
	enum token_role role;
	char *user;		/* the identity it proves */
	unsigned char hash[32];	/* of the secret part */
	long long created_ms;
};

struct registry;

/* The cache.  Loads when the store comes up, and what has changed when it is
 * told so (call registry_store_up and registry_store_message from the store's
 * handler). */
struct registry *registry_new(struct store *store);
void registry_free(struct registry *r);	/* after store_free */
void registry_store_up(struct registry *r);
/* true when the channel was the registry's; id: of the entry that has changed,
 * the message's payload */
bool registry_store_message(struct registry *r, struct span channel,
    struct span id);

/* Has it been loaded at least once? */
bool registry_is_loaded(const struct registry *r);

/* Another number whenever something in it may have changed. */
unsigned long registry_generation(const struct registry *r);

/* `fn` is called after each (re)load; for what caches on top of it. */
void registry_on_change(struct registry *r, void (*fn)(void *), void *arg);

/* The cached view; pointers live until the next turn of the loop. */
const struct backend *registry_backend(const struct registry *r,
    struct span id);
const struct token *registry_token(const struct registry *r, struct span id);
size_t registry_backend_count(const struct registry *r);
const struct backend *registry_backend_at(const struct registry *r, size_t i);
size_t registry_token_count(const struct registry *r);
const struct token *registry_token_at(const struct registry *r, size_t i);

/* Which backend serves this user (NULL or "": anonymous) and request target
 * (raw; the query does not count)?  The user's own by longest whole-segment
 * path prefix, then those of "allUsers"; NULL when none.  Ties go to the id
 * that sorts first.  (route.c) */
const struct backend *registry_route(const struct registry *r,
    const char *user, struct span target);

/* Writing: done(arg, error) from the loop; error NULL on success, else a
 * message.  Put creates or replaces.  By then the cache here has the change;
 * the other workers have it a moment later.  done may be NULL. */
typedef void registry_done_fn(void *arg, const char *error);
void registry_put_backend(struct registry *r, const struct backend *b,
    registry_done_fn *done, void *arg);
void registry_delete_backend(struct registry *r, struct span id,
    registry_done_fn *done, void *arg);
void registry_put_token(struct registry *r, const struct token *t,
    registry_done_fn *done, void *arg);
void registry_delete_token(struct registry *r, struct span id,
    registry_done_fn *done, void *arg);
/* Reads everything afresh, the times of use and sight too, then calls done. */
void registry_refresh_times(struct registry *r, registry_done_fn *done,
    void *arg);

/* Notes that an exchange (an agent call) of this backend happened now.
 * Written to Redis at most once a second (ten seconds) for each backend. */
void registry_note_used(struct registry *r, struct span id);
void registry_note_seen(struct registry *r, struct span id);

/* Backend from and to the JSON of the admin API (DESIGN: id, endUser,
 * backendUser, pathPrefixes all required).  NULL with *error naming the field
 * and what is wrong (heap, caller frees).  The caller frees the result. */
struct backend *backend_from_json(struct span json, char **error);
char *backend_to_json(const struct backend *b);	/* heap; with lastUsed,
						 * lastSeen (RFC 3339 or null) */
void backend_free(struct backend *b);
void token_free(struct token *t);

/* 1 to BACKEND_ID_MAX of the characters above. */
bool backend_id_is_valid(struct span id);

#endif
