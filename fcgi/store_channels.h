/* store_channels.h - the set of channels that a store listens to. */
#ifndef FCGI_STORE_CHANNELS_H
#define FCGI_STORE_CHANNELS_H

#include <stdbool.h>

#include "common/span.h"

struct store_channel {
	struct span name;	/* behind the struct */
	struct store_channel *prev, *next;
};

/* Zeroed, it is empty. */
struct store_channels {
	void *tree;			/* by name */
	struct store_channel *first;	/* all of them, in no order */
};

/* Copies the name; once is enough. */
void store_channels_add(struct store_channels *set, struct span name);

/* false when it is not there. */
bool store_channels_remove(struct store_channels *set, struct span name);
void store_channels_clear(struct store_channels *set);

#endif
