/* test_stream.c - content under a window, through a channel that loses, doubles
 * and reorders. */
#include "config.h"

#include <criterion/criterion.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "common/stream.h"

/*
 * The sending side.
 */

static void
assert_next(struct stream_out *s, size_t max, uint64_t offset,
    const char *content, bool end)
{
	uint64_t got_offset;
	struct span got;
	bool got_end;

	cr_assert(stream_out_next(s, max, &got_offset, &got, &got_end));
	cr_assert_eq(got_offset, offset);
	cr_assert(span_is(got, span_str(content)), "got \"%.*s\"",
	    (int)got.len, got.data);
	cr_assert_eq(got_end, end);
}

static void
assert_nothing_to_send(struct stream_out *s)
{
	uint64_t offset;
	struct span content;
	bool end;

	cr_assert_not(stream_out_next(s, 100, &offset, &content, &end));
}

Test(stream_out, sends_in_pieces_up_to_the_limit)
{
	struct stream_out s;

	stream_out_init(&s, 100, 5);
	assert_nothing_to_send(&s);
	cr_assert_eq(stream_out_append(&s, span_str("abcdefgh")), WIRE_OK);
	assert_next(&s, 3, 0, "abc", false);
	assert_next(&s, 3, 3, "de", false);
	assert_nothing_to_send(&s);
	cr_assert_eq(stream_out_ready(&s), 0);
	cr_assert_eq(stream_out_ahead(&s), 3);
	cr_assert_eq(stream_out_window(&s, 2, 7, false), WIRE_OK);
	cr_assert_eq(stream_out_ready(&s), 2);
	cr_assert_eq(stream_out_ahead(&s), 1);
	cr_assert_eq(stream_out_room(&s), 100 - 6);
	assert_next(&s, 100, 5, "fg", false);
	assert_nothing_to_send(&s);
	cr_assert_eq(stream_out_window(&s, 7, 100, false), WIRE_OK);
	cr_assert_eq(stream_out_ahead(&s), 0);
	stream_out_end(&s);
	assert_next(&s, 100, 7, "h", true);
	cr_assert(stream_out_is_sent(&s));
	cr_assert_not(stream_out_is_confirmed(&s));
	cr_assert_eq(stream_out_window(&s, 8, 100, false), WIRE_OK);
	cr_assert(stream_out_is_confirmed(&s));
	assert_nothing_to_send(&s);
	stream_out_clear(&s);
}

Test(stream_out, sends_an_end_without_content_once_and_without_a_window)
{
	struct stream_out s;

	stream_out_init(&s, 100, 0);
	stream_out_end(&s);
	assert_next(&s, 100, 0, "", true);
	assert_nothing_to_send(&s);
	cr_assert(stream_out_is_sent(&s));
	cr_assert(stream_out_is_confirmed(&s));
	/* The receiver missed it. */
	cr_assert_eq(stream_out_window(&s, 0, 0, true), WIRE_OK);
	cr_assert_not(stream_out_is_sent(&s));
	assert_next(&s, 100, 0, "", true);
	stream_out_clear(&s);
}

Test(stream_out, does_not_say_the_end_before_the_window_lets_all_through)
{
	struct stream_out s;

	stream_out_init(&s, 100, 2);
	cr_assert_eq(stream_out_append(&s, span_str("abc")), WIRE_OK);
	stream_out_end(&s);
	assert_next(&s, 100, 0, "ab", false);
	assert_nothing_to_send(&s);
	cr_assert_not(stream_out_is_sent(&s));
	cr_assert_eq(stream_out_window(&s, 2, 3, false), WIRE_OK);
	assert_next(&s, 100, 2, "c", true);
	stream_out_clear(&s);
}

Test(stream_out, goes_back_for_a_resend)
{
	struct stream_out s;

	stream_out_init(&s, 100, 100);
	cr_assert_eq(stream_out_append(&s, span_str("abcdef")), WIRE_OK);
	stream_out_end(&s);
	assert_next(&s, 100, 0, "abcdef", true);
	cr_assert_eq(stream_out_window(&s, 2, 100, true), WIRE_OK);
	assert_next(&s, 2, 2, "cd", false);
	/* What had been sent before the resend arrives after all. */
	cr_assert_eq(stream_out_window(&s, 6, 100, false), WIRE_OK);
	assert_next(&s, 100, 6, "", true);
	stream_out_clear(&s);
}

