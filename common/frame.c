/* frame.c - the frames of the native protocol, encoded and decoded
 * (PROTOCOL.md, "Native").  Pure: memory the caller gives.  No sockets, no
 * Redis, no log, no clock.
 *
 * Every small request passes here four times, so a frame is written into room
 * that is reserved once, and read without copying. */
#include "config.h"

#include <string.h>

#include "common/frame.h"
#include "common/hex.h"

enum {
	WINDOW_LEN = EXCHANGE_ID_LEN + 8 + 8,
	WELCOME_LEN = 16,
	U8_MAX = 0xff,
	U16_MAX = 0xffff,
};

/*
 * Exchange ids.
 */

void
exchange_id_text(const struct exchange_id *id, char text[EXCHANGE_ID_TEXT + 1])
{
	hex_encode(id->byte, EXCHANGE_ID_LEN, text);
}

bool
exchange_id_parse(struct span text, struct exchange_id *id)
{
	return hex_decode(text, id->byte, EXCHANGE_ID_LEN);
}

/*
 * Reading.  A reader that was asked for more than there is turns bad and
 * gives zeros from then on, so that one check at the end of a frame is enough.
 */
struct reader {
	const unsigned char *at;
	size_t left;
	bool bad;
};

static const unsigned char *
read_bytes(struct reader *r, size_t len)
{
	const unsigned char *bytes = r->at;

	if (len > r->left) {
		r->bad = true;
		r->left = 0;
		return NULL;
	}
	r->at += len;
	r->left -= len;
	return bytes;
}

static unsigned
read_u8(struct reader *r)
{
	const unsigned char *p = read_bytes(r, 1);

	return p == NULL ? 0 : p[0];
}

static unsigned
read_u16(struct reader *r)
{
	const unsigned char *p = read_bytes(r, 2);

	return p == NULL ? 0 : (unsigned)(p[0] << 8 | p[1]);
}

static uint32_t
get_u32(const unsigned char *p)
{
	return (uint32_t)p[0] << 24 | (uint32_t)p[1] << 16 |
	    (uint32_t)p[2] << 8 | p[3];
}

static uint32_t
read_u32(struct reader *r)
{
	const unsigned char *p = read_bytes(r, 4);

	return p == NULL ? 0 : get_u32(p);
}

static uint64_t
read_u64(struct reader *r)
{
	const unsigned char *p = read_bytes(r, 8);

	return p == NULL ? 0 : (uint64_t)get_u32(p) << 32 | get_u32(p + 4);
}

static struct span
read_span(struct reader *r, size_t len)
{
	const unsigned char *p = read_bytes(r, len);

	return p == NULL ? span_of(NULL, 0) : span_of(p, len);
}

static struct span
read_rest(struct reader *r)
{
	return read_span(r, r->left);
}

static void
read_id(struct reader *r, struct exchange_id *id)
{
	const unsigned char *p = read_bytes(r, EXCHANGE_ID_LEN);

	if (p != NULL)
		memcpy(id->byte, p, EXCHANGE_ID_LEN);
}

/* Head with its length before it, then content up to the end of the frame. */
static int
read_message(struct reader *r, struct frame *frame)
{
	size_t head_len = read_u32(r);

	if (head_len > FRAME_HEAD_MAX)
		return WIRE_TOO_LARGE;
	frame->head = read_span(r, head_len);
	frame->content = read_rest(r);
	return frame->content.len > FRAME_DATA_MAX ? WIRE_TOO_LARGE : WIRE_OK;
}

static int
decode_hello(struct reader *r, struct frame *frame)
{
	const unsigned char *p;

	frame->version = read_u8(r);
	read_u8(r);
	frame->capacity = read_u16(r);
	p = read_bytes(r, AGENT_INSTANCE_LEN);
	if (p != NULL)
		memcpy(frame->instance, p, AGENT_INSTANCE_LEN);
	frame->in_flight = read_u32(r);
	frame->backend_count = read_u16(r);
	if (frame->backend_count > FRAME_BACKENDS_MAX)
		return WIRE_TOO_LARGE;
	if (r->bad)
		return WIRE_MALFORMED;
	frame->backends = span_of(r->at, 0);
	for (unsigned i = 0; i < frame->backend_count; i++) {
		unsigned len = read_u8(r);

		/* Nothing is called "". */
		if (len == 0 || read_bytes(r, len) == NULL)
			return WIRE_MALFORMED;
		frame->backends.len += 1 + len;
	}
	frame->text = read_span(r, read_u8(r));
	return WIRE_OK;
}

