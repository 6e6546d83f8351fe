/* web_server.c - see web_server.h. */
#include "config.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "tests/unit/web_server.h"

struct app app;

struct ev_loop *loop;
struct responder *responder;
int listen_fd;
static char directory[] = "/tmp/test_responder.XXXXXX";
char address[64];

static void
do_read(struct call *call)
{
	char some[5000];
	size_t n;

	while ((n = call_read(call, some, sizeof(some))) > 0) {
		for (size_t i = 0; i < n; i++)
			if (app.read + i < sizeof(app.content) - 1)
				app.content[app.read + i] = some[i];
		app.read += n;
	}
	app.ended = call_content_ended(call);
}

/* For EXPECT_TURN. */
static ev_timer tick, guard;

static void
expect_turn(void)
{
	ev_timer_stop(loop, &tick);
	ev_timer_set(&guard, 5., 0.);
	ev_timer_start(loop, &guard);
}

void
app_do(struct call *call, enum deed deed)
{
	switch (deed) {
	case NOTHING:
		return;
	case READ:
		do_read(call);
		return;
	case READ_AND_FINISH:
		do_read(call);
		if (!app.ended)
			return;
		call_write(call, ANSWER, sizeof(ANSWER) - 1);
		break;
	case FINISH_LATE:
		call_delay(call, 0.2);
		call_write(call, ANSWER, sizeof(ANSWER) - 1);
		break;
	case FINISH:
		call_write(call, ANSWER, sizeof(ANSWER) - 1);
		break;
	case WRITE_MUCH:
		for (size_t i = 0; i < app.much; i += 1000) {
			char line[1001];
			snprintf(line, sizeof(line), "%0*zu", 1000, i);
			call_write(call, line, 1000);
		}
		return;
	case ABORT_IT:
		call_write(call, ANSWER, sizeof(ANSWER) - 1);
		call_abort(call);
		app.call = NULL;
		return;
	case EXPECT_TURN:
		expect_turn();
		return;
	}
	call_finish(call);
	app.call = NULL;
}

static void
on_request(struct call *call)
{
	const char *uri = call_param(call, "REQUEST_URI");
	app.requests++;
	app.call = call;
	app.read = 0;
	app.ended = false;
	call_set_data(call, &app);
	snprintf(app.uri, sizeof(app.uri), "%s", uri == NULL ? "none" : uri);
	app_do(call, app.on_request);
}

static void
on_content(struct call *call, void *data)
{
	cr_assert_eq(data, &app);
	app.contents++;
	cr_assert(call_readable(call) > 0 || call_content_ended(call));
	app_do(call, app.on_content);
}

static void
on_drained(struct call *call, void *data)
{
	cr_assert_eq(data, &app);
	cr_assert_leq(call_unsent(call), CALL_LOW_WATER);
	app.drains++;
	app_do(call, app.on_drained);
}

/* The call may still be looked at, and what is done to it does nothing. */
static void
on_gone(struct call *call, void *data)
{
	char byte;
	cr_assert_eq(data, &app);
	app.gones++;
	call_write(call, "x", 1);
	cr_assert_eq(call_unsent(call), 0);
	cr_assert_eq(call_read(call, &byte, 1), 0);
	cr_assert_not_null(call_params(call));
	app_do(call, app.on_gone);
	call_finish(call);
	call_abort(call);
	app.call = NULL;
}

const struct responder_handler app_handler = { on_request, on_content,
	on_drained, on_gone };

void
make_directory(void)
{
	cr_assert_not_null(mkdtemp(directory));
	snprintf(address, sizeof(address), "unix:%s/socket", directory);
}

void
remove_directory(void)
{
	rmdir(directory);
}

void
set_up(void)
{
	const char *error = NULL;
	make_directory();
	listen_fd = responder_listen(address, 0600, 64, &error);
	cr_assert_geq(listen_fd, 0, "%s", error);
	loop = ev_loop_new(0);
	responder = responder_new(loop, listen_fd, &app_handler, 100);
}

void
tear_down(void)
{
	responder_free(responder);
	ev_loop_destroy(loop);
	close(listen_fd);
	unlink(address + 5);
	remove_directory();
}

void
on_tick(struct ev_loop *l, ev_timer *w, int events)
{
	(void)l;
	(void)w;
	(void)events;
}