Test(stream_out, ignores_a_window_that_a_later_one_has_overtaken)
{
	struct stream_out s;

	stream_out_init(&s, 100, 10);
	cr_assert_eq(stream_out_append(&s, span_str("abcdef")), WIRE_OK);
	assert_next(&s, 100, 0, "abcdef", false);
	cr_assert_eq(stream_out_window(&s, 4, 50, false), WIRE_OK);
	cr_assert_eq(stream_out_window(&s, 2, 20, true), WIRE_OK);
	cr_assert_eq(s.limit, 50);
	cr_assert_eq(s.base, 4);
	assert_nothing_to_send(&s);
	stream_out_clear(&s);
}

Test(stream_out, refuses_a_window_for_what_was_never_sent)
{
	struct stream_out s;

	stream_out_init(&s, 100, 3);
	cr_assert_eq(stream_out_append(&s, span_str("abcdef")), WIRE_OK);
	assert_next(&s, 100, 0, "abc", false);
	cr_assert_eq(stream_out_window(&s, 4, 100, false), WIRE_MALFORMED);
	cr_assert_eq(stream_out_window(&s, UINT64_MAX, UINT64_MAX, true),
	    WIRE_MALFORMED);
	assert_nothing_to_send(&s);
	stream_out_clear(&s);
}

Test(stream_out, keeps_no_more_than_its_ceiling)
{
	struct stream_out s;

	stream_out_init(&s, 4, 100);
	cr_assert_eq(stream_out_room(&s), 4);
	cr_assert_eq(stream_out_append(&s, span_str("abcde")),
	    WIRE_TOO_LARGE);
	cr_assert_eq(stream_out_append(&s, span_str("abcd")), WIRE_OK);
	cr_assert_eq(stream_out_room(&s), 0);
	assert_next(&s, 100, 0, "abcd", false);
	cr_assert_eq(stream_out_room(&s), 0);
	cr_assert_eq(stream_out_window(&s, 3, 100, false), WIRE_OK);
	cr_assert_eq(stream_out_room(&s), 3);
	stream_out_clear(&s);
}

/*
 * The receiving side.
 */

static int
take(struct stream_in *s, uint64_t offset, const char *content, bool end,
    struct buf *out)
{
	return stream_in_take(s, offset, span_str(content), end, out);
}

static void
assert_delivered(const struct buf *out, const char *wanted)
{
	cr_assert(span_is(buf_span(out), span_str(wanted)), "got \"%.*s\"",
	    (int)buf_len(out), buf_data(out));
}

Test(stream_in, puts_pieces_in_order)
{
	struct stream_in s;
	struct buf out;

	stream_in_init(&s, 100);
	buf_init(&out, 100);
	cr_assert_eq(take(&s, 2, "cd", false, &out), WIRE_OK);
	cr_assert(stream_in_has_gap(&s));
	cr_assert_eq(take(&s, 7, "h", true, &out), WIRE_OK);
	assert_delivered(&out, "");
	cr_assert_eq(take(&s, 0, "ab", false, &out), WIRE_OK);
	assert_delivered(&out, "abcd");
	cr_assert(stream_in_has_gap(&s));
	cr_assert_not(stream_in_is_complete(&s));
	cr_assert_eq(take(&s, 4, "efg", false, &out), WIRE_OK);
	assert_delivered(&out, "abcdefgh");
	cr_assert_not(stream_in_has_gap(&s));
	cr_assert(stream_in_is_complete(&s));
	cr_assert_eq(s.next, 8);
	stream_in_clear(&s);
	buf_clear(&out);
}

