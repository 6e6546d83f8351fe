/* record.c - the records of a FastCGI connection: lengths, order, content.
 * Pure: memory the caller gives.  No sockets, no libfcgi, no log. */
#include "config.h"

#include <assert.h>
#include <string.h>

#include "fcgi/record.h"

enum { HEADER_LEN = 8, VERSION = 1, ROLE_RESPONDER = 1, KEEP_CONN = 1 };

/* FastCGI 1.0, section 8. */
enum { TYPE_BEGIN_REQUEST = 1, TYPE_ABORT_REQUEST = 2, TYPE_END_REQUEST = 3,
	TYPE_PARAMS = 4, TYPE_STDIN = 5, TYPE_STDOUT = 6 };

enum { CONTENT_MAX = 65535 };	/* of one record */

void
record_scan_init(struct record_scan *scan)
{
	*scan = (struct record_scan){ .state = RECORD_SCAN_WAITS_FOR_BEGIN };
}

static int
fail(struct record_scan *scan, int error, const char *problem)
{
	scan->problem = problem;
	scan->error = error;
	return error;
}

static int
scan_begin(struct record_scan *scan, const unsigned char *body, size_t len,
    unsigned id)
{
	if (len != 8)
		return fail(scan, WIRE_MALFORMED, "BEGIN_REQUEST of odd size");
	if ((body[0] << 8 | body[1]) != ROLE_RESPONDER)
		return fail(scan, WIRE_UNSUPPORTED, "role is not responder");
	scan->id = id;
	scan->keeps_connection = (body[2] & KEEP_CONN) != 0;
	scan->state = RECORD_SCAN_WAITS_FOR_PARAMS;
	return WIRE_DONE;
}

/* The bytes of a length in a name-value pair: 1, or 4 with the top bit set
 * (section 3.4). */
static size_t
length_size(unsigned char first)
{
	return first & 0x80 ? 4 : 1;
}

static size_t
length_value(const unsigned char *at)
{
	if (length_size(*at) == 1)
		return *at;
	return (size_t)(at[0] & 0x7f) << 24 | (size_t)at[1] << 16 |
	    (size_t)at[2] << 8 | at[3];
}

/* Adds one byte of a pair's two lengths; true when both are complete. */
static bool
pair_head_add(struct record_scan *scan, unsigned char byte)
{
	const unsigned char *head = scan->pair_head;
	scan->pair_head[scan->pair_head_len++] = byte;
	size_t name_size = length_size(head[0]);
	if (scan->pair_head_len <= name_size)
		return false;
	return scan->pair_head_len == name_size + length_size(head[name_size]);
}

/*
 * Follows the name-value pairs across records.  libfcgi allocates what their
 * lengths say, added up in an int, before it has looked for the bytes: a pair
 * that is longer than a head may be must not get there.
 */
static int
scan_pairs(struct record_scan *scan, const unsigned char *at, size_t len)
{
	const unsigned char *end = at + len;
	while (at < end) {
		if (scan->pair_left > 0) {
			size_t n = scan->pair_left;
			if (n > (size_t)(end - at))
				n = (size_t)(end - at);
			/* As a C string it would be another value. */
			if (memchr(at, '\0', n) != NULL)
				return fail(scan, WIRE_MALFORMED,
				    "NUL in a param");
			scan->pair_left -= n;
			at += n;
			continue;
		}
		if (!pair_head_add(scan, *at++))
			continue;
		const unsigned char *head = scan->pair_head;
		scan->pair_left = length_value(head) +
		    length_value(head + length_size(head[0]));
		scan->pair_head_len = 0;
		if (scan->pair_left > RECORD_PARAMS_MAX)
			return fail(scan, WIRE_TOO_LARGE,
			    "a param longer than the head may be");
	}
	return WIRE_DONE;
}

static int
scan_params(struct record_scan *scan, const unsigned char *content, size_t len)
{
	if (len == 0) {
		if (scan->pair_left > 0 || scan->pair_head_len > 0)
			return fail(scan, WIRE_MALFORMED,
			    "params end within a param");
		scan->state = RECORD_SCAN_WAITS_FOR_STDIN;
		return WIRE_DONE;
	}
	scan->params_len += len;
	if (scan->params_len > RECORD_PARAMS_MAX)
		return fail(scan, WIRE_TOO_LARGE, "params over 256 KiB");
	return scan_pairs(scan, content, len);
}

/* The record is all there: may it come now, and what does it bring? */
static int
scan_record(struct record_scan *scan, unsigned type, unsigned id,
    const unsigned char *content, struct record *record)
{
	if (type == TYPE_BEGIN_REQUEST &&
	    scan->state == RECORD_SCAN_WAITS_FOR_BEGIN) {
		record->kind = RECORD_BEGIN;
		return scan_begin(scan, content, record->content_len, id);
	}
	if (type == TYPE_ABORT_REQUEST &&
	    scan->state == RECORD_SCAN_WAITS_FOR_BEGIN) {
		/* It crossed our END_REQUEST on the way. */
		record->kind = RECORD_STALE;
		return WIRE_DONE;
	}
	if (scan->state == RECORD_SCAN_WAITS_FOR_BEGIN)
		return fail(scan, WIRE_MALFORMED, "no BEGIN_REQUEST");
	if (id != scan->id)
		return fail(scan, WIRE_UNSUPPORTED,
		    "a second request on a busy connection");
	if (type == TYPE_ABORT_REQUEST) {
		record->kind = RECORD_ABORT;
		return WIRE_DONE;
	}
	if (type == TYPE_PARAMS &&
	    scan->state == RECORD_SCAN_WAITS_FOR_PARAMS) {
		record->kind = RECORD_PARAMS;
		return scan_params(scan, content, record->content_len);
	}
	if (type == TYPE_STDIN &&
	    scan->state == RECORD_SCAN_WAITS_FOR_STDIN) {
		record->kind = RECORD_STDIN;
		if (record->content_len == 0)
			scan->state = RECORD_SCAN_OVER;
		return WIRE_DONE;
	}
	return fail(scan, WIRE_MALFORMED, "record out of order");
}

