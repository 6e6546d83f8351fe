/* slow_client.c - who sends its content a byte now and then is told so in the
 * end, and holds nobody else up. */
#include "config.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tests/integration/stack.h"

/* A byte for every request that others make meanwhile, at most 20 a second, until
 * there is an answer or nobody reads any more. */
static int
drip(struct stack *s, struct client *c, size_t len)
{
	struct response r;
	int status;

	for (size_t i = 0; i < len; i++) {
		long long next = now_ms() + 50;

		if (!client_send(c, "x", 1))
			break;
		check(stack_status(s, "/ready") == 200, "another client");
		while (now_ms() < next && !client_wait_closed(c, 10))
			;
		if (c->eof || buf_len(&c->in) > 0)
			break;
	}
	response_read_head(c, "PUT", &r, 2 * PATIENCE_MS);
	status = r.status;
	response_clear(&r);
	return status;
}

static void
dripping_content_is_408(struct stack *s)
{
	enum { LEN = 400 };
	struct client *c = stack_send(s, "PUT", "/hash/drip",
	    "Content-Length: 400\r\n");
	long long start = now_ms();
	int status = drip(s, c, LEN);

	check(status == 408, "%d", status);
	check(now_ms() - start >= 900, "after %lld ms", now_ms() - start);
	client_free(c);
	check(backend_count(s->backend, "/hash/drip") == 0 ||
	    !backend_request(s->backend, "/hash/drip", 0)->content_whole,
	    "the backend has got it");
}
TEST_EACH(slow_client, dripping_content_is_408, .worker_options = {
    "--response-timeout=1s", "--min-rate=30", "--linger-timeout=1s" })

/* Slow is not too slow. */
static void
slow_content_gets_through(struct stack *s)
{
	struct client *c = stack_send(s, "PUT", "/hash/slow",
	    "Content-Length: 60\r\n");
	int status = drip(s, c, 60);

	check(status == 200, "%d", status);
	client_free(c);
}
TEST_EACH(slow_client, slow_content_gets_through, .worker_options = {
    "--response-timeout=1s", "--min-rate=10" })
