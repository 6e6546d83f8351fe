/* test_responder.c - a real responder on a real socket and loop, against a
 * web server that is made of hand-written records. */
#include "config.h"

#include <criterion/criterion.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "fcgi/responder_private.h"

#define BEGIN_KEPT "\1\1\0\1\0\10\0\0" "\0\1\1\0\0\0\0\0"
#define BEGIN_ONCE "\1\1\0\1\0\10\0\0" "\0\1\0\0\0\0\0\0"
#define PARAMS "\1\4\0\1\0\25\3\0" "\13\10REQUEST_URI/a%2Fb?c" "XXX"
#define PARAMS_END "\1\4\0\1\0\0\0\0"
#define HEAD_KEPT BEGIN_KEPT PARAMS PARAMS_END
#define HEAD_ONCE BEGIN_ONCE PARAMS PARAMS_END
#define STDIN_3 "\1\5\0\1\0\3\5\0" "abcXXXXX"
#define STDIN_END "\1\5\0\1\0\0\0\0"
#define ABORT "\1\2\0\1\0\0\0\0"

#define ANSWER "Status: 200 OK\r\n\r\nhello"

/* What the handler does, and what it saw. */
enum deed { NOTHING, FINISH, FINISH_LATE, ABORT_IT, READ, READ_AND_FINISH,
	WRITE_MUCH, EXPECT_TURN };

static struct {
	enum deed on_request, on_content, on_drained, on_gone;
	size_t much;		/* for WRITE_MUCH */
	unsigned requests, contents, drains, gones;
	size_t read;
	bool ended;
	char content[64];	/* its beginning */
	char uri[64];
	struct call *call;	/* the last one, while under way */
} app;

static struct ev_loop *loop;
static struct responder *responder;
static int listen_fd;
static char directory[] = "/tmp/test_responder.XXXXXX";
static char address[64];

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

/* What the handler leaves to others when it is told something at the end of a
 * turn is done in their next one: from here on only the loop itself keeps it
 * from waiting for an event. */
static ev_timer tick, guard;

static void
expect_turn(void)
{
	ev_timer_stop(loop, &tick);
	ev_timer_set(&guard, 5., 0.);
	ev_timer_start(loop, &guard);
}

static void
do_deed(struct call *call, enum deed deed)
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
	do_deed(call, app.on_request);
}

static void
on_content(struct call *call, void *data)
{
	cr_assert_eq(data, &app);
	app.contents++;
	cr_assert(call_readable(call) > 0 || call_content_ended(call));
	do_deed(call, app.on_content);
}

static void
on_drained(struct call *call, void *data)
{
	cr_assert_eq(data, &app);
	cr_assert_leq(call_unsent(call), CALL_LOW_WATER);
	app.drains++;
	do_deed(call, app.on_drained);
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
	do_deed(call, app.on_gone);
	call_finish(call);
	call_abort(call);
	app.call = NULL;
}

static const struct responder_handler handler = { on_request, on_content,
	on_drained, on_gone };

static void
set_up(void)
{
	const char *error = NULL;
	cr_assert_not_null(mkdtemp(directory));
	snprintf(address, sizeof(address), "unix:%s/socket", directory);
	listen_fd = responder_listen(address, 0600, 64, &error);
	cr_assert_geq(listen_fd, 0, "%s", error);
	loop = ev_loop_new(0);
	responder = responder_new(loop, listen_fd, &handler, 100);
}

static void
tear_down(void)
{
	responder_free(responder);
	ev_loop_destroy(loop);
	close(listen_fd);
	unlink(address + 5);
	rmdir(directory);
}

TestSuite(responder, .init = set_up, .fini = tear_down, .timeout = 30);

static void
on_tick(struct ev_loop *l, ev_timer *w, int events)
{
	(void)l;
	(void)w;
	(void)events;
}

/* Turns of the loop until `condition`, or the test has failed. */
#define RUN_UNTIL(condition) do {					\
	ev_timer tick_;							\
	int turns_ = 0;							\
	ev_timer_init(&tick_, on_tick, 0.005, 0.005);			\
	ev_timer_start(loop, &tick_);					\
	while (!(condition) && turns_++ < 2000)				\
		ev_run(loop, EVRUN_ONCE);				\
	ev_timer_stop(loop, &tick_);					\
	cr_assert(condition);						\
} while (0)

static void
run_for(double seconds)
{
	double end = ev_time() + seconds;
	RUN_UNTIL(ev_time() >= end);
}

static int
web_connect(void)
{
	struct sockaddr_un name = { .sun_family = AF_UNIX };
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0);
	memcpy(name.sun_path, address + 5, strlen(address + 5) + 1);
	cr_assert_eq(connect(fd, (struct sockaddr *)&name, sizeof(name)), 0);
	return fd;
}

#define WEB_SEND(fd, literal) web_send(fd, literal, sizeof(literal) - 1)

static void
web_send(int fd, const char *bytes, size_t len)
{
	cr_assert_eq(send(fd, bytes, len, MSG_NOSIGNAL), (ssize_t)len, "%s",
	    strerror(errno));
}

