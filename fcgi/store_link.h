/* store_link.h - a byte stream to Redis that comes back by itself.
 * Knows sockets and time, nothing of the protocol. */
#ifndef FCGI_STORE_LINK_H
#define FCGI_STORE_LINK_H

#include <ev.h>
#include <stdbool.h>

#include "common/buf.h"
#include "common/span.h"
#include "fcgi/store_address.h"

/* All from the loop.  open: connected.  bytes: something arrived.  lost: the
 * connection (or the attempt to make one) is over; the next attempt follows by
 * itself, after 25 ms at first, and later half a second at most. */
struct store_link_handler {
	void (*open)(void *arg);
	void (*bytes)(void *arg, struct span bytes);
	void (*lost)(void *arg, const char *why);
};

/*
 *	WAITING --timer--> CONNECTING --> OPEN
 *	   ^-------------------'------------'  store_link_lose
 */
enum store_link_state { STORE_LINK_WAITING, STORE_LINK_CONNECTING,
	STORE_LINK_OPEN };

struct store_link {
	struct ev_loop *loop;
	const struct store_address *address;
	const struct store_link_handler *handler;
	void *arg;
	double timeout;		/* to connect, seconds */
	enum store_link_state state;
	int fd;
	struct buf out;		/* append here while OPEN: it is written once
				 * at the end of the loop turn */
	ev_io io;
	ev_timer timer;		/* next attempt; end of the attempt */
	ev_prepare flush;
	double backoff;		/* seconds, to the next attempt */
	ev_tstamp opened_at;
	unsigned attempt;	/* picks one of the addresses of a name */
	const char *doomed;	/* why it is lost at the end of this turn */
};

/* address and handler are borrowed.  The first attempt is made by the loop. */
void store_link_init(struct store_link *link, struct ev_loop *loop,
    const struct store_address *address, double timeout,
    const struct store_link_handler *handler, void *arg);

/* Closes without a word to the handler. */
void store_link_clear(struct store_link *link);

/* What has arrived is handed on at once, without waiting for the loop. */
void store_link_read(struct store_link *link);

/* The connection is of no use any more: handler->lost runs. */
void store_link_lose(struct store_link *link, const char *why);

/* The same at the end of the loop turn, for those who may not be called back
 * now.  why is static. */
void store_link_doom(struct store_link *link, const char *why);

#endif
