/* backend_scripts.c - what the scripted backend always answers, as listed in
 * backend.h. */
#include "config.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include "tests/integration/backend.h"
#include "tests/integration/harness.h"

/* The which-th number of a target like /break/N/AFTER. */
static unsigned long long
number(const struct backend_connection *c, int which)
{
	const char *at = c->request->target;

	for (int i = 0; i <= which && at != NULL; i++)
		at = strchr(at + 1, '/');
	return at == NULL ? 0 : strtoull(at + 1, NULL, 10);
}

static void
script_ready(struct backend_connection *c, void *arg)
{
	(void)arg;
	backend_printf(c, "HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\n");
	if (strcmp(c->request->method, "HEAD") != 0)
		backend_printf(c, "ready\n");
}

static void
script_echo(struct backend_connection *c, void *arg)
{
	const struct backend_request *q = c->request;

	(void)arg;
	backend_read_content(c);
	backend_printf(c, "HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\n"
	    "Content-Length: %zu\r\n\r\n", q->head_len + buf_len(&q->content));
	backend_send(c, q->head, q->head_len);
	backend_send(c, buf_data(&q->content), buf_len(&q->content));
}

static void
script_hash(struct backend_connection *c, void *arg)
{
	char text[64];
	int len;

	(void)arg;
	backend_read_content(c);
	len = snprintf(text, sizeof(text), "%llu %016llx\n",
	    c->request->content_len,
	    (unsigned long long)c->request->content_hash);
	backend_printf(c, "HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%s",
	    len, text);
}

static void
script_status(struct backend_connection *c, void *arg)
{
	unsigned long long status = number(c, 0);

	(void)arg;
	if (status == 204 || status == 304)
		backend_printf(c, "HTTP/1.1 %llu Some Reason\r\n"
		    "ETag: \"x\"\r\n\r\n", status);
	else
		backend_printf(c, "HTTP/1.1 %llu Some Reason\r\n"
		    "Content-Length: 11\r\n\r\nstatus %03llu\n", status,
		    status);
}

static void
script_bytes(struct backend_connection *c, void *arg)
{
	(void)arg;
	backend_printf(c, "HTTP/1.1 200 OK\r\nContent-Length: %llu\r\n\r\n",
	    number(c, 0));
	if (strcmp(c->request->method, "HEAD") != 0)
		backend_send_pattern(c, 0, number(c, 0));
}

static void
send_chunks(struct backend_connection *c, unsigned long long len)
{
	for (unsigned long long at = 0; at < len && !c->request->gone;) {
		/* of many sizes, one byte among them */
		unsigned long long n = 1 + (at * 7919) % 40000;

		if (n > len - at)
			n = len - at;
		backend_printf(c, "%llx;ext=1\r\n", n);
		backend_send_pattern(c, at, n);
		backend_printf(c, "\r\n");
		at += n;
	}
}

static void
script_chunked(struct backend_connection *c, void *arg)
{
	(void)arg;
	backend_printf(c, "HTTP/1.1 200 OK\r\n"
	    "Transfer-Encoding: chunked\r\n\r\n");
	send_chunks(c, number(c, 0));
	backend_printf(c, "0\r\nX-Trailer: 1\r\n\r\n");
}

static void
script_close(struct backend_connection *c, void *arg)
{
	(void)arg;
	c->close = true;
	backend_printf(c, "HTTP/1.1 200 OK\r\n\r\n");
	backend_send_pattern(c, 0, number(c, 0));
}

static void
script_break(struct backend_connection *c, void *arg)
{
	(void)arg;
	c->close = true;
	backend_printf(c, "HTTP/1.1 200 OK\r\nContent-Length: %llu\r\n\r\n",
	    number(c, 0));
	backend_send_pattern(c, 0, number(c, 1));
}

static void
script_break_chunked(struct backend_connection *c, void *arg)
{
	(void)arg;
	c->close = true;
	backend_printf(c, "HTTP/1.1 200 OK\r\n"
	    "Transfer-Encoding: chunked\r\n\r\n");
	send_chunks(c, number(c, 0));
}

static void
script_break_head(struct backend_connection *c, void *arg)
{
	(void)arg;
	c->close = true;
	backend_printf(c, "HTTP/1.1 200 OK\r\nContent-Le");
}

static void
script_break_reset(struct backend_connection *c, void *arg)
{
	struct linger reset = { .l_onoff = 1, .l_linger = 0 };

	script_break(c, arg);
	backend_wait_gone(c, 50);	/* let it arrive first */
	setsockopt(c->fd, SOL_SOCKET, SO_LINGER, &reset, sizeof(reset));
}

static void
script_sse(struct backend_connection *c, void *arg)
{
	unsigned long long count = number(c, 0);

	(void)arg;
	c->close = true;
	backend_printf(c, "HTTP/1.1 200 OK\r\n"
	    "Content-Type: text/event-stream\r\n"
	    "Cache-Control: no-cache\r\n\r\n");
	for (unsigned long long i = 0; i < count; i++) {
		backend_printf(c, "data: %lld\n\n", now_ns());
		if (backend_wait_gone(c, (int)number(c, 1)))
			break;
	}
}

static void
script_never(struct backend_connection *c, void *arg)
{
	(void)arg;
	backend_wait_gone(c, -1);
}

static void
script_slow(struct backend_connection *c, void *arg)
{
	(void)arg;
	if (!backend_wait_gone(c, (int)number(c, 0)))
		backend_printf(c, "HTTP/1.1 200 OK\r\n"
		    "Content-Length: 5\r\n\r\nslow\n");
}

static void
script_drip(struct backend_connection *c, void *arg)
{
	unsigned long long len = number(c, 0);

	(void)arg;
	backend_printf(c, "HTTP/1.1 200 OK\r\nContent-Length: %llu\r\n\r\n",
	    len);
	for (unsigned long long i = 0; i < len; i++) {
		backend_send_pattern(c, i, 1);
		if (backend_wait_gone(c, (int)number(c, 1)))
			break;
	}
}

void
backend_add_scripts(struct backend *b)
{
	backend_script(b, "/ready", script_ready, NULL);
	backend_script(b, "/echo", script_echo, NULL);
	backend_script(b, "/hash", script_hash, NULL);
	backend_script(b, "/status/", script_status, NULL);
	backend_script(b, "/bytes/", script_bytes, NULL);
	backend_script(b, "/chunked/", script_chunked, NULL);
	backend_script(b, "/close/", script_close, NULL);
	backend_script(b, "/break/", script_break, NULL);
	backend_script(b, "/break-chunked/", script_break_chunked, NULL);
	backend_script(b, "/break-head", script_break_head, NULL);
	backend_script(b, "/break-reset/", script_break_reset, NULL);
	backend_script(b, "/sse/", script_sse, NULL);
	backend_script(b, "/never", script_never, NULL);
	backend_script(b, "/slow/", script_slow, NULL);
	backend_script(b, "/drip/", script_drip, NULL);
}
