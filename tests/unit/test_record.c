/* test_record.c - lengths and order of FastCGI records. */
#include "config.h"

#include <criterion/criterion.h>
#include <stdlib.h>
#include <string.h>

#include "fcgi/record.h"

#define BEGIN "\1\1\0\1\0\10\0\0" "\0\1\1\0\0\0\0\0"
#define BEGIN_2 "\1\1\0\2\0\10\0\0" "\0\1\0\0\0\0\0\0"
#define PARAMS "\1\4\0\1\0\4\0\0" "\1\1AB"
#define PARAMS_END "\1\4\0\1\0\0\0\0"
#define STDIN_3 "\1\5\0\1\0\3\5\0" "abcXXXXX"
#define STDIN_END "\1\5\0\1\0\0\0\0"
#define HEAD BEGIN PARAMS PARAMS_END
#define WHOLE HEAD STDIN_3 STDIN_END
#define TEXT(s) { s, sizeof(s) - 1 }

/* Scans all of it, given `step` bytes more at a time; the last result, with
 * how many content bytes were seen and how much was scanned. */
static int
scan(struct record_scan *s, struct span all, size_t step, size_t *content,
    size_t *scanned)
{
	int result = WIRE_MORE;

	*content = *scanned = 0;
	for (size_t have = step < all.len ? step : all.len;;) {
		struct record record;
		/* Its own memory, so that a read beyond it is noticed. */
		size_t len = have - *scanned;
		char *copy = malloc(len + 1);
		memcpy(copy, all.data + *scanned, len);
		copy = realloc(copy, len > 0 ? len : 1);
		result = record_scan_next(s, span_of(copy, len), &record);
		free(copy);
		if (result < 0)
			return result;
		if (result == WIRE_DONE) {
			*scanned += record.len;
			if (record.kind == RECORD_STDIN)
				*content += record.content_len;
			if (record.kind == RECORD_ABORT)
				return 99;
		} else if (have == all.len) {
			return result;
		} else {
			have = have + step < all.len ? have + step : all.len;
		}
	}
}

Test(record, finds_a_whole_request_in_pieces_of_any_size)
{
	static const char bytes[] = WHOLE;
	for (size_t step = 1; step < sizeof(bytes); step++) {
		struct record_scan s;
		size_t content, scanned;
		record_scan_init(&s);
		cr_assert_eq(scan(&s, span_of(bytes, sizeof(bytes) - 1), step,
		    &content, &scanned), WIRE_MORE);
		cr_assert_eq(scanned, sizeof(bytes) - 1);
		cr_assert_eq(content, 3);
		cr_assert_eq(s.state, RECORD_SCAN_OVER);
		cr_assert(s.keeps_connection);
	}
}

Test(record, leaves_the_next_request_alone_until_init)
{
	static const char bytes[] = WHOLE BEGIN_2;
	struct record_scan s;
	struct record record;
	size_t content, scanned;
	record_scan_init(&s);
	cr_assert_eq(scan(&s, span_of(bytes, sizeof(bytes) - 1), 1000,
	    &content, &scanned), WIRE_MORE);
	cr_assert_eq(scanned, sizeof(WHOLE) - 1);
	record_scan_init(&s);
	cr_assert_eq(record_scan_next(&s, span_of(bytes + scanned, 16),
	    &record), WIRE_DONE);
	cr_assert_eq(record.kind, RECORD_BEGIN);
	cr_assert_eq(s.id, 2);
	cr_assert_not(s.keeps_connection);
}

Test(record, sees_an_abort_where_it_may_come)
{
	static const struct span aborts[] = {
		TEXT(BEGIN "\1\2\0\1\0\0\0\0"),
		TEXT(HEAD "\1\2\0\1\0\0\0\0"),
		TEXT(HEAD STDIN_3 "\1\2\0\1\0\0\0\0"),
		TEXT(WHOLE "\1\2\0\1\0\0\0\0"),
	};
	for (size_t i = 0; i < sizeof(aborts) / sizeof(aborts[0]); i++) {
		struct record_scan s;
		size_t content, scanned;
		record_scan_init(&s);
		cr_assert_eq(scan(&s, aborts[i], 1000, &content, &scanned), 99,
		    "number %zu", i);
	}
}

