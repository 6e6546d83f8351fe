/* client.c - the raw-socket client of the integration tests. */
#include "config.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "tests/integration/backend.h"
#include "tests/integration/client.h"
#include "tests/integration/harness.h"

enum {
	HEAD_MAX = 1024 * 1024,
	FIELDS_MAX = 10000,
	PIECE = 65536,
};

/* The descriptor of a new connection, or -1. */
static int
connect_to(int port, const char *from)
{
	struct sockaddr_in a = harness_loopback(port);
	struct sockaddr_in ours = { .sin_family = AF_INET };
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

	if ((from == NULL || (inet_pton(AF_INET, from, &ours.sin_addr) == 1 &&
	    bind(fd, (struct sockaddr *)&ours, sizeof(ours)) == 0)) &&
	    connect(fd, (struct sockaddr *)&a, sizeof(a)) == 0)
		return fd;
	int error = errno;

	close(fd);
	errno = error;
	return -1;
}

bool
client_can_connect(int port)
{
	int fd = connect_to(port, NULL);

	if (fd >= 0)
		close(fd);
	return fd >= 0;
}

struct client *
client_new_from(int port, const char *from)
{
	struct client *c = calloc(1, sizeof(*c));
	int on = 1;

	if (c == NULL)
		abort();
	buf_init(&c->in, HEAD_MAX + PIECE);
	c->fd = connect_to(port, from);
	check(c->fd >= 0, "connect to port %d: %s", port, strerror(errno));
	setsockopt(c->fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
	return c;
}

struct client *
client_new(int port)
{
	return client_new_from(port, NULL);
}

void
client_free(struct client *c)
{
	if (c == NULL)
		return;
	close(c->fd);
	buf_clear(&c->in);
	free(c);
}

bool
client_send(struct client *c, const void *bytes, size_t len)
{
	const char *p = bytes;

	while (len > 0) {
		ssize_t n = send(c->fd, p, len, MSG_NOSIGNAL);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return false;
		p += n;
		len -= (size_t)n;
	}
	c->sent_ns = now_ns();
	return true;
}

bool
client_printf(struct client *c, const char *format, ...)
{
	va_list ap;
	size_t len;
	bool sent;

	va_start(ap, format);
	char *text = harness_text(&len, format, ap);
	va_end(ap);
	sent = client_send(c, text, len);
	free(text);
	return sent;
}

bool
client_send_pattern(struct client *c, unsigned long long len, bool chunked)
{
	char piece[PIECE];
	bool sent = true;

	for (unsigned long long at = 0; at < len && sent;) {
		size_t n = len - at > sizeof(piece) ? sizeof(piece) :
		    (size_t)(len - at);

		pattern_fill(piece, at, n);
		if (chunked)
			sent = client_printf(c, "%zx\r\n", n);
		sent = sent && client_send(c, piece, n);
		if (chunked)
			sent = sent && client_printf(c, "\r\n");
		at += n;
	}
	return sent && (!chunked || client_printf(c, "0\r\n\r\n"));
}

void
client_half_close(struct client *c)
{
	shutdown(c->fd, SHUT_WR);
}

void
client_reset(struct client *c)
{
	struct linger reset = { .l_onoff = 1, .l_linger = 0 };

	setsockopt(c->fd, SOL_SOCKET, SO_LINGER, &reset, sizeof(reset));
	client_free(c);
}

/* More bytes into c->in; false when none came within ms or at the end. */
static bool
receive(struct client *c, int ms)
{
	struct pollfd p = { .fd = c->fd, .events = POLLIN };
	char *room = buf_reserve(&c->in, PIECE);
	ssize_t n;

	check(room != NULL, "the client's buffer is full");
	if (c->eof || poll(&p, 1, ms) <= 0)
		return false;
	n = recv(c->fd, room, PIECE, 0);
	if (n <= 0) {
		c->eof = true;
		return false;
	}
	buf_commit(&c->in, (size_t)n);
	return true;
}

bool
client_wait_closed(struct client *c, int ms)
{
	long long deadline = now_ms() + ms;

	while (!c->eof && now_ms() < deadline)
		receive(c, (int)(deadline - now_ms()));
	return c->eof;
}

/* Takes a head off c->in into r; false when it is not all there. */
static bool
take_head(struct client *c, struct response *r)
{
	size_t len;
	int found = http1_head_find_end(buf_span(&c->in), 0, HEAD_MAX, &len);

	check(found >= 0, "not a response head: %s: %.*s",
	    wire_strerror(found), (int)buf_len(&c->in), buf_data(&c->in));
	if (found != WIRE_DONE)
		return false;
	buf_init(&r->head, HEAD_MAX);
	if (buf_append(&r->head, buf_data(&c->in), len) != 0)
		abort();
	buf_drain(&c->in, len);
	found = http1_response_decode(buf_span(&r->head), FIELDS_MAX,
	    &r->decoded);
	check(found == 0, "not a response head: %s: %.*s",
	    wire_strerror(found), (int)len, buf_data(&r->head));
	return true;
}

void
response_read_head(struct client *c, const char *method, struct response *r,
    int ms)
{
	long long deadline = now_ms() + ms;
	struct http1_framing framing;

	memset(r, 0, sizeof(*r));
	r->hash = HASH_INIT;
	buf_init(&r->content, RESPONSE_KEEP);
	for (;;) {
		long long left = deadline - now_ms();

		if (!take_head(c, r)) {
			check(left > 0, "no response head within %d ms; "
			    "so far: %.*s", ms, (int)buf_len(&c->in),
			    buf_data(&c->in));
			if (!receive(c, (int)left) && c->eof)
				return;
			continue;
		}
		if (r->decoded.status >= 200)
			break;
		r->interim++;
		http1_response_clear(&r->decoded);
		buf_clear(&r->head);
	}
	r->status = r->decoded.status;
	r->head_ns = now_ns();
	check(http1_response_framing(&r->decoded, span_str(method),
	    &framing) == 0, "framing of: %.*s", (int)buf_len(&r->head),
	    buf_data(&r->head));
	http1_body_init(&r->body, framing);
}

static struct span
note_piece(struct response *r, struct span piece)
{
	size_t keep = RESPONSE_KEEP - buf_len(&r->content);

	if (piece.len == 0)
		return piece;
	if (r->content_len == 0)
		r->first_ns = now_ns();
	r->content_len += piece.len;
	r->hash = hash_add(r->hash, piece.data, piece.len);
	if (buf_append(&r->content, piece.data,
	    piece.len < keep ? piece.len : keep) != 0)
		abort();
	return piece;
}

struct span
response_read_piece(struct client *c, struct response *r, int ms)
{
	static char kept[HEAD_MAX + PIECE];	/* outlives the drain */
	struct span in, piece = { NULL, 0 };

	while (!r->ended && piece.len == 0) {
		size_t before;
		int done;

		in = buf_span(&c->in);
		before = in.len;
		done = http1_body_decode(&r->body, &in, &piece);
		if (piece.len > 0)
			memcpy(kept, piece.data, piece.len);
		piece.data = kept;
		buf_drain(&c->in, before - in.len);
		r->ended = done != WIRE_MORE;
		r->whole = done == WIRE_DONE;
		if (r->ended || piece.len > 0 || in.len != before)
			continue;
		if (receive(c, ms))
			continue;
		if (!c->eof)
			break;
		r->ended = true;
		r->whole = http1_body_end(&r->body) == WIRE_DONE;
	}
	return note_piece(r, piece);
}

void
response_read_content(struct client *c, struct response *r)
{
	while (r->status != 0 && !r->ended) {
		struct span piece = response_read_piece(c, r, PATIENCE_MS);

		check(piece.len > 0 || r->ended, "no content for %d ms after "
		    "%llu bytes of it", PATIENCE_MS, r->content_len);
	}
}

void
response_clear(struct response *r)
{
	if (r->status != 0)
		http1_response_clear(&r->decoded);
	buf_clear(&r->head);
	buf_clear(&r->content);
}

char *
response_field(const struct response *r, const char *name)
{
	const struct field *f = r->status == 0 ? NULL :
	    fields_find(&r->decoded.fields, name);

	return f == NULL ? NULL : span_strdup(f->value);
}

size_t
response_count_fields(const struct response *r, const char *name)
{
	return r->status == 0 ? 0 : fields_count(&r->decoded.fields, name);
}

char *
response_text(const struct response *r)
{
	return span_strdup(buf_span(&r->content));
}

char *
head_field(const char *head, const char *name, size_t n)
{
	size_t len = strlen(name);
	const char *line = head;

	while ((line = strstr(line, "\r\n")) != NULL) {
		line += 2;
		if (strncmp(line, "\r\n", 2) == 0)
			break;
		if (strncasecmp(line, name, len) != 0 || line[len] != ':' ||
		    n-- > 0)
			continue;
		line += len + 1;
		return span_strdup(span_trim(span_of(line,
		    strcspn(line, "\r"))));
	}
	return NULL;
}

size_t
head_count(const char *head, const char *name)
{
	size_t n = 0;

	while (head_field(head, name, n) != NULL)
		n++;
	return n;
}

struct response
request_bytes(int port, const void *bytes, size_t len)
{
	struct client *c = client_new(port);
	const char *text = bytes, *space = memchr(bytes, ' ', len);
	char *method = strndup(text, space == NULL ? 0 :
	    (size_t)(space - text));
	struct response r;

	client_send(c, bytes, len);
	response_read_head(c, method, &r, 2 * PATIENCE_MS);
	response_read_content(c, &r);
	client_free(c);
	free(method);
	return r;
}

struct response
request(int port, const char *format, ...)
{
	struct response r;
	va_list ap;
	size_t len;

	va_start(ap, format);
	char *text = harness_text(&len, format, ap);
	va_end(ap);
	r = request_bytes(port, text, len);
	free(text);
	return r;
}

struct response
get(int port, const char *target)
{
	return request(port, "GET %s HTTP/1.1\r\nHost: proxy.test\r\n"
	    "Connection: close\r\n\r\n", target);
}