static int
decode_open(struct reader *r, struct frame *frame)
{
	read_id(r, &frame->id);
	frame->start_ns = read_u64(r);
	frame->deadline_ms = read_u32(r);
	frame->limit = read_u64(r);
	frame->backend = read_span(r, read_u8(r));
	frame->user = read_span(r, read_u16(r));
	return read_message(r, frame);
}

static int
decode_data(struct reader *r, struct frame *frame)
{
	read_id(r, &frame->id);
	frame->offset = read_u64(r);
	frame->content = read_rest(r);
	if (frame->content.len > FRAME_DATA_MAX)
		return WIRE_TOO_LARGE;
	/* No stream is that long: offsets of its bytes must not wrap round. */
	if (frame->offset > UINT64_MAX - frame->content.len)
		return WIRE_MALFORMED;
	return WIRE_OK;
}

static int
decode_payload(struct reader *r, struct frame *frame)
{
	int error = WIRE_OK;
	bool may_go_on = false;	/* later versions may append fields */

	switch (frame->type) {
	case FRAME_HELLO:
		may_go_on = true;
		error = decode_hello(r, frame);
		break;
	case FRAME_WELCOME:
		may_go_on = true;
		frame->version = read_u8(r);
		read_bytes(r, 3);
		frame->park_ms = read_u32(r);
		frame->lease_ms = read_u32(r);
		/* Not said at first. */
		if (r->left >= 4)
			frame->call_size = read_u32(r);
		break;
	case FRAME_REFUSED:
		frame->code = read_u16(r);
		frame->backend = read_span(r, read_u8(r));
		frame->text = read_rest(r);
		break;
	case FRAME_OPEN:
		error = decode_open(r, frame);
		break;
	case FRAME_HEAD:
		read_id(r, &frame->id);
		error = read_message(r, frame);
		break;
	case FRAME_DATA:
		error = decode_data(r, frame);
		break;
	case FRAME_WINDOW:
		read_id(r, &frame->id);
		frame->offset = read_u64(r);
		frame->limit = read_u64(r);
		break;
	case FRAME_RESET:
		read_id(r, &frame->id);
		frame->code = read_u16(r);
		frame->text = read_rest(r);
		break;
	case FRAME_ACCEPT:
	case FRAME_HANDED:
	case FRAME_FETCH:
		read_id(r, &frame->id);
		break;
	default:
		may_go_on = true;
		break;
	}
	if (error != WIRE_OK)
		return error;
	if (r->bad || (r->left > 0 && !may_go_on))
		return WIRE_MALFORMED;
	return WIRE_DONE;
}

int
frame_decode(struct span *in, struct frame *frame)
{
	const unsigned char *header = (const unsigned char *)in->data;
	struct reader r;
	size_t len;
	int status;

	if (in->len < FRAME_HEADER_LEN)
		return WIRE_MORE;
	len = get_u32(header);
	if (len > FRAME_PAYLOAD_MAX)
		return WIRE_TOO_LARGE;
	if (header[6] != 0 || header[7] != 0)
		return WIRE_MALFORMED;
	if (in->len - FRAME_HEADER_LEN < len)
		return WIRE_MORE;

	*frame = (struct frame){ .type = header[4], .flags = header[5] };
	r = (struct reader){ header + FRAME_HEADER_LEN, len, false };
	status = decode_payload(&r, frame);
	if (status != WIRE_DONE)
		return status;
	in->data += FRAME_HEADER_LEN + len;
	in->len -= FRAME_HEADER_LEN + len;
	return WIRE_DONE;
}

size_t
frame_payload_len(struct span in)
{
	return in.len < FRAME_HEADER_LEN ? 0 :
	    get_u32((const unsigned char *)in.data);
}

/*
 * Writing, into room that is known to be there.
 */

static unsigned char *
put_u8(unsigned char *p, unsigned value)
{
	*p = (unsigned char)value;
	return p + 1;
}

static unsigned char *
put_u16(unsigned char *p, unsigned value)
{
	return put_u8(put_u8(p, value >> 8), value);
}

static unsigned char *
put_u32(unsigned char *p, uint32_t value)
{
	p[0] = (unsigned char)(value >> 24);
	p[1] = (unsigned char)(value >> 16);
	p[2] = (unsigned char)(value >> 8);
	p[3] = (unsigned char)value;
	return p + 4;
}

