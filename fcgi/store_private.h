/* store_private.h - between the files of the store: store.c (what it is to the
 * worker), store_conn.c (commands and replies on one connection) and
 * store_script.c. */
#ifndef FCGI_STORE_PRIVATE_H
#define FCGI_STORE_PRIVATE_H

#include <hiredis/hiredis.h>

#include "fcgi/store.h"
#include "fcgi/store_address.h"
#include "fcgi/store_channels.h"
#include "fcgi/store_link.h"
#include "fcgi/store_waiters.h"

enum conn_role { CONN_COMMANDS, CONN_POP, CONN_CHANNELS, CONN_COUNT };

struct conn {
	struct store *store;
	enum conn_role role;
	struct store_link link;
	redisReader *reader;	/* while the link is open */
	struct store_waiters waiters;
	ev_timer watch;		/* runs while somebody waits */
	bool ready;		/* greeted: it does its work */
	bool refused;		/* Redis itself turned us away */
};

struct store {
	struct ev_loop *loop;
	struct store_handler handler;
	struct store_address address;
	char *user;
	char *password;
	double timeout;
	struct conn conn[CONN_COUNT];
	bool up;
	char why[256];		/* it is not up */
	char logged[256];	/* what the log was told last, "" while up */
	struct store_waiters refused;	/* get STORE_LOST in the next turn */
	ev_timer refuse;
	char *pop_key;
	size_t pop_key_len;
	bool popping;		/* a BLMPOP is under way */
	struct store_channels channels;
	ev_timer heartbeat;	/* of the subscriptions */
	struct store_reply *elements;	/* of the reply in hand */
	size_t element_cap;
};

/* --- store.c --- */

/* fn gets STORE_LOST in the next turn. */
void store_refuse(struct store *s, store_reply_fn *fn, void *arg);

/* store_command with the words in two parts, one after the other. */
void store_send(struct store *s, store_reply_fn *fn, void *arg,
    const struct span *first, int first_count, const struct span *rest,
    int rest_count);

/* --- store_conn.c --- */

/* An error that nobody asked to be told of. */
void store_log_error(const struct store *s, struct span message);

/* How much of a message is worth a line. */
int store_brief_len(struct span message);

/* Sends a command, its words in two parts.  `more` seconds: how much longer
 * than usual the reply may take. */
void store_conn_send(struct conn *c, store_reply_fn *fn, void *arg,
    double more, const struct span *first, int first_count,
    const struct span *rest, int rest_count);
void store_conn_command(struct conn *c, store_reply_fn *fn, void *arg,
    int argc, const struct span *argv);

/* Redis itself will not have us, or not do what we need: the link is lost. */
void store_conn_refused(struct conn *c, struct span message);

/* A parser of replies that bears any number of announced elements. */
redisReader *store_conn_reader(void);

/* What its link is told by. */
void store_conn_bytes(void *arg, struct span bytes);

/* The oldest waiter has waited long enough, or a later one will have. */
void store_conn_watch(struct ev_loop *loop, ev_timer *timer, int revents);

#endif
