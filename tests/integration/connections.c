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

/* HEAD with content is the longest that an agent sends. */
static int
send_large_head(struct native *a, size_t head_len)
{
	char *head = calloc(1, head_len + 64), *content = calloc(1, 60000);
	struct frame frame = { .type = FRAME_HEAD };
	int status;

	check(head != NULL && content != NULL, "no memory");
	strcpy(head, "HTTP/1.1 200 OK\r\nX: ");
	memset(head + strlen(head), 'x', head_len);
	strcat(head, "\r\n\r\n");
	frame.head = span_str(head);
	frame.content = span_of(content, 60000);
	native_add(a, &frame);
	status = native_call(a, false);
	free(head);
	free(content);
	return status;
}

static void
a_frame_has_a_limit(struct stack *s)
{
	struct native a = native_new(s, 7);

	check(send_large_head(&a, 1000) == 200, "a small one");
	check(send_large_head(&a, 40000) == 413, "a large one");
	check(native_call(&a, false) == 200, "the next call");
}
TEST_EACH_WEB(connections, a_frame_has_a_limit, .agents = STACK_NO_AGENT,
    .worker_options = { "--frame-limit=80k" })

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