Test(stream_in, drops_what_it_has_and_fills_only_the_holes)
{
	struct stream_in s;
	struct buf out;

	stream_in_init(&s, 100);
	buf_init(&out, 100);
	cr_assert_eq(take(&s, 0, "abc", false, &out), WIRE_OK);
	cr_assert_eq(take(&s, 0, "abc", false, &out), WIRE_OK);
	cr_assert_eq(take(&s, 1, "bcd", false, &out), WIRE_OK);
	assert_delivered(&out, "abcd");
	cr_assert_eq(take(&s, 6, "g", false, &out), WIRE_OK);
	cr_assert_eq(take(&s, 9, "j", false, &out), WIRE_OK);
	cr_assert_eq(take(&s, 5, "fghijkl", false, &out), WIRE_OK);
	cr_assert_eq(take(&s, 6, "ghijk", false, &out), WIRE_OK);
	assert_delivered(&out, "abcd");
	cr_assert_eq(take(&s, 3, "defg", true, &out), WIRE_MALFORMED);
	cr_assert_eq(take(&s, 3, "defg", false, &out), WIRE_OK);
	assert_delivered(&out, "abcdefghijkl");
	stream_in_clear(&s);
	buf_clear(&out);
}

Test(stream_in, hears_of_a_gap_from_an_empty_piece_and_from_the_end)
{
	struct stream_in s;
	struct buf out;

	stream_in_init(&s, 100);
	buf_init(&out, 100);
	cr_assert_eq(take(&s, 0, "", false, &out), WIRE_OK);
	cr_assert_not(stream_in_has_gap(&s));
	cr_assert_eq(take(&s, 3, "", false, &out), WIRE_OK);
	cr_assert(stream_in_has_gap(&s));
	cr_assert_eq(take(&s, 0, "abc", false, &out), WIRE_OK);
	cr_assert_not(stream_in_has_gap(&s));
	cr_assert_eq(take(&s, 4, "", true, &out), WIRE_OK);
	cr_assert(stream_in_has_gap(&s));
	cr_assert_not(stream_in_is_complete(&s));
	cr_assert_eq(take(&s, 3, "d", false, &out), WIRE_OK);
	cr_assert(stream_in_is_complete(&s));
	stream_in_clear(&s);
	buf_clear(&out);
}

Test(stream_in, is_complete_without_content)
{
	struct stream_in s;
	struct buf out;

	stream_in_init(&s, 0);
	buf_init(&out, 0);
	cr_assert_not(stream_in_is_complete(&s));
	cr_assert_eq(take(&s, 0, "", true, &out), WIRE_OK);
	cr_assert(stream_in_is_complete(&s));
	cr_assert_eq(take(&s, 0, "", true, &out), WIRE_OK);
	stream_in_clear(&s);
}

Test(stream_in, refuses_what_is_beyond_the_limit)
{
	struct stream_in s;
	struct buf out;

	stream_in_init(&s, 4);
	buf_init(&out, 100);
	cr_assert_eq(take(&s, 0, "abcde", false, &out), WIRE_TOO_LARGE);
	cr_assert_eq(take(&s, 4, "e", false, &out), WIRE_TOO_LARGE);
	cr_assert_eq(take(&s, 5, "", true, &out), WIRE_TOO_LARGE);
	cr_assert_eq(take(&s, UINT64_MAX, "x", false, &out), WIRE_TOO_LARGE);
	cr_assert_eq(take(&s, 0, "abcd", false, &out), WIRE_OK);
	cr_assert_eq(take(&s, 4, "", true, &out), WIRE_OK);
	cr_assert(stream_in_is_complete(&s));
	stream_in_clear(&s);
	buf_clear(&out);
}

Test(stream_in, refuses_ends_that_differ)
{
	struct stream_in s;
	struct buf out;

	stream_in_init(&s, 100);
	buf_init(&out, 100);
	cr_assert_eq(take(&s, 5, "f", false, &out), WIRE_OK);
	cr_assert_eq(take(&s, 3, "d", true, &out), WIRE_MALFORMED);
	cr_assert_eq(take(&s, 7, "h", true, &out), WIRE_OK);
	cr_assert_eq(take(&s, 7, "hi", true, &out), WIRE_MALFORMED);
	cr_assert_eq(take(&s, 7, "hi", false, &out), WIRE_MALFORMED);
	cr_assert_eq(take(&s, 6, "g", true, &out), WIRE_MALFORMED);
	cr_assert_eq(take(&s, 0, "abcdefgh", true, &out), WIRE_OK);
	assert_delivered(&out, "abcdefgh");
	cr_assert(stream_in_is_complete(&s));
	stream_in_clear(&s);
	buf_clear(&out);
}

