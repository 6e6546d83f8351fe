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
