/* http1_body.c - where an HTTP/1.1 message body ends (RFC 9112 sections 6
 * and 7), and the chunked coding the other way.
 * Pure: content is given out as views into the input, nothing is copied. */
#include "config.h"

#include <assert.h>
#include <limits.h>
#include <string.h>

#include "common/field.h"
#include "common/hex.h"
#include "common/http1_body.h"

enum {
	CHUNK_LINE_MAX = 256,		/* size and extensions */
	TRAILER_MAX = 16 * 1024,	/* they are dropped, so: enough */
};

/*
 * The states are named for what they wait for.
 *
 *	SIZE -> SIZE_MORE -> [BEFORE_EXTENSION] -> [EXTENSION] -> SIZE_LF
 *	SIZE_LF -> DATA -> DATA_CR -> DATA_LF -> SIZE
 *	SIZE_LF, size 0 -> TRAILER -> TRAILER_NAME -> TRAILER_VALUE ->
 *	    TRAILER_LF -> TRAILER
 *	TRAILER -> LAST_LF -> END
 */
enum state {
	STATE_CONTENT,		/* not chunked: content */
	STATE_SIZE,
	STATE_SIZE_MORE,
	STATE_BEFORE_EXTENSION,
	STATE_EXTENSION,
	STATE_SIZE_LF,
	STATE_DATA,
	STATE_DATA_CR,
	STATE_DATA_LF,
	STATE_TRAILER,		/* a trailer field line or the empty line */
	STATE_TRAILER_NAME,
	STATE_TRAILER_VALUE,
	STATE_TRAILER_LF,
	STATE_LAST_LF,
	STATE_END,
};

void
http1_body_init(struct http1_body *body, struct http1_framing framing)
{
	*body = (struct http1_body){ .framing = framing };

	switch (framing.kind) {
	case HTTP1_FRAMING_NONE:
		body->state = STATE_END;
		break;
	case HTTP1_FRAMING_LENGTH:
		body->left = framing.length;
		body->state = framing.length > 0 ? STATE_CONTENT : STATE_END;
		break;
	case HTTP1_FRAMING_CHUNKED:
		body->state = STATE_SIZE;
		break;
	case HTTP1_FRAMING_UNTIL_CLOSE:
		body->left = ULLONG_MAX;
		body->state = STATE_CONTENT;
		break;
	}
}

/* Takes up to body->left bytes of content off *in. */
static void
take_content(struct http1_body *body, struct span *in, struct span *content)
{
	size_t len = in->len;

	if (len > body->left)
		len = (size_t)body->left;
	*content = span_of(in->data, len);
	in->data += len;
	in->len -= len;
	body->content_len += len;
	if (body->framing.kind != HTTP1_FRAMING_UNTIL_CLOSE)
		body->left -= len;
}

static int
add_size_digit(struct http1_body *body, unsigned char c)
{
	int digit = hex_digit(c);

	if (digit < 0)
		return WIRE_MALFORMED;
	if (body->left > ULLONG_MAX >> 4)
		return WIRE_TOO_LARGE;
	body->left = body->left << 4 | (unsigned)digit;
	body->state = STATE_SIZE_MORE;
	return WIRE_OK;
}

static bool
is_text(unsigned char c)
{
	return c == '\t' || (c >= 0x20 && c != 0x7f);
}

static bool
is_ows(unsigned char c)
{
	return c == ' ' || c == '\t';
}

static int
go_on(struct http1_body *body, bool good, enum state next)
{
	if (!good)
		return WIRE_MALFORMED;
	body->state = (int)next;
	return WIRE_OK;
}