/* Content as STDIN records of `each` bytes, the loop running meanwhile. */
static void
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

/* What came back: the stream decoded. */
struct reply {
	char *content;
	size_t content_len;
	bool ended;		/* END_REQUEST */
	bool closed;
	struct buf in;
};

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

static void
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

static void
reply_clear(struct reply *reply)
{
	free(reply->content);
	buf_clear(&reply->in);
	*reply = (struct reply){ 0 };
}

static void
web_receive_answer(int fd)
{
	struct reply reply = { 0 };
	RUN_UNTIL((web_receive_some(fd, &reply, 65536), reply.ended ||
	    reply.closed));
	cr_assert(reply.ended);
	cr_assert_str_eq(reply.content, ANSWER);
	reply_clear(&reply);
}

static void
web_expect_close(int fd)
{
	struct reply reply = { 0 };
	RUN_UNTIL((web_receive_some(fd, &reply, 65536), reply.closed));
	cr_assert_not(reply.ended);
	reply_clear(&reply);
	close(fd);
}

/* --- requests --- */

Test(responder, answers_a_request_and_closes_a_connection_not_kept)
{
	struct reply reply = { 0 };
	int fd = web_connect();
	app.on_request = FINISH;
	WEB_SEND(fd, HEAD_ONCE STDIN_END);
	RUN_UNTIL((web_receive_some(fd, &reply, 65536), reply.closed));
	cr_assert(reply.ended);
	cr_assert_str_eq(reply.content, ANSWER);
	cr_assert_str_eq(app.uri, "/a%2Fb?c");
	cr_assert_eq(app.requests, 1);
	cr_assert_eq(app.gones, 0);
	cr_assert_eq(responder_calls(responder), 0);
	cr_assert_eq(responder_connections(responder), 0);
	reply_clear(&reply);
	close(fd);
}

Test(responder, takes_a_request_that_arrives_byte_by_byte)
{
	static const char request[] = HEAD_KEPT STDIN_3 STDIN_END;
	int fd = web_connect();
	app.on_content = READ_AND_FINISH;
	for (size_t i = 0; i < sizeof(request) - 1; i++) {
		web_send(fd, request + i, 1);
		ev_run(loop, EVRUN_ONCE);
	}
	web_receive_answer(fd);
	cr_assert_eq(app.requests, 1);
	cr_assert_str_eq(app.content, "abc");
	close(fd);
}

Test(responder, serves_many_requests_on_a_kept_connection)
{
	int fd = web_connect();
	app.on_content = READ_AND_FINISH;
	for (unsigned i = 1; i <= 50; i++) {
		WEB_SEND(fd, HEAD_KEPT STDIN_3 STDIN_END);
		web_receive_answer(fd);
		cr_assert_eq(app.requests, i);
		cr_assert_eq(app.read, 3);
	}
	cr_assert_eq(responder_connections(responder), 1);
	close(fd);
}

Test(responder, serves_a_next_request_that_is_already_in_the_buffer)
{
	int fd = web_connect();
	app.on_request = FINISH;
	WEB_SEND(fd, HEAD_KEPT STDIN_3 STDIN_END HEAD_KEPT STDIN_END HEAD_KEPT
	    STDIN_END);
	RUN_UNTIL(app.requests == 3);
	/* One that has crossed our answer harms nothing. */
	run_for(0.01);
	WEB_SEND(fd, ABORT HEAD_KEPT STDIN_END);
	RUN_UNTIL(app.requests == 4);
	cr_assert_eq(responder_connections(responder), 1);
	close(fd);
}

Test(responder, drops_content_nobody_read_before_the_next_request)
{
	int fd = web_connect();
	app.on_request = FINISH;
	WEB_SEND(fd, HEAD_KEPT STDIN_3);
	web_receive_answer(fd);
	web_send_content(fd, 1000000, 40000);
	WEB_SEND(fd, STDIN_END HEAD_KEPT STDIN_END);
	web_receive_answer(fd);
	cr_assert_eq(app.requests, 2);
	close(fd);
}

Test(responder, lets_an_answered_request_end_without_its_content)
{
	int fd = web_connect();
	app.on_request = FINISH;
	WEB_SEND(fd, HEAD_KEPT STDIN_3);
	web_receive_answer(fd);
	WEB_SEND(fd, STDIN_3 HEAD_KEPT STDIN_END);
	web_receive_answer(fd);
	/* But not before it is answered. */
	app.on_request = NOTHING;
	WEB_SEND(fd, HEAD_KEPT STDIN_3 HEAD_KEPT STDIN_END);
	web_expect_close(fd);
	cr_assert_eq(app.requests, 2);
}

Test(responder, gives_numbers_that_no_other_call_has)
{
	int first = web_connect(), second = web_connect();
	WEB_SEND(first, HEAD_KEPT STDIN_END);
	RUN_UNTIL(app.requests == 1);
	unsigned long long number = call_number(app.call);
	WEB_SEND(second, HEAD_KEPT STDIN_END);
	RUN_UNTIL(app.requests == 2);
	cr_assert_neq(call_number(app.call), number);
	cr_assert_eq(responder_calls(responder), 2);
	cr_assert_null(call_param(app.call, "REQUEST_UR"));
	cr_assert_str_eq(call_params(app.call)[1], "REQUEST_URI=/a%2Fb?c");
	close(first);
	close(second);
}

