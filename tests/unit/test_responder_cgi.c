/* test_responder_cgi.c - plain CGI, on pipes in place of descriptors 0 and 1. */
#include "config.h"

#include <fcntl.h>
#include <stdlib.h>
#include <unistd.h>

#include "tests/unit/web_server.h"

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
	responder = responder_new_cgi(loop, &app_handler, on_done, &run->done);
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

Test(responder_cgi, serves_its_request_when_it_is_told_to_stop)
{
	struct cgi_run run = { 0 };
	setenv("CONTENT_LENGTH", "3", 1);
	app.on_content = READ_AND_FINISH;
	cgi_begin(&run);
	RUN_UNTIL(app.requests == 1);
	responder_stop_accepting(responder);
	run_for(0.7);
	cr_assert_eq(write(run.to, "abc", 3), 3);
	RUN_UNTIL(run.done);
	cr_assert_str_eq(app.content, "abc");
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

/* Closes an end of ours while the request is served. */
static void
cgi_break_off(struct cgi_run *run, int end)
{
	RUN_UNTIL(app.requests == 1);
	close(end);
	RUN_UNTIL(run->done);
	cr_assert_eq(app.gones, 1);
	cgi_end(run);
}

Test(responder_cgi, tells_when_content_breaks_off)
{
	struct cgi_run run = { 0 };
	setenv("CONTENT_LENGTH", "6", 1);
	cgi_begin(&run);
	cgi_break_off(&run, run.to);
}

Test(responder_cgi, tells_when_nobody_reads_the_response)
{
	struct cgi_run run = { 0 };
	unsetenv("CONTENT_LENGTH");
	cgi_begin(&run);
	cgi_break_off(&run, run.from);
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
