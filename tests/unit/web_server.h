/* web_server.h - a responder on a real socket and loop, against a web server
 * that is made of hand-written records. */
#ifndef TESTS_UNIT_WEB_SERVER_H
#define TESTS_UNIT_WEB_SERVER_H

#include <criterion/criterion.h>

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

/* What the handler does.  EXPECT_TURN: what it leaves to others when it is told
 * something at the end of a turn is done in their next one; from here on only
 * the loop itself keeps it from waiting for an event. */
enum deed { NOTHING, FINISH, FINISH_LATE, ABORT_IT, READ, READ_AND_FINISH,
	WRITE_MUCH, EXPECT_TURN };

/* What the handler does when, and what it saw. */
struct app {
	enum deed on_request, on_content, on_drained, on_gone;
	size_t much;		/* for WRITE_MUCH */
	unsigned requests, contents, drains, gones;
	size_t read;
	bool ended;
	char content[64];	/* its beginning */
	char uri[64];
	struct call *call;	/* the last one, while under way */
};

extern struct app app;
extern const struct responder_handler app_handler;
extern struct ev_loop *loop;
extern struct responder *responder;
extern int listen_fd;
extern char address[64];	/* of listen_fd: unix:/path */

/* All of these. */
void set_up(void);
void tear_down(void);
/* The address alone; its directory must be empty at the end. */
void make_directory(void);
void remove_directory(void);

void app_do(struct call *call, enum deed deed);

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

void on_tick(struct ev_loop *l, ev_timer *w, int events);
void run_for(double seconds);

/* What came back: the stream decoded. */
struct reply {
	char *content;
	size_t content_len;
	bool ended;		/* END_REQUEST */
	bool closed;
	struct buf in;
};

/* Until the handler was told, which does EXPECT_TURN then. */
void run_until_told(const unsigned *times, int fd, struct reply *reply);

int web_connect(void);
void web_send(int fd, const char *bytes, size_t len);
#define WEB_SEND(fd, literal) web_send(fd, literal, sizeof(literal) - 1)
/* Content as STDIN records of `each` bytes, the loop running meanwhile. */
void web_send_content(int fd, size_t total, size_t each);
void web_receive_some(int fd, struct reply *reply, size_t most);
void reply_clear(struct reply *reply);
/* The whole of ANSWER. */
void web_receive_answer(int fd);
/* Closed without an answer; closes fd. */
void web_expect_close(int fd);

#endif