void
run_for(double seconds)
{
	double end = ev_time() + seconds;
	RUN_UNTIL(ev_time() >= end);
}

int
web_connect(void)
{
	struct sockaddr_un name = { .sun_family = AF_UNIX };
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0);
	memcpy(name.sun_path, address + 5, strlen(address + 5) + 1);
	cr_assert_eq(connect(fd, (struct sockaddr *)&name, sizeof(name)), 0);
	return fd;
}

void
web_send(int fd, const char *bytes, size_t len)
{
	cr_assert_eq(send(fd, bytes, len, MSG_NOSIGNAL), (ssize_t)len, "%s",
	    strerror(errno));
}

void
web_send_content(int fd, size_t total, size_t each)
{
	char *record = calloc(1, 8 + each);
	memcpy(record, "\1\5\0\1", 4);
	record[4] = (char)(each >> 8);
	record[5] = (char)each;
	for (size_t i = 0; i < total; i += each)
		for (size_t sent = 0; sent < 8 + each;) {
			ssize_t n = send(fd, record + sent, 8 + each - sent,
			    MSG_NOSIGNAL);
			if (n > 0)
				sent += (size_t)n;
			else
				ev_run(loop, EVRUN_ONCE);
		}
	free(record);
}

static void
reply_take_record(struct reply *reply)
{
	const unsigned char *at = (const unsigned char *)buf_data(&reply->in);
	size_t len = (size_t)at[4] << 8 | at[5];
	cr_assert_eq(at[0], 1);
	cr_assert_eq(at[3], 1, "request id");
	if (at[1] == 6 && len > 0) {
		reply->content = realloc(reply->content,
		    reply->content_len + len + 1);
		memcpy(reply->content + reply->content_len, at + 8, len);
		reply->content_len += len;
		reply->content[reply->content_len] = '\0';
	} else if (at[1] == 3) {
		cr_assert_eq(at[8 + 4], 0, "protocol status");
		reply->ended = true;
	} else {
		cr_assert_eq(at[1], 6, "record of type %d", at[1]);
	}
	buf_drain(&reply->in, 8 + len + at[6]);
}

void
web_receive_some(int fd, struct reply *reply, size_t most)
{
	static char some[65536];
	if (reply->closed)
		return;
	ssize_t n = read(fd, some, most < sizeof(some) ? most : sizeof(some));
	reply->in.max = 1 << 20;
	if (n == 0 || (n < 0 && errno == ECONNRESET))
		reply->closed = true;
	if (n > 0)
		cr_assert_eq(buf_append(&reply->in, some, (size_t)n), 0);
	for (;;) {
		const char *data = buf_data(&reply->in);
		const unsigned char *at = (const unsigned char *)data;
		size_t have = buf_len(&reply->in);
		if (have < 8 || have < 8 + ((size_t)at[4] << 8 | at[5]) +
		    at[6])
			return;
		reply_take_record(reply);
	}
}

void
reply_clear(struct reply *reply)
{
	free(reply->content);
	buf_clear(&reply->in);
	*reply = (struct reply){ 0 };
}

void
web_receive_answer(int fd)
{
	struct reply reply = { 0 };
	RUN_UNTIL((web_receive_some(fd, &reply, 65536), reply.ended ||
	    reply.closed));
	cr_assert(reply.ended);
	cr_assert_str_eq(reply.content, ANSWER);
	reply_clear(&reply);
}

void
web_expect_close(int fd)
{
	struct reply reply = { 0 };
	RUN_UNTIL((web_receive_some(fd, &reply, 65536), reply.closed));
	cr_assert_not(reply.ended);
	reply_clear(&reply);
	close(fd);
}

static void
on_guard(struct ev_loop *l, ev_timer *w, int events)
{
	(void)l;
	(void)w;
	(void)events;
	cr_assert_fail("the loop waits though somebody may have work");
}

void
run_until_told(const unsigned *times, int fd, struct reply *reply)
{
	ev_timer_init(&tick, on_tick, 0.005, 0.005);
	ev_timer_init(&guard, on_guard, 0., 0.);
	ev_timer_start(loop, &tick);
	while (*times == 0) {
		if (fd >= 0)
			web_receive_some(fd, reply, 65536);
		ev_run(loop, EVRUN_ONCE);
	}
	ev_timer_stop(loop, &guard);
}
