/* test_buf.c - the bounded byte buffer. */
#include "config.h"

#include <criterion/criterion.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "common/buf.h"

static void
assert_holds(const struct buf *b, const char *wanted)
{
	cr_assert(span_is(buf_span(b), span_str(wanted)), "holds \"%.*s\"",
	    (int)buf_len(b), buf_data(b));
}

Test(buf, is_empty_at_first_and_allocates_nothing)
{
	struct buf b;

	buf_init(&b, 10);
	cr_assert_eq(buf_len(&b), 0);
	cr_assert_not_null(buf_data(&b));
	cr_assert_null(b.data);
	cr_assert_eq(buf_append(&b, NULL, 0), WIRE_OK);
	cr_assert_eq(buf_append_span(&b, span_of(NULL, 0)), WIRE_OK);
	cr_assert_null(b.data);
	buf_drain(&b, 0);
	buf_truncate(&b, 0);
	buf_clear(&b);
	buf_clear(&b);
}

Test(buf, appends_behind_and_drains_in_front)
{
	struct buf b;

	buf_init(&b, 100);
	cr_assert_eq(buf_append_str(&b, "hello "), WIRE_OK);
	cr_assert_eq(buf_append(&b, "world", 5), WIRE_OK);
	assert_holds(&b, "hello world");
	buf_drain(&b, 6);
	assert_holds(&b, "world");
	cr_assert_eq(buf_append_str(&b, "!"), WIRE_OK);
	assert_holds(&b, "world!");
	buf_truncate(&b, 2);
	assert_holds(&b, "wo");
	buf_drain(&b, 2);
	assert_holds(&b, "");
	buf_clear(&b);
}

Test(buf, takes_exactly_its_ceiling_and_is_unchanged_when_refusing)
{
	struct buf b;

	buf_init(&b, 4);
	cr_assert_eq(buf_append_str(&b, "abcde"), WIRE_TOO_LARGE);
	cr_assert_eq(buf_append_str(&b, "abc"), WIRE_OK);
	cr_assert_eq(buf_append_str(&b, "de"), WIRE_TOO_LARGE);
	cr_assert_eq(buf_printf(&b, "%d", 12), WIRE_TOO_LARGE);
	cr_assert_eq(buf_append_u16(&b, 1), WIRE_TOO_LARGE);
	cr_assert_null(buf_reserve(&b, 2));
	cr_assert_eq(buf_append(&b, "x", SIZE_MAX), WIRE_TOO_LARGE);
	assert_holds(&b, "abc");
	cr_assert_eq(buf_append_str(&b, "d"), WIRE_OK);
	assert_holds(&b, "abcd");
	/* drained bytes do not count */
	buf_drain(&b, 3);
	cr_assert_eq(buf_append_str(&b, "efg"), WIRE_OK);
	assert_holds(&b, "defg");
	buf_clear(&b);
	cr_assert_eq(b.max, 4);
}

Test(buf, without_a_ceiling_still_refuses_what_overflows)
{
	struct buf b;

	buf_init(&b, SIZE_MAX);
	cr_assert_eq(buf_append_str(&b, "abc"), WIRE_OK);
	cr_assert_null(buf_reserve(&b, SIZE_MAX));
	assert_holds(&b, "abc");
	buf_clear(&b);
}

Test(buf, prints_short_and_long_texts)
{
	char wanted[1025];
	struct buf b;

	memset(wanted, 'x', 1024);
	wanted[1024] = '\0';
	/* the NUL of vsnprintf has no place in the ceiling */
	buf_init(&b, 1024);
	cr_assert_eq(buf_printf(&b, "%s", wanted), WIRE_OK);
	cr_assert_eq(buf_len(&b), 1024);
	buf_clear(&b);

	buf_init(&b, 1026);
	cr_assert_eq(buf_printf(&b, "%d:", 7), WIRE_OK);
	cr_assert_eq(buf_printf(&b, "%s", wanted), WIRE_OK);
	cr_assert_eq(buf_len(&b), 1026);
	cr_assert_eq(memcmp(buf_data(&b), "7:xx", 4), 0);
	cr_assert_eq(buf_printf(&b, "%s", wanted), WIRE_TOO_LARGE);
	cr_assert_eq(buf_printf(&b, "%s", ""), WIRE_OK);
	cr_assert_eq(buf_len(&b), 1026);
	buf_clear(&b);
}

Test(buf, writes_integers_big_endian)
{
	static const char wanted[] = "\x01" "\x02\x03" "\x04\x05\x06\x07"
	    "\x08\x09\x0a\x0b\x0c\x0d\x0e\x0f";
	struct buf b;

	buf_init(&b, 64);
	cr_assert_eq(buf_append_u8(&b, 0x01), WIRE_OK);
	cr_assert_eq(buf_append_u16(&b, 0x0203), WIRE_OK);
	cr_assert_eq(buf_append_u32(&b, 0x04050607), WIRE_OK);
	cr_assert_eq(buf_append_u64(&b, 0x08090a0b0c0d0e0fULL), WIRE_OK);
	assert_holds(&b, wanted);
	buf_clear(&b);
}

