/* fuzz_transfer.c - any bytes from a server of HTTP/1 or HTTP/2, through libcurl:
 * requests follow one another, on connections that may be kept.  Each ends once,
 * with what its handler was promised. */
#include "config.h"

#include <curl/curl.h>
#include <errno.h>
#include <stdio.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "agent/transfer.h"
#include "tests/fuzz/fuzz.h"

enum { REQUESTS_MAX = 16, CONNECTIONS_MAX = 16, QUIET_TURNS = 4 };

/* The first byte of each request's part of an input; two are the method. */
enum {
	SERVER_CLOSES = 1 << 2,		/* after its response */
	MAY_REPEAT = 1 << 3,
	TAKES_LATER = 1 << 4,		/* content, the first time */
	ABORTS = 1 << 5,		/* at the first content */
	ABORTS_CONNECTION = 1 << 6,
	IN_TWO = 1 << 7,		/* the response */
};

struct connection {
	ev_io io;			/* fd -1: none */
	char last[4];			/* bytes that were read */
};

static struct ev_loop *loop;
static char directory[] = "/tmp/fuzz-transfer-XXXXXX";
static struct sockaddr_un address = { .sun_family = AF_UNIX };
static ev_io listener;
static struct connection connections[CONNECTIONS_MAX];
static unsigned events;			/* that something came of */

/* The request that is under way. */
static struct {
	struct transfer *transfer;
	unsigned options;
	struct span response;		/* what the server has still to say */
	bool is_answered, is_over;
	bool has_head, has_taken, is_paused;
	size_t to_send;
	int status;
} now;

static const char *
method(void)
{
	static const char *const names[] = { "GET", "HEAD", "PUT", "POST" };

	return names[now.options & 3];
}

/* --- the server --- */

static void
hang_up(struct connection *c)
{
	ev_io_stop(loop, &c->io);
	close(c->io.fd);
	c->io.fd = -1;
}

static void
say(struct connection *c, size_t len)
{
	/* It may be gone. */
	(void)send(c->io.fd, now.response.data, len, MSG_NOSIGNAL);
	now.response = span_of(now.response.data + len,
	    now.response.len - len);
	if (now.response.len == 0 && (now.options & SERVER_CLOSES))
		shutdown(c->io.fd, SHUT_WR);
}

/* Each request is answered once, at the end of its head (of HTTP/2, at the
 * preface). */
static void
on_request(struct ev_loop *l, ev_io *io, int revents)
{
	struct connection *c = (struct connection *)io;
	char byte;

	(void)l;
	(void)revents;
	events++;
	while (recv(io->fd, &byte, 1, MSG_DONTWAIT) == 1) {
		memmove(c->last, c->last + 1, 3);
		c->last[3] = byte;
		if (memcmp(c->last, "\r\n\r\n", 4) != 0 || now.is_answered)
			continue;
		now.is_answered = true;
		say(c, (now.options & IN_TWO) ? now.response.len / 2 :
		    now.response.len);
	}
	if (recv(io->fd, &byte, 1, MSG_DONTWAIT | MSG_PEEK) == 0 ||
	    (errno != EAGAIN && errno != EWOULDBLOCK))
		hang_up(c);
}

static void
on_connection(struct ev_loop *l, ev_io *io, int revents)
{
	int fd = accept(io->fd, NULL, NULL);

	(void)l;
	(void)revents;
	events++;
	must(fd >= 0);
	for (size_t i = 0; i < CONNECTIONS_MAX; i++) {
		struct connection *c = &connections[i];

		if (c->io.fd >= 0)
			continue;
		memset(c->last, 0, sizeof(c->last));
		ev_io_init(&c->io, on_request, fd, EV_READ);
		ev_io_start(loop, &c->io);
		return;
	}
	close(fd);
}

/* The rest of the response; then it is the server who gives up. */
static void
go_on(void)
{
	bool has_rest = now.response.len > 0 && now.is_answered;

	for (size_t i = 0; i < CONNECTIONS_MAX; i++) {
		if (connections[i].io.fd < 0)
			continue;
		if (has_rest)
			say(&connections[i], now.response.len);
		else
			hang_up(&connections[i]);
	}
	if (!has_rest)
		now.is_answered = true;
}

static void
set_up(void)
{
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

	fuzz_log_nowhere();
	/* Once for all engines: it is slow. */
	must(curl_global_init(CURL_GLOBAL_DEFAULT) == CURLE_OK);
	must((loop = ev_loop_new(EVBACKEND_POLL)) != NULL);
	must(mkdtemp(directory) != NULL);
	snprintf(address.sun_path, sizeof(address.sun_path), "%s/s",
	    directory);
	must(fd >= 0 && bind(fd, (struct sockaddr *)&address,
	    sizeof(address)) == 0 && listen(fd, CONNECTIONS_MAX) == 0);
	ev_io_init(&listener, on_connection, fd, EV_READ);
	ev_io_start(loop, &listener);
	for (size_t i = 0; i < CONNECTIONS_MAX; i++)
		connections[i].io.fd = -1;
}

