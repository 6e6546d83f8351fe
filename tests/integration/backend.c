/* backend.c - the scripted backend: a listening thread, a thread for each
 * connection, a table of scripts and a list of the requests seen. */
#include "config.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "common/http1_body.h"
#include "common/http1_head.h"
#include "tests/integration/backend.h"
#include "tests/integration/harness.h"

enum {
	HEAD_MAX = 1024 * 1024,
	FIELDS_MAX = 10000,
	CONTENT_KEEP = 1024 * 1024,
};

struct script {
	const char *prefix;
	backend_script_fn *fn;
	void *arg;
	struct script *older;
};

struct backend {
	int listen_fd;
	int port;
	pthread_mutex_t lock;		/* for what follows */
	struct script *scripts;
	struct backend_request *first, **end;
	struct backend_connection *connections;
	const char *forgets;		/* requests with this prefix; or NULL */
};

struct canned {
	const void *bytes;
	size_t len;
};

/* --- what scripts use --- */

static void
mark_gone(struct backend_connection *c)
{
	pthread_mutex_lock(&c->backend->lock);
	c->request->gone = true;
	pthread_mutex_unlock(&c->backend->lock);
	c->close = true;
}

void
backend_send(struct backend_connection *c, const void *bytes, size_t len)
{
	const char *p = bytes;

	while (len > 0 && !c->request->gone) {
		ssize_t n = send(c->fd, p, len, MSG_NOSIGNAL);

		if (n < 0 && errno != EINTR)
			mark_gone(c);
		if (n > 0) {
			p += n;
			len -= (size_t)n;
		}
	}
}

void
backend_printf(struct backend_connection *c, const char *format, ...)
{
	va_list ap;
	size_t len;

	va_start(ap, format);
	char *text = harness_text(&len, format, ap);
	va_end(ap);
	backend_send(c, text, len);
	free(text);
}

void
backend_send_pattern(struct backend_connection *c, unsigned long long from,
    unsigned long long len)
{
	char piece[65536];

	for (unsigned long long at = 0; at < len && !c->request->gone;) {
		size_t n = len - at > sizeof(piece) ? sizeof(piece) :
		    (size_t)(len - at);

		pattern_fill(piece, from + at, n);
		backend_send(c, piece, n);
		at += n;
	}
}

/* More bytes into c->in; false at the end of the connection. */
static bool
receive(struct backend_connection *c)
{
	char piece[65536];
	ssize_t n;

	do
		n = recv(c->fd, piece, sizeof(piece), 0);
	while (n < 0 && errno == EINTR);
	return n > 0 && buf_append(&c->in, piece, (size_t)n) == 0;
}

static struct http1_framing
request_framing(const struct backend_request *q)
{
	struct http1_framing framing = { .kind = HTTP1_FRAMING_NONE };
	struct http1_request request;

	if (http1_request_decode(span_of(q->head, q->head_len), FIELDS_MAX,
	    &request) == 0) {
		if (http1_request_framing(&request, &framing) != 0)
			framing.kind = HTTP1_FRAMING_NONE;
		http1_request_clear(&request);
	}
	return framing;
}

static void
note_content(struct backend_connection *c, struct span content, bool whole)
{
	struct backend_request *q = c->request;
	size_t keep = CONTENT_KEEP - buf_len(&q->content);

	pthread_mutex_lock(&c->backend->lock);
	q->content_hash = hash_add(q->content_hash, content.data, content.len);
	q->content_len += content.len;
	q->content_whole = whole;
	if (buf_append(&q->content, content.data,
	    content.len < keep ? content.len : keep) != 0)
		abort();
	pthread_mutex_unlock(&c->backend->lock);
}

void
backend_read_content(struct backend_connection *c)
{
	struct http1_body body;
	int r = WIRE_MORE;

	if (c->request->content_whole)
		return;
	http1_body_init(&body, request_framing(c->request));
	for (;;) {
		struct span in = buf_span(&c->in), content;
		size_t before = in.len;

		r = http1_body_decode(&body, &in, &content);
		note_content(c, content, r == WIRE_DONE);
		buf_drain(&c->in, before - in.len);
		if (r != WIRE_MORE)
			break;
		if (in.len == before && content.len == 0 && !receive(c))
			break;
	}
	if (r != WIRE_DONE)
		mark_gone(c);
}

