/* test_frame.c - the frames of the native protocol, byte for byte as
 * PROTOCOL.md gives them. */
#include "config.h"

#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/frame.h"

#define ID_HEX "000102030405060708090a0b0c0d0e0f1011121314151617"
#define INSTANCE_HEX "f0f1f2f3f4f5f6f7f8f9fafbfcfdfeff"

enum { BYTES_MAX = 1024 };

static struct exchange_id
some_id(void)
{
	struct exchange_id id;

	for (size_t i = 0; i < EXCHANGE_ID_LEN; i++)
		id.byte[i] = (unsigned char)i;
	return id;
}

/* Hex digits, spaces between them as one likes. */
static size_t
from_hex(const char *hex, char *bytes)
{
	size_t len = 0;

	for (; *hex != '\0'; hex++) {
		unsigned value;

		if (*hex == ' ')
			continue;
		cr_assert_eq(sscanf(hex, "%2x", &value), 1);
		cr_assert_lt(len, BYTES_MAX);
		bytes[len++] = (char)value;
		hex++;
	}
	return len;
}

/* Decodes from memory of exactly that size, so that a sanitizer sees a read
 * beyond it. */
static int
decode_exactly(const char *bytes, size_t len, struct frame *frame)
{
	char *copy = malloc(len + (len == 0));
	struct span in = span_of(copy, len);
	int status;

	cr_assert_not_null(copy);
	if (len > 0)
		memcpy(copy, bytes, len);
	status = frame_decode(&in, frame);
	if (status != WIRE_DONE)
		cr_assert(in.data == copy && in.len == len, "input is kept");
	free(copy);
	return status;
}

static int
decode_hex(const char *hex, struct frame *frame)
{
	char bytes[BYTES_MAX];
	size_t len = from_hex(hex, bytes);

	return decode_exactly(bytes, len, frame);
}

static struct frame
sample_hello(void)
{
	struct frame f = { .type = FRAME_HELLO, .flags = FRAME_FLAG_PARK,
		.version = 1, .capacity = 0x1234, .in_flight = 0x01020304,
		.backend_count = 2, .backends = span_of("\001a\002bc", 5),
		.text = span_str("ag/1") };

	for (size_t i = 0; i < AGENT_INSTANCE_LEN; i++)
		f.instance[i] = (unsigned char)(0xf0 + i);
	return f;
}

static struct frame
sample_open(void)
{
	return (struct frame){ .type = FRAME_OPEN, .flags = FRAME_FLAG_END,
		.id = some_id(), .start_ns = 0x1122334455667788,
		.deadline_ms = 0x10203040, .limit = 0x10000,
		.backend = span_str("be"), .user = span_str("u@x"),
		.head = span_str("GET"), .content = span_str("xyz") };
}

/* Each type, field by field, beside its bytes. */
static const struct vector {
	struct frame (*frame)(void);
	struct frame plain;
	const char *hex;
} vectors[] = {
	{ .frame = sample_hello,
	    .hex = "00000024 01 01 0000 01 00 1234 " INSTANCE_HEX
	    " 01020304 0002 01 61 02 6263 04 61672f31" },
	{ .plain = { .type = FRAME_WELCOME, .version = 1, .park_ms = 30000,
	    .lease_ms = 10000, .call_size = 65536 },
	    .hex = "00000010 02 00 0000 01 000000 00007530 00002710"
	    " 00010000" },
	{ .plain = { .type = FRAME_REFUSED, .code = 403,
	    .backend = { "be", 2 }, .text = { "no", 2 } },
	    .hex = "00000007 03 00 0000 0193 02 6265 6e6f" },
	{ .frame = sample_open,
	    .hex = "0000003e 04 01 0000 " ID_HEX
	    " 1122334455667788 10203040 0000000000010000 02 6265 0003 754078"
	    " 00000003 474554 78797a" },
	{ .plain = { .type = FRAME_HEAD, .head = { "HTTP", 4 },
	    .content = { "c", 1 } },
	    .hex = "00000021 05 00 0000 " ID_HEX " 00000004 48545450 63" },
	{ .plain = { .type = FRAME_DATA, .flags = FRAME_FLAG_END,
	    .offset = 0x0102030405060708, .content = { "data", 4 } },
	    .hex = "00000024 06 01 0000 " ID_HEX
	    " 0102030405060708 64617461" },
	{ .plain = { .type = FRAME_DATA, .offset = 5 },
	    .hex = "00000020 06 00 0000 " ID_HEX " 0000000000000005" },
	{ .plain = { .type = FRAME_WINDOW, .flags = FRAME_FLAG_RESEND,
	    .offset = 7, .limit = UINT64_MAX },
	    .hex = "00000028 07 01 0000 " ID_HEX
	    " 0000000000000007 ffffffffffffffff" },
	{ .plain = { .type = FRAME_RESET, .code = FRAME_RESET_TIMEOUT,
	    .text = { "slow", 4 } },
	    .hex = "0000001e 08 00 0000 " ID_HEX " 0005 736c6f77" },
	{ .plain = { .type = FRAME_ACCEPT },
	    .hex = "00000018 09 00 0000 " ID_HEX },
	{ .plain = { .type = FRAME_HANDED },
	    .hex = "00000018 20 00 0000 " ID_HEX },
	{ .plain = { .type = FRAME_FETCH },
	    .hex = "00000018 21 00 0000 " ID_HEX },
};
enum { VECTORS = sizeof(vectors) / sizeof(vectors[0]) };

