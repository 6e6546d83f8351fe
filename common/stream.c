/* stream.c - one direction of an exchange's content as absolute offsets under
 * a window, so that frames may be lost, doubled and reordered without harm.
 * Pure: no I/O, no clock. */
#include "config.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "common/stream.h"

/* More pieces than this beyond a gap come from a peer that cuts content into
 * crumbs: the next ones are dropped, the sender will send them again. */
enum { EARLY_PIECES_MAX = 256 };

/*
 * The sending side.
 */

void
stream_out_init(struct stream_out *s, size_t max, uint64_t limit)
{
	*s = (struct stream_out){ .limit = limit };
	buf_init(&s->kept, max);
}

void
stream_out_clear(struct stream_out *s)
{
	buf_clear(&s->kept);
}

size_t
stream_out_room(const struct stream_out *s)
{
	return s->kept.max - buf_len(&s->kept);
}

/* One past the last byte that was appended. */
static uint64_t
out_stop(const struct stream_out *s)
{
	return s->base + buf_len(&s->kept);
}

int
stream_out_append(struct stream_out *s, struct span content)
{
	assert(!s->ended || content.len == 0);
	if (content.len > UINT64_MAX - out_stop(s))
		return WIRE_TOO_LARGE;
	return buf_append_span(&s->kept, content);
}

void
stream_out_end(struct stream_out *s)
{
	s->ended = true;
}

size_t
stream_out_ready(const struct stream_out *s)
{
	uint64_t waiting = out_stop(s) - s->next;
	uint64_t allowed = s->limit > s->next ? s->limit - s->next : 0;

	return (size_t)(waiting < allowed ? waiting : allowed);
}

size_t
stream_out_ahead(const struct stream_out *s)
{
	uint64_t allowed = s->limit > s->base ? s->limit : s->base;

	return out_stop(s) > allowed ? (size_t)(out_stop(s) - allowed) : 0;
}

bool
stream_out_next(struct stream_out *s, size_t max, uint64_t *offset,
    struct span *content, bool *end)
{
	size_t len = stream_out_ready(s);
	bool is_last;

	if (len > max)
		len = max;
	is_last = s->ended && s->next + len == out_stop(s);
	/* The end needs no window of its own. */
	if (len == 0 && (!is_last || s->end_sent))
		return false;

	*offset = s->next;
	*content = span_of(buf_data(&s->kept) + (s->next - s->base), len);
	*end = is_last;
	s->next += len;
	if (s->next > s->sent)
		s->sent = s->next;
	if (is_last)
		s->end_sent = true;
	return true;
}

int
stream_out_window(struct stream_out *s, uint64_t received, uint64_t limit,
    bool resend)
{
	/* Not `next`: after a resend it may lie behind what arrives yet. */
	if (received > s->sent)
		return WIRE_MALFORMED;
	if (limit > s->limit)
		s->limit = limit;
	/* Overtaken by a later one: what it asks for has arrived since. */
	if (received < s->base)
		return WIRE_OK;

	buf_drain(&s->kept, (size_t)(received - s->base));
	s->base = received;
	if (resend) {
		s->next = received;
		s->end_sent = false;
	} else if (s->next < received) {
		s->next = received;
	}
	return WIRE_OK;
}

bool
stream_out_is_sent(const struct stream_out *s)
{
	return s->end_sent && s->next == out_stop(s);
}

bool
stream_out_is_confirmed(const struct stream_out *s)
{
	return s->end_sent && buf_len(&s->kept) == 0;
}

/*
 * The receiving side.  Pieces beyond a gap are kept by offset and never
 * overlap, so together they are never longer than limit - next.
 */
struct stream_piece {
	struct stream_piece *following;
	uint64_t offset;
	size_t len;
	char data[];
};

void
stream_in_init(struct stream_in *s, uint64_t limit)
{
	*s = (struct stream_in){ .limit = limit };
}

