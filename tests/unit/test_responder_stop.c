/* test_responder_stop.c - how a worker stops accepting, and who takes what it
 * has. */
#include "config.h"

#include <sys/socket.h>
#include <unistd.h>

#include "tests/unit/web_server.h"

TestSuite(responder_stop, .init = set_up, .fini = tear_down, .timeout = 30);

Test(responder_stop, finishes_what_is_under_way_when_it_stops_accepting)
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
	app_do(app.call, FINISH);
	web_receive_answer(busy);
	RUN_UNTIL(responder_connections(responder) == 0);
	close(busy);
	close(late);
}

Test(responder_stop, takes_what_nobody_else_does_when_it_has_stopped)
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

Test(responder_stop, leaves_what_others_take_when_it_has_stopped)
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

/* --- kept connections --- */

static int pass[2];
static struct responder *other;

static void
set_up_pass(void)
{
	set_up();
	cr_assert(responder_pass_open(pass));
	responder_pass(responder, pass);
}

/* Another worker on the socket. */
static void
start_other(size_t max_connections)
{
	other = responder_new(loop, listen_fd, &app_handler, max_connections);
	responder_pass(other, pass);
}

static void
tear_down_pass(void)
{
	responder_free(other);
	tear_down();
	close(pass[0]);
	close(pass[1]);
}

TestSuite(responder_pass, .init = set_up_pass, .fini = tear_down_pass,
    .timeout = 30);

/* A connection that the first worker keeps. */
static int
connect_kept(void)
{
	int fd = web_connect();

	app.on_request = FINISH;
	WEB_SEND(fd, HEAD_KEPT STDIN_END);
	web_receive_answer(fd);
	return fd;
}

static void
use(int fd)
{
	WEB_SEND(fd, HEAD_KEPT STDIN_END);
	web_receive_answer(fd);
}

Test(responder_pass, goes_to_another_worker_when_idle)
{
	int fd[3];

	for (int i = 0; i < 3; i++)
		fd[i] = connect_kept();
	start_other(100);
	/* Comes before the other one looks. */
	WEB_SEND(fd[0], HEAD_KEPT STDIN_END);
	responder_stop_accepting(responder);
	cr_assert_eq(responder_connections(responder), 0);
	cr_assert_not(responder_is_done(responder));
	web_receive_answer(fd[0]);
	RUN_UNTIL(responder_connections(other) == 3);
	cr_assert(responder_is_done(responder));
	for (int i = 0; i < 3; i++) {
		use(fd[i]);
		close(fd[i]);
	}
	RUN_UNTIL(responder_connections(other) == 0);
	cr_assert_eq(app.gones, 0);
}

Test(responder_pass, goes_to_another_worker_after_its_response)
{
	int busy = connect_kept(), half = connect_kept();

	app.on_request = NOTHING;
	WEB_SEND(busy, HEAD_KEPT STDIN_END);
	RUN_UNTIL(app.requests == 3);
	WEB_SEND(half, BEGIN_KEPT);
	run_for(0.02);
	start_other(100);
	responder_stop_accepting(responder);
	run_for(0.6);
	cr_assert_eq(responder_connections(responder), 2);
	app_do(app.call, FINISH);
	web_receive_answer(busy);
	app.on_request = FINISH;
	WEB_SEND(half, PARAMS PARAMS_END STDIN_END);
	web_receive_answer(half);
	RUN_UNTIL(responder_is_done(responder));
	cr_assert_eq(responder_connections(other), 2);
	use(busy);
	use(half);
	close(busy);
	close(half);
}

Test(responder_pass, is_taken_back_when_nobody_takes_it)
{
	int silent = connect_kept(), used = connect_kept();
	double begin = ev_time();

	start_other(100);
	responder_stop_accepting(other);
	responder_stop_accepting(responder);
	WEB_SEND(used, HEAD_KEPT STDIN_END);
	web_receive_answer(used);
	web_expect_close(used);
	web_expect_close(silent);
	cr_assert_geq(ev_time() - begin, 0.4);
	RUN_UNTIL(responder_is_done(responder) && responder_is_done(other));
}

Test(responder_pass, waits_for_one_who_has_room)
{
	int full, fd = connect_kept();

	responder_stop_accepting(responder);
	start_other(1);
	full = web_connect();
	RUN_UNTIL(responder_connections(other) == 1);
	run_for(0.02);
	cr_assert_eq(responder_connections(other), 1);
	close(full);
	RUN_UNTIL(responder_connections(other) == 0);
	close(fd);
}

/* More than the socket holds. */
Test(responder_pass, waits_for_one_who_comes_to_take_it)
{
	enum { MANY = 400 };
	int fd[MANY];

	responder->max_connections = MANY;
	for (int i = 0; i < MANY; i++)
		fd[i] = connect_kept();
	responder_stop_accepting(responder);
	cr_assert_gt(responder_connections(responder), 0);
	start_other(MANY);
	RUN_UNTIL(responder_is_done(responder));
	cr_assert_eq(responder_connections(other), MANY);
	for (int i = 0; i < MANY; i++) {
		use(fd[i]);
		close(fd[i]);
	}
}

/* A message without a descriptor takes nobody's place. */
Test(responder_pass, takes_only_what_is_a_connection)
{
	int fd = connect_kept();
	double since = 0;

	cr_assert_eq(send(pass[0], "x", 1, 0), 1);
	cr_assert_eq(send(pass[0], &since, sizeof since, 0), sizeof since);
	run_for(0.02);
	start_other(100);
	responder_stop_accepting(responder);
	RUN_UNTIL(responder_connections(other) == 1);
	use(fd);
	close(fd);
}
