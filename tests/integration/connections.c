/* connections.c - limits of what a worker takes from its peers: the web server,
 * or who has got to its socket, and agents. */
#include "config.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "tests/integration/native.h"

static struct client *
connect_to_worker(struct stack *s)
{
	struct sockaddr_un a = { .sun_family = AF_UNIX };
	struct client *c = calloc(1, sizeof(*c));

	check(c != NULL, "no memory");
	buf_init(&c->in, 1024 * 1024);
	c->fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	snprintf(a.sun_path, sizeof(a.sun_path), "%s", s->worker_socket);
	check(connect(c->fd, (struct sockaddr *)&a, sizeof(a)) == 0,
	    "%s can't be reached", s->worker_socket);
	return c;
}

/* FCGI_BEGIN_REQUEST, and then nothing, or a byte of the params now and
 * then. */
static void
a_head_has_to_arrive(struct stack *s)
{
	static const unsigned char begin[] = { 1, 1, 0, 1, 0, 8, 0, 0,
		0, 1, 1, 0, 0, 0, 0, 0,
		1, 4, 0, 1, 1, 0, 0, 0 };
	struct client *silent = connect_to_worker(s);
	struct client *drips = connect_to_worker(s);
	long long start = now_ms();

	check(client_send(silent, begin, 16), "closed at once");
	check(client_send(drips, begin, sizeof(begin)), "closed at once");
	while (!client_wait_closed(drips, 100)) {
		check(now_ms() - start < PATIENCE_MS, "it may drip for ever");
		client_send(drips, "x", 1);
	}
	check(now_ms() - start >= 900, "after %lld ms", now_ms() - start);
	check(client_wait_closed(silent, PATIENCE_MS), "it may be silent");
	client_free(silent);
	client_free(drips);
	stack_expect(s, "/ready", 200);
}
TEST_EACH_WEB(connections, a_head_has_to_arrive,
    .worker_options = { "--head-timeout=1s" })

static void
add_param(struct buf *params, const char *name, const char *value)
{
	check(buf_append_u8(params, (unsigned)strlen(name)) == 0 &&
	    buf_append_u8(params, (unsigned)strlen(value)) == 0 &&
	    buf_append_str(params, name) == 0 &&
	    buf_append_str(params, value) == 0, "no memory");
}

/* As a web server does that gives a call to a second worker once the first has
 * had its content: that is no fault of the agent's. */
static void
a_call_without_its_content_may_come_again(struct stack *s)
{
	static const unsigned char begin[] = { 1, 1, 0, 1, 0, 8, 0, 0,
		0, 1, 0, 0, 0, 0, 0, 0 }, end[] = { 1, 4, 0, 1, 0, 0, 0, 0,
		1, 5, 0, 1, 0, 0, 0, 0 };
	struct client *c = connect_to_worker(s);
	struct buf params;

	buf_init(&params, 1024);
	add_param(&params, "INVERTING_PROXY_ROLE", "agent");
	add_param(&params, "REQUEST_METHOD", "POST");
	add_param(&params, "REQUEST_URI", AGENT_MOUNT "agent/exchange");
	add_param(&params, "SERVER_PROTOCOL", "HTTP/1.1");
	add_param(&params, "CONTENT_LENGTH", "100");
	add_param(&params, "HTTP_AUTHORIZATION", harness_name("Bearer %s",
	    s->agent_token));
	{
		const unsigned char head[] = { 1, 4, 0, 1,
			(unsigned char)(buf_len(&params) >> 8),
			(unsigned char)buf_len(&params), 0, 0 };

		check(client_send(c, begin, sizeof(begin)) &&
		    client_send(c, head, sizeof(head)) &&
		    client_send(c, buf_data(&params), buf_len(&params)) &&
		    client_send(c, end, sizeof(end)), "closed early");
	}
	check(client_wait_closed(c, PATIENCE_MS), "no answer");
	check(buf_len(&c->in) > 24 && memcmp(buf_data(&c->in) + 8,
	    "Status: 503 ", 12) == 0, "%.*s", (int)buf_len(&c->in) - 8,
	    buf_data(&c->in) + 8);
	buf_clear(&params);
	client_free(c);
}
STACK_TEST(connections, a_call_without_its_content_may_come_again,
    WEB_LIGHTTPD, "native", once, .agents = STACK_NO_AGENT)

/* A HELLO, and the beginning of a frame of so many bytes. */
static int
send_beginning(struct native *a, uint32_t payload)
{
	const unsigned char begin[] = { (unsigned char)(payload >> 24),
		(unsigned char)(payload >> 16), (unsigned char)(payload >> 8),
		(unsigned char)payload, FRAME_DATA, 0, 0, 0 };
	struct frame hello = { .type = FRAME_HELLO, .version = FRAME_VERSION,
		.backend_count = 1, .backends = span_of("\2b1", 3) };
	struct buf bytes;
	int status;

	buf_init(&bytes, 1024);
	check(frame_encode(&bytes, &hello) == 0 && buf_append(&bytes, begin,
	    sizeof(begin)) == 0, "no memory");
	status = native_call_bytes(a, buf_data(&bytes), buf_len(&bytes));
	buf_clear(&bytes);
	return status;
}

static void
a_frame_has_a_limit(struct stack *s)
{
	struct native a = native_new(s, 7);

	check(send_beginning(&a, 200 * 1024) == 400, "it ends in the middle");
	check(send_beginning(&a, 200 * 1024 + 1) == 413, "over the limit");
	check(native_call(&a, false) == 200, "the next call");
}
TEST_EACH_WEB(connections, a_frame_has_a_limit, .agents = STACK_NO_AGENT,
    .worker_options = { "--frame-limit=200k" })

/* A third of the descriptors that lighttpd may have, and not of the 4096 that it
 * takes when it may not have what its configuration says. */
static void
many_heads_that_do_not_end_leave_room(struct stack *s)
{
	enum { MANY = 1500 };
	struct client *c[MANY];

	for (int i = 0; i < MANY; i++) {
		c[i] = client_new(s->port);
		client_printf(c[i], "GET / HTTP/1.1\r\nHost: proxy.test\r\n"
		    "X: ");
	}
	stack_expect(s, "/ready", 200);
	for (int i = 0; i < MANY; i++)
		client_free(c[i]);
}
STACK_TEST(connections, many_heads_that_do_not_end_leave_room, WEB_LIGHTTPD,
    "native", lighttpd, .agents = 1)