int
record_scan_next(struct record_scan *scan, struct span bytes,
    struct record *record)
{
	if (scan->error != 0)
		return scan->error;
	if (bytes.len < HEADER_LEN)
		return WIRE_MORE;
	const unsigned char *header = (const unsigned char *)bytes.data;
	unsigned type = header[1];
	unsigned id = (unsigned)header[2] << 8 | header[3];
	if (header[0] != VERSION)
		return fail(scan, WIRE_UNSUPPORTED, "version is not 1");
	/* No web server asks FCGI_GET_VALUES, and libfcgi overruns a buffer
	 * on its stack when a variable is asked for often enough. */
	if (id == 0)
		return fail(scan, WIRE_UNSUPPORTED, "management record");
	if (type == TYPE_BEGIN_REQUEST && scan->is_answered &&
	    scan->state == RECORD_SCAN_WAITS_FOR_STDIN)
		scan->state = RECORD_SCAN_OVER;
	if (type == TYPE_BEGIN_REQUEST && scan->state == RECORD_SCAN_OVER)
		return WIRE_MORE;

	*record = (struct record){
		.content_len = (size_t)header[4] << 8 | header[5],
	};
	record->len = HEADER_LEN + record->content_len + header[6];
	if (bytes.len < record->len)
		return WIRE_MORE;
	/* libfcgi takes this padding for the next header.  No web server pads
	 * what is a multiple of 8 bytes already. */
	if (header[6] > 0 && (type == TYPE_BEGIN_REQUEST ||
	    (type == TYPE_PARAMS && record->content_len == 0)))
		return fail(scan, WIRE_UNSUPPORTED,
		    "padding of BEGIN_REQUEST or of empty PARAMS");
	return scan_record(scan, type, id, header + HEADER_LEN, record);
}

static size_t
next_record(struct record_reader *reader, struct buf *in)
{
	size_t skipped = reader->padding + HEADER_LEN;

	assert(buf_len(in) >= skipped);
	const unsigned char *header = (const unsigned char *)buf_data(in) +
	    reader->padding;

	assert(header[1] == TYPE_STDIN);
	reader->content = (size_t)header[4] << 8 | header[5];
	reader->padding = header[6];
	buf_drain(in, skipped);
	return skipped;
}

size_t
record_read(struct record_reader *reader, struct buf *in, void *into,
    size_t len)
{
	size_t taken = 0;
	char *at = into;

	while (len > 0) {
		while (reader->content == 0)
			taken += next_record(reader, in);
		size_t n = reader->content < len ? reader->content : len;

		assert(buf_len(in) >= n);
		memcpy(at, buf_data(in), n);
		buf_drain(in, n);
		reader->content -= n;
		taken += n;
		at += n;
		len -= n;
	}
	return taken;
}

static int
append_header(struct buf *out, unsigned type, unsigned id, size_t len)
{
	const unsigned char header[HEADER_LEN] = { VERSION, (unsigned char)type,
		(unsigned char)(id >> 8), (unsigned char)id,
		(unsigned char)(len >> 8), (unsigned char)len };

	return buf_append(out, header, sizeof(header));
}

/* Makes the open record, the last one in *out, longer. */
static int
extend(struct record_writer *writer, struct buf *out, const char *data,
    size_t len)
{
	char *header;
	int r;

	if ((r = buf_append(out, data, len)) != WIRE_OK)
		return r;
	writer->open += len;
	header = out->data + out->off + buf_len(out) - writer->open -
	    HEADER_LEN;
	header[4] = (char)(writer->open >> 8);
	header[5] = (char)writer->open;
	return WIRE_OK;
}

int
record_write(struct record_writer *writer, struct buf *out, unsigned id,
    const void *data, size_t len)
{
	const char *at = data;
	int r = WIRE_OK;

	while (r == WIRE_OK && len > 0) {
		size_t n = CONTENT_MAX - writer->open;

		if (n > len)
			n = len;
		if (writer->open == 0)
			r = append_header(out, TYPE_STDOUT, id, n);
		if (r == WIRE_OK)
			r = extend(writer, out, at, n);
		if (writer->open == CONTENT_MAX)
			record_seal(writer);
		at += n;
		len -= n;
	}
	return r;
}

void
record_seal(struct record_writer *writer)
{
	writer->open = 0;
}

int
record_write_end(struct record_writer *writer, struct buf *out, unsigned id)
{
	/* appStatus 0, protocolStatus FCGI_REQUEST_COMPLETE */
	static const char body[RECORD_END_LEN - HEADER_LEN];
	int r;

	record_seal(writer);
	if ((r = append_header(out, TYPE_STDOUT, id, 0)) != WIRE_OK ||
	    (r = append_header(out, TYPE_END_REQUEST, id, sizeof(body))) !=
	    WIRE_OK)
		return r;
	return buf_append(out, body, sizeof(body));
}
