/* line_cut.c - the way between an agent and the proxy is cut, and nobody is
 * told: two agents never do the same request at the same time, and the agent
 * comes back when the way does. */
#include "config.h"

#include <pthread.h>
#include <string.h>

#include "tests/integration/line.h"
#include "tests/integration/stack.h"

enum { FAST = 100 * 1000 * 1000 };

struct at_work {
	pthread_mutex_t lock;
	int now, most, total;
};

/* The first one works until it is aborted, the second one answers. */
static void
work(struct backend_connection *c, void *arg)
{
	struct at_work *at_work = arg;
	int number;

	pthread_mutex_lock(&at_work->lock);
	number = ++at_work->total;
	if (++at_work->now > at_work->most)
		at_work->most = at_work->now;
	pthread_mutex_unlock(&at_work->lock);
	if (number == 1)
		backend_wait_gone(c, 20000);
	else
		backend_printf(c, "HTTP/1.1 200 OK\r\n"
		    "Content-Length: 6\r\n\r\nsecond");
	pthread_mutex_lock(&at_work->lock);
	at_work->now--;
	pthread_mutex_unlock(&at_work->lock);
}

static void
two_agents_never_do_the_same(struct stack *s)
{
	/* Its thread may see the end of this test. */
	static struct at_work at_work = { .lock = PTHREAD_MUTEX_INITIALIZER };
	struct line *line = line_start_agent(s, LINE_UP, FAST);
	struct client *c;
	struct response r;

	backend_script(s->backend, "/work", work, &at_work);
	c = stack_send(s, "GET", "/work", "");
	wait_for(backend_count(s->backend, "/work") == 1, PATIENCE_MS,
	    "the request does not arrive");
	line_cut(line);
	s->agent_options[0] = NULL;
	stack_start_agent(s, 1);
	r = stack_receive(c, "GET");
	check(r.status == 200 && strcmp(response_text(&r), "second") == 0,
	    "%d %s", r.status, response_text(&r));
	check(at_work.total == 2, "%d executions", at_work.total);
	check(at_work.most == 1, "%d at the same time", at_work.most);
	response_clear(&r);
	line_heal(line);
}
TEST_EACH_WEB(line_cut, two_agents_never_do_the_same,
    .agents = STACK_NO_AGENT, .worker_options = { "--lease=6s" })

static void
the_agent_comes_back(struct stack *s)
{
	struct line *line = line_start_agent(s, LINE_UP, FAST);
	struct client *c = stack_send(s, "GET", "/never", "");
	struct response r;

	wait_for(backend_count(s->backend, "/never") == 1, PATIENCE_MS,
	    "the request does not arrive");
	line_cut(line);
	wait_for(backend_count_gone(s->backend, "/never") == 1, PATIENCE_MS,
	    "the request is not given up");
	line_heal(line);
	stack_wait_ready(s);
	client_free(c);
	r = stack_get(s, "/ready");
	check(r.status == 200, "%d", r.status);
	response_clear(&r);
}
TEST_EACH_WEB(line_cut, the_agent_comes_back, .agents = STACK_NO_AGENT,
    .worker_options = { "--lease=2s" })
