/* watch.h - a Redis list with its wake-up channel, as the worker that takes
 * from it sees it: LPOP when woken and only while there is room.  Lists are
 * the truth; a lost wake-up costs a look, never an element. */
#ifndef FCGI_WATCH_H
#define FCGI_WATCH_H

#include <ev.h>
#include <stdbool.h>
#include <stddef.h>

#include "fcgi/store.h"
#include "fcgi/store_keys.h"

struct watches;		/* all of this worker */
struct watch;

/* room: how many elements could be taken now.  give: takes one (borrowed);
 * false: there was no room after all, it goes back to the front.  told: a word
 * on the channel that is no mere wake-up; may be NULL. */
struct watch_handler {
	size_t (*room)(void *arg);
	bool (*give)(void *arg, struct span element);
	void (*told)(void *arg, struct span word);
	void *arg;
};

struct watches *watches_new(struct ev_loop *loop, struct store *store);
void watches_free(struct watches *w);
void watches_store_up(struct watches *w);
/* true when the channel was one of ours */
bool watches_message(struct watches *w, struct span channel,
    struct span payload);

struct watch *watch_new(struct watches *all, struct store_key list,
    struct store_key channel, const struct watch_handler *handler);
void watch_free(struct watch *w);

/* There is room (again): takes what is there, now or when woken. */
void watch_want(struct watch *w);

/* Something was put into the list from here; the wake-up is on its way. */
void watch_expect(struct watch *w);

/* Says a word on the channel to every worker that watches, this one too. */
void watch_tell(struct watch *w, struct span word);

/* The list is known to be empty and nothing is on its way: an element that
 * is handed over directly does not overtake another. */
bool watch_is_quiet(const struct watch *w);

#endif