/* --- content --- */

Test(responder, gives_content_as_it_comes_and_then_the_end)
{
	int fd = web_connect();
	app.on_content = READ;
	WEB_SEND(fd, HEAD_KEPT);
	RUN_UNTIL(app.requests == 1);
	cr_assert_eq(app.contents, 0);
	cr_assert_not(call_content_ended(app.call));
	WEB_SEND(fd, STDIN_3);
	RUN_UNTIL(app.contents == 1);
	cr_assert_eq(app.read, 3);
	cr_assert_not(app.ended);
	WEB_SEND(fd, STDIN_END);
	RUN_UNTIL(app.contents == 2);
	cr_assert(app.ended);
	close(fd);
}

Test(responder, stops_reading_when_content_is_not_taken)
{
	int fd = web_connect();
	char record[8 + 1000] = "\1\5\0\1\3\350\0\0";
	size_t sent = 0, last = 0;
	WEB_SEND(fd, HEAD_KEPT);
	for (int idle = 0; idle < 50; idle = sent == last ? idle + 1 : 0) {
		last = sent;
		ssize_t n = send(fd, record + sent % sizeof(record),
		    sizeof(record) - sent % sizeof(record), MSG_NOSIGNAL);
		if (n > 0)
			sent += (size_t)n;
		ev_run(loop, EVRUN_NOWAIT);
		cr_assert_lt(sent, 4u << 20, "it never stops");
	}
	cr_assert_geq(call_readable(app.call), CALL_CONTENT_MAX - 65536);
	cr_assert_leq(call_readable(app.call), CALL_CONTENT_MAX + 65536);
	/* Taking it lets the rest through. */
	app.on_content = READ;
	do_read(app.call);
	RUN_UNTIL(app.read == sent / sizeof(record) * 1000);
	close(fd);
}

Test(responder, passes_a_large_upload_whole)
{
	int fd = web_connect();
	app.on_content = READ_AND_FINISH;
	WEB_SEND(fd, HEAD_KEPT);
	web_send_content(fd, 65535 * 400, 65535);
	RUN_UNTIL(app.read == 65535 * 400);
	WEB_SEND(fd, STDIN_END);
	web_receive_answer(fd);
	close(fd);
}

/* --- responses --- */

Test(responder, writes_a_large_response_whole_and_says_drained)
{
	struct reply reply = { 0 };
	char number[24];
	int fd = web_connect();
	app.on_request = WRITE_MUCH;
	app.on_drained = FINISH;
	app.much = 3000000;
	WEB_SEND(fd, HEAD_ONCE STDIN_END);
	RUN_UNTIL(app.requests == 1);
	run_for(0.02);
	cr_assert_eq(app.drains, 0, "the peer has taken nothing");
	cr_assert_gt(call_unsent(app.call), 2000000);
	RUN_UNTIL((web_receive_some(fd, &reply, 10000), app.drains == 1));
	/* Finished, but there is still something to write. */
	cr_assert_null(app.call);
	cr_assert_eq(responder_calls(responder), 1);
	RUN_UNTIL((web_receive_some(fd, &reply, 10000), reply.closed));
	cr_assert_eq(responder_calls(responder), 0);
	cr_assert_eq(app.drains, 1);
	cr_assert(reply.ended);
	cr_assert_eq(reply.content_len, 3000000 + sizeof(ANSWER) - 1);
	for (size_t i = 0; i < 3000000; i += 1000) {
		snprintf(number, sizeof(number), "%020zu", i);
		cr_assert_eq(memcmp(reply.content + i + 980, number, 20), 0);
	}
	reply_clear(&reply);
	close(fd);
}

