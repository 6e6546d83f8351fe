/* streaming.c - bytes are on their way the moment they are there. */
#include "config.h"

#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include "tests/integration/stack.h"

enum { EVENTS = 30, EVENT_LATE_MS = 50 };

static int
compare(const void *a, const void *b)
{
	long long x = *(const long long *)a, y = *(const long long *)b;

	return (x > y) - (x < y);
}

/* How late the middle one of all events was. */
static long long
events_late_ns(struct stack *s)
{
	struct client *c = stack_send(s, "GET", "/sse/30/20", "");
	struct response r;
	long long late[EVENTS];
	size_t n = 0;

	response_read_head(c, "GET", &r, PATIENCE_MS);
	check(r.status == 200, "%d", r.status);
	while (n < EVENTS) {
		struct span piece = response_read_piece(c, &r, PATIENCE_MS);
		const char *event = piece.data, *end = event + piece.len;
		long long now = now_ns();

		check(piece.len > 0, "the stream ended after %zu events", n);
		while (n < EVENTS && (event = memmem(event,
		    (size_t)(end - event), "data: ", 6)) != NULL) {
			event += 6;
			late[n++] = now - strtoll(event, NULL, 10);
		}
	}
	qsort(late, n, sizeof(late[0]), compare);
	response_clear(&r);
	client_free(c);
	return late[n / 2];
}

/* Classic behind lighttpd is the exception: it spools the agent's post.  What
 * holds events back does it each time, a busy machine does not. */
static void
events_arrive_at_once(struct stack *s)
{
	long long late_ns = 0;

	if (!stack_streams_responses(s)) {
		struct response r = stack_get(s, "/sse/30/20");

		check(r.status == 200 && r.whole, "%d", r.status);
		return;
	}
	for (int i = 0; i < 5; i++) {
		late_ns = events_late_ns(s);
		if (late_ns < EVENT_LATE_MS * 1000000LL)
			return;
	}
	check(false, "half of the events were later than %lld ms",
	    late_ns / 1000000);
}
TEST_EACH(streaming, events_arrive_at_once)

/* Head and content in two writes, with Nagle's algorithm as it is by default:
 * the second waits until the first is acknowledged. */
static void
write_twice(struct backend_connection *c, void *arg)
{
	int off = 0;

	(void)arg;
	setsockopt(c->fd, IPPROTO_TCP, TCP_NODELAY, &off, sizeof(off));
	backend_printf(c, "HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\n");
	backend_printf(c, "ok\n");
}

static void
a_backend_that_writes_twice_does_not_wait(struct stack *s)
{
	enum { TIMES = 15, DELAYED_ACK_MS = 40 };
	long long took[TIMES], start;

	backend_script(s->backend, "/twice", write_twice, NULL);
	for (int i = 0; i < TIMES; i++) {
		start = now_ns();
		stack_expect(s, "/twice", 200);
		took[i] = now_ns() - start;
	}
	qsort(took, TIMES, sizeof(took[0]), compare);
	check(took[TIMES / 2] < DELAYED_ACK_MS * 1000000LL,
	    "half of the responses took %lld ms", took[TIMES / 2] / 1000000);
}
TEST_EACH(streaming, a_backend_that_writes_twice_does_not_wait)

/* A script that tells when the first content byte came. */
static void
note_first_byte(struct backend_connection *c, void *arg)
{
	char byte;

	if (buf_len(&c->in) == 0)
		(void)!recv(c->fd, &byte, 1, MSG_PEEK);
	*(_Atomic long long *)arg = now_ns();
	backend_read_content(c);
	backend_printf(c, "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok");
}

static void
uploads_stream(struct stack *s, bool chunked)
{
	static _Atomic long long first_ns;
	struct client *c;
	struct response r;

	backend_script(s->backend, "/first", note_first_byte,
	    &first_ns);
	c = stack_send(s, "POST", "/first", chunked ?
	    "Transfer-Encoding: chunked\r\n" : "Content-Length: 10\r\n");
	client_printf(c, chunked ? "5\r\nhello\r\n" : "hello");
	wait_for(first_ns != 0, PATIENCE_MS, "the first bytes are held back");
	client_printf(c, chunked ? "5\r\nworld\r\n0\r\n\r\n" : "world");
	r = stack_receive(c, "POST");
	check(r.status == 200, "%d", r.status);
	check(backend_request(s->backend, "/first", 0)->content_len == 10,
	    "content lost");
	response_clear(&r);
}

static void
upload_with_length_streams(struct stack *s)
{
	uploads_stream(s, false);
}
TEST_EACH(streaming, upload_with_length_streams)

static void
chunked_upload_streams(struct stack *s)
{
	if (web_facts(s)->streams_chunked_upload)
		uploads_stream(s, true);
}
TEST_EACH(streaming, chunked_upload_streams)

/* The backend refuses without reading the content. */
static void
refuse_early(struct backend_connection *c, void *arg)
{
	(void)arg;
	backend_printf(c, "HTTP/1.1 413 Too Much\r\nContent-Length: 3\r\n"
	    "Connection: close\r\n\r\nno\n");
	backend_wait_gone(c, 3000);
	c->close = true;
}

static void
an_early_answer_is_passed_on(struct stack *s)
{
	struct client *c;
	struct response r;

	backend_script(s->backend, "/early", refuse_early, NULL);
	c = stack_send(s, "POST", "/early", "Content-Length: 1000000\r\n");
	client_send_pattern(c, 200000, false);
	if (web_facts(s)->answers_early) {
		response_read_head(c, "POST", &r, PATIENCE_MS);
		check(r.status == 413, "%d", r.status);
		response_clear(&r);
	}
	client_free(c);
	stack_expect(s, "/ready", 200);
}
TEST_EACH(streaming, an_early_answer_is_passed_on)

static void
drips_arrive_one_by_one(struct stack *s)
{
	struct response r = stack_get(s, "/drip/200/1");

	check(r.status == 200 && r.whole && r.content_len == 200 &&
	    r.hash == hash_pattern(200), "%d, %llu bytes", r.status,
	    r.content_len);
	response_clear(&r);
}
TEST_EACH(streaming, drips_arrive_one_by_one)