bool
backend_wait_gone(struct backend_connection *c, int ms)
{
	struct pollfd p = { .fd = c->fd, .events = POLLRDHUP };

	if (!c->request->gone && poll(&p, 1, ms) > 0 &&
	    (p.revents & (POLLRDHUP | POLLHUP | POLLERR)) != 0)
		mark_gone(c);
	return c->request->gone;
}

/* --- scripts --- */

static void
script_canned(struct backend_connection *c, void *arg)
{
	const struct canned *canned = arg;

	c->close = true;
	backend_read_content(c);
	backend_send(c, canned->bytes, canned->len);
}

static void
script_not_found(struct backend_connection *c, void *arg)
{
	(void)arg;
	backend_read_content(c);
	backend_printf(c, "HTTP/1.1 404 Not Found\r\n"
	    "Content-Length: 10\r\n\r\nno script\n");
}

/* --- connections --- */

static void
run_script(struct backend_connection *c)
{
	backend_script_fn *fn = script_not_found;
	const char *target = c->request->target;
	void *arg = NULL;

	/* absolute-form: scripts are chosen by the path */
	if (strncmp(target, "http://", 7) == 0 &&
	    strchr(target + 7, '/') != NULL)
		target = strchr(target + 7, '/');
	pthread_mutex_lock(&c->backend->lock);
	for (struct script *s = c->backend->scripts; s != NULL; s = s->older)
		if (strncmp(target, s->prefix, strlen(s->prefix)) == 0) {
			fn = s->fn;
			arg = s->arg;
			break;
		}
	pthread_mutex_unlock(&c->backend->lock);
	fn(c, arg);
	/* What the script did not read would be taken for a request. */
	if (!c->close)
		backend_read_content(c);
	pthread_mutex_lock(&c->backend->lock);
	c->request->done = true;
	pthread_mutex_unlock(&c->backend->lock);
}

static bool
read_request(struct backend_connection *c)
{
	struct backend *b = c->backend;
	struct backend_request *q;
	const char *end, *space;

	while ((end = memmem(buf_data(&c->in), buf_len(&c->in), "\r\n\r\n", 4))
	    == NULL)
		if (!receive(c))
			return false;
	if ((q = calloc(1, sizeof(*q))) == NULL)
		abort();
	q->head_len = (size_t)(end + 4 - buf_data(&c->in));
	q->head = span_strdup(span_of(buf_data(&c->in), q->head_len));
	q->content_hash = HASH_INIT;
	buf_init(&q->content, CONTENT_KEEP);
	buf_drain(&c->in, q->head_len);
	space = strchr(q->head, ' ');
	q->method = strndup(q->head, space == NULL ? 0 :
	    (size_t)(space - q->head));
	q->target = space == NULL ? strdup("") :
	    strndup(space + 1, strcspn(space + 1, " \r"));
	c->request = q;
	pthread_mutex_lock(&b->lock);
	c->forgets = b->forgets != NULL && strncmp(q->target, b->forgets,
	    strlen(b->forgets)) == 0;
	if (!c->forgets) {
		*b->end = q;
		b->end = &q->next;
	}
	pthread_mutex_unlock(&b->lock);
	return true;
}

static void
forget_request(struct backend_connection *c)
{
	struct backend_request *q = c->request;

	if (!c->forgets)
		return;
	free(q->head);
	free(q->target);
	free(q->method);
	buf_clear(&q->content);
	free(q);
	c->request = NULL;
}

/* Known while open, so that backend_stop can end it. */
static void
link_connection(struct backend_connection *c)
{
	pthread_mutex_lock(&c->backend->lock);
	c->next = c->backend->connections;
	c->backend->connections = c;
	pthread_mutex_unlock(&c->backend->lock);
}

static void
unlink_connection(struct backend_connection *c)
{
	struct backend_connection **at = &c->backend->connections;

	pthread_mutex_lock(&c->backend->lock);
	while (*at != c)
		at = &(*at)->next;
	*at = c->next;
	close(c->fd);
	pthread_mutex_unlock(&c->backend->lock);
}