Test(responder, says_drained_again_after_each_rise)
{
	struct reply reply = { 0 };
	int fd = web_connect();
	app.on_request = app.on_drained = WRITE_MUCH;
	app.much = 100000;
	WEB_SEND(fd, HEAD_KEPT STDIN_END);
	RUN_UNTIL((web_receive_some(fd, &reply, 65536), app.drains == 20));
	app.on_drained = FINISH;
	RUN_UNTIL((web_receive_some(fd, &reply, 65536), reply.ended));
	cr_assert_eq(reply.content_len, 21 * 100000 + sizeof(ANSWER) - 1);
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

/* Until the handler was told, which does EXPECT_TURN then. */
static void
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

Test(responder, lets_the_loop_turn_at_once_after_drained)
{
	struct reply reply = { 0 };
	int fd = web_connect();
	app.on_request = WRITE_MUCH;
	app.on_drained = EXPECT_TURN;
	app.much = 1000000;
	WEB_SEND(fd, HEAD_KEPT STDIN_END);
	run_until_told(&app.drains, fd, &reply);
	reply_clear(&reply);
	close(fd);
}

Test(responder, lets_the_loop_turn_at_once_after_gone)
{
	int fd = web_connect();
	app.on_gone = EXPECT_TURN;
	WEB_SEND(fd, HEAD_KEPT STDIN_END);
	RUN_UNTIL(app.requests == 1);
	close(fd);
	/* Found out by writing, when the turn ends, and not by reading. */
	call_write(app.call, "x", 1);
	run_until_told(&app.gones, -1, NULL);
}

Test(responder, sends_what_is_written_before_the_response_is_complete)
{
	struct reply reply = { 0 };
	int fd = web_connect();
	WEB_SEND(fd, HEAD_KEPT STDIN_END);
	RUN_UNTIL(app.requests == 1);
	call_write(app.call, "first", 5);
	RUN_UNTIL((web_receive_some(fd, &reply, 65536),
	    reply.content_len == 5));
	call_write(app.call, "second", 6);
	RUN_UNTIL((web_receive_some(fd, &reply, 65536),
	    reply.content_len == 11));
	cr_assert_eq(call_unsent(app.call), 0);
	reply_clear(&reply);
	close(fd);
}

Test(responder, shows_an_aborted_response_as_cut_and_not_at_once)
{
	struct reply reply = { 0 };
	int fd = web_connect();
	double first = 0;
	app.on_request = ABORT_IT;
	WEB_SEND(fd, HEAD_KEPT STDIN_END);
	RUN_UNTIL((web_receive_some(fd, &reply, 65536),
	    reply.content_len > 0));
	first = ev_time();
	RUN_UNTIL((web_receive_some(fd, &reply, 65536), reply.closed));
	cr_assert_gt(ev_time() - first, 0.1);
	cr_assert_str_eq(reply.content, ANSWER);
	cr_assert_not(reply.ended);
	reply_clear(&reply);
	close(fd);
}

Test(responder, closes_at_once_when_aborted_before_the_first_byte)
{
	int fd = web_connect();
	WEB_SEND(fd, HEAD_KEPT STDIN_END);
	RUN_UNTIL(app.requests == 1);
	double before = ev_time();
	call_abort(app.call);
	web_expect_close(fd);
	cr_assert_lt(ev_time() - before, 0.1);
}

Test(responder, lets_a_call_end_inside_every_callback)
{
	static const enum deed ends[] = { FINISH, ABORT_IT };
	for (size_t i = 0; i < 2; i++) {
		memset(&app, 0, sizeof(app));
		app.on_request = ends[i];
		int fd = web_connect();
		WEB_SEND(fd, HEAD_ONCE STDIN_3 STDIN_END);
		RUN_UNTIL(app.requests == 1 &&
		    responder_connections(responder) == 0);
		cr_assert_eq(app.contents, 0);
		close(fd);

		memset(&app, 0, sizeof(app));
		app.on_content = ends[i];
		fd = web_connect();
		WEB_SEND(fd, HEAD_ONCE STDIN_3 STDIN_END);
		RUN_UNTIL(app.contents == 1 &&
		    responder_connections(responder) == 0);
		close(fd);

		memset(&app, 0, sizeof(app));
		app.on_request = WRITE_MUCH;
		app.much = 100000;
		app.on_drained = ends[i];
		fd = web_connect();
		WEB_SEND(fd, HEAD_ONCE STDIN_3 STDIN_END);
		struct reply reply = { 0 };
		RUN_UNTIL((web_receive_some(fd, &reply, 65536),
		    app.drains == 1 &&
		    responder_connections(responder) == 0));
		reply_clear(&reply);
		close(fd);
		cr_assert_eq(app.gones, 0);
	}
}

/* --- peers that leave, or break the rules --- */

Test(responder, tells_when_the_web_server_has_gone)
{
	for (int way = 0; way < 4; way++) {
		memset(&app, 0, sizeof(app));
		int fd = web_connect();
		WEB_SEND(fd, HEAD_KEPT STDIN_END);
		RUN_UNTIL(app.requests == 1);
		if (way == 0) {
			close(fd);
		} else if (way == 1) {
			shutdown(fd, SHUT_WR);
		} else if (way == 2) {
			WEB_SEND(fd, ABORT);
		} else {
			/* not seen before it is written to */
			close(fd);
			call_write(app.call, "x", 1);
		}
		RUN_UNTIL(app.gones == 1);
		RUN_UNTIL(responder_connections(responder) == 0);
		if (way == 1 || way == 2)
			close(fd);
	}
}

Test(responder, survives_a_peer_that_leaves_while_it_is_written_to)
{
	int fd = web_connect();
	app.on_request = WRITE_MUCH;
	app.much = 2000000;
	WEB_SEND(fd, HEAD_KEPT STDIN_END);
	RUN_UNTIL(app.requests == 1);
	close(fd);
	RUN_UNTIL(app.gones == 1);
}

Test(responder, closes_only_the_connection_that_breaks_the_rules)
{
	static const struct {
		const char *bytes;
		size_t len;
	} bad[] = {
#define BAD(s) { s, sizeof(s) - 1 }
		BAD("GET / HTTP/1.1\r\n\r\n"),
		BAD("\1\11\0\0\0\0\0\0"),
		BAD(BEGIN_KEPT STDIN_3),
		BAD("\1\1\0\1\0\10\0\0" "\0\3\1\0\0\0\0\0" PARAMS_END),
		BAD(BEGIN_KEPT "\1\4\0\1\0\10\0\0" "\377\377\377\376"
		    "\377\377\377\376" PARAMS_END),
		BAD(BEGIN_KEPT "\1\4\0\1\0\3\0\0" "\7\1A" PARAMS_END),
		BAD(HEAD_KEPT PARAMS),
		BAD(HEAD_KEPT STDIN_END STDIN_3),
	};
	int good = web_connect();
	unsigned begun = 0, gone = 0;
	WEB_SEND(good, BEGIN_KEPT);
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		int fd = web_connect();
		web_send(fd, bad[i].bytes, bad[i].len);
		web_expect_close(fd);
		begun = app.requests;
		gone = app.gones;
	}
	cr_assert_eq(begun, gone);
	app.on_request = FINISH;
	WEB_SEND(good, PARAMS PARAMS_END STDIN_END);
	web_receive_answer(good);
	close(good);
}

