/* store.h - the door to hiredis: Redis as an event loop sees it.
 *
 * Three connections, made and kept by themselves (backoff 50 ms to 2 s with
 * jitter): commands (pipelined), one blocking pop, subscriptions.  All
 * replies come from the loop, in order.  No command waits longer than
 * `timeout_ms`: a Redis that hangs counts as lost. */
#ifndef FCGI_STORE_H
#define FCGI_STORE_H

#include <ev.h>
#include <stdbool.h>
#include <stddef.h>

#include "common/span.h"

struct store;

struct store_settings {
	const char *address;	/* "unix:/path", "/path", "host:port",
				 * "redis://[user@]host:port[/db]" */
	const char *user;	/* ACL user or NULL */
	const char *password;	/* or NULL; never logged */
	long timeout_ms;	/* per command; also to connect */
};

/* A reply, borrowed for the time of the callback.  STORE_LOST: the connection
 * was lost or timed out before the answer; whether the command was carried out
 * is unknown. */
enum store_reply_kind { STORE_LOST, STORE_ERROR, STORE_NIL, STORE_STRING,
	STORE_INTEGER, STORE_ARRAY };

struct store_reply {
	enum store_reply_kind kind;
	struct span string;	/* STRING; ERROR: the message */
	long long integer;
	size_t count;		/* ARRAY */
	const struct store_reply *element;
};

typedef void store_reply_fn(void *arg, const struct store_reply *reply);

/* Events, all optional.  up: every connection is ready (also after a loss);
 * what was subscribed is subscribed again before it.  down: one was lost; from
 * here to up store_is_up() is false.  message: a publish on a channel. */
struct store_handler {
	void (*up)(void *arg);
	void (*down)(void *arg, const char *why);
	void (*message)(void *arg, struct span channel, struct span payload);
	/* Elements popped from the list given to store_pop_from. */
	void (*popped)(void *arg, struct span element);
	void *arg;
};

/* NULL when the address can't be read: *error says why (static). */
struct store *store_new(struct ev_loop *loop, const struct store_settings *s,
    const struct store_handler *handler, const char **error);

/* Pending callbacks get STORE_LOST (and must not go on sending commands).
 * Not from inside a callback of the store. */
void store_free(struct store *s);
bool store_is_up(const struct store *s);

/* Has Redis answered all commands, or is it away? */
bool store_is_quiet(const struct store *s);

/* Bytes of commands that wait to be sent; who can do with less then sends
 * less.  At 64 MiB the connection is given up. */
size_t store_unsent(const struct store *s);

/* Why the store is not up: the latest reason, "" while it is up. */
const char *store_why_down(const struct store *s);

/* Queues one command on the pipelined connection.  fn may be NULL (an error
 * reply is then logged).  When the store is down fn gets STORE_LOST, from the
 * loop, never from inside this call. */
void store_command(struct store *s, store_reply_fn *fn, void *arg, int argc,
    const struct span *argv);

/* A Lua script, sent by its SHA-1 and loaded again when Redis has lost it
 * (NOSCRIPT), so that the caller never sees that.  `keys` of the args are
 * KEYS.  script is a static struct of the caller. */
struct store_script {
	const char *text;
	char sha1[41];		/* filled at first use */
};
void store_script(struct store *s, struct store_script *script,
    store_reply_fn *fn, void *arg, int keys, int argc,
    const struct span *argv);

/* The one list this process takes from, in order, woken by BLMPOP on its own
 * connection; each element goes to handler->popped.  key is copied. */
void store_pop_from(struct store *s, struct span key);

/* Channels.  `done` (may be NULL) is called once Redis has confirmed, so that
 * nothing published after it is missed; with STORE_LOST when the store is
 * down (it will still be subscribed on the way up). */
void store_subscribe(struct store *s, struct span channel, store_reply_fn *done,
    void *arg);
void store_unsubscribe(struct store *s, struct span channel);

#endif