static void *
connection_main(void *arg)
{
	struct backend_connection *c = arg;
	int on = 1;

	setsockopt(c->fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
	while (!c->close && read_request(c)) {
		run_script(c);
		forget_request(c);
	}
	unlink_connection(c);
	buf_clear(&c->in);
	free(c);
	return NULL;
}

static void *
listen_main(void *arg)
{
	struct backend *b = arg;
	int listen_fd = b->listen_fd, fd;

	while ((fd = accept4(listen_fd, NULL, NULL, SOCK_CLOEXEC)) >= 0) {
		struct backend_connection *c = calloc(1, sizeof(*c));
		pthread_t thread;

		if (c == NULL)
			abort();
		c->fd = fd;
		c->backend = b;
		buf_init(&c->in, HEAD_MAX);
		link_connection(c);
		if (pthread_create(&thread, NULL, connection_main, c) != 0)
			abort();
		pthread_detach(thread);
	}
	close(listen_fd);
	return NULL;
}

/* The same port again after backend_stop. */
static void
start_listening(struct backend *b)
{
	struct sockaddr_in a = harness_loopback(b->port);
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0), on = 1;
	pthread_t thread;

	setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on));
	check(bind(fd, (struct sockaddr *)&a, sizeof(a)) == 0 &&
	    listen(fd, 1024) == 0, "backend: %s", strerror(errno));
	b->listen_fd = fd;
	if (pthread_create(&thread, NULL, listen_main, b) != 0)
		abort();
	pthread_detach(thread);
}

struct backend *
backend_new(void)
{
	struct backend *b = calloc(1, sizeof(*b));

	if (b == NULL)
		abort();
	pthread_mutex_init(&b->lock, NULL);
	b->end = &b->first;
	b->port = harness_port();
	backend_add_scripts(b);
	start_listening(b);
	return b;
}

void
backend_forget(struct backend *b, const char *prefix)
{
	pthread_mutex_lock(&b->lock);
	b->forgets = prefix;
	pthread_mutex_unlock(&b->lock);
}

int
backend_port(const struct backend *b)
{
	return b->port;
}

void
backend_stop(struct backend *b)
{
	shutdown(b->listen_fd, SHUT_RDWR);	/* wakes the thread's accept */
	pthread_mutex_lock(&b->lock);
	for (struct backend_connection *c = b->connections; c != NULL;
	    c = c->next)
		shutdown(c->fd, SHUT_RDWR);
	pthread_mutex_unlock(&b->lock);
}

void
backend_resume(struct backend *b)
{
	start_listening(b);
}

void
backend_script(struct backend *b, const char *prefix, backend_script_fn *fn,
    void *arg)
{
	struct script *s = calloc(1, sizeof(*s));

	if (s == NULL)
		abort();
	*s = (struct script){ prefix, fn, arg, NULL };
	pthread_mutex_lock(&b->lock);
	s->older = b->scripts;
	b->scripts = s;
	pthread_mutex_unlock(&b->lock);
}

void
backend_answer(struct backend *b, const char *prefix, const void *bytes,
    size_t len)
{
	struct canned *canned = calloc(1, sizeof(*canned));

	if (canned == NULL)
		abort();
	*canned = (struct canned){ bytes, len };
	backend_script(b, prefix, script_canned, canned);
}

/* --- what it has seen --- */

static size_t
count(struct backend *b, const char *prefix, bool gone, bool open)
{
	size_t n = 0;

	pthread_mutex_lock(&b->lock);
	for (struct backend_request *q = b->first; q != NULL; q = q->next)
		if (strncmp(q->target, prefix, strlen(prefix)) == 0 &&
		    (!gone || q->gone) && (!open || !q->done))
			n++;
	pthread_mutex_unlock(&b->lock);
	return n;
}

size_t
backend_count(struct backend *b, const char *prefix)
{
	return count(b, prefix, false, false);
}

size_t
backend_count_gone(struct backend *b, const char *prefix)
{
	return count(b, prefix, true, false);
}

size_t
backend_count_open(struct backend *b, const char *prefix)
{
	return count(b, prefix, false, true);
}

const struct backend_request *
backend_request(struct backend *b, const char *prefix, size_t n)
{
	struct backend_request *q;

	pthread_mutex_lock(&b->lock);
	for (q = b->first; q != NULL; q = q->next)
		if (strncmp(q->target, prefix, strlen(prefix)) == 0 && n-- == 0)
			break;
	pthread_mutex_unlock(&b->lock);
	check(q != NULL, "the backend saw no request for %s", prefix);
	return q;
}
