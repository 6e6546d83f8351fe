/* quota.c - places taken, counted by party.  Who has none is forgotten, so
 * there are never more parties than places. */
#include "config.h"

#include <stdlib.h>
#include <string.h>
#include <uthash.h>

#include "common/log.h"
#include "fcgi/quota.h"

/* Of one party: all of its places. */
struct quota_place {
	struct quota *quota;	/* NULL: freed */
	long count;
	UT_hash_handle hh;
	char party[];
};

struct quota {
	long limit;
	struct quota_place *places;
};

struct quota *
quota_new(long limit)
{
	struct quota *q = calloc(1, sizeof *q);

	if (q == NULL)
		fatal("quota: out of memory");
	q->limit = limit;
	return q;
}

void
quota_free(struct quota *q)
{
	struct quota_place *p, *next;

	if (q == NULL)
		return;
	HASH_ITER(hh, q->places, p, next) {
		HASH_DELETE(hh, q->places, p);
		p->quota = NULL;
	}
	free(q);
}

bool
quota_take(struct quota *q, struct span party, struct quota_place **place)
{
	struct quota_place *p;

	*place = NULL;
	if (q->limit == 0)
		return true;
	/* Nobody in particular. */
	if (party.len == 0)
		party = span_of("", 0);
	HASH_FIND(hh, q->places, party.data, party.len, p);
	if (p != NULL && p->count >= q->limit)
		return false;
	if (p == NULL) {
		p = calloc(1, sizeof *p + party.len + 1);
		if (p == NULL)
			fatal("quota: out of memory");
		p->quota = q;
		memcpy(p->party, party.data, party.len);
		HASH_ADD_KEYPTR(hh, q->places, p->party, party.len, p);
	}
	p->count++;
	*place = p;
	return true;
}

void
quota_give_back(struct quota_place *p)
{
	if (p == NULL || --p->count > 0)
		return;
	if (p->quota != NULL)
		HASH_DELETE(hh, p->quota->places, p);
	free(p);
}
