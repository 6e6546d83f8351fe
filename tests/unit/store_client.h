/* store_client.h - what the tests of the store share: a loop, a redis-server of
 * its own (a unix socket in a temporary directory, nothing persisted), a store,
 * and what its callbacks were told. */
#ifndef TESTS_UNIT_STORE_CLIENT_H
#define TESTS_UNIT_STORE_CLIENT_H

#include <ev.h>

#include "fcgi/store.h"
#include "tests/unit/own_redis.h"

enum { TEXT_MAX = 256, KEPT_MAX = 2048 };

struct store_client {
	struct ev_loop *loop;
	struct store *store;
	struct own_redis redis;
	int ups, downs;
	char messages[4][TEXT_MAX];
	int message_count;
	int popped[KEPT_MAX];
	int popped_count;
};

extern struct store_client client;

/* What a callback was told. */
struct answer {
	int calls;
	enum store_reply_kind kind;
	long long integer;
	size_t count;
	char text[TEXT_MAX];
};

void on_answer(void *arg, const struct store_reply *reply);

/* Turns the loop until *what is at least `least`; the seconds it took. */
double wait_for(const int *what, int least);

/* `more` and `value`: one more option of redis-server, or NULL. */
void redis_start(const char *more, const char *value);
void store_start(const char *user, const char *password);

/* For Criterion: with Redis and a store, or with neither; the end of both. */
void set_up_client(void);
void set_up_without_client(void);
void tear_down_client(void);

/* Sends words separated by single spaces; answer: NULL, or told. */
void command(struct answer *answer, const char *words);
/* Sends them, and waits for the answer. */
struct answer ask(const char *words);

#endif