static void
clean_up(void)
{
	unlink(address.sun_path);
	rmdir(directory);
}

/* --- the client --- */

static bool
take_head(void *arg, int status, struct span head)
{
	(void)arg;
	events++;
	must(!now.is_over && !now.has_head);
	must(status >= 200 && status <= 999);
	must(head.len >= 17 && head.len <= TRANSFER_HEAD_MAX);
	must(memcmp(head.data, "HTTP/1.1 ", 9) == 0);
	must(memcmp(head.data + head.len - 4, "\r\n\r\n", 4) == 0);
	fuzz_touch(head);
	now.has_head = true;
	now.status = status;
	return true;
}

static bool
take_content(void *arg, struct span content)
{
	(void)arg;
	events++;
	must(!now.is_over && now.has_head && content.len > 0);
	must((now.options & 3) != 1 && now.status != 204 &&
	    now.status != 304);
	fuzz_touch(content);
	if (now.options & (ABORTS | ABORTS_CONNECTION)) {
		if (now.options & ABORTS)
			transfer_abort(now.transfer);
		else
			transfer_abort_connection(now.transfer);
		now.is_over = true;
		return false;
	}
	if ((now.options & TAKES_LATER) && !now.has_taken) {
		now.has_taken = now.is_paused = true;
		return false;
	}
	return true;
}

static long
send_content(void *arg, char *into, size_t len)
{
	size_t n = now.to_send < len ? now.to_send : len;

	(void)arg;
	events++;
	must(!now.is_over);
	if ((now.options & TAKES_LATER) && n > 0 && !now.is_paused) {
		now.is_paused = true;
		return TRANSFER_SEND_LATER;
	}
	memset(into, 'x', n);
	now.to_send -= n;
	return (long)n;
}

static void
is_done(void *arg, const struct transfer_result *result)
{
	(void)arg;
	events++;
	must(!now.is_over);
	must(result->status == (now.has_head ? now.status : 0));
	must(result->outcome != TRANSFER_COMPLETE || now.has_head);
	must(result->outcome != TRANSFER_TIMEOUT);
	fuzz_touch(span_str(result->why));
	now.is_over = true;
}

static const struct transfer_handler handler = { take_head, take_content,
	send_content, is_done };

static void
one_request(struct transfer_engine *engine, struct transfer_peer *peer)
{
	struct transfer_request request = { .method = span_str(method()),
		.target = span_str("/"),
		.may_repeat = (now.options & MAY_REPEAT) != 0 };
	unsigned quiet = 0, turns = 0, before;
	struct fields fields;

	fields_init(&fields);
	request.fields = &fields;
	if ((now.options & 3) == 2) {
		request.framing.kind = HTTP1_FRAMING_LENGTH;
		request.framing.length = 4;
		request.content = span_str("text");
	} else if ((now.options & 3) == 3) {
		request.framing.kind = HTTP1_FRAMING_CHUNKED;
		now.to_send = 100;
	}
	now.transfer = transfer_start(peer, &request, &handler, NULL);
	fields_clear(&fields);
	while (!now.is_over) {
		must(turns++ < 1000);
		before = events;
		(void)transfer_engine_run(engine);
		ev_run(loop, EVRUN_NOWAIT);
		quiet = events == before ? quiet + 1 : 0;
		if (now.is_over || quiet < QUIET_TURNS)
			continue;
		quiet = 0;
		if (now.is_paused) {
			transfer_resume_receive(now.transfer);
			transfer_resume_send(now.transfer);
		}
		go_on();
	}
	/* It is still in the queue if it was aborted. */
	while (transfer_engine_run(engine))
		continue;
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct transfer_peer_settings settings = { .connect_timeout_ms = 9999,
		.url = "http://server.invalid/", .acks_at_once = true };
	struct span in = span_of((const char *)data, size);
	struct transfer_engine *engine;
	struct transfer_peer *peer;

	if (loop == NULL) {
		set_up();
		must(atexit(clean_up) == 0);
	}
	settings.unix_path = address.sun_path;
	settings.http = (fuzz_byte(&in) & 1) ? TRANSFER_HTTP2 : TRANSFER_HTTP1;
	engine = transfer_engine_new(loop, 4);
	must((peer = transfer_peer_new(engine, &settings)) != NULL);
	for (size_t i = 0; i < REQUESTS_MAX && in.len > 0; i++) {
		memset(&now, 0, sizeof(now));
		now.options = fuzz_byte(&in);
		now.response = fuzz_piece(&in);
		one_request(engine, peer);
	}
	transfer_peer_free(peer);
	transfer_engine_free(engine);
	for (size_t i = 0; i < CONNECTIONS_MAX; i++)
		if (connections[i].io.fd >= 0)
			hang_up(&connections[i]);
	return 0;
}