static void
early_drop_first(struct stream_in *s)
{
	struct stream_piece *first = s->early;

	s->early = first->following;
	free(first);
}

void
stream_in_clear(struct stream_in *s)
{
	while (s->early != NULL)
		early_drop_first(s);
}

/* Keeps those parts of [offset, offset + content.len) that no kept piece
 * covers. */
static int
early_keep(struct stream_in *s, uint64_t offset, struct span content)
{
	struct stream_piece **link = &s->early;
	struct stream_piece *piece;
	uint64_t stop = offset + content.len;
	uint64_t at = offset;
	size_t pieces = 0;

	for (piece = s->early; piece != NULL; piece = piece->following)
		pieces++;
	while (at < stop) {
		uint64_t hole_stop = stop;

		piece = *link;
		if (piece != NULL && piece->offset <= at) {
			if (piece->offset + piece->len > at)
				at = piece->offset + piece->len;
			link = &piece->following;
			continue;
		}
		if (piece != NULL && piece->offset < stop)
			hole_stop = piece->offset;
		if (pieces++ >= EARLY_PIECES_MAX)
			return WIRE_OK;
		piece = malloc(sizeof(*piece) + (size_t)(hole_stop - at));
		if (piece == NULL)
			return WIRE_NO_MEMORY;
		piece->following = *link;
		piece->offset = at;
		piece->len = (size_t)(hole_stop - at);
		memcpy(piece->data, content.data + (at - offset), piece->len);
		*link = piece;
		link = &piece->following;
		at = hole_stop;
	}
	return WIRE_OK;
}

/* Delivers what follows next; bytes before it are repeats. */
static int
deliver(struct stream_in *s, uint64_t offset, struct span content,
    struct buf *out)
{
	uint64_t stop = offset + content.len;
	size_t known;
	int error;

	if (stop <= s->next)
		return WIRE_OK;
	known = (size_t)(s->next - offset);
	error = buf_append(out, content.data + known, content.len - known);
	if (error == WIRE_OK)
		s->next = stop;
	return error;
}

/* Does the piece agree with the end, if one is known or this is it? */
static bool
end_agrees(const struct stream_in *s, uint64_t stop, bool end)
{
	if (s->has_end && (end ? stop != s->end : stop > s->end))
		return false;
	return !end || stop >= s->seen;
}

int
stream_in_take(struct stream_in *s, uint64_t offset, struct span content,
    bool end, struct buf *out)
{
	uint64_t stop;
	int error;

	if (offset > s->limit || content.len > s->limit - offset)
		return WIRE_TOO_LARGE;
	stop = offset + content.len;
	if (!end_agrees(s, stop, end))
		return WIRE_MALFORMED;

	if (offset > s->next)
		error = early_keep(s, offset, content);
	else
		error = deliver(s, offset, content, out);
	while (error == WIRE_OK && s->early != NULL &&
	    s->early->offset <= s->next) {
		const struct stream_piece *p = s->early;

		error = deliver(s, p->offset, span_of(p->data, p->len), out);
		if (error == WIRE_OK)
			early_drop_first(s);
	}
	if (error != WIRE_OK)
		return error;

	if (stop > s->seen)
		s->seen = stop;
	if (end) {
		s->has_end = true;
		s->end = stop;
	}
	return WIRE_OK;
}

bool
stream_in_take_next(struct stream_in *s, uint64_t offset, struct span content,
    bool end)
{
	uint64_t after = offset + content.len;

	if (offset != s->next || s->early != NULL || s->has_end ||
	    after < offset || after > s->limit || s->seen > after)
		return false;
	s->next = after;
	if (s->seen < after)
		s->seen = after;
	if (end) {
		s->has_end = true;
		s->end = after;
	}
	return true;
}

bool
stream_in_is_complete(const struct stream_in *s)
{
	return s->has_end && s->next == s->end;
}

bool
stream_in_has_gap(const struct stream_in *s)
{
	return s->seen > s->next;
}