Test(responder, refuses_a_head_without_end)
{
	int fd = web_connect();
	static char record[8 + 1 + 255] = "\1\4\0\1\0\1\377";
	ssize_t n = 1;
	WEB_SEND(fd, BEGIN_KEPT);
	/* One byte of a param in each, and much padding. */
	for (int i = 0; i < 10000 && (n > 0 || errno == EAGAIN); i++) {
		record[8] = "\1\0x"[i % 3];
		n = send(fd, record, sizeof(record), MSG_NOSIGNAL);
		ev_run(loop, EVRUN_NOWAIT);
	}
	cr_assert_eq(n, -1);
	cr_assert_eq(app.requests, 0);
	web_expect_close(fd);
}

Test(responder, gives_up_on_a_head_that_takes_too_long)
{
	int slow = web_connect(), idle = web_connect();
	responder->head_timeout = 0.05;
	WEB_SEND(slow, BEGIN_KEPT);
	web_expect_close(slow);
	/* A connection on which nothing has begun may wait. */
	cr_assert_eq(responder_connections(responder), 1);
	close(idle);
}

Test(responder, takes_any_stream_cut_at_any_place)
{
	static const char stream[] = HEAD_KEPT STDIN_3 STDIN_3 STDIN_END
	    HEAD_KEPT STDIN_END HEAD_ONCE STDIN_3 STDIN_END;
	srand(1);
	for (int round = 0; round < 200; round++) {
		struct reply reply = { 0 };
		int fd = web_connect();
		memset(&app, 0, sizeof(app));
		app.on_content = READ_AND_FINISH;
		for (size_t at = 0; at < sizeof(stream) - 1;) {
			size_t n = 1 + (size_t)rand() % 60;
			if (n > sizeof(stream) - 1 - at)
				n = sizeof(stream) - 1 - at;
			web_send(fd, stream + at, n);
			at += n;
			ev_run(loop, EVRUN_NOWAIT);
		}
		RUN_UNTIL((web_receive_some(fd, &reply, 65536),
		    reply.closed));
		cr_assert_eq(app.requests, 3);
		cr_assert_eq(reply.content_len, 3 * (sizeof(ANSWER) - 1));
		reply_clear(&reply);
		close(fd);
	}
}

/* --- the responder as a whole --- */

Test(responder, accepts_no_more_than_it_may)
{
	int fd[5];
	responder->max_connections = 3;
	for (int i = 0; i < 5; i++) {
		fd[i] = web_connect();
		WEB_SEND(fd[i], HEAD_KEPT STDIN_END);
	}
	run_for(0.05);
	cr_assert_eq(app.requests, 3);
	cr_assert_eq(responder_connections(responder), 3);
	close(fd[0]);
	RUN_UNTIL(app.requests == 4);
	close(fd[1]);
	RUN_UNTIL(app.requests == 5);
	for (int i = 2; i < 5; i++)
		close(fd[i]);
}

/* What is delayed waits alone: the others, and its own next request, do not
 * lose anything. */
Test(responder, sends_a_delayed_response_late)
{
	struct reply late = { 0 }, soon = { 0 };
	int fd = web_connect(), other = web_connect();
	ev_tstamp start = ev_time();

	app.on_request = FINISH_LATE;
	WEB_SEND(fd, HEAD_KEPT STDIN_END);
	RUN_UNTIL(app.requests == 1);
	app.on_request = FINISH;
	WEB_SEND(other, HEAD_ONCE STDIN_END);
	RUN_UNTIL((web_receive_some(other, &soon, 65536), soon.closed));
	cr_assert_str_eq(soon.content, ANSWER);
	cr_assert_eq(responder->delayed, 1);
	RUN_UNTIL((web_receive_some(fd, &late, 65536), late.ended));
	cr_assert_str_eq(late.content, ANSWER);
	cr_assert_geq(ev_time() - start, 0.19);
	cr_assert_eq(responder->delayed, 0);
	reply_clear(&late);
	WEB_SEND(fd, HEAD_KEPT STDIN_END);
	RUN_UNTIL((web_receive_some(fd, &late, 65536), late.ended));
	cr_assert_eq(app.requests, 3);
	reply_clear(&late);
	reply_clear(&soon);
	close(fd);
	close(other);
}