Test(stream_in, keeps_a_bounded_number_of_crumbs_and_recovers)
{
	static char content[4096];
	struct stream_in s;
	struct buf out;

	for (size_t i = 0; i < sizeof(content); i++)
		content[i] = (char)('a' + i % 23);
	stream_in_init(&s, sizeof(content));
	buf_init(&out, sizeof(content));
	for (uint64_t at = 1; at < sizeof(content); at += 2)
		cr_assert_eq(stream_in_take(&s, at, span_of(content + at, 1),
		    false, &out), WIRE_OK);
	/* Of these 256 are kept: the even bytes join no more than those. */
	for (uint64_t at = 0; at < sizeof(content); at += 2)
		cr_assert_eq(stream_in_take(&s, at, span_of(content + at, 1),
		    false, &out), WIRE_OK);
	cr_assert_eq(s.next, 513);
	cr_assert(stream_in_has_gap(&s));
	cr_assert_eq(stream_in_take(&s, 0, span_of(content, sizeof(content)),
	    true, &out), WIRE_OK);
	cr_assert(span_is(buf_span(&out), span_of(content, sizeof(content))));
	cr_assert(stream_in_is_complete(&s));
	cr_assert_null(s.early);
	stream_in_clear(&s);
	buf_clear(&out);
}

Test(stream_in, can_be_tried_again_after_the_buffer_was_full)
{
	struct stream_in s;
	struct buf out;

	stream_in_init(&s, 100);
	buf_init(&out, 3);
	cr_assert_eq(take(&s, 2, "cd", true, &out), WIRE_OK);
	cr_assert_eq(take(&s, 0, "ab", false, &out), WIRE_TOO_LARGE);
	assert_delivered(&out, "ab");
	cr_assert_eq(s.next, 2);
	buf_drain(&out, 2);
	cr_assert_eq(take(&s, 0, "ab", false, &out), WIRE_OK);
	assert_delivered(&out, "cd");
	cr_assert(stream_in_is_complete(&s));
	stream_in_clear(&s);
	buf_clear(&out);
}

/*
 * Both sides, with a channel between them that loses, doubles and reorders
 * pieces one way and windows the other.
 */
enum { CHANNEL_MAX = 64, CONTENT_MAX = 20000, STEPS_MAX = 200000 };

struct message {
	uint64_t a;		/* offset, or received */
	uint64_t b;		/* limit */
	bool flag;		/* end, or resend */
	size_t len;
	char *content;
};

struct channel {
	struct message waiting[CHANNEL_MAX];
	size_t count;
};

static uint32_t
random_below(uint64_t *seed, uint32_t below)
{
	*seed = *seed * 6364136223846793005u + 1442695040888963407u;
	return (uint32_t)(*seed >> 33) % below;
}

static void
channel_put_once(struct channel *c, uint64_t *seed, struct message m)
{
	size_t at;

	if (c->count == CHANNEL_MAX || random_below(seed, 100) < 20)
		return;
	if (m.content != NULL) {
		char *copy = malloc(m.len + 1);

		cr_assert_not_null(copy);
		if (m.len > 0)
			memcpy(copy, m.content, m.len);
		m.content = copy;
	}
	at = random_below(seed, (uint32_t)c->count + 1);
	c->waiting[c->count++] = c->waiting[at];
	c->waiting[at] = m;
}

static void
channel_put(struct channel *c, uint64_t *seed, struct message m)
{
	channel_put_once(c, seed, m);
	if (random_below(seed, 100) < 20)
		channel_put_once(c, seed, m);
}

static bool
channel_take(struct channel *c, struct message *m)
{
	if (c->count == 0)
		return false;
	*m = c->waiting[--c->count];
	return true;
}

static void
channel_clear(struct channel *c)
{
	struct message m;

	while (channel_take(c, &m))
		free(m.content);
}

struct direction {
	struct stream_out out;
	struct stream_in in;
	struct channel pieces;
	struct channel windows;
	char content[CONTENT_MAX];
	size_t content_len;
	size_t appended;
	struct buf got;		/* delivered and not yet compared */
	size_t compared;
	uint64_t window;
};

