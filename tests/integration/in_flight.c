/* in_flight.c - one backend, or one client, can't have all there is; and no
 * content is larger than the limit, where there is one. */
#include "config.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tests/integration/stack.h"

/* With two under way, which wait at the backend, a third is refused; with them
 * gone it is not. */
static void
the_third_is_refused(struct stack *s, int status)
{
	struct client *c[2];
	struct response r;

	for (int i = 0; i < 2; i++)
		c[i] = stack_send(s, "GET", "/slow/2000", "");
	wait_for(backend_count_open(s->backend, "/slow") == 2, PATIENCE_MS,
	    "two do not get through");
	r = stack_get(s, "/hash");
	check(r.status == status, "%d, expected %d", r.status, status);
	check(response_field(&r, "Retry-After") != NULL, "no Retry-After");
	response_clear(&r);
	for (int i = 0; i < 2; i++) {
		r = stack_receive(c[i], "GET");
		check(r.status == 200, "number %d: %d", i, r.status);
		response_clear(&r);
	}
	wait_for(stack_status(s, "/hash") == 200, PATIENCE_MS,
	    "places do not come back");
}

static void
a_backend_has_so_many(struct stack *s)
{
	the_third_is_refused(s, 503);
}
TEST_EACH_WEB(in_flight, a_backend_has_so_many,
    .worker_options = { "--backend-limit=2" })

static void
a_client_has_so_many(struct stack *s)
{
	the_third_is_refused(s, 429);
}
TEST_EACH_WEB(in_flight, a_client_has_so_many,
    .worker_options = { "--client-limit=2" })

static int
put(struct stack *s, const char *target, unsigned long long len, bool chunked)
{
	struct client *c = stack_send(s, "PUT", target, chunked ?
	    "Transfer-Encoding: chunked\r\n" :
	    harness_name("Content-Length: %llu\r\n", len));
	struct response r;
	int status;

	client_send_pattern(c, len, chunked);
	r = stack_receive(c, "PUT");
	status = r.status;
	response_clear(&r);
	return status;
}

static void
is_not_there_whole(struct stack *s, const char *target)
{
	for (size_t i = 0; i < backend_count(s->backend, target); i++)
		check(!backend_request(s->backend, target, i)->content_whole,
		    "%s is there whole", target);
}

static void
content_over_the_limit_is_413(struct stack *s)
{
	enum { LIMIT = 1024 * 1024 };

	check(put(s, "/hash/1", LIMIT, false) == 200, "at the limit");
	check(put(s, "/hash/2", LIMIT + 1, false) == 413, "over it");
	check(put(s, "/hash/3", LIMIT, true) == 200, "at it, chunked");
	check(put(s, "/hash/4", LIMIT + 1, true) == 413, "over it, chunked");
	check(put(s, "/hash/5", 3 * LIMIT, true) == 413, "far over it");
	stack_expect(s, "/ready", 200);
	/* The backend may have seen some of it, but never the whole. */
	is_not_there_whole(s, "/hash/2");
	is_not_there_whole(s, "/hash/4");
	is_not_there_whole(s, "/hash/5");
}
TEST_EACH(in_flight, content_over_the_limit_is_413,
    .worker_options = { "--body-limit=1m" })
