/* registry_view.h - the registry as it was at one moment. */
#ifndef FCGI_REGISTRY_VIEW_H
#define FCGI_REGISTRY_VIEW_H

#include "fcgi/registry.h"
#include "fcgi/route.h"
#include "fcgi/store.h"

struct registry_view {
	struct backend **backend;	/* by id */
	size_t backend_count;
	struct token **token;		/* by id */
	size_t token_count;
	struct route_table *routes;
	long long version;		/* 0: Redis has none */
};

/* Zeroed, of one element at least.  Memory running out is fatal. */
void *registry_array(size_t count, size_t size);

/* With all that is in it.  NULL is fine. */
void registry_view_free(struct registry_view *v);

/* NULL when there is none; v may be NULL, too. */
struct backend *registry_view_backend(const struct registry_view *v,
    struct span id);
struct token *registry_view_token(const struct registry_view *v,
    struct span id);

/* Take what HGETALL replied: an array. */
void registry_view_take_backends(struct registry_view *v,
    const struct store_reply *reply);
void registry_view_take_tokens(struct registry_view *v,
    const struct store_reply *reply);

/* One value of what HMGET replied for this id; NULL when there is none, or none
 * that is valid. */
struct backend *registry_view_read_backend(struct span id,
    const struct store_reply *reply);
struct token *registry_view_read_token(struct span id,
    const struct store_reply *reply);

/* *entry (NULL: none) takes the place of the one with this id, which *entry is
 * afterwards.  A backend's times stay; false: there is none, before and
 * after. */
bool registry_view_swap_backend(struct registry_view *v, struct span id,
    struct backend **entry);
void registry_view_swap_token(struct registry_view *v, struct span id,
    struct token **entry);

/* Times of use, or else of sight; the backends are there already. */
void registry_view_take_times(struct registry_view *v,
    const struct store_reply *reply, bool used);

/* Later times of an older view stay. */
void registry_view_keep_times(struct registry_view *v,
    const struct registry_view *old);

#endif
