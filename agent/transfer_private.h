/* transfer_private.h - between the files of the door to libcurl: transfer.c
 * (one request with its response), transfer_engine.c (the event loop) and
 * transfer_peer.c (the other end). */
#ifndef AGENT_TRANSFER_PRIVATE_H
#define AGENT_TRANSFER_PRIVATE_H

#include <curl/curl.h>

#include "agent/transfer.h"

struct transfer_engine {
	struct ev_loop *loop;
	CURLM *multi;
	ev_timer timer;
	bool is_due;			/* libcurl wants to run now */
	bool has_finished;		/* finished ones may be waiting */
	struct transfer *queue, **queue_end;
	struct transfer_watch *spare;
	unsigned events;		/* since the last run */
	void (*between)(void *arg);	/* NULL: not wanted */
	void *between_arg;
};

struct transfer_peer {
	struct transfer_engine *engine;
	struct transfer_peer_settings settings;	/* strings owned */
	CURLU *url;			/* read once, for all requests */
};

struct transfer {
	struct transfer_peer *peer;
	CURL *easy;
	const struct transfer_handler *handler;	/* NULL: aborted */
	void *arg;
	struct transfer *next;		/* in the queue */
	bool is_queued, is_added;
	bool receive_paused, send_paused;
	bool receive_wanted, send_wanted;	/* to be resumed */
	bool kill_connection;
	bool server_closed;		/* before it had all of the request */
	bool may_repeat;
	bool head_done;
	unsigned attempts;
	int status;
	size_t sent;
	size_t content_left;		/* may still come */
	size_t trailer_len;
	struct buf head;
	struct buf text;		/* of the lines and the target */
	struct curl_slist *lines;
	ev_timer deadline;
	bool deadline_is_total;		/* to the end, not only to the head */
	bool timed_out;
	const char *reason;		/* of ours for breaking it off */
	char error[CURL_ERROR_SIZE];
};

/* --- transfer.c --- */

/* Sets what libcurl calls for t. */
bool transfer_set_callbacks(struct transfer *t);

/* --- transfer_engine.c --- */

/* What is wished of t is carried out at the end of this loop turn, or of the
 * next one while the queue is worked off. */
void transfer_enqueue(struct transfer *t);

/* --- transfer_peer.c --- */

/* A handle with the settings of the peer; NULL: libcurl does not take them.
 * Memory running out is fatal. */
struct transfer *transfer_new(struct transfer_peer *peer);

/* t may be NULL, but not in libcurl's hands. */
void transfer_free(struct transfer *t);

#endif
