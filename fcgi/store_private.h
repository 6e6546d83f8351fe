/* store_private.h - between the files of the store. */
#ifndef FCGI_STORE_PRIVATE_H
#define FCGI_STORE_PRIVATE_H

#include "fcgi/store.h"

/* store_command with the words in two parts, one after the other. */
void store_send(struct store *s, store_reply_fn *fn, void *arg,
    const struct span *first, int first_count, const struct span *rest,
    int rest_count);

/* An error that nobody asked to be told of. */
void store_log_error(const struct store *s, struct span message);

#endif