static struct frame
vector_frame(const struct vector *v)
{
	struct frame f = v->frame != NULL ? v->frame() : v->plain;

	if (f.type >= FRAME_OPEN)
		f.id = some_id();
	return f;
}

static void
assert_same(const struct frame *a, const struct frame *b)
{
	cr_assert_eq(a->type, b->type);
	cr_assert_eq(a->flags, b->flags);
	cr_assert_eq(memcmp(&a->id, &b->id, sizeof(a->id)), 0);
	cr_assert_eq(a->offset, b->offset);
	cr_assert_eq(a->limit, b->limit);
	cr_assert_eq(a->start_ns, b->start_ns);
	cr_assert_eq(a->deadline_ms, b->deadline_ms);
	cr_assert_eq(a->code, b->code);
	cr_assert(span_is(a->backend, b->backend));
	cr_assert(span_is(a->user, b->user));
	cr_assert(span_is(a->head, b->head));
	cr_assert(span_is(a->content, b->content));
	cr_assert(span_is(a->text, b->text));
	cr_assert_eq(a->version, b->version);
	cr_assert_eq(a->capacity, b->capacity);
	cr_assert_eq(a->in_flight, b->in_flight);
	cr_assert_eq(memcmp(a->instance, b->instance, AGENT_INSTANCE_LEN), 0);
	cr_assert_eq(a->backend_count, b->backend_count);
	cr_assert(span_is(a->backends, b->backends));
	cr_assert_eq(a->park_ms, b->park_ms);
	cr_assert_eq(a->lease_ms, b->lease_ms);
	cr_assert_eq(a->call_size, b->call_size);
}

Test(frame, encodes_each_type_to_the_bytes_of_the_protocol)
{
	for (size_t i = 0; i < VECTORS; i++) {
		struct frame f = vector_frame(&vectors[i]);
		char bytes[BYTES_MAX];
		size_t len = from_hex(vectors[i].hex, bytes);
		struct buf out;

		buf_init(&out, BYTES_MAX);
		cr_assert_eq(frame_encode(&out, &f), WIRE_OK);
		cr_assert(span_is(buf_span(&out), span_of(bytes, len)),
		    "vector %zu", i);
		buf_clear(&out);
	}
}

Test(frame, decodes_each_type_from_the_bytes_of_the_protocol)
{
	for (size_t i = 0; i < VECTORS; i++) {
		struct frame wanted = vector_frame(&vectors[i]);
		struct frame f;
		char bytes[BYTES_MAX];
		struct span in = span_of(bytes,
		    from_hex(vectors[i].hex, bytes));

		cr_assert_eq(frame_decode(&in, &f), WIRE_DONE, "vector %zu", i);
		cr_assert_eq(in.len, 0);
		assert_same(&f, &wanted);
	}
}

Test(frame, waits_for_more_at_every_byte_before_the_last)
{
	for (size_t i = 0; i < VECTORS; i++) {
		char bytes[BYTES_MAX];
		size_t len = from_hex(vectors[i].hex, bytes);
		struct frame f;

		for (size_t part = 0; part < len; part++)
			cr_assert_eq(decode_exactly(bytes, part, &f),
			    WIRE_MORE, "vector %zu, %zu bytes", i, part);
		cr_assert_eq(decode_exactly(bytes, len, &f), WIRE_DONE);
	}
}

