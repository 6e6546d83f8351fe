/* transfer.h - the door to libcurl: HTTP requests as events of one loop.
 *
 * An engine runs them all on an ev_loop.  A peer is one place that requests
 * go to, with its connection settings; connections to it are kept and used
 * again.  A transfer is one request with its response.
 *
 * The functions here may be called at any time, from inside a handler too:
 * what libcurl would not allow there is done at the end of the loop turn, by
 * transfer_engine_run. */
#ifndef AGENT_TRANSFER_H
#define AGENT_TRANSFER_H

#include <ev.h>
#include <stdbool.h>
#include <stddef.h>

#include "common/field.h"
#include "common/http1_head.h"
#include "common/span.h"

struct transfer_engine;
struct transfer_peer;
struct transfer;

/* max_connections: idle ones kept open, to all peers together. */
struct transfer_engine *transfer_engine_new(struct ev_loop *loop,
    size_t max_connections);
void transfer_engine_free(struct transfer_engine *engine);

/* One turn of the loop may have many events.  After each few of them `between` is
 * called, outside of all handlers, so that what they brought can go on its way
 * while the rest is still to be read. */
void transfer_engine_set_between(struct transfer_engine *engine,
    void (*between)(void *arg), void *arg);

/* Does what is due now: starts, resumes and ends transfers, and calls their
 * handlers.  True when it did anything: then there may be more to do. */
bool transfer_engine_run(struct transfer_engine *engine);

/* The version of the library, for --debug. */
const char *transfer_library(void);

/* A URL of http or https that names a host and carries no user, query or
 * fragment: what may be a base. */
bool transfer_url_is_valid(const char *url);

enum transfer_http {
	TRANSFER_HTTP1,		/* HTTP/1.1 only */
	TRANSFER_HTTP2_TLS,	/* HTTP/2 where TLS offers it, else 1.1 */
	TRANSFER_HTTP2,		/* HTTP/2 at once, also without TLS */
};

/* Strings are borrowed while the peer is being made. */
struct transfer_peer_settings {
	const char *url;		/* without a target of its own, or the
					 * whole URL where requests bring none */
	const char *unix_path;		/* connect there; NULL: by the URL */
	enum transfer_http http;
	bool use_environment_proxy;	/* http_proxy, no_proxy and the like */
	bool acks_at_once;		/* what comes is acknowledged at once */
	const char *ca_file, *client_cert, *client_key;	/* or NULL */
	long connect_timeout_ms;
	long dead_link_ms;		/* without a sign of the peer's system
					 * a connection is over; 0: later */
};

/* NULL when libcurl refuses a setting. */
struct transfer_peer *transfer_peer_new(struct transfer_engine *engine,
    const struct transfer_peer_settings *settings);

/* Its transfers must be over. */
void transfer_peer_free(struct transfer_peer *peer);

enum transfer_outcome {
	TRANSFER_COMPLETE,	/* a whole response, of any status */
	TRANSFER_UNREACHABLE,	/* no connection was made */
	TRANSFER_TIMEOUT,
	TRANSFER_BROKEN,	/* the connection broke, or not HTTP */
};

struct transfer_result {
	enum transfer_outcome outcome;
	int status;		/* 0 before the response's head */
	const char *why;	/* for people; lives during the call */
};

enum { TRANSFER_SEND_END = 0, TRANSFER_SEND_LATER = -1,
	TRANSFER_SEND_BREAK = -2 };

/*
 * head:	the final response's head in HTTP/1.1 wire form, its lines as
 *		they came (1xx were skipped).  False breaks the transfer off.
 * content:	takes content; false: not now, it will be offered again after
 *		transfer_resume_receive.
 * send:	the next request content, at most len bytes: how many, or
 *		TRANSFER_SEND_END, TRANSFER_SEND_LATER (go on with
 *		transfer_resume_send), TRANSFER_SEND_BREAK.  Only for requests
 *		whose content is not given whole.
 * done:	the last thing heard of it.  The transfer is gone after this.
 */
struct transfer_handler {
	bool (*head)(void *arg, int status, struct span head);
	bool (*content)(void *arg, struct span content);
	long (*send)(void *arg, char *into, size_t len);
	void (*done)(void *arg, const struct transfer_result *result);
};

/* Of a head; and of a trailer section, which nobody is told of. */
enum { TRANSFER_HEAD_MAX = 128 * 1024 };

/* Copied by transfer_start, but for content. */
struct transfer_request {
	struct span method;
	struct span target;		/* sent raw; empty: the URL's own */
	const struct fields *fields;	/* sent as they are, none is added but
					 * Transfer-Encoding, and a Host
					 * where there is none */
	struct http1_framing framing;	/* NONE, LENGTH or CHUNKED */
	struct span content;		/* with LENGTH, all of it, borrowed until
					 * done; data NULL: handler->send */
	long timeout_ms;		/* to the end of the response, begun
					 * again by each byte of it; or 0: */
	long head_timeout_ms;		/* to its head, begun again when content
					 * is sent; 0: none */
	size_t content_max;		/* of the response: more breaks the
					 * transfer off; 0: as much as comes */
	bool may_repeat;		/* may be sent again when a kept
					 * connection turns out to be dead */
};

/* Begins at the end of the loop turn.  The handler and its argument are
 * borrowed until done or transfer_abort.  Out of memory is fatal. */
struct transfer *transfer_start(struct transfer_peer *peer,
    const struct transfer_request *request,
    const struct transfer_handler *handler, void *arg);

void transfer_resume_receive(struct transfer *t);
void transfer_resume_send(struct transfer *t);

/* Ends it without a word: no handler is called any more.  NULL is fine. */
void transfer_abort(struct transfer *t);

/* The same, and the connection is not to be used again by anyone. */
void transfer_abort_connection(struct transfer *t);

#endif
