/* fuzz_fastcgi.c - any bytes from a web server: what record.c lets through,
 * libfcgi decodes to the same content without asking for more. */
#include "config.h"

#include <stdlib.h>
#include <string.h>

#include "fcgi/responder_private.h"
#include "tests/fuzz/fuzz.h"

enum { IN_MAX = 1 << 20 };

/* Follows the records; their content goes to *wanted. */
static int
scan(struct conn *c, struct buf *wanted)
{
	struct record record;
	for (;;) {
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
}

static void
decode(struct conn *c, struct buf *wanted)
{
	char got[1000];
	struct fastcgi *f = fastcgi_accept(c);
	must(f != NULL);
	for (char *const *p = fastcgi_params(f); *p != NULL; p++)
		must(strchr(*p, '=') != NULL);
	for (size_t n = 1; buf_len(wanted) > 0; n = n * 3 % 1000) {
		if (n > buf_len(wanted))
			n = buf_len(wanted);
		must(fastcgi_read(f, c, got, n));
		must(memcmp(got, buf_data(wanted), n) == 0);
		buf_drain(wanted, n);
	}
	fastcgi_content_ended(f);
	fastcgi_write(f, c, "hello", 5);
	fastcgi_finish(f, c);
	must(buf_len(&c->out) > 5);
	fastcgi_free(f);
	buf_drain(&c->in, c->scanned);
	c->scanned = 0;
	buf_clear(&c->out);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static bool started;
	struct conn c = { .fd = -1 };
	struct buf wanted;
	int result;

	if (!started)
		fastcgi_start();
	started = true;
	if (size > IN_MAX)
		return 0;
	buf_init(&c.in, IN_MAX);
	buf_init(&c.out, IN_MAX);
	buf_init(&wanted, IN_MAX);
	must(buf_append(&c.in, data, size) == WIRE_OK);
	do {
		record_scan_init(&c.scan);
		result = scan(&c, &wanted);
		if (c.scan.state < RECORD_SCAN_WAITS_FOR_STDIN)
			break;
		decode(&c, &wanted);
	} while (result == WIRE_MORE && c.scan.state == RECORD_SCAN_OVER);
	buf_clear(&wanted);
	buf_clear(&c.in);
	return 0;
}