static void
direction_init(struct direction *d, uint64_t *seed)
{
	d->window = 1 + random_below(seed, 2000);
	d->content_len = random_below(seed, 4) == 0 ? 0 :
	    random_below(seed, CONTENT_MAX);
	for (size_t i = 0; i < d->content_len; i++)
		d->content[i] = (char)random_below(seed, 256);
	d->appended = 0;
	d->compared = 0;
	d->pieces.count = 0;
	d->windows.count = 0;
	stream_out_init(&d->out, 1 + random_below(seed, 3000), d->window);
	stream_in_init(&d->in, d->window);
	buf_init(&d->got, CONTENT_MAX);
}

static void
direction_clear(struct direction *d)
{
	stream_out_clear(&d->out);
	stream_in_clear(&d->in);
	channel_clear(&d->pieces);
	channel_clear(&d->windows);
	buf_clear(&d->got);
}

static void
sender_step(struct direction *d, uint64_t *seed)
{
	struct message m;
	struct span content;
	size_t more = d->content_len - d->appended;
	size_t room = stream_out_room(&d->out);

	if (more > room)
		more = room;
	if (more > 0)
		more = 1 + random_below(seed, (uint32_t)more);
	cr_assert_eq(stream_out_append(&d->out,
	    span_of(d->content + d->appended, more)), WIRE_OK);
	d->appended += more;
	if (d->appended == d->content_len && !d->out.ended)
		stream_out_end(&d->out);

	if (channel_take(&d->windows, &m))
		cr_assert_eq(stream_out_window(&d->out, m.a, m.b, m.flag),
		    WIRE_OK);
	if (stream_out_next(&d->out, 1 + random_below(seed, 700), &m.a,
	    &content, &m.flag)) {
		cr_assert_leq(m.a + content.len, d->out.limit);
		m.b = 0;
		m.len = content.len;
		m.content = (char *)(uintptr_t)content.data;
		channel_put(&d->pieces, seed, m);
	} else if (random_below(seed, 10) == 0) {
		/* Waiting for a window: content-free, at the next offset. */
		m = (struct message){ .a = d->out.next,
			.content = d->content };
		channel_put(&d->pieces, seed, m);
	}
}

static void
receiver_step(struct direction *d, uint64_t *seed)
{
	struct message m;
	bool took = channel_take(&d->pieces, &m);

	if (took) {
		cr_assert_eq(stream_in_take(&d->in, m.a,
		    span_of(m.content, m.len), m.flag, &d->got), WIRE_OK);
		free(m.content);
	}
	cr_assert_leq(d->compared + buf_len(&d->got), d->content_len);
	cr_assert_eq(memcmp(buf_data(&d->got), d->content + d->compared,
	    buf_len(&d->got)), 0);
	d->compared += buf_len(&d->got);
	cr_assert_eq(d->compared, d->in.next);
	buf_drain(&d->got, buf_len(&d->got));
	d->in.limit = d->in.next + d->window;
	if (!took || random_below(seed, 3) == 0)
		channel_put(&d->windows, seed, (struct message){
		    .a = d->in.next, .b = d->in.limit,
		    .flag = !took || stream_in_has_gap(&d->in) });
}

Test(stream, brings_everything_once_and_in_order_whatever_is_lost)
{
	static struct direction way[2];	/* request and response */

	for (uint64_t round = 0; round < 60; round++) {
		uint64_t seed = round;
		size_t steps = 0;

		direction_init(&way[0], &seed);
		direction_init(&way[1], &seed);
		while (!stream_in_is_complete(&way[0].in) ||
		    !stream_in_is_complete(&way[1].in)) {
			cr_assert_lt(steps++, STEPS_MAX, "round %d hangs",
			    (int)round);
			sender_step(&way[random_below(&seed, 2)], &seed);
			receiver_step(&way[random_below(&seed, 2)], &seed);
		}
		for (size_t i = 0; i < 2; i++) {
			cr_assert_eq(way[i].compared, way[i].content_len);
			cr_assert_eq(stream_out_window(&way[i].out,
			    way[i].in.next, way[i].in.limit, false), WIRE_OK);
			cr_assert_eq(buf_len(&way[i].out.kept), 0);
			direction_clear(&way[i]);
		}
	}
}
