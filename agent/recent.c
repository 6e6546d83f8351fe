/* recent.c - the names seen last: a ring in the order they came, and a hash
 * table of chains through it. */
#include "config.h"

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "agent/recent.h"
#include "common/log.h"

enum { NAME_MAX_LEN = 64 };

struct name {
	unsigned char len;		/* 0: not used yet */
	char text[NAME_MAX_LEN];	/* longer ones: their first bytes and
					 * hash do */
	uint64_t hash;
	size_t next;			/* in the chain; index + 1 */
};

struct recent {
	size_t count, oldest;
	struct name *ring;
	size_t *chain;			/* heads; index + 1 */
	size_t mask;
};

/* FNV-1a.  The names are random and come from the proxy. */
static uint64_t
hash_of(struct span name)
{
	uint64_t h = 14695981039346656037u;

	for (size_t i = 0; i < name.len; i++)
		h = (h ^ (unsigned char)name.data[i]) * 1099511628211u;
	return h ^ h >> 32;
}

static size_t
stored_len(struct span name)
{
	return name.len < NAME_MAX_LEN ? name.len : NAME_MAX_LEN;
}

struct recent *
recent_new(size_t count)
{
	struct recent *r = calloc(1, sizeof(*r));
	size_t chains = 1;

	while (chains < count)
		chains *= 2;
	if (r == NULL || (r->ring = calloc(count, sizeof(*r->ring))) == NULL ||
	    (r->chain = calloc(chains, sizeof(*r->chain))) == NULL)
		fatal("out of memory");
	r->count = count;
	r->mask = chains - 1;
	return r;
}

void
recent_free(struct recent *r)
{
	if (r == NULL)
		return;
	free(r->ring);
	free(r->chain);
	free(r);
}

bool
recent_has(const struct recent *r, struct span name)
{
	uint64_t hash = hash_of(name);
	size_t len = stored_len(name);

	for (size_t i = r->chain[hash & r->mask]; i != 0;
	    i = r->ring[i - 1].next)
		if (r->ring[i - 1].hash == hash && r->ring[i - 1].len == len &&
		    memcmp(r->ring[i - 1].text, name.data, len) == 0)
			return true;
	return false;
}

static void
unlink_oldest(struct recent *r)
{
	struct name *n = &r->ring[r->oldest];
	size_t *at = &r->chain[n->hash & r->mask];

	if (n->len == 0)
		return;
	while (*at != r->oldest + 1)
		at = &r->ring[*at - 1].next;
	*at = n->next;
}

void
recent_add(struct recent *r, struct span name)
{
	struct name *n = &r->ring[r->oldest];
	size_t *chain;

	if (name.len == 0)
		return;
	unlink_oldest(r);
	n->hash = hash_of(name);
	n->len = (unsigned char)stored_len(name);
	memcpy(n->text, name.data, n->len);
	chain = &r->chain[n->hash & r->mask];
	n->next = *chain;
	*chain = r->oldest + 1;
	r->oldest = (r->oldest + 1) % r->count;
}
