/* record.h - the records of one FastCGI connection (FastCGI specification 1.0,
 * sections 3 to 6): whether each may come now, and the content in them, both
 * ways.  libfcgi decodes the head of a request; this says where that ends, so
 * that libfcgi is only called for what is there, and keeps from it what it
 * can't bear.
 * Pure: memory the caller gives. */
#ifndef FCGI_RECORD_H
#define FCGI_RECORD_H

#include <stdbool.h>
#include <stddef.h>

#include "common/buf.h"
#include "common/span.h"
#include "common/wire_error.h"

/* PARAMS of one request; web servers allow heads of 8 to 128 KiB. */
enum { RECORD_PARAMS_MAX = 256 * 1024 };

/* What the next record may be.
 *
 *	BEGIN --> PARAMS --> STDIN --> OVER --> (record_scan_init) BEGIN
 */
enum record_scan_state {
	RECORD_SCAN_WAITS_FOR_BEGIN,
	RECORD_SCAN_WAITS_FOR_PARAMS,
	RECORD_SCAN_WAITS_FOR_STDIN,
	RECORD_SCAN_OVER,	/* the request is there as a whole */
};

enum record_kind {
	RECORD_BEGIN,
	RECORD_PARAMS,		/* the empty one included */
	RECORD_STDIN,		/* the empty one included */
	RECORD_ABORT,
	RECORD_STALE,		/* means a request that is over: skip it */
};

struct record {
	enum record_kind kind;
	size_t len;		/* header, content and padding */
	size_t content_len;
};

struct record_scan {
	enum record_scan_state state;
	unsigned id;
	bool keeps_connection;
	bool is_answered;	/* set by the caller when the response is
				 * complete: Apache may then leave content
				 * unsent and begin its next request */
	const char *problem;	/* after a failure: what was wrong (static) */
	int error;		/* sticky */
	size_t params_len;
	size_t pair_left;	/* bytes of the name-value pair to come */
	unsigned char pair_head[8];	/* its lengths, as far as they came */
	size_t pair_head_len;
};

/* Before the first request of a connection, and before each further one. */
void record_scan_init(struct record_scan *scan);

/* Looks at the record at the front of `bytes`.  WIRE_DONE describes it in
 * *record; WIRE_MORE: it is not all there, or belongs to the next request
 * while this one is not over; WIRE_MALFORMED, WIRE_UNSUPPORTED,
 * WIRE_TOO_LARGE: sticky, scan->problem says what. */
int record_scan_next(struct record_scan *scan, struct span bytes,
    struct record *record) WIRE_MUSTCHECK;

/* What is left of the STDIN record that content is read from.  Zeroed before
 * the first one. */
struct record_reader {
	size_t content, padding;
};

/* Moves len bytes of content out of the complete STDIN records at the front
 * of *in, in which there must be as many.  Returns how many bytes of *in that
 * took. */
size_t record_read(struct record_reader *reader, struct buf *in, void *into,
    size_t len);

struct record_writer {
	size_t open;	/* content of the last record, while more of it goes
			 * into the same one; 0: none is open */
};

/* Appends STDOUT records with this content.  What is written before the next
 * record_seal shares records: web servers act on each of them. */
int record_write(struct record_writer *writer, struct buf *out, unsigned id,
    const void *data, size_t len) WIRE_MUSTCHECK;

/* What was written is on its way, or is about to be. */
void record_seal(struct record_writer *writer);

/* Of the END_REQUEST record, which is the last. */
enum { RECORD_END_LEN = 16 };

/* Appends the end of STDOUT and of the request. */
int record_write_end(struct record_writer *writer, struct buf *out,
    unsigned id) WIRE_MUSTCHECK;

#endif
