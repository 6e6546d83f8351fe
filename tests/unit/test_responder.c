/* test_responder.c - calls: from the web server's records to the handler, and
 * back. */
#include "config.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

#include "tests/unit/web_server.h"

TestSuite(responder, .init = set_up, .fini = tear_down, .timeout = 30);

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
	app_do(app.call, READ);
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

static void
count_over(void *arg)
{
	++*(int *)arg;
}

Test(responder, writes_a_large_response_whole_and_says_drained)
{
	struct reply reply = { 0 };
	char number[24];
	int over = 0;
	int fd = web_connect();
	app.on_request = WRITE_MUCH;
	app.on_drained = FINISH;
	app.much = 3000000;
	WEB_SEND(fd, HEAD_ONCE STDIN_END);
	RUN_UNTIL(app.requests == 1);
	call_on_over(app.call, count_over, &over);
	run_for(0.02);
	cr_assert_eq(app.drains, 0, "the peer has taken nothing");
	cr_assert_gt(call_unsent(app.call), 2000000);
	RUN_UNTIL((web_receive_some(fd, &reply, 10000), app.drains == 1));
	/* Finished, but there is still something to write. */
	cr_assert_null(app.call);
	cr_assert_eq(responder_calls(responder), 1);
	cr_assert_eq(over, 0);
	RUN_UNTIL((web_receive_some(fd, &reply, 10000), reply.closed));
	cr_assert_eq(responder_calls(responder), 0);
	cr_assert_eq(over, 1);
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

Test(responder, says_that_a_call_is_over_when_its_peer_leaves)
{
	int over = 0, fd = web_connect();

	app.on_request = WRITE_MUCH;
	app.on_drained = app.on_gone = FINISH;
	app.much = 3000000;
	WEB_SEND(fd, HEAD_ONCE STDIN_END);
	RUN_UNTIL(app.requests == 1);
	call_on_over(app.call, count_over, &over);
	close(fd);
	RUN_UNTIL(over == 1);
	cr_assert_eq(app.gones, 1);
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

/* On a kept connection whose peer reads nothing: how much of a response the
 * peer finds, of which before its end there are `len` bytes. */
static size_t
readable_of(size_t len)
{
	static const char zeros[1000];
	int fd = web_connect(), readable = 0;

	app.on_request = NOTHING;
	app.call = NULL;
	WEB_SEND(fd, HEAD_KEPT STDIN_END);
	RUN_UNTIL(app.call != NULL);
	while (call_unsent(app.call) + 2 * sizeof(zeros) < len)
		call_write(app.call, zeros, sizeof(zeros));
	while (call_unsent(app.call) < len - 8)
		call_write(app.call, zeros, 1);
	cr_assert_eq(call_unsent(app.call), len - 8);
	call_finish(app.call);		/* the end of STDOUT: 8 bytes */
	run_for(0.02);
	cr_assert_eq(ioctl(fd, FIONREAD, &readable), 0);
	close(fd);
	return (size_t)readable;
}

/* mod_proxy_fcgi can't do with a part of END_REQUEST. */
Test(responder, sends_the_end_of_a_request_whole)
{
	size_t most = readable_of(1000000);

	cr_assert_lt(most, 1000000);
	for (size_t part = 1; part < RECORD_END_LEN; part++) {
		size_t len = most - part;
		size_t readable = readable_of(len);

		cr_assert(readable == len || readable == len + RECORD_END_LEN,
		    "%zu bytes of the end", readable - len);
	}
}