Test(responder, delays_no_more_than_it_may)
{
	struct reply reply = { 0 };
	int fd = web_connect();

	responder->delayed = CALL_DELAYED_MAX;
	app.on_request = FINISH_LATE;
	WEB_SEND(fd, HEAD_ONCE STDIN_END);
	RUN_UNTIL((web_receive_some(fd, &reply, 65536), reply.closed));
	cr_assert_str_eq(reply.content, ANSWER);
	cr_assert_eq(responder->delayed, CALL_DELAYED_MAX);
	reply_clear(&reply);
	close(fd);
}

Test(responder, forgets_a_delayed_response_when_its_peer_leaves)
{
	int fd = web_connect();

	app.on_request = FINISH_LATE;
	WEB_SEND(fd, HEAD_ONCE STDIN_END);
	RUN_UNTIL(responder->delayed == 1);
	close(fd);
	RUN_UNTIL(responder_connections(responder) == 0);
	cr_assert_eq(responder->delayed, 0);
}

Test(responder, goes_on_after_descriptors_had_run_out)
{
	struct rlimit limit;
	int fd = web_connect(), taken[100], count = 0;
	WEB_SEND(fd, HEAD_KEPT STDIN_END);
	cr_assert_eq(getrlimit(RLIMIT_NOFILE, &limit), 0);
	limit.rlim_cur = 100;
	cr_assert_eq(setrlimit(RLIMIT_NOFILE, &limit), 0);
	while (count < 100 && (taken[count] = dup(fd)) >= 0)
		count++;
	cr_assert_lt(count, 100);
	run_for(0.25);
	cr_assert_eq(app.requests, 0);
	while (count > 0)
		close(taken[--count]);
	RUN_UNTIL(app.requests == 1);
	close(fd);
}

Test(responder, finishes_what_is_under_way_when_it_stops_accepting)
{
	int idle = web_connect(), busy = web_connect(), late;
	app.on_request = FINISH;
	WEB_SEND(idle, HEAD_KEPT STDIN_END);
	web_receive_answer(idle);
	app.on_request = NOTHING;
	WEB_SEND(busy, HEAD_KEPT STDIN_END);
	RUN_UNTIL(app.requests == 2);
	responder_stop_accepting(responder);
	web_expect_close(idle);
	late = web_connect();
	WEB_SEND(late, HEAD_KEPT STDIN_END);
	run_for(0.02);
	cr_assert_eq(app.requests, 2);
	do_deed(app.call, FINISH);
	web_receive_answer(busy);
	RUN_UNTIL(responder_connections(responder) == 0);
	close(busy);
	close(late);
}

Test(responder, takes_what_nobody_else_does_when_it_has_stopped)
{
	int fd;

	responder_stop_accepting(responder);
	responder_take_unclaimed(responder, true);
	app.on_content = READ_AND_FINISH;
	for (unsigned i = 1; i <= 3; i++) {
		fd = web_connect();
		WEB_SEND(fd, HEAD_ONCE);
		RUN_UNTIL(app.requests == i);
		cr_assert(call_is_unclaimed(app.call));
		WEB_SEND(fd, STDIN_END);
		web_receive_answer(fd);
		close(fd);
	}
	responder_take_unclaimed(responder, false);
	fd = web_connect();
	WEB_SEND(fd, HEAD_ONCE);
	run_for(0.7);
	cr_assert_eq(app.requests, 3);
	close(fd);
}

Test(responder, leaves_what_others_take_when_it_has_stopped)
{
	responder_stop_accepting(responder);
	responder_take_unclaimed(responder, true);
	/* Each waits for a moment, and then another worker is there. */
	for (double end = ev_time() + 1; ev_time() < end;) {
		int fd = web_connect();
		WEB_SEND(fd, HEAD_ONCE);
		run_for(0.02);
		int other = accept(listen_fd, NULL, NULL);
		cr_assert_geq(other, 0);
		close(other);
		close(fd);
		run_for(0.02);
	}
	cr_assert_eq(app.requests, 0);
}

Test(responder, tells_every_call_when_it_is_freed)
{
	int fd[3];
	for (int i = 0; i < 3; i++) {
		fd[i] = web_connect();
		WEB_SEND(fd[i], HEAD_KEPT STDIN_3);
	}
	RUN_UNTIL(app.requests == 3);
	responder_free(responder);
	responder = NULL;
	cr_assert_eq(app.gones, 3);
	for (int i = 0; i < 3; i++)
		close(fd[i]);
}

/* --- listening --- */

TestSuite(responder_listen, .timeout = 10);

