/* stream.h - one direction of an exchange's content as absolute offsets under
 * a window, so that frames may be lost, doubled and reordered without harm.
 * Pure: no I/O, no clock. */
#ifndef COMMON_STREAM_H
#define COMMON_STREAM_H

#include <stdbool.h>
#include <stdint.h>

#include "common/buf.h"
#include "common/span.h"
#include "common/wire_error.h"

/*
 * The sending side keeps what the receiver has not confirmed.
 *
 *	0 ... base ......... next ............ base+buffered
 *	      kept, sent     kept, not yet sent
 */
struct stream_out {
	struct buf kept;	/* from base */
	uint64_t base;		/* confirmed by the receiver */
	uint64_t next;		/* first offset to send next */
	uint64_t sent;		/* highest offset ever sent up to */
	uint64_t limit;		/* the receiver allows up to here */
	bool ended;		/* nothing will be appended any more */
	bool end_sent;
};

/* max: ceiling for kept bytes.  limit: what may be sent before any WINDOW. */
void stream_out_init(struct stream_out *s, size_t max, uint64_t limit);
void stream_out_clear(struct stream_out *s);

/* Room for this many more bytes. */
size_t stream_out_room(const struct stream_out *s);
int stream_out_append(struct stream_out *s, struct span content)
    WIRE_MUSTCHECK;
void stream_out_end(struct stream_out *s);

/* The next piece to send, at most max bytes: true with *offset, *content (may
 * be empty) and *end (it is the last), and it counts as sent.  false: nothing
 * to send now. */
bool stream_out_next(struct stream_out *s, size_t max, uint64_t *offset,
    struct span *content, bool *end);

/* How much content stream_out_next has to give now, and how much is kept that
 * the receiver does not allow yet. */
size_t stream_out_ready(const struct stream_out *s);
size_t stream_out_ahead(const struct stream_out *s);

/* A WINDOW came: forget what is confirmed, move the limit (never back), and
 * with resend go back to `received`.  One that a later WINDOW has overtaken
 * (it confirms less) only moves the limit.  WIRE_MALFORMED when it confirms
 * what was never sent. */
int stream_out_window(struct stream_out *s, uint64_t received, uint64_t limit,
    bool resend) WIRE_MUSTCHECK;

/* Everything, the end included, was sent (and all content is confirmed: the
 * end has no confirmation of its own, so a receiver that missed it asks for a
 * resend at the last offset and gets it again). */
bool stream_out_is_sent(const struct stream_out *s);
bool stream_out_is_confirmed(const struct stream_out *s);

/*
 * The receiving side puts pieces in order.
 */
struct stream_piece;

struct stream_in {
	uint64_t next;		/* received without a gap up to here */
	uint64_t limit;		/* what the sender was told; the caller
				 * moves it */
	uint64_t seen;		/* highest offset heard of */
	uint64_t end;		/* offset of the end, when has_end */
	bool has_end;
	struct stream_piece *early;	/* beyond a gap, by offset */
};

void stream_in_init(struct stream_in *s, uint64_t limit);
void stream_in_clear(struct stream_in *s);

/* Takes a piece.  Bytes that are new and in order are appended to out, those
 * beyond a gap are kept until it closes, repeats are dropped.  Returns
 * WIRE_OK, or WIRE_TOO_LARGE beyond the limit, WIRE_MALFORMED when ends
 * differ or content goes beyond the end, or out's error (then the piece may be
 * taken again). */
int stream_in_take(struct stream_in *s, uint64_t offset, struct span content,
    bool end, struct buf *out) WIRE_MUSTCHECK;

/* Is this piece the next one, whole and within the limit, with nothing waiting
 * beyond it?  Then it counts as taken, and the caller uses it where it is. */
bool stream_in_take_next(struct stream_in *s, uint64_t offset,
    struct span content, bool end);

/* All content up to the end has been delivered. */
bool stream_in_is_complete(const struct stream_in *s);
/* Something beyond `next` was heard of (a piece, an end, an empty DATA): what
 * lies between is late or lost. */
bool stream_in_has_gap(const struct stream_in *s);

#endif
