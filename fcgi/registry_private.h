/* registry_private.h - shared by registry.c (the cached view, and writing) and
 * registry_load.c (reading it from Redis, and giving it back). */
#ifndef FCGI_REGISTRY_PRIVATE_H
#define FCGI_REGISTRY_PRIVATE_H

#include "fcgi/registry.h"
#include "fcgi/registry_view.h"

enum { LOAD_IDS_MAX = 64 };

/* Somebody who waits for a reading to be over. */
struct waiting {
	struct waiting *next;
	registry_done_fn *fn;
	void *arg;
};

/* What a reading is for. */
struct load {
	bool all;		/* else the entries of these ids */
	bool with_times;
	char *id[LOAD_IDS_MAX];	/* heap */
	size_t id_count;
	struct waiting *waiting;
};

struct registry {
	struct store *store;
	struct registry_view *view;	/* NULL until loaded */
	struct registry_view *retired;	/* pointers into it may still be in
					 * use in this turn of the loop */
	struct registry_view *coming;	/* being read, or NULL */
	struct load now, next;		/* this reading, the one after it */
	int replies;			/* still to come for it */
	bool failed;
	unsigned long generation;	/* of the view */
	void (*changed)(void *);
	void *changed_arg;
};

extern const char registry_redis_away[];

/* Reads the entries with this id, or ("") everything; `with_times` goes with
 * everything.  fn (or NULL) is called when a reading that began after now is
 * over. */
void registry_load(struct registry *r, struct span id, bool with_times,
    registry_done_fn *fn, void *arg);

/* Of a reading that will not be. */
void load_clear(struct load *load);

#endif