/* Each byte is needed, but for content and text that take the rest. */
Test(frame, refuses_a_payload_that_ends_too_early)
{
	static const size_t least[] = { [FRAME_HELLO] = 36,
		[FRAME_WELCOME] = 12, [FRAME_REFUSED] = 5, [FRAME_OPEN] = 59,
		[FRAME_HEAD] = 32, [FRAME_DATA] = 32, [FRAME_WINDOW] = 40,
		[FRAME_RESET] = 26, [FRAME_ACCEPT] = 24, [FRAME_HANDED] = 24,
		[FRAME_FETCH] = 24 };

	for (size_t i = 0; i < VECTORS; i++) {
		char bytes[BYTES_MAX];
		size_t len = from_hex(vectors[i].hex, bytes);
		unsigned type = (unsigned char)bytes[4];
		struct frame f;

		for (size_t payload = 0; payload + 8 < len; payload++) {
			bytes[2] = 0;
			bytes[3] = (char)payload;
			cr_assert_eq(decode_exactly(bytes, 8 + payload, &f),
			    payload < least[type] ? WIRE_MALFORMED :
			    WIRE_DONE, "type %u, %zu bytes", type, payload);
		}
	}
}

Test(frame, ignores_later_fields_in_hello_and_welcome_only)
{
	for (size_t i = 0; i < VECTORS; i++) {
		char bytes[BYTES_MAX];
		size_t len = from_hex(vectors[i].hex, bytes);
		struct frame wanted = vector_frame(&vectors[i]);
		struct frame f;
		int status;

		bytes[len] = 'x';
		bytes[3]++;
		status = decode_exactly(bytes, len + 1, &f);
		switch (wanted.type) {
		case FRAME_WINDOW:
		case FRAME_ACCEPT:
		case FRAME_HANDED:
		case FRAME_FETCH:
			cr_assert_eq(status, WIRE_MALFORMED, "vector %zu", i);
			break;
		default:
			cr_assert_eq(status, WIRE_DONE, "vector %zu", i);
		}
	}
}

Test(frame, takes_one_frame_after_another)
{
	struct buf all;
	struct span in;
	struct frame f;

	buf_init(&all, 64 * 1024);
	for (size_t i = 0; i < VECTORS; i++) {
		f = vector_frame(&vectors[i]);
		cr_assert_eq(frame_encode(&all, &f), WIRE_OK);
	}
	in = buf_span(&all);
	for (size_t i = 0; i < VECTORS; i++) {
		struct frame wanted = vector_frame(&vectors[i]);

		cr_assert_eq(frame_decode(&in, &f), WIRE_DONE);
		assert_same(&f, &wanted);
	}
	cr_assert_eq(frame_decode(&in, &f), WIRE_MORE);
	buf_clear(&all);
}

Test(frame, skips_unknown_types_and_ignores_unknown_flags)
{
	struct frame f;

	cr_assert_eq(decode_hex("00000003 c8 ff 0000 010203", &f), WIRE_DONE);
	cr_assert_eq(f.type, 200);
	cr_assert_eq(f.flags, 255);
	cr_assert_eq(f.content.len, 0);
	cr_assert_eq(decode_hex("00000000 00 00 0000", &f), WIRE_DONE);
	cr_assert_eq(decode_hex("00000018 09 fe 0000 " ID_HEX, &f),
	    WIRE_DONE);
}

Test(frame, bounds_the_length_before_it_waits_for_the_payload)
{
	struct frame f;

	cr_assert_eq(decode_hex("00040000 06 00 0000", &f), WIRE_MORE);
	cr_assert_eq(decode_hex("00040001 06 00 0000", &f), WIRE_TOO_LARGE);
	cr_assert_eq(decode_hex("ffffffff c8 00 0000", &f), WIRE_TOO_LARGE);
	cr_assert_eq(decode_hex("00000000 c8 00 0001", &f), WIRE_MALFORMED);
}

Test(frame, bounds_the_lengths_inside)
{
	struct frame f;

	/* HEAD: head over its limit; head beyond the payload. */
	cr_assert_eq(decode_hex("0000001c 05 00 0000 " ID_HEX " 00020001", &f),
	    WIRE_TOO_LARGE);
	cr_assert_eq(decode_hex("0000001c 05 00 0000 " ID_HEX " ffffffff", &f),
	    WIRE_TOO_LARGE);
	cr_assert_eq(decode_hex("0000001d 05 00 0000 " ID_HEX " 00000002 61",
	    &f), WIRE_MALFORMED);
	/* REFUSED: backend beyond the payload. */
	cr_assert_eq(decode_hex("00000004 03 00 0000 0193 02 61", &f),
	    WIRE_MALFORMED);
	/* DATA: offsets would wrap round. */
	cr_assert_eq(decode_hex("00000022 06 00 0000 " ID_HEX
	    " ffffffffffffffff 6161", &f), WIRE_MALFORMED);
	/* HELLO: 257 backends; an empty name; fewer than it says. */
	cr_assert_eq(decode_hex("0000001b 01 00 0000 01 00 0000 " INSTANCE_HEX
	    " 00000000 0101 00", &f), WIRE_TOO_LARGE);
	cr_assert_eq(decode_hex("0000001c 01 00 0000 01 00 0000 " INSTANCE_HEX
	    " 00000000 0001 00 00", &f), WIRE_MALFORMED);
	cr_assert_eq(decode_hex("0000001c 01 00 0000 01 00 0000 " INSTANCE_HEX
	    " 00000000 0002 01 61", &f), WIRE_MALFORMED);
}