Test(buf, reserves_room_that_counts_once_it_is_committed)
{
	struct buf b;
	char *room;

	buf_init(&b, 1000);
	cr_assert_not_null(buf_reserve(&b, 0));
	room = buf_reserve(&b, 1000);
	cr_assert_not_null(room);
	memset(room, 'a', 1000);
	cr_assert_eq(buf_len(&b), 0);
	buf_commit(&b, 3);
	assert_holds(&b, "aaa");
	cr_assert_null(buf_reserve(&b, 998));
	cr_assert_not_null(buf_reserve(&b, 997));
	buf_clear(&b);
}

Test(buf, gives_its_memory_away)
{
	struct buf b;
	char *data;

	buf_init(&b, 100);
	cr_assert_eq(buf_take(&b, &data), 0);
	cr_assert_null(data);
	cr_assert_eq(buf_append_str(&b, "..abc"), WIRE_OK);
	buf_drain(&b, 2);
	cr_assert_eq(buf_take(&b, &data), 3);
	cr_assert_eq(memcmp(data, "abc", 3), 0);
	free(data);
	cr_assert_eq(buf_len(&b), 0);
	cr_assert_null(b.data);
	cr_assert_eq(buf_append_str(&b, "again"), WIRE_OK);
	assert_holds(&b, "again");
	buf_clear(&b);
}

Test(buf, keeps_little_memory_when_emptied_and_gives_much_back)
{
	struct buf b;

	buf_init(&b, 1 << 20);
	cr_assert_not_null(buf_reserve(&b, 1000));
	buf_commit(&b, 1000);
	buf_drain(&b, 1000);
	cr_assert_not_null(b.data);
	cr_assert_not_null(buf_reserve(&b, 100000));
	buf_commit(&b, 100000);
	buf_drain(&b, 99999);
	cr_assert_not_null(b.data);
	buf_drain(&b, 1);
	cr_assert_null(b.data);
	buf_clear(&b);
}

Test(buf, fits_its_content)
{
	struct buf b;

	buf_init(&b, 1 << 20);
	cr_assert_not_null(buf_reserve(&b, 100000));
	buf_commit(&b, 100000);
	buf_drain(&b, 99990);
	buf_truncate(&b, 0);
	cr_assert_eq(buf_append_str(&b, "0123456789"), WIRE_OK);
	buf_drain(&b, 3);
	buf_fit(&b);
	cr_assert_eq(b.cap, 7);
	assert_holds(&b, "3456789");
	cr_assert_eq(buf_append_str(&b, "ab"), WIRE_OK);
	assert_holds(&b, "3456789ab");
	buf_drain(&b, 9);
	buf_fit(&b);
	cr_assert_null(b.data);
	cr_assert_eq(buf_append_str(&b, "c"), WIRE_OK);
	assert_holds(&b, "c");
	buf_clear(&b);
}

Test(buf, uses_drained_space_again_rather_than_grow)
{
	struct buf b;
	size_t cap;

	buf_init(&b, 1 << 20);
	cr_assert_not_null(buf_reserve(&b, 4096));
	buf_commit(&b, 4096);
	cap = b.cap;
	for (int i = 0; i < 100000; i++) {
		buf_drain(&b, 2048);
		cr_assert_not_null(buf_reserve(&b, 2048));
		buf_commit(&b, 2048);
	}
	cr_assert_leq(b.cap, 2 * cap);
	buf_clear(&b);
}

/* A queue that is nearly full all the time must not be moved for every few
 * bytes that come and go: once per MAX/2 of them. */
Test(buf, is_seldom_moved_when_nearly_full)
{
	enum { MAX = 64 * 1024, ROUNDS = 100000, STEP = 8 };
	unsigned moves = 0;
	struct buf b;

	buf_init(&b, MAX);
	cr_assert_not_null(buf_reserve(&b, MAX - STEP));
	buf_commit(&b, MAX - STEP);
	for (int i = 0; i < ROUNDS; i++) {
		size_t off = b.off;

		cr_assert_eq(buf_append(&b, "12345678", STEP), WIRE_OK);
		moves += b.off < off;
		buf_drain(&b, STEP);
	}
	cr_assert_leq(moves, ROUNDS * STEP / (MAX / 2) + 2);
	cr_assert_leq(b.cap, MAX + MAX / 2 + 1);
	cr_assert_eq(buf_len(&b), MAX - STEP);
	buf_clear(&b);
}

/* Random pieces in and out against a counter of what must come. */
Test(buf, keeps_bytes_in_order_whatever_the_sizes)
{
	unsigned char piece[700];
	size_t in = 0, out = 0;
	struct buf b;

	srand(7);
	buf_init(&b, 3000);
	for (int round = 0; round < 20000; round++) {
		size_t n = (size_t)rand() % sizeof(piece);

		for (size_t i = 0; i < n; i++)
			piece[i] = (unsigned char)((in + i) % 251);
		if (n > 3000 - buf_len(&b))
			cr_assert_eq(buf_append(&b, piece, n), WIRE_TOO_LARGE);
		else if (buf_append(&b, piece, n) == WIRE_OK)
			in += n;
		cr_assert_eq(buf_len(&b), in - out);

		n = (size_t)rand() % (buf_len(&b) + 1);
		for (size_t i = 0; i < n; i++)
			if ((unsigned char)buf_data(&b)[i] != (out + i) % 251)
				cr_assert(false, "at %zu", out + i);
		buf_drain(&b, n);
		out += n;
	}
	buf_clear(&b);
}