Test(responder_listen, makes_a_socket_with_the_mode_it_is_given)
{
	const char *error = NULL;
	struct stat st;
	cr_assert_not_null(mkdtemp(directory));
	snprintf(address, sizeof(address), "%s/socket", directory);
	umask(077);
	int fd = responder_listen(address, 0666, 5, &error);
	cr_assert_geq(fd, 0, "%s", error);
	cr_assert_eq(stat(address, &st), 0);
	cr_assert_eq(st.st_mode & 0777, 0666);
	cr_assert_eq(umask(0), 077);

	cr_assert_eq(responder_listen(address, 0666, 5, &error), -1);
	cr_assert_not_null(strstr(error, "another process"), "%s", error);
	close(fd);
	fd = responder_listen(address, 0600, 5, &error);
	cr_assert_geq(fd, 0, "a stale one: %s", error);
	cr_assert_eq(stat(address, &st), 0);
	cr_assert_eq(st.st_mode & 0777, 0600);
	close(fd);
	unlink(address);

	close(open(address, O_CREAT | O_WRONLY, 0600));
	cr_assert_eq(responder_listen(address, 0600, 5, &error), -1);
	cr_assert_not_null(strstr(error, "not a socket"), "%s", error);
	cr_assert_eq(access(address, F_OK), 0);
	unlink(address);
	rmdir(directory);
}

Test(responder_listen, listens_on_tcp_in_both_families)
{
	static const char *const good[] = { "127.0.0.1:0", "[::1]:0", ":0",
		"localhost:0" };
	const char *error = NULL;
	for (size_t i = 0; i < sizeof(good) / sizeof(good[0]); i++) {
		int fd = responder_listen(good[i], 0, 5, &error);
		cr_assert_geq(fd, 0, "%s", error);
		cr_assert_eq(dup2(fd, 0), 0);
		cr_assert(responder_is_inherited());
		close(fd);
	}
}

Test(responder_listen, says_what_is_wrong_with_an_address)
{
	char long_path[200] = "unix:/";
	memset(long_path + 6, 'a', 150);
	const char *const bad[] = { "", "nonsense", "::1:80", "host:",
		"unix:", "/no/such/directory/socket", "127.0.0.1:port",
		"127.0.0.1:65536", "127.0.0.1:1x", long_path };
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		const char *error = NULL;
		cr_assert_eq(responder_listen(bad[i], 0600, 5, &error), -1);
		cr_assert_not_null(error);
	}
}