static unsigned char *
put_u64(unsigned char *p, uint64_t value)
{
	return put_u32(put_u32(p, (uint32_t)(value >> 32)), (uint32_t)value);
}

static unsigned char *
put_bytes(unsigned char *p, const void *data, size_t len)
{
	if (len > 0)
		memcpy(p, data, len);
	return p + len;
}

static unsigned char *
put_span(unsigned char *p, struct span s)
{
	return put_bytes(p, s.data, s.len);
}

static unsigned char *
put_id(unsigned char *p, const struct exchange_id *id)
{
	return put_bytes(p, id->byte, EXCHANGE_ID_LEN);
}

/* Does the list hold as many well-formed names as it says? */
static bool
backends_are_whole(const struct frame *frame)
{
	struct span rest = frame->backends;
	struct span backend;
	unsigned count = 0;

	while (frame_next_backend(&rest, &backend))
		count++;
	return rest.len == 0 && count == frame->backend_count;
}

/* The length of the payload, once every part is known to be in its limits.
 * Each part is bounded before it is added, so the sum can't wrap round. */
static int
payload_len(const struct frame *frame, size_t *len)
{
	if (frame->backend.len > U8_MAX || frame->user.len > U16_MAX ||
	    frame->head.len > FRAME_HEAD_MAX ||
	    frame->content.len > FRAME_DATA_MAX ||
	    frame->text.len > FRAME_PAYLOAD_MAX ||
	    frame->backends.len > FRAME_PAYLOAD_MAX ||
	    frame->flags > U8_MAX)
		return WIRE_TOO_LARGE;

	switch (frame->type) {
	case FRAME_HELLO:
		if (frame->backend_count > FRAME_BACKENDS_MAX ||
		    frame->text.len > U8_MAX || frame->version > U8_MAX ||
		    frame->capacity > U16_MAX)
			return WIRE_TOO_LARGE;
		if (!backends_are_whole(frame))
			return WIRE_MALFORMED;
		*len = 1 + 1 + 2 + AGENT_INSTANCE_LEN + 4 + 2 +
		    frame->backends.len + 1 + frame->text.len;
		break;
	case FRAME_WELCOME:
		if (frame->version > U8_MAX)
			return WIRE_TOO_LARGE;
		*len = WELCOME_LEN;
		break;
	case FRAME_REFUSED:
		if (frame->code > U16_MAX)
			return WIRE_TOO_LARGE;
		*len = 2 + 1 + frame->backend.len + frame->text.len;
		break;
	case FRAME_OPEN:
		*len = EXCHANGE_ID_LEN + 8 + 4 + 8 + 1 + frame->backend.len +
		    2 + frame->user.len + 4 + frame->head.len +
		    frame->content.len;
		break;
	case FRAME_HEAD:
		*len = EXCHANGE_ID_LEN + 4 + frame->head.len +
		    frame->content.len;
		break;
	case FRAME_DATA:
		if (frame->offset > UINT64_MAX - frame->content.len)
			return WIRE_TOO_LARGE;
		*len = EXCHANGE_ID_LEN + 8 + frame->content.len;
		break;
	case FRAME_WINDOW:
		*len = WINDOW_LEN;
		break;
	case FRAME_RESET:
		if (frame->code > U16_MAX)
			return WIRE_TOO_LARGE;
		*len = EXCHANGE_ID_LEN + 2 + frame->text.len;
		break;
	case FRAME_ACCEPT:
	case FRAME_HANDED:
	case FRAME_FETCH:
		*len = EXCHANGE_ID_LEN;
		break;
	default:
		return WIRE_UNSUPPORTED;
	}
	return *len > FRAME_PAYLOAD_MAX ? WIRE_TOO_LARGE : WIRE_OK;
}

static unsigned char *
put_message(unsigned char *p, const struct frame *frame)
{
	p = put_u32(p, (uint32_t)frame->head.len);
	p = put_span(p, frame->head);
	return put_span(p, frame->content);
}

static unsigned char *
put_hello(unsigned char *p, const struct frame *frame)
{
	p = put_u8(p, frame->version);
	p = put_u8(p, 0);
	p = put_u16(p, frame->capacity);
	p = put_bytes(p, frame->instance, AGENT_INSTANCE_LEN);
	p = put_u32(p, frame->in_flight);
	p = put_u16(p, frame->backend_count);
	p = put_span(p, frame->backends);
	p = put_u8(p, (unsigned)frame->text.len);
	return put_span(p, frame->text);
}

