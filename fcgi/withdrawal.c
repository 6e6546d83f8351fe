/* withdrawal.c - see withdrawal.h. */
#include "config.h"

#include <stdlib.h>
#include <string.h>
#include <sys/queue.h>

#include "common/log.h"
#include "fcgi/withdrawal.h"

enum { OWED_MAX = 64 << 20 };	/* bytes */

struct withdrawal {
	struct withdrawals *all;
	STAILQ_ENTRY(withdrawal) link;	/* in owed */
	struct store_key queue;
	size_t len;
	char element[];
};

struct withdrawals {
	struct store *store;
	STAILQ_HEAD(, withdrawal) owed;	/* Redis has to be told again */
	size_t owed_len;
};

static struct withdrawal *
take_first(struct withdrawals *w)
{
	struct withdrawal *first = STAILQ_FIRST(&w->owed);

	STAILQ_REMOVE_HEAD(&w->owed, link);
	w->owed_len -= first->len;
	return first;
}

static void
owe(struct withdrawal *owed)
{
	struct withdrawals *w = owed->all;

	STAILQ_INSERT_TAIL(&w->owed, owed, link);
	w->owed_len += owed->len;
	while (w->owed_len > OWED_MAX)
		free(take_first(w));
}

static void
withdrawn(void *arg, const struct store_reply *reply)
{
	if (reply->kind == STORE_LOST)
		owe(arg);
	else
		free(arg);
}

static void
withdraw(struct withdrawal *owed)
{
	struct span argv[] = { span_str("LREM"), store_key_span(&owed->queue),
	    span_str("1"), span_of(owed->element, owed->len) };

	store_command(owed->all->store, withdrawn, owed, 4, argv);
}

void
withdrawals_add(struct withdrawals *w, const struct store_key *queue,
    struct span element)
{
	struct withdrawal *owed = malloc(sizeof *owed + element.len);

	if (owed == NULL)
		fatal("withdrawal: out of memory");
	owed->all = w;
	owed->queue = *queue;
	owed->len = element.len;
	memcpy(owed->element, element.data, element.len);
	withdraw(owed);
}

void
withdrawals_store_up(struct withdrawals *w)
{
	/* Replies come later: none is owed again meanwhile. */
	while (!STAILQ_EMPTY(&w->owed))
		withdraw(take_first(w));
}

struct withdrawals *
withdrawals_new(struct store *store)
{
	struct withdrawals *w = calloc(1, sizeof *w);

	if (w == NULL)
		fatal("withdrawal: out of memory");
	w->store = store;
	STAILQ_INIT(&w->owed);
	return w;
}

void
withdrawals_free(struct withdrawals *w)
{
	if (w == NULL)
		return;
	while (!STAILQ_EMPTY(&w->owed))
		free(take_first(w));
	free(w);
}
