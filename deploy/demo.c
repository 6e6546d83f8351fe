/* demo.c - the little server that deploy/quickstart publishes: a page, the
 * request as it arrived, and a clock as server-sent events.  One process for
 * each connection, one request on each; for looking at, not for load. */
#include "config.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

#include "common/buf.h"
#include "common/http1_head.h"
#include "common/span.h"

enum { HEAD_MAX = 65536, FIELDS_MAX = 200, REPLY_MAX = 131072, BACKLOG = 128 };

static const char page[] =
    "<!DOCTYPE html>\n"
    "<html lang=\"en\"><meta charset=\"utf-8\">\n"
    "<meta name=\"viewport\" content=\"width=device-width\">\n"
    "<title>Inverting proxy: it works</title>\n"
    "<style>\n"
    "body { font: 18px/1.5 sans-serif; max-width: 42em; margin: 3em auto;\n"
    "    padding: 0 1em; color: #222; background: #fafafa }\n"
    "h1 { font-size: 1.6em } code, pre { background: #eee; padding: .1em .3em }\n"
    "pre { padding: .8em; overflow: auto; font-size: .8em }\n"
    "#clock { font-size: 2em; color: #064 }\n"
    "</style>\n"
    "<h1>It works</h1>\n"
    "<p>This page comes from a server that listens on nothing but a private\n"
    "socket. An agent beside it asked the proxy for work, was given your\n"
    "request, and carried the answer back.</p>\n"
    "<p>The time there, streamed as server-sent events:</p>\n"
    "<p id=\"clock\">&hellip;</p>\n"
    "<p>Your request, as it arrived:</p>\n"
    "<pre id=\"request\">&hellip;</pre>\n"
    "<script>\n"
    "new EventSource('events').onmessage = function (e) {\n"
    "    document.getElementById('clock').textContent = e.data;\n"
    "};\n"
    "fetch('request').then(function (r) { return r.text(); })\n"
    "    .then(function (t) {\n"
    "        document.getElementById('request').textContent = t;\n"
    "    });\n"
    "</script>\n"
    "</html>\n";

static _Noreturn void
fail(const char *what)
{
	fprintf(stderr, "inverting-proxy-demo: %s: %s\n", what,
	    strerror(errno));
	exit(EXIT_FAILURE);
}

static void
send_all(int fd, struct span s)
{
	while (s.len > 0) {
		ssize_t n = send(fd, s.data, s.len, MSG_NOSIGNAL);

		if (n == -1 && errno == EINTR)
			continue;
		if (n <= 0)
			_exit(EXIT_SUCCESS);	/* the agent has left */
		s = span_of(s.data + n, s.len - (size_t)n);
	}
}

static void
send_reply(int fd, int status, const char *type, struct span content,
    bool with_content)
{
	char head[256];
	int n = snprintf(head, sizeof(head),
	    "HTTP/1.1 %d %s\r\nContent-Type: %s\r\nContent-Length: %zu\r\n"
	    "Connection: close\r\n\r\n", status, http1_reason_phrase(status),
	    type, content.len);

	send_all(fd, span_of(head, (size_t)n));
	if (with_content)
		send_all(fd, content);
}

/* An event a second until the client has left. */
static void
send_events(int fd)
{
	send_all(fd, span_str("HTTP/1.1 200 OK\r\n"
	    "Content-Type: text/event-stream\r\nCache-Control: no-store\r\n"
	    "Connection: close\r\n\r\n"));
	for (;;) {
		char text[64];
		time_t now = time(NULL);
		struct tm tm;

		localtime_r(&now, &tm);
		strftime(text, sizeof(text), "data: %H:%M:%S\n\n", &tm);
		send_all(fd, span_str(text));
		sleep(1);
	}
}

static void
answer(int fd, struct span head)
{
	struct http1_request request;
	struct span path;
	const char *query;
	bool with_content;

	if (http1_request_decode(head, FIELDS_MAX, &request) != 0) {
		send_reply(fd, 400, "text/plain", span_str("Bad request\n"),
		    true);
		return;
	}
	with_content = !span_is(request.method, span_str("HEAD"));
	path = request.target;
	query = memchr(path.data, '?', path.len);
	if (query != NULL)
		path.len = (size_t)(query - path.data);
	if (span_is(path, span_str("/")))
		send_reply(fd, 200, "text/html; charset=utf-8", span_str(page),
		    with_content);
	else if (span_is(path, span_str("/request")))
		send_reply(fd, 200, "text/plain", head, with_content);
	else if (span_is(path, span_str("/events")) && with_content)
		send_events(fd);
	else
		send_reply(fd, 404, "text/plain",
		    span_str("The demo has /, /request and /events.\n"),
		    with_content);
	http1_request_clear(&request);
}

static void
serve(int fd)
{
	struct buf in;
	size_t head_len;
	int r;

	buf_init(&in, HEAD_MAX);
	while ((r = http1_head_find_end(buf_span(&in), 0, HEAD_MAX,
	    &head_len)) == WIRE_MORE) {
		char *room = buf_reserve(&in, 4096);
		ssize_t n = room == NULL ? 0 : recv(fd, room, 4096, 0);

		if (n <= 0)
			return;
		buf_commit(&in, (size_t)n);
	}
	if (r == WIRE_DONE)
		answer(fd, span_of(buf_data(&in), head_len));
	buf_clear(&in);
	shutdown(fd, SHUT_WR);
	/* Take what the agent still sends, lest a reset overtakes the reply. */
	for (char rest[4096]; recv(fd, rest, sizeof(rest), 0) > 0; )
		continue;
}

static int
listen_on(const char *path)
{
	struct sockaddr_un address = { .sun_family = AF_UNIX };
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

	if (strlen(path) >= sizeof(address.sun_path)) {
		errno = ENAMETOOLONG;
		fail(path);
	}
	memcpy(address.sun_path, path, strlen(path));
	unlink(path);
	if (fd == -1 || bind(fd, (struct sockaddr *)&address,
	    sizeof(address)) == -1 || listen(fd, BACKLOG) == -1)
		fail(path);
	return fd;
}

int
main(int argc, char **argv)
{
	int listener;

	if (argc != 2) {
		fprintf(stderr, "usage: inverting-proxy-demo SOCKET\n");
		return 2;
	}
	listener = listen_on(argv[1]);
	signal(SIGCHLD, SIG_IGN);	/* nobody waits for them */
	for (;;) {
		int fd = accept(listener, NULL, NULL);

		if (fd == -1) {
			if (errno == EINTR || errno == ECONNABORTED)
				continue;
			fail("accept");
		}
		switch (fork()) {
		case -1:
			fail("fork");
		case 0:
			prctl(PR_SET_PDEATHSIG, SIGTERM);
			close(listener);
			serve(fd);
			_exit(EXIT_SUCCESS);
		}
		close(fd);
	}
}
