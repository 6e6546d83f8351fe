/* store_channels.c - the set of channels that a store listens to: a tree for
 * finding, a list for going through. */
#include "config.h"

#include <search.h>
#include <stdlib.h>
#include <string.h>

#include "common/log.h"
#include "fcgi/store_channels.h"

static int
channel_compare(const void *va, const void *vb)
{
	const struct store_channel *a = va, *b = vb;
	const size_t len = a->name.len < b->name.len ? a->name.len :
	    b->name.len;
	const int order = len == 0 ? 0 :
	    memcmp(a->name.data, b->name.data, len);

	return order != 0 ? order :
	    (a->name.len > b->name.len) - (a->name.len < b->name.len);
}

void
store_channels_add(struct store_channels *set, struct span name)
{
	struct store_channel *ch = malloc(sizeof(*ch) + name.len);
	struct store_channel **node;

	if (ch == NULL)
		fatal("out of memory");
	if (name.len > 0)
		memcpy(ch + 1, name.data, name.len);
	*ch = (struct store_channel){ .name = span_of(ch + 1, name.len) };
	node = tsearch(ch, &set->tree, channel_compare);
	if (node == NULL)
		fatal("out of memory");
	if (*node != ch) {
		free(ch);
		return;
	}
	ch->next = set->first;
	if (ch->next != NULL)
		ch->next->prev = ch;
	set->first = ch;
}

static void
channel_free(struct store_channels *set, struct store_channel *ch)
{
	tdelete(ch, &set->tree, channel_compare);
	if (ch->prev != NULL)
		ch->prev->next = ch->next;
	else
		set->first = ch->next;
	if (ch->next != NULL)
		ch->next->prev = ch->prev;
	free(ch);
}

bool
store_channels_remove(struct store_channels *set, struct span name)
{
	const struct store_channel key = { .name = name };
	struct store_channel **node = tfind(&key, &set->tree,
	    channel_compare);

	if (node == NULL)
		return false;
	channel_free(set, *node);
	return true;
}

void
store_channels_clear(struct store_channels *set)
{
	while (set->first != NULL)
		channel_free(set, set->first);
}
