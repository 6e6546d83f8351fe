/* responder_private.h - what the files of the responder share: responder.c
 * (accepting, and what ends a loop turn), responder_conn.c (a connection),
 * responder_pass.c (it goes to another worker), responder_call.c (a call),
 * responder_fastcgi.c (libfcgi), responder_cgi.c.  Tests may look in here
 * too. */
#ifndef FCGI_RESPONDER_PRIVATE_H
#define FCGI_RESPONDER_PRIVATE_H

#include <sys/queue.h>

#include "common/buf.h"
#include "fcgi/record.h"
#include "fcgi/responder.h"

enum { READ_MAX = 64 * 1024 };	/* one read from a connection */

/*
 * What a connection waits for.
 *
 *	REQUEST --> RESPONSE --> FINISH --> REQUEST (kept) or CLOSED
 *	               |
 *	               +-------> CUT ----> CLOSED
 *
 * and from each to CLOSED when the peer closes or breaks the protocol.
 */
enum conn_state {
	CONN_WAITS_FOR_REQUEST,		/* idle, or a head is arriving */
	CONN_WAITS_FOR_RESPONSE,	/* a call is under way */
	CONN_WAITS_FOR_FINISH,		/* for the response to be written and
					 * the rest of the content to come */
	CONN_WAITS_FOR_CUT,		/* for the time to break off */
	CONN_CLOSED,			/* freed at the end of the turn */
};

struct cgi;
struct fastcgi;

struct conn {
	struct responder *responder;
	LIST_ENTRY(conn) link;		/* open, or retired */
	TAILQ_ENTRY(conn) dirty_link;
	enum conn_state state;
	bool is_dirty;			/* flush at the end of the turn */
	bool is_cgi;
	bool is_limited;		/* in what the peer finds to read */
	bool is_counted;		/* in responder->calls */
	bool is_unclaimed;		/* accepted when stopping */
	int fd;				/* read; written too, unless CGI */
	int out_fd;
	ev_io readable;
	ev_io writable;
	ev_timer timer;			/* head, delay, linger, or cut */
	struct call *call;		/* while WAITS_FOR_RESPONSE */
	ev_tstamp first_sent;		/* of this response; 0: nothing yet */
	void (*over)(void *);		/* see call_on_over */
	void *over_arg;

	/*
	 * FastCGI: `in` begins with `scanned` bytes of complete records: first
	 * the head, which libfcgi reads, then content.  Then comes what is not
	 * complete or not of this request.  CGI: `in` is content.
	 */
	struct buf in;
	size_t scanned;
	struct record_scan scan;
	bool has_head;			/* libfcgi has read it */
	struct record_reader reader;
	size_t content;			/* content bytes not taken yet */
	bool content_ended;		/* no more will come */
	bool is_delayed;		/* the response, by the timer */
	size_t lingered;		/* bytes since it has time anew */
	struct buf out;
	struct record_writer writer;
};

struct call {
	struct conn *conn;		/* NULL once it is over */
	SLIST_ENTRY(call) link;		/* retired */
	unsigned long long number;
	int kind;
	void *data;
	char *const *params;
	struct fastcgi *fastcgi;	/* NULL: CGI */
	bool is_above;			/* the low water, once over it */
};

LIST_HEAD(conn_list, conn);
TAILQ_HEAD(conn_queue, conn);
SLIST_HEAD(call_list, call);

struct responder {
	struct ev_loop *loop;
	const struct responder_handler *handler;
	int listen_fd;
	size_t max_connections;
	ev_io acceptable;
	ev_timer accept_pause;
	ev_timer stopping;		/* looks at idle connections */
	ev_tstamp stopped_at;
	ev_timer unclaimed;		/* when stopping: looks again */
	ev_tstamp unclaimed_since;
	bool is_alone;			/* nobody else took the last one */
	int pass_into, pass_from;	/* -1: no other workers */
	ev_io passed;
	bool nobody_takes;		/* what is passed on when stopping */
	ev_prepare turn;		/* the end of each loop turn */
	ev_idle again;			/* keeps the next turn from waiting */
	struct conn_list open;
	struct conn_list retired;
	struct conn_queue dirty;
	struct call_list retired_calls;
	size_t dirty_count;
	size_t connections;
	size_t calls;
	const char *allowed_peers;	/* FCGI_WEB_SERVER_ADDRS or NULL */
	bool is_stopping;
	bool accept_failed;		/* was logged */
	ev_tstamp head_timeout;
	ev_tstamp linger_timeout;
	size_t delayed;			/* connections whose response waits */
	char *scratch;			/* READ_MAX bytes */

	struct cgi *cgi;		/* NULL: FastCGI */
};

/* responder.c */
struct responder *responder_new_common(struct ev_loop *loop,
    const struct responder_handler *handler);
void responder_accept(struct responder *r);	/* when there is room */
/* A connection that was accepted, here or by another worker. */
void responder_adopt(struct responder *r, int fd, bool is_unclaimed);
/* The next turn comes at once, without an event. */
void responder_take_another_turn(struct responder *r);

/* responder_conn.c */
struct conn *conn_new(struct responder *r, int fd, int out_fd);
void conn_free(struct conn *c);
/* Is nothing of a (next) request there, not even unread? */
bool conn_is_silent(const struct conn *c);
void conn_close(struct conn *c);
/* The peer is gone, or not worth talking to: `gone` is told, and closed. */
void conn_lose(struct conn *c);
void conn_on_readable(struct ev_loop *loop, ev_io *w, int events);
void conn_watch_readable(struct conn *c);

/* The next turn end flushes it. */
void conn_mark_dirty(struct conn *c);
void conn_unmark_dirty(struct conn *c);
void conn_flush(struct conn *c);

void conn_begin_call(struct conn *c, struct fastcgi *f, char *const *params);
void conn_tell_content(struct conn *c);
void conn_discard_content(struct conn *c);
/* The call is over; its memory stays until the turn ends. */
void conn_retire_call(struct call *call);

/* responder_pass.c, only of use when stopping */
bool responder_can_pass(const struct responder *r);
/* Passes on what waits for a request, and takes back what nobody takes. */
void responder_pass_idle(struct responder *r);
/* Neither passes on nor takes any more. */
void responder_pass_no_more(struct responder *r);
/* true: it is closed here. */
bool conn_pass_on(struct conn *c);

/* responder_fastcgi.c: the door to libfcgi, which is called for what is in
 * memory only. */

/* Once, before anything else; ends the process when libfcgi is not as we
 * need it. */
void fastcgi_start(void);

/* Reads the head that c->scanned covers.  NULL when libfcgi refuses it. */
struct fastcgi *fastcgi_accept(struct conn *c);
char *const *fastcgi_params(const struct fastcgi *f);

void fastcgi_free(struct fastcgi *f);

/* responder_listen.c: may the peer of this connection call us?  It may unless
 * `allowed` (FCGI_WEB_SERVER_ADDRS) names others. */
bool responder_peer_is_allowed(int fd, const char *allowed);

/* responder_cgi.c */
void cgi_done(struct responder *r);	/* the request is over: tell once */
void cgi_clear(struct responder *r);	/* gives the descriptors back */

#endif
