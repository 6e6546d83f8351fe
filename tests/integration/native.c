/* native.c - calls of a native agent, made one by one by a test. */
#include "config.h"

#include <stdlib.h>
#include <string.h>

#include "tests/integration/native.h"

struct native
native_new(const struct stack *s, unsigned char instance)
{
	struct native a = { .port = s->port, .backend_id = "b1",
		.token = s->agent_token, .capacity = 10 };

	memset(a.instance, instance, sizeof(a.instance));
	buf_init(&a.out, 2 * FRAME_CALL_MAX);
	buf_init(&a.in, 2 * FRAME_CALL_MAX);
	return a;
}

void
native_add(struct native *a, const struct frame *frame)
{
	check(frame_encode(&a->out, frame) == 0, "a frame can't be encoded");
}

static void
add_hello(struct native *a, struct buf *call, bool park)
{
	struct buf list;
	struct frame hello = { .type = FRAME_HELLO,
		.flags = park ? FRAME_FLAG_PARK : 0,
		.version = FRAME_VERSION, .capacity = a->capacity,
		.in_flight = a->in_flight, .backend_count = 1,
		.text = span_str("test/1") };

	buf_init(&list, 1024);
	memcpy(hello.instance, a->instance, sizeof(hello.instance));
	check(frame_append_backend(&list, span_str(a->backend_id)) == 0,
	    "backend list");
	hello.backends = buf_span(&list);
	check(frame_encode(call, &hello) == 0, "HELLO can't be encoded");
	buf_clear(&list);
}

static struct client *
send_content(struct native *a, struct span content)
{
	struct client *c = client_new(a->port);

	client_printf(c, "POST " AGENT_MOUNT "agent/exchange HTTP/1.1\r\n"
	    "Host: proxy.test\r\nAuthorization: Bearer %s\r\n"
	    "Content-Type: application/vnd.inverting-proxy.frames\r\n"
	    "Content-Length: %zu\r\n\r\n", a->token, content.len);
	client_send(c, content.data, content.len);
	return c;
}

struct client *
native_send(struct native *a, bool park)
{
	struct buf call;
	struct client *c;

	buf_init(&call, 2 * FRAME_CALL_MAX);
	add_hello(a, &call, park);
	check(buf_append_span(&call, buf_span(&a->out)) == 0, "too long");
	buf_clear(&a->out);
	c = send_content(a, buf_span(&call));
	buf_clear(&call);
	return c;
}

int
native_receive(struct native *a, struct client *c)
{
	struct response r;
	int status;

	response_read_head(c, "POST", &r, 40000);
	response_read_content(c, &r);
	status = r.status;
	buf_clear(&a->in);
	a->taken = 0;
	if (status == 200)
		check(buf_append_span(&a->in, buf_span(&r.content)) == 0,
		    "too long");
	response_clear(&r);
	client_free(c);
	return status;
}

int
native_call(struct native *a, bool park)
{
	return native_receive(a, native_send(a, park));
}

int
native_call_bytes(struct native *a, const void *bytes, size_t len)
{
	return native_receive(a, send_content(a, span_of(bytes, len)));
}

bool
native_take(struct native *a, struct frame *frame)
{
	struct span in = span_of(buf_data(&a->in) + a->taken,
	    buf_len(&a->in) - a->taken);
	int r;

	if (in.len == 0)
		return false;
	r = frame_decode(&in, frame);
	check(r == WIRE_DONE, "an answer that is not frames: %s",
	    wire_strerror(r));
	/* Not drained: the frame's spans stay good until the next call. */
	a->taken = buf_len(&a->in) - in.len;
	return true;
}

void
native_wait(struct native *a, unsigned type, struct frame *frame)
{
	long long deadline = now_ms() + PATIENCE_MS;

	for (;;) {
		int status;

		while (native_take(a, frame))
			if (frame->type == type)
				return;
		check(now_ms() < deadline, "no frame of type %u came", type);
		status = native_call(a, true);
		check(status == 200, "a call got %d", status);
	}
}

void
native_answer(struct native *a, struct exchange_id id, const char *head,
    const char *content)
{
	native_add(a, &(struct frame){ .type = FRAME_HEAD,
		.flags = FRAME_FLAG_END, .id = id, .head = span_str(head),
		.content = span_str(content) });
}