static unsigned char *
put_open(unsigned char *p, const struct frame *frame)
{
	p = put_id(p, &frame->id);
	p = put_u64(p, frame->start_ns);
	p = put_u32(p, frame->deadline_ms);
	p = put_u64(p, frame->limit);
	p = put_u8(p, (unsigned)frame->backend.len);
	p = put_span(p, frame->backend);
	p = put_u16(p, (unsigned)frame->user.len);
	p = put_span(p, frame->user);
	return put_message(p, frame);
}

static void
put_payload(unsigned char *p, const struct frame *frame)
{
	switch (frame->type) {
	case FRAME_HELLO:
		put_hello(p, frame);
		break;
	case FRAME_WELCOME:
		p = put_u8(p, frame->version);
		p = put_u8(p, 0);
		p = put_u16(p, 0);
		p = put_u32(p, frame->park_ms);
		p = put_u32(p, frame->lease_ms);
		put_u32(p, frame->call_size);
		break;
	case FRAME_REFUSED:
		p = put_u16(p, frame->code);
		p = put_u8(p, (unsigned)frame->backend.len);
		p = put_span(p, frame->backend);
		put_span(p, frame->text);
		break;
	case FRAME_OPEN:
		put_open(p, frame);
		break;
	case FRAME_HEAD:
		put_message(put_id(p, &frame->id), frame);
		break;
	case FRAME_DATA:
		p = put_u64(put_id(p, &frame->id), frame->offset);
		put_span(p, frame->content);
		break;
	case FRAME_WINDOW:
		p = put_u64(put_id(p, &frame->id), frame->offset);
		put_u64(p, frame->limit);
		break;
	case FRAME_RESET:
		p = put_u16(put_id(p, &frame->id), frame->code);
		put_span(p, frame->text);
		break;
	default:	/* ACCEPT, HANDED, FETCH */
		put_id(p, &frame->id);
		break;
	}
}

int
frame_encode(struct buf *out, const struct frame *frame)
{
	unsigned char *p;
	size_t len;
	int error = payload_len(frame, &len);

	if (error != WIRE_OK)
		return error;
	p = (unsigned char *)buf_reserve(out, FRAME_HEADER_LEN + len);
	if (p == NULL)
		return FRAME_HEADER_LEN + len > out->max - out->len ?
		    WIRE_TOO_LARGE : WIRE_NO_MEMORY;
	p = put_u32(p, (uint32_t)len);
	p = put_u8(p, frame->type);
	p = put_u8(p, frame->flags);
	p = put_u16(p, 0);
	put_payload(p, frame);
	buf_commit(out, FRAME_HEADER_LEN + len);
	return WIRE_OK;
}

bool
frame_next_backend(struct span *rest, struct span *backend)
{
	size_t len;

	if (rest->len == 0)
		return false;
	len = (unsigned char)rest->data[0];
	if (len == 0 || len > rest->len - 1)
		return false;
	*backend = span_of(rest->data + 1, len);
	rest->data += 1 + len;
	rest->len -= 1 + len;
	return true;
}

int
frame_append_backend(struct buf *list, struct span backend)
{
	size_t before = buf_len(list);
	int error;

	if (backend.len == 0)
		return WIRE_MALFORMED;
	if (backend.len > U8_MAX)
		return WIRE_TOO_LARGE;
	error = buf_append_u8(list, (unsigned)backend.len);
	if (error == WIRE_OK)
		error = buf_append_span(list, backend);
	if (error != WIRE_OK)
		buf_truncate(list, before);
	return error;
}

const char *
frame_reset_name(unsigned code)
{
	switch (code) {
	case FRAME_RESET_CANCELLED:
		return "cancelled";
	case FRAME_RESET_UNKNOWN:
		return "unknown";
	case FRAME_RESET_UNREACHABLE:
		return "unreachable";
	case FRAME_RESET_BROKEN:
		return "broken";
	case FRAME_RESET_TIMEOUT:
		return "timeout";
	case FRAME_RESET_NOT_STARTED:
		return "not started";
	case FRAME_RESET_REFUSED:
		return "refused";
	case FRAME_RESET_DEADLINE:
		return "deadline";
	default:
		return "another reason";
	}
}