/* One frame with content of this length, built by hand. */
static int
decode_content(unsigned type, size_t fixed, size_t content_len)
{
	size_t len = fixed + content_len;
	char *bytes = calloc(1, 8 + len);
	struct span in = span_of(bytes, 8 + len);
	struct frame f;
	int status;

	cr_assert_not_null(bytes);
	bytes[1] = (char)(len >> 16);
	bytes[2] = (char)(len >> 8);
	bytes[3] = (char)len;
	bytes[4] = (char)type;
	status = frame_decode(&in, &f);
	if (status == WIRE_DONE)
		cr_assert_eq(f.content.len, content_len);
	free(bytes);
	return status;
}

Test(frame, takes_content_of_64_kib_and_no_more)
{
	static const struct { unsigned type; size_t fixed; } with[] = {
		{ FRAME_OPEN, 51 }, { FRAME_HEAD, 28 }, { FRAME_DATA, 32 },
	};

	for (size_t i = 0; i < 3; i++) {
		cr_assert_eq(decode_content(with[i].type, with[i].fixed,
		    65536), WIRE_DONE);
		cr_assert_eq(decode_content(with[i].type, with[i].fixed,
		    65537), WIRE_TOO_LARGE);
	}
}

static int
encode_alone(const struct frame *f)
{
	struct buf out;
	int status;

	buf_init(&out, 1024 * 1024);
	status = frame_encode(&out, f);
	if (status != WIRE_OK)
		cr_assert_eq(buf_len(&out), 0);
	buf_clear(&out);
	return status;
}

Test(frame, refuses_to_encode_what_is_over_a_limit)
{
	static char zeros[300 * 1024];
	struct frame f;

	f = (struct frame){ .type = FRAME_HEAD,
		.head = span_of(zeros, FRAME_HEAD_MAX),
		.content = span_of(zeros, FRAME_DATA_MAX) };
	cr_assert_eq(encode_alone(&f), WIRE_OK);
	f.head.len++;
	cr_assert_eq(encode_alone(&f), WIRE_TOO_LARGE);
	f = (struct frame){ .type = FRAME_DATA,
		.content = span_of(zeros, FRAME_DATA_MAX + 1) };
	cr_assert_eq(encode_alone(&f), WIRE_TOO_LARGE);
	f = (struct frame){ .type = FRAME_DATA, .offset = UINT64_MAX,
		.content = span_of(zeros, 1) };
	cr_assert_eq(encode_alone(&f), WIRE_TOO_LARGE);
	f = sample_open();
	f.backend = span_of(zeros, 256);
	cr_assert_eq(encode_alone(&f), WIRE_TOO_LARGE);
	f = sample_open();
	f.user = span_of(zeros, 65536);
	cr_assert_eq(encode_alone(&f), WIRE_TOO_LARGE);
	/* Each part within its limit, all of them over that of the frame. */
	f.user = span_of(zeros, 65535);
	f.head = span_of(zeros, FRAME_HEAD_MAX);
	f.content = span_of(zeros, FRAME_DATA_MAX);
	cr_assert_eq(encode_alone(&f), WIRE_TOO_LARGE);
	f = (struct frame){ .type = FRAME_RESET,
		.text = span_of(zeros, sizeof(zeros)) };
	cr_assert_eq(encode_alone(&f), WIRE_TOO_LARGE);
	f = (struct frame){ .type = FRAME_RESET, .code = 65536 };
	cr_assert_eq(encode_alone(&f), WIRE_TOO_LARGE);
	f = sample_hello();
	f.capacity = 65536;
	cr_assert_eq(encode_alone(&f), WIRE_TOO_LARGE);
	f = sample_hello();
	f.backend_count = 3;
	cr_assert_eq(encode_alone(&f), WIRE_MALFORMED);
	f = (struct frame){ .type = 77 };
	cr_assert_eq(encode_alone(&f), WIRE_UNSUPPORTED);
}