Test(responder_listen, knows_which_peers_may_call)
{
	static const struct {
		const char *allowed;
		bool is_allowed;
	} row[] = {
		{ NULL, true }, { "", true }, { "127.0.0.1", true },
		{ "10.0.0.1, 127.0.0.1", true }, { "127.0.0.1,::1", true },
		{ "10.0.0.1", false }, { "127.0.0.11", false },
		{ "127.0.0.", false }, { ",", false },
	};
	static const char *const at[] = { "127.0.0.1:0", ":0" };
	for (size_t i = 0; i < 2; i++) {
		const char *error = NULL;
		struct sockaddr_storage any;
		struct sockaddr_in name = { .sin_family = AF_INET,
			.sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
		socklen_t len = sizeof(any);
		int listener = responder_listen(at[i], 0, 5, &error);
		cr_assert_geq(listener, 0, "%s", error);
		getsockname(listener, (struct sockaddr *)&any, &len);
		/* The port is at the same place in both families. */
		name.sin_port = ((struct sockaddr_in *)&any)->sin_port;
		int near = socket(AF_INET, SOCK_STREAM, 0);
		cr_assert_eq(connect(near, (struct sockaddr *)&name,
		    sizeof(name)), 0);
		int fd = accept(listener, NULL, NULL);
		for (size_t k = 0; k < sizeof(row) / sizeof(row[0]); k++)
			cr_assert_eq(responder_peer_is_allowed(fd,
			    row[k].allowed), row[k].is_allowed, "%zu", k);
		close(fd);
		close(near);
		close(listener);
	}
}

/* --- plain CGI, on pipes in place of descriptors 0 and 1 --- */

struct cgi_run {
	int to, from;		/* our ends */
	bool done;
	int saved_stdout;
};

static void
on_done(void *arg)
{
	*(bool *)arg = true;
}

static void
cgi_begin(struct cgi_run *run)
{
	int in[2], out[2];
	cr_assert_eq(pipe(in), 0);
	cr_assert_eq(pipe(out), 0);
	run->to = in[1];
	run->from = out[0];
	fcntl(run->from, F_SETFL, O_NONBLOCK);
	run->saved_stdout = dup(1);
	dup2(in[0], 0);
	dup2(out[1], 1);
	close(in[0]);
	close(out[1]);
	loop = ev_loop_new(0);
	setenv("REQUEST_URI", "/cgi", 1);
	responder = responder_new_cgi(loop, &handler, on_done, &run->done);
}

static void
cgi_end(struct cgi_run *run)
{
	responder_free(responder);
	ev_loop_destroy(loop);
	dup2(run->saved_stdout, 1);
	close(run->saved_stdout);
}

TestSuite(responder_cgi, .timeout = 10);

Test(responder_cgi, serves_a_request_with_content)
{
	struct cgi_run run = { 0 };
	char answer[100] = "";
	setenv("CONTENT_LENGTH", "6", 1);
	app.on_content = READ_AND_FINISH;
	cgi_begin(&run);
	cr_assert_eq(app.requests, 0, "not before the loop runs");
	RUN_UNTIL(app.requests == 1);
	cr_assert_str_eq(app.uri, "/cgi");
	cr_assert_eq(write(run.to, "abc", 3), 3);
	RUN_UNTIL(app.read == 3);
	/* More than its length is not its content. */
	cr_assert_eq(write(run.to, "defghi", 6), 6);
	RUN_UNTIL(run.done);
	cr_assert_str_eq(app.content, "abcdef");
	cr_assert_eq(read(run.from, answer, 99), sizeof(ANSWER) - 1);
	cr_assert_str_eq(answer, ANSWER);
	cgi_end(&run);
}

Test(responder_cgi, reads_to_the_end_of_file_when_chunked)
{
	struct cgi_run run = { 0 };
	unsetenv("CONTENT_LENGTH");
	setenv("HTTP_TRANSFER_ENCODING", "chunked", 1);
	app.on_content = READ_AND_FINISH;
	cgi_begin(&run);
	cr_assert_eq(write(run.to, "abc", 3), 3);
	RUN_UNTIL(app.read == 3);
	cr_assert_not(run.done);
	close(run.to);
	RUN_UNTIL(run.done);
	cr_assert_eq(app.gones, 0);
	cgi_end(&run);
}

Test(responder_cgi, needs_no_content)
{
	struct cgi_run run = { 0 };
	unsetenv("CONTENT_LENGTH");
	app.on_content = READ_AND_FINISH;
	cgi_begin(&run);
	RUN_UNTIL(run.done);
	cr_assert_eq(app.read, 0);
	cgi_end(&run);
}

Test(responder_cgi, tells_when_content_breaks_off)
{
	struct cgi_run run = { 0 };
	setenv("CONTENT_LENGTH", "6", 1);
	cgi_begin(&run);
	RUN_UNTIL(app.requests == 1);
	close(run.to);
	RUN_UNTIL(run.done);
	cr_assert_eq(app.gones, 1);
	cgi_end(&run);
}

Test(responder_cgi, tells_when_nobody_reads_the_response)
{
	struct cgi_run run = { 0 };
	unsetenv("CONTENT_LENGTH");
	cgi_begin(&run);
	RUN_UNTIL(app.requests == 1);
	close(run.from);
	RUN_UNTIL(run.done);
	cr_assert_eq(app.gones, 1);
	cgi_end(&run);
}

static size_t
read_some(int fd)
{
	char some[10000];
	ssize_t n = read(fd, some, sizeof(some));
	return n > 0 ? (size_t)n : 0;
}

Test(responder_cgi, writes_a_large_response_to_a_slow_reader)
{
	struct cgi_run run = { 0 };
	size_t got = 0;
	unsetenv("CONTENT_LENGTH");
	app.on_request = WRITE_MUCH;
	app.on_drained = FINISH;
	app.much = 1000000;
	cgi_begin(&run);
	RUN_UNTIL((got += read_some(run.from), run.done));
	for (size_t n; (n = read_some(run.from)) > 0;)
		got += n;
	cr_assert_eq(got, 1000000 + sizeof(ANSWER) - 1);
	cgi_end(&run);
}

/* --- large responses --- */

static size_t
most_unread(const char *software)
{
	char head[200] = BEGIN_KEPT;
	size_t at = 16, most = 0;
	struct reply reply = { 0 };
	int unread = 0;
	int fd = web_connect();

	memcpy(head + at, "\1\4\0\1\0\27\0\0\17\6SERVER_SOFTWARE", 25);
	memcpy(head + at + 25, software, 6);
	memcpy(head + at + 31, PARAMS_END STDIN_END, 16);
	memset(&app, 0, sizeof(app));
	app.on_request = WRITE_MUCH;
	app.much = 400000;
	app.on_drained = FINISH;
	web_send(fd, head, at + 31 + 16);
	while (!reply.ended) {
		RUN_UNTIL(ioctl(fd, FIONREAD, &unread) == 0 && unread > 0);
		/* All that it will send by itself. */
		run_for(0.01);
		cr_assert_eq(ioctl(fd, FIONREAD, &unread), 0);
		if ((size_t)unread > most)
			most = (size_t)unread;
		web_receive_some(fd, &reply, 65536);
	}
	cr_assert_eq(reply.content_len, 400000 + sizeof(ANSWER) - 1);
	reply_clear(&reply);
	close(fd);
	return most;
}

Test(responder, gives_a_web_server_no_more_to_read_at_once_than_it_keeps)
{
	cr_assert_leq(most_unread("httpd1"), 65536);
	cr_assert_gt(most_unread("Apache"), 65536);
}
