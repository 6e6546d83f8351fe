/* health_check.c - a backend that is not well gets no work until it is. */
#include "config.h"

#include "tests/integration/stack.h"

static void
an_unhealthy_backend_gets_no_work(struct stack *s)
{
	backend_answer_str(s->backend, "/health",
	    "HTTP/1.1 500 Ill\r\nContent-Length: 0\r\n\r\n");
	wait_for(process_log_has(s->agent[0], "is unhealthy after 2 failed "
	    "checks"), PATIENCE_MS, "it is not noticed");
	/* The request waits for an agent that takes it, and none does. */
	wait_for(stack_status(s, "/ready") == 504, PATIENCE_MS,
	    "it still gets work");
	backend_answer_str(s->backend, "/health",
	    "HTTP/1.1 204 Well\r\n\r\n");
	wait_for(process_log_has(s->agent[0], "is healthy again"),
	    PATIENCE_MS, "that it is well is not noticed");
	stack_wait_ready(s);
}
TEST_EACH(health_check, an_unhealthy_backend_gets_no_work,
    .worker_options = { "--queue-timeout=500ms" },
    .agent_options = { "--health-check-interval=50ms",
	"--health-check-path=/health", "--health-check-unhealthy-threshold=2" })

static void
a_backend_that_is_gone_is_unhealthy(struct stack *s)
{
	backend_stop(s->backend);
	wait_for(process_log_has(s->agent[0], "is unhealthy after 1 failed "
	    "checks"), PATIENCE_MS, "it is not noticed");
	backend_resume(s->backend);
	stack_wait_ready(s);
}
STACK_TEST(health_check, a_backend_that_is_gone_is_unhealthy, WEB_LIGHTTPD,
    "native", native, .agent_options = { "--health-check-interval=50ms",
	"--health-check-path=/ready", "--health-check-unhealthy-threshold=1" })

/* Each of its bytes comes in time. */
static void
a_response_without_end_is_no_health(struct stack *s)
{
	wait_for(process_log_has(s->agent[0], "is unhealthy after 1 failed "
	    "checks: takes no work (no whole response in time)"), PATIENCE_MS,
	    "it is not noticed");
	wait_for(backend_count_gone(s->backend, "/drip/") > 0, PATIENCE_MS,
	    "it is still read");
}
TEST_EACH(health_check, a_response_without_end_is_no_health,
    .agent_options = { "--health-check-interval=50ms",
	"--health-check-timeout=200ms", "--health-check-path=/drip/100000/20",
	"--health-check-unhealthy-threshold=1" })
