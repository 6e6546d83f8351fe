/* What the codecs answer when there is no memory, at each place where they ask
 * for some: WIRE_NO_MEMORY (or what the ceiling answers), and nothing lost. */
#include "config.h"

#include <criterion/criterion.h>

#include "common/frame.h"
#include "common/http1_body.h"
#include "common/http1_head.h"
#include "common/stream.h"
#include "tests/no_memory.h"

static const char head[] = "GET / HTTP/1.1\r\nHost: a\r\nA: 1\r\nB: 2\r\nC: 3\r\n"
    "D: 4\r\nE: 5\r\nF: 6\r\nG: 7\r\nH: 8\r\nI: 9\r\nJ: 10\r\nK: 11\r\nL: 12\r\n"
    "M: 13\r\nN: 14\r\nO: 15\r\nP: 16\r\nQ: 17\r\n\r\n";

Test(no_memory, of_a_buffer)
{
	struct buf b;
	int r;

	buf_init(&b, 100000);
	NO_MEMORY_EACH(r = buf_append_str(&b, "text"), r == WIRE_NO_MEMORY,
	    buf_clear(&b));
	NO_MEMORY_EACH(r = buf_printf(&b, "%05000d", 1), r == WIRE_NO_MEMORY,
	    buf_clear(&b));
	NO_MEMORY_EACH(r = buf_reserve(&b, 10) == NULL, r, buf_clear(&b));
}

Test(no_memory, leaves_a_buffer_as_it_was)
{
	static const char more[70000];
	struct buf b;
	int r;

	if (!no_memory_works())
		cr_skip_test("malloc is somebody else's here");
	buf_init(&b, 100000);
	cr_assert_eq(buf_append_str(&b, "text"), WIRE_OK);
	no_memory_at(1);
	r = buf_append(&b, more, sizeof(more));
	no_memory_at(0);
	cr_assert_eq(r, WIRE_NO_MEMORY);
	cr_assert(span_is(buf_span(&b), span_str("text")));
	cr_assert_eq(buf_append(&b, more, sizeof(more)), WIRE_OK);
	buf_clear(&b);
}

Test(no_memory, of_a_head)
{
	static const char response[] = "HTTP/1.1 200 OK\r\nA: b\r\n\r\n";
	struct http1_request request;
	struct http1_response resp;
	int r;

	NO_MEMORY_EACH(r = http1_request_decode(span_str(head), 100, &request),
	    r == WIRE_NO_MEMORY, http1_request_clear(&request));
	NO_MEMORY_EACH(r = http1_response_decode(span_str(response), 100,
	    &resp), r == WIRE_NO_MEMORY, http1_response_clear(&resp));
}

Test(no_memory, of_a_chunk)
{
	struct buf out;
	int r;

	buf_init(&out, 100);
	NO_MEMORY_EACH(r = http1_chunk_encode(&out, span_str("content")),
	    r == WIRE_NO_MEMORY, buf_clear(&out));
	NO_MEMORY_EACH(r = http1_chunk_encode_last(&out), r == WIRE_NO_MEMORY,
	    buf_clear(&out));
}

Test(no_memory, of_a_frame)
{
	const struct frame frame = { .type = FRAME_OPEN,
		.backend = span_str("b"), .user = span_str("u"),
		.head = span_str(head), .content = span_str("content") };
	struct buf out;
	int r;

	buf_init(&out, FRAME_CALL_MAX);
	NO_MEMORY_EACH(r = frame_encode(&out, &frame), r == WIRE_NO_MEMORY,
	    buf_clear(&out));
	NO_MEMORY_EACH(r = frame_append_backend(&out, span_str("b")),
	    r == WIRE_NO_MEMORY, buf_clear(&out));
}

Test(no_memory, of_content_in_order_and_early)
{
	struct stream_in in;
	struct stream_out kept;
	struct buf out;
	int r;

	stream_in_init(&in, 1000);
	stream_out_init(&kept, 1000, 1000);
	buf_init(&out, 1000);
	NO_MEMORY_EACH(r = stream_in_take(&in, 10, span_str("early"), false,
	    &out), r == WIRE_NO_MEMORY, stream_in_clear(&in));
	NO_MEMORY_EACH(r = stream_in_take(&in, 0, span_str("content"), false,
	    &out), r == WIRE_NO_MEMORY, buf_clear(&out));
	NO_MEMORY_EACH(r = stream_out_append(&kept, span_str("content")),
	    r == WIRE_NO_MEMORY, stream_out_clear(&kept));
}

/* A piece that found no memory comes again. */
Test(no_memory, loses_no_content)
{
	struct stream_in in;
	struct buf out;

	if (!no_memory_works())
		cr_skip_test("malloc is somebody else's here");
	stream_in_init(&in, 1000);
	buf_init(&out, 1000);
	cr_assert_eq(stream_in_take(&in, 3, span_str("def"), true, &out),
	    WIRE_OK);
	no_memory_at(1);
	cr_assert_eq(stream_in_take(&in, 0, span_str("abc"), false, &out),
	    WIRE_NO_MEMORY);
	no_memory_at(0);
	cr_assert_not(stream_in_is_complete(&in));
	cr_assert_eq(stream_in_take(&in, 0, span_str("abc"), false, &out),
	    WIRE_OK);
	cr_assert(stream_in_is_complete(&in));
	cr_assert(span_is(buf_span(&out), span_str("abcdef")));
	stream_in_clear(&in);
	buf_clear(&out);
}

Test(no_memory, of_a_copy)
{
	char *copy;

	NO_MEMORY_EACH(copy = span_strdup(span_str("text")), copy == NULL,
	    free(copy));
}
