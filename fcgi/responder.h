/* responder.h - the door to libfcgi: FastCGI requests as calls that never
 * block (also one plain CGI request).  Everything happens on one ev_loop. */
#ifndef FCGI_RESPONDER_H
#define FCGI_RESPONDER_H

#include <ev.h>
#include <stdbool.h>
#include <stddef.h>

#include "common/span.h"

struct responder;	/* accepts on one listening descriptor */
struct call;		/* one FastCGI request with its response */

/*
 * What the responder tells.  Each function gets the call and what
 * call_set_data stored.  A call may be finished or aborted inside any of them.
 *
 * request:	the params are complete; content may follow.  Sets the data.
 * content:	call_read will give at least one byte, or the end.  Told after
 *		request for what came along with it, then for what comes later;
 *		not again for what was left untaken.
 * drained:	call_unsent fell to CALL_LOW_WATER or less after having been
 *		above it.
 * gone:	the web server closed the connection before the response was
 *		finished: nobody is left to read it.  The call is freed after
 *		this returns; do not use it again.
 */
struct responder_handler {
	void (*request)(struct call *call);
	void (*content)(struct call *call, void *data);
	void (*drained)(struct call *call, void *data);
	void (*gone)(struct call *call, void *data);
};

enum { CALL_LOW_WATER = 64 * 1024 };

/* Content that was read from the connection but not taken by call_read never
 * exceeds this much (plus one FastCGI record): the responder stops reading. */
enum { CALL_CONTENT_MAX = 256 * 1024 };

/* Listens on what address names: "unix:/path" or "/path" (mode as given, a
 * stale socket file is replaced, a live one is an error), "host:port",
 * "[v6]:port", ":port".  The descriptor, or -1 with *error set to a message
 * that names the address and what to do (static or heap that lives on). */
int responder_listen(const char *address, unsigned socket_mode, int backlog,
    const char **error);

/* Is descriptor 0 a listening socket (spawn-fcgi, lighttpd, systemd)? */
bool responder_is_inherited(void);

/* Accepts connections on listen_fd (kept by the caller; made non-blocking).
 * handler is borrowed. max_connections: above it, accepting pauses. Calls
 * FCGX_Init once (the caller installs its own signal handling after this). */
struct responder *responder_new(struct ev_loop *loop, int listen_fd,
    const struct responder_handler *handler, size_t max_connections);

/* One plain CGI request: params from the environment, content from
 * descriptor 0, response to descriptor 1.  `done` is called when the response
 * is written or can't be. */
struct responder *responder_new_cgi(struct ev_loop *loop,
    const struct responder_handler *handler, void (*done)(void *), void *arg);

/* How long a request's head may take to arrive (10 s when this is not said),
 * and a peer to take anything of a response that is over (30 s). */
void responder_set_times(struct responder *r, double head_seconds,
    double linger_seconds);

/* A socket through which workers pass connections on to each other: what one
 * writes into end 0, one of the others reads from end 1.  false: see errno. */
bool responder_pass_open(int ends[2]);

/* Takes the kept connections that workers with the same ends (the caller's)
 * give away, and passes its own on to them when it has stopped accepting. */
void responder_pass(struct responder *r, const int ends[2]);

/* No new connections; calls go on.  Kept connections that wait for a request,
 * now or after a response, are passed on; those that nobody takes within half
 * a second are closed once nothing more has come on them. */
void responder_stop_accepting(struct responder *r);

/* After that: takes connections all the same that nobody else on the socket
 * takes within half a second (then there is nobody).  Or no longer. */
void responder_take_unclaimed(struct responder *r, bool on);

/* Calls whose response is not yet written out, and open connections. */
size_t responder_calls(const struct responder *r);
size_t responder_connections(const struct responder *r);

/* After it has stopped: is there no call and no connection left, also none
 * that still waits to be taken by others? */
bool responder_is_done(const struct responder *r);

/* Closes everything at once, calls of gone included, and frees. */
void responder_free(struct responder *r);

/* --- one call --- */

/* The value of a param, or NULL.  Lives until the call ends. */
const char *call_param(const struct call *call, const char *name);

/* Is Apache the web server?  Which other one it is is not known: lighttpd need
 * not name itself. */
bool call_is_from_apache(const struct call *call);

/* The params as "NAME=value" strings, NULL at the end; borrowed. */
char *const *call_params(const struct call *call);

void call_set_data(struct call *call, void *data);
void *call_data(const struct call *call);

/* Which kind of call it is: for the handler to remember, 0 at first. */
void call_set_kind(struct call *call, int kind);
int call_kind(const struct call *call);

/* A number that no other call of this process ever has (1, 2, ...). */
unsigned long long call_number(const struct call *call);

/* Did it come on a connection that was taken for want of anybody else? */
bool call_is_unclaimed(const struct call *call);

/* Up to len bytes of content that have already arrived; 0 when none has.
 * Whatever is not taken stays (backpressure).  After data ran out,
 * call_content_ended tells the end from "not yet". */
size_t call_read(struct call *call, void *into, size_t len);
bool call_content_ended(const struct call *call);

/* Bytes that call_read would give now. */
size_t call_readable(const struct call *call);

/* Appends to the response (CGI form: "Status: ...\r\n...\r\n\r\n", content).
 * Never blocks and never fails for the caller: a dead connection shows as
 * gone.  Written at the end of the loop turn, in as few writes as can be. */
void call_write(struct call *call, const void *data, size_t len);
size_t call_unsent(const struct call *call);

/* What is written to this call goes out only after this time.  For
 * CALL_DELAYED_MAX of them at the most; for more than these it is not delayed.
 * The call may be finished meanwhile. */
enum { CALL_DELAYED_MAX = 1024 };
void call_delay(struct call *call, double seconds);

/* fn(arg), once, when the web server has taken the whole response or its
 * connection is closed: later than call_finish and call_abort, and without the
 * call, which must be under way here.  fn must not use the responder. */
void call_on_over(struct call *call, void (*fn)(void *), void *arg);

/* The response is complete.  Content not yet read is read and dropped.  The
 * call must not be used afterwards. */
void call_finish(struct call *call);

/* The response broke off: what was written is sent, then the connection is
 * closed without FCGI_END_REQUEST, at least 100 ms after the first byte of the
 * response was sent, so that the web server shows the client a cut transfer
 * (lighttpd would take head, content and close in one read for a complete
 * one).  The call must not be used afterwards. */
void call_abort(struct call *call);

#endif