Test(record, skips_an_abort_that_comes_too_late)
{
	struct record_scan s;
	struct record record;
	record_scan_init(&s);
	cr_assert_eq(record_scan_next(&s, span_of("\1\2\0\1\0\0\0\0", 8),
	    &record), WIRE_DONE);
	cr_assert_eq(record.kind, RECORD_STALE);
	cr_assert_eq(s.state, RECORD_SCAN_WAITS_FOR_BEGIN);
}

Test(record, refuses_what_breaks_the_rules)
{
	static const struct {
		struct span bytes;
		int error;
	} bad[] = {
		{ TEXT("\2\1\0\1\0\10\0\0"), WIRE_UNSUPPORTED },
		{ TEXT("GET / HTTP/1.1\r\n"), WIRE_UNSUPPORTED },
		{ TEXT(PARAMS), WIRE_MALFORMED },
		{ TEXT(STDIN_END), WIRE_MALFORMED },
		{ TEXT("\1\11\0\0\0\0\0\0"), WIRE_UNSUPPORTED },
		{ TEXT(BEGIN "\1\11\0\0\0\0\0\0"), WIRE_UNSUPPORTED },
		{ TEXT("\1\1\0\1\0\7\0\0" "\0\1\1\0\0\0\0"), WIRE_MALFORMED },
		{ TEXT("\1\1\0\1\0\10\0\0" "\0\2\1\0\0\0\0\0"),
		    WIRE_UNSUPPORTED },
		{ TEXT(BEGIN BEGIN), WIRE_MALFORMED },
		{ TEXT(BEGIN STDIN_3), WIRE_MALFORMED },
		{ TEXT(BEGIN BEGIN_2), WIRE_UNSUPPORTED },
		{ TEXT(HEAD PARAMS), WIRE_MALFORMED },
		{ TEXT(HEAD BEGIN_2), WIRE_UNSUPPORTED },
		{ TEXT(HEAD "\1\5\0\2\0\0\0\0"), WIRE_UNSUPPORTED },
		{ TEXT(WHOLE STDIN_3), WIRE_MALFORMED },
		{ TEXT(HEAD "\1\10\0\1\0\0\0\0"), WIRE_MALFORMED },
		/* padding that libfcgi does not skip */
		{ TEXT("\1\1\0\1\0\10\1\0" "\0\1\1\0\0\0\0\0" "P"),
		    WIRE_UNSUPPORTED },
		{ TEXT(BEGIN PARAMS "\1\4\0\1\0\0\1\0" "P"),
		    WIRE_UNSUPPORTED },
		/* params whose lengths lie */
		{ TEXT(BEGIN "\1\4\0\1\0\3\0\0" "\1\2A" PARAMS_END),
		    WIRE_MALFORMED },
		{ TEXT(BEGIN "\1\4\0\1\0\1\0\0" "\1" PARAMS_END),
		    WIRE_MALFORMED },
		{ TEXT(BEGIN "\1\4\0\1\0\10\0\0" "\377\377\377\377"
		    "\377\377\377\377"), WIRE_TOO_LARGE },
		{ TEXT(BEGIN "\1\4\0\1\0\10\0\0" "\377\377\377\376"
		    "\377\377\377\376"), WIRE_TOO_LARGE },
		{ TEXT(BEGIN "\1\4\0\1\0\5\0\0" "\0\200\4\0\1"),
		    WIRE_TOO_LARGE },
		{ TEXT(BEGIN "\1\4\0\1\0\4\0\0" "\1\1A\0"), WIRE_MALFORMED },
	};
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
		for (size_t step = 1; step <= 1000; step += 999) {
			struct record_scan s;
			struct record record;
			size_t content, scanned;
			record_scan_init(&s);
			cr_assert_eq(scan(&s, bad[i].bytes, step, &content,
			    &scanned), bad[i].error, "number %zu: %s", i,
			    s.problem);
			cr_assert_not_null(s.problem);
			cr_assert_eq(record_scan_next(&s,
			    span_of(BEGIN, 16), &record), bad[i].error);
		}
}

