/* own_redis.h - a redis-server for one test: a unix socket in a temporary
 * directory, nothing persisted, never outliving the test. */
#ifndef TESTS_OWN_REDIS_H
#define TESTS_OWN_REDIS_H

#include <sys/types.h>

struct own_redis {
	char dir[64];
	char socket[96];
	char address[128];	/* for a store */
	pid_t pid;		/* -1: it does not run */
};

/* Makes the directory; starts nothing. */
void own_redis_init(struct own_redis *r);

/* Returns before it listens.  more: one more option with its value, or NULL. */
void own_redis_start(struct own_redis *r, const char *more,
    const char *value);
void own_redis_stop(struct own_redis *r);	/* without a farewell */

/* Stops it and removes the directory. */
void own_redis_clear(struct own_redis *r);

#endif
