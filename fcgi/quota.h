/* quota.h - how many places each party has taken, and that it gets no more
 * than so many. */
#ifndef FCGI_QUOTA_H
#define FCGI_QUOTA_H

#include <stdbool.h>

#include "common/span.h"

struct quota;
struct quota_place;

/* limit: for each party; 0: none. */
struct quota *quota_new(long limit);

/* Places may still be taken: they keep what they need. */
void quota_free(struct quota *q);

/* Takes a place for this party; false when it has as many as it may.  Every
 * one (NULL where there is no limit) is given back. */
bool quota_take(struct quota *q, struct span party,
    struct quota_place **place);
void quota_give_back(struct quota_place *place);

#endif
