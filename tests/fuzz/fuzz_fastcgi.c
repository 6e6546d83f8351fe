/* fuzz_fastcgi.c - any bytes from a web server: what record.c takes for a head
 * libfcgi decodes without asking for more, and the content read from the
 * records is what was seen in them. */
#include "config.h"

#include <stdlib.h>
#include <string.h>

#include "fcgi/responder_private.h"
#include "tests/fuzz/fuzz.h"

enum { IN_MAX = 1 << 20 };

/* Follows the records, to the end of the head and then beyond it; their
 * content goes to *wanted. */
static int
scan(struct conn *c, struct buf *wanted)
{
	struct record record;
	while (c->has_head || c->scan.state < RECORD_SCAN_WAITS_FOR_STDIN) {
		struct span in = buf_span(&c->in);
		in = span_of(in.data + c->scanned, in.len - c->scanned);
		int result = record_scan_next(&c->scan, in, &record);
		if (result != WIRE_DONE)
			return result;
		must(record.len <= in.len);
		if (record.kind == RECORD_ABORT)
			return WIRE_MORE;
		if (record.kind == RECORD_STALE) {
			must(c->scanned == 0);
			buf_drain(&c->in, record.len);
			continue;
		}
		c->scanned += record.len;
		if (record.kind == RECORD_STDIN)
			must(buf_append(wanted, in.data + 8,
			    record.content_len) == WIRE_OK);
	}
	return WIRE_DONE;
}

static void
decode_head(struct conn *c)
{
	struct fastcgi *f = fastcgi_accept(c);
	must(f != NULL && c->scanned == 0);
	for (char *const *p = fastcgi_params(f); *p != NULL; p++)
		must(strchr(*p, '=') != NULL);
	fastcgi_free(f);
	c->has_head = true;
}

static void
read_content(struct conn *c, struct buf *wanted)
{
	char got[1000];
	struct record_reader reader = { 0 };
	for (size_t n = 1; buf_len(wanted) > 0; n = n * 3 % 1000) {
		if (n > buf_len(wanted))
			n = buf_len(wanted);
		c->scanned -= record_read(&reader, &c->in, got, n);
		must(memcmp(got, buf_data(wanted), n) == 0);
		buf_drain(wanted, n);
	}
	buf_drain(&c->in, c->scanned);
	c->scanned = 0;
	c->has_head = false;
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static bool started;
	struct conn c = { .fd = -1 };
	struct buf wanted;
	int result = WIRE_MORE;

	if (!started)
		fastcgi_start();
	started = true;
	if (size > IN_MAX)
		return 0;
	buf_init(&c.in, IN_MAX);
	buf_init(&wanted, IN_MAX);
	must(buf_append(&c.in, data, size) == WIRE_OK);
	do {
		record_scan_init(&c.scan);
		if (scan(&c, &wanted) != WIRE_DONE)
			break;
		decode_head(&c);
		result = scan(&c, &wanted);
		read_content(&c, &wanted);
	} while (result == WIRE_MORE && c.scan.state == RECORD_SCAN_OVER);
	buf_clear(&wanted);
	buf_clear(&c.in);
	return 0;
}
