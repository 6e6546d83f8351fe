/* fuzz_frame.c - any bytes as frames: the same frames and verdict from all of
 * them at once and from as few as it takes; what was decoded encodes to bytes
 * that decode to the same.  Content and windows go through streams. */
#include "config.h"

#include <stdlib.h>

#include "common/frame.h"
#include "common/stream.h"
#include "tests/fuzz/fuzz.h"

enum { LIMIT = 256 * 1024 };

static void
must_be_same(const struct frame *a, const struct frame *b)
{
	must(a->type == b->type && a->flags == b->flags &&
	    memcmp(&a->id, &b->id, sizeof(a->id)) == 0);
	must(a->offset == b->offset && a->limit == b->limit &&
	    a->start_ns == b->start_ns && a->deadline_ms == b->deadline_ms &&
	    a->code == b->code && a->version == b->version &&
	    a->capacity == b->capacity && a->in_flight == b->in_flight &&
	    a->park_ms == b->park_ms && a->lease_ms == b->lease_ms);
	must(span_is(a->backend, b->backend) && span_is(a->user, b->user) &&
	    span_is(a->head, b->head) && span_is(a->content, b->content) &&
	    span_is(a->text, b->text) && span_is(a->backends, b->backends));
	must(a->backend_count == b->backend_count &&
	    memcmp(a->instance, b->instance, AGENT_INSTANCE_LEN) == 0);
}

static bool
is_known(const struct frame *f)
{
	return (f->type >= FRAME_HELLO && f->type <= FRAME_ACCEPT) ||
	    f->type == FRAME_HANDED || f->type == FRAME_FETCH;
}

/* Nothing but the whole frame is taken for one. */
static void
must_need_all(struct span bytes, const struct frame *wanted)
{
	struct frame frame;
	struct span in;

	for (size_t len = 0; len < bytes.len && len < 100; len++) {
		in = span_of(bytes.data, len);
		must(frame_decode(&in, &frame) == WIRE_MORE);
		must(in.data == bytes.data && in.len == len);
	}
	in = bytes;
	must(frame_decode(&in, &frame) == WIRE_DONE && in.len == 0);
	must_be_same(&frame, wanted);
}

static void
must_encode(const struct frame *frame)
{
	struct frame again;
	struct buf out;
	struct span in;
	struct span backend;
	struct span rest = frame->backends;
	unsigned count = 0;

	while (frame_next_backend(&rest, &backend))
		count++;
	must(count == frame->backend_count && rest.len == 0);
	buf_init(&out, FRAME_HEADER_LEN + FRAME_PAYLOAD_MAX);
	if (is_known(frame)) {
		must(frame_encode(&out, frame) == WIRE_OK);
		in = buf_span(&out);
		must(frame_decode(&in, &again) == WIRE_DONE && in.len == 0);
		must_be_same(frame, &again);
	} else {
		must(frame_encode(&out, frame) == WIRE_UNSUPPORTED);
	}
	buf_clear(&out);
}

/* Every DATA as if of one stream, every WINDOW for another. */
struct streams {
	struct stream_in in;
	struct stream_out out;
	struct buf got;
};

static void
feed(struct streams *s, const struct frame *frame)
{
	bool flag = (frame->flags & 1) != 0;
	uint64_t before = s->in.next;
	struct span content;
	uint64_t offset;
	bool end;

	if (frame->type == FRAME_DATA &&
	    stream_in_take(&s->in, frame->offset, frame->content, flag,
	    &s->got) == WIRE_OK) {
		must(buf_len(&s->got) == s->in.next - before);
		must(s->in.next <= s->in.limit);
		must(!stream_in_is_complete(&s->in) ||
		    !stream_in_has_gap(&s->in));
		buf_drain(&s->got, buf_len(&s->got));
	}
	if (frame->type == FRAME_WINDOW &&
	    stream_out_window(&s->out, frame->offset, frame->limit,
	    flag) == WIRE_OK)
		while (stream_out_next(&s->out, 100, &offset, &content, &end))
			must(offset + content.len <= s->out.limit);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static const char sample[1000];
	struct span in = span_of(data, size);
	struct span before = in;
	struct streams streams;
	struct frame frame;
	int status;

	stream_in_init(&streams.in, LIMIT);
	stream_out_init(&streams.out, sizeof(sample), 0);
	buf_init(&streams.got, LIMIT);
	must(stream_out_append(&streams.out,
	    span_of(sample, sizeof(sample))) == WIRE_OK);
	stream_out_end(&streams.out);
	while ((status = frame_decode(&in, &frame)) == WIRE_DONE) {
		must_need_all(span_of(before.data, before.len - in.len),
		    &frame);
		must_encode(&frame);
		feed(&streams, &frame);
		before = in;
	}
	must(in.data == before.data && in.len == before.len);
	must(frame_decode(&in, &frame) == status);
	stream_in_clear(&streams.in);
	stream_out_clear(&streams.out);
	buf_clear(&streams.got);
	return 0;
}