/* One byte of a chunk line or of a CRLF. */
static int
take_line_byte(struct http1_body *body, unsigned char c)
{
	switch ((enum state)body->state) {
	case STATE_SIZE:
		body->line_len = 1;
		body->left = 0;
		return add_size_digit(body, c);
	case STATE_SIZE_MORE:
		if (c == ';')
			return go_on(body, true, STATE_EXTENSION);
		if (is_ows(c))
			return go_on(body, true, STATE_BEFORE_EXTENSION);
		if (c == '\r')
			return go_on(body, true, STATE_SIZE_LF);
		return add_size_digit(body, c);
	case STATE_BEFORE_EXTENSION:
		/* RFC 9112 7.1.1: white space only before the semicolon */
		if (is_ows(c))
			return WIRE_OK;
		return go_on(body, c == ';', STATE_EXTENSION);
	case STATE_EXTENSION:
		if (is_text(c))
			return WIRE_OK;
		return go_on(body, c == '\r', STATE_SIZE_LF);
	case STATE_SIZE_LF:
		body->line_len = 0;
		return go_on(body, c == '\n',
		    body->left > 0 ? STATE_DATA : STATE_TRAILER);
	case STATE_DATA_CR:
		return go_on(body, c == '\r', STATE_DATA_LF);
	case STATE_DATA_LF:
		return go_on(body, c == '\n', STATE_SIZE);
	case STATE_TRAILER:
		if (c == '\r')
			return go_on(body, true, STATE_LAST_LF);
		return go_on(body, field_name_is_valid(span_of(&c, 1)),
		    STATE_TRAILER_NAME);
	case STATE_TRAILER_NAME:
		if (c == ':')
			return go_on(body, true, STATE_TRAILER_VALUE);
		return go_on(body, field_name_is_valid(span_of(&c, 1)),
		    STATE_TRAILER_NAME);
	case STATE_TRAILER_VALUE:
		if (is_text(c))
			return WIRE_OK;
		return go_on(body, c == '\r', STATE_TRAILER_LF);
	case STATE_TRAILER_LF:
		return go_on(body, c == '\n', STATE_TRAILER);
	case STATE_LAST_LF:
		return go_on(body, c == '\n', STATE_END);
	case STATE_CONTENT:
	case STATE_DATA:
	case STATE_END:
		break;		/* these are not lines */
	}
	assert(false);
	return WIRE_MALFORMED;
}

static int
check_line_len(struct http1_body *body)
{
	bool is_trailer = body->state >= STATE_TRAILER;

	body->line_len++;
	if (body->line_len > (is_trailer ? TRAILER_MAX : CHUNK_LINE_MAX))
		return WIRE_TOO_LARGE;
	return WIRE_OK;
}

static int
decode_chunked(struct http1_body *body, struct span *in, struct span *content)
{
	while (in->len > 0) {
		int r;

		if (body->state == STATE_DATA) {
			take_content(body, in, content);
			if (body->left == 0)
				body->state = STATE_DATA_CR;
			return WIRE_MORE;
		}
		r = check_line_len(body);
		if (r == WIRE_OK)
			r = take_line_byte(body, (unsigned char)*in->data);
		if (r != WIRE_OK)
			return r;
		in->data++;
		in->len--;
		if (body->state == STATE_END)
			return WIRE_DONE;
	}
	return WIRE_MORE;
}

int
http1_body_decode(struct http1_body *body, struct span *in,
    struct span *content)
{
	int r;

	*content = span_of(in->data, 0);
	if (body->error != 0)
		return body->error;
	if (body->state == STATE_END)
		return WIRE_DONE;
	if (body->state == STATE_CONTENT) {
		take_content(body, in, content);
		if (body->left > 0)
			return WIRE_MORE;
		body->state = STATE_END;
		return WIRE_DONE;
	}
	r = decode_chunked(body, in, content);
	if (r < 0)
		body->error = r;
	return r;
}

int
http1_body_end(struct http1_body *body)
{
	if (body->error != 0)
		return body->error;
	if (body->framing.kind == HTTP1_FRAMING_UNTIL_CLOSE)
		body->state = STATE_END;
	if (body->state != STATE_END) {
		body->error = WIRE_TRUNCATED;
		return WIRE_TRUNCATED;
	}
	return WIRE_DONE;
}

int
http1_chunk_encode(struct buf *out, struct span content)
{
	char digits[2 * sizeof(content.len)];
	size_t at = sizeof(digits), len = content.len, line;
	char *p;

	if (content.len == 0)	/* it would be the last chunk */
		return WIRE_OK;
	for (; len > 0; len >>= 4)
		digits[--at] = "0123456789abcdef"[len & 15];
	line = sizeof(digits) - at;

	if (content.len > out->max - buf_len(out) ||
	    line + 4 > out->max - buf_len(out) - content.len)
		return WIRE_TOO_LARGE;
	p = buf_reserve(out, line + content.len + 4);
	if (p == NULL)
		return WIRE_NO_MEMORY;
	memcpy(p, digits + at, line);
	memcpy(p + line, "\r\n", 2);
	memcpy(p + line + 2, content.data, content.len);
	memcpy(p + line + 2 + content.len, "\r\n", 2);
	buf_commit(out, line + content.len + 4);
	return WIRE_OK;
}

int
http1_chunk_encode_last(struct buf *out)
{
	return buf_append_str(out, "0\r\n\r\n");
}