Test(record, bounds_the_params_of_a_request)
{
	struct record_scan s;
	struct record record;
	static char bytes[8 + 60000] = "\1\4\0\1\352\140\0\0";
	int result = WIRE_DONE;
	size_t total = 0;

	record_scan_init(&s);
	cr_assert_eq(record_scan_next(&s, span_of(BEGIN, 16), &record),
	    WIRE_DONE);
	/* Each is 30,000 pairs of two empty strings. */
	while (result == WIRE_DONE && total < 1000000) {
		result = record_scan_next(&s, span_of(bytes, sizeof(bytes)),
		    &record);
		if (result == WIRE_DONE)
			total += record.content_len;
	}
	cr_assert_eq(result, WIRE_TOO_LARGE);
	cr_assert_eq(total, 240000);
}

/* --- content --- */

Test(record, reads_content_across_records_in_pieces_of_any_size)
{
	static const char records[] = "\1\5\0\1\0\3\5\0" "abcXXXXX"
	    "\1\5\0\1\0\1\0\0" "d" "\1\5\0\1\0\4\1\0" "efghX";
	const char *wanted = "abcdefgh";

	for (size_t step = 1; step <= strlen(wanted); step++) {
		struct record_reader reader = { 0 };
		char got[16] = "";
		struct buf in;
		size_t taken = 0;

		buf_init(&in, 1000);
		cr_assert_eq(buf_append(&in, records, sizeof(records) - 1),
		    WIRE_OK);
		for (size_t at = 0; at < strlen(wanted); at += step) {
			size_t left = strlen(wanted) - at;

			taken += record_read(&reader, &in, got + at,
			    left < step ? left : step);
		}
		cr_assert_str_eq(got, wanted, "step %zu", step);
		/* The padding of the last one is not content. */
		cr_assert_eq(taken, sizeof(records) - 1 - 1);
		cr_assert_eq(buf_len(&in), 1);
		buf_clear(&in);
	}
}

static void
expect_records(struct buf *out, const char *wanted, size_t len)
{
	cr_assert_eq(buf_len(out), len);
	cr_assert_eq(memcmp(buf_data(out), wanted, len), 0);
	buf_drain(out, len);
}

Test(record, writes_what_comes_together_as_one_record)
{
	static const char together[] = "\1\6\1\2\0\5\0\0" "hello";
	static const char after[] = "\1\6\1\2\0\1\0\0" "!";
	static const char end[] = "\1\6\1\2\0\0\0\0" "\1\3\1\2\0\10\0\0"
	    "\0\0\0\0\0\0\0\0";
	struct record_writer writer = { 0 };
	struct buf out;

	buf_init(&out, 1000);
	cr_assert_eq(record_write(&writer, &out, 0x102, "hel", 3), WIRE_OK);
	cr_assert_eq(record_write(&writer, &out, 0x102, "lo", 2), WIRE_OK);
	record_seal(&writer);
	expect_records(&out, together, sizeof(together) - 1);
	cr_assert_eq(record_write(&writer, &out, 0x102, "!", 1), WIRE_OK);
	record_seal(&writer);
	expect_records(&out, after, sizeof(after) - 1);
	cr_assert_eq(record_write_end(&writer, &out, 0x102), WIRE_OK);
	expect_records(&out, end, sizeof(end) - 1);
	buf_clear(&out);
}

Test(record, splits_what_is_longer_than_a_record)
{
	static const size_t sizes[] = { 65534, 65535, 65536, 131070, 200000 };
	static char content[200000];

	for (size_t i = 0; i < sizeof(sizes) / sizeof(*sizes); i++) {
		struct record_writer writer = { 0 };
		size_t count = (1 + sizes[i] + 65534) / 65535;
		struct buf out;

		buf_init(&out, 400000);
		cr_assert_eq(record_write(&writer, &out, 1, "x", 1), WIRE_OK);
		cr_assert_eq(record_write(&writer, &out, 1, content,
		    sizes[i]), WIRE_OK);
		cr_assert_eq(buf_len(&out), count * 8 + 1 + sizes[i]);
		for (size_t left = 1 + sizes[i]; left > 0;) {
			const unsigned char *header =
			    (const unsigned char *)buf_data(&out);
			size_t n = left < 65535 ? left : 65535;

			cr_assert_eq((size_t)header[4] << 8 | header[5], n);
			buf_drain(&out, 8 + n);
			left -= n;
		}
		buf_clear(&out);
	}
}