Test(frame, leaves_the_buffer_as_it_was_when_there_is_no_room)
{
	struct frame f = { .type = FRAME_ACCEPT };
	struct buf out;

	buf_init(&out, 40);
	cr_assert_eq(frame_encode(&out, &f), WIRE_OK);
	cr_assert_eq(frame_encode(&out, &f), WIRE_TOO_LARGE);
	cr_assert_eq(buf_len(&out), 32);
	buf_clear(&out);
}

Test(frame, lists_backends)
{
	static char long_name[256];
	struct buf list;
	struct span rest;
	struct span backend;

	memset(long_name, 'n', sizeof(long_name));
	buf_init(&list, 300);
	cr_assert_eq(frame_append_backend(&list, span_str("one")), WIRE_OK);
	cr_assert_eq(frame_append_backend(&list, span_of(long_name, 255)),
	    WIRE_OK);
	cr_assert_eq(frame_append_backend(&list, span_of(long_name, 256)),
	    WIRE_TOO_LARGE);
	cr_assert_eq(frame_append_backend(&list, span_str("")),
	    WIRE_MALFORMED);
	cr_assert_eq(frame_append_backend(&list, span_of(long_name, 40)),
	    WIRE_TOO_LARGE);
	cr_assert_eq(buf_len(&list), 4 + 256);

	rest = buf_span(&list);
	cr_assert(frame_next_backend(&rest, &backend));
	cr_assert(span_is(backend, span_str("one")));
	cr_assert(frame_next_backend(&rest, &backend));
	cr_assert(span_is(backend, span_of(long_name, 255)));
	cr_assert_not(frame_next_backend(&rest, &backend));
	buf_clear(&list);

	rest = span_of("\003ab", 3);
	cr_assert_not(frame_next_backend(&rest, &backend));
}

Test(frame, carries_256_backends)
{
	struct frame f = { .type = FRAME_HELLO, .version = 1,
		.backend_count = 256 };
	struct frame decoded;
	struct buf list;
	struct buf out;
	struct span in;
	struct span backend;
	unsigned count = 0;

	buf_init(&list, 64 * 1024);
	buf_init(&out, 64 * 1024);
	for (int i = 0; i < 256; i++)
		cr_assert_eq(frame_append_backend(&list, span_str("backend")),
		    WIRE_OK);
	f.backends = buf_span(&list);
	cr_assert_eq(frame_encode(&out, &f), WIRE_OK);
	in = buf_span(&out);
	cr_assert_eq(frame_decode(&in, &decoded), WIRE_DONE);
	while (frame_next_backend(&decoded.backends, &backend))
		count++;
	cr_assert_eq(count, 256);
	buf_clear(&list);
	buf_clear(&out);
}

Test(frame, writes_and_reads_exchange_ids)
{
	struct exchange_id id = some_id();
	struct exchange_id parsed;
	char text[EXCHANGE_ID_TEXT + 1];

	exchange_id_text(&id, text);
	cr_assert_str_eq(text, ID_HEX);
	cr_assert(exchange_id_parse(span_str(text), &parsed));
	cr_assert_eq(memcmp(&id, &parsed, sizeof(id)), 0);
}

Test(frame, refuses_ids_that_are_not_48_lower_case_digits)
{
	struct exchange_id id;
	char text[EXCHANGE_ID_TEXT + 2] = ID_HEX;

	cr_assert_not(exchange_id_parse(span_of(text, 47), &id));
	cr_assert_not(exchange_id_parse(span_of(NULL, 0), &id));
	text[48] = '0';
	cr_assert_not(exchange_id_parse(span_of(text, 49), &id));
	for (size_t i = 0; i < 48; i++) {
		static const char bad[] = "gA F/:`\0";
		char kept = text[i];

		for (size_t j = 0; j < sizeof(bad); j++) {
			text[i] = bad[j];
			cr_assert_not(exchange_id_parse(span_of(text, 48),
			    &id));
		}
		text[i] = kept;
	}
	cr_assert(exchange_id_parse(span_of(text, 48), &id));
}

Test(frame, names_every_reset)
{
	for (unsigned code = 0; code < 12; code++)
		cr_assert_not_null(frame_reset_name(code));
	cr_assert_str_eq(frame_reset_name(FRAME_RESET_NOT_STARTED),
	    "not started");
	cr_assert_str_neq(frame_reset_name(9), frame_reset_name(8));
}
