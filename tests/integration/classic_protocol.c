/* classic_protocol.c - the original's wire protocol, as agents that exist
 * speak it.  The test is the agent. */
#include "config.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tests/integration/classic.h"

#define OK_ANSWER "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"
#define ABC_ID "ABCDEFABCDEFABCDEFABCDEFABCDEFABCDEFABCDEFABCDEF"
#define NO_ID "000000000000000000000000000000000000000000000000"

static void
one_exchange(struct stack *s)
{
	struct classic agent = classic_new(s);
	struct client *c = stack_send(s, "POST", "/a%2Fb?c",
	    "Content-Length: 5\r\nX-Some: thing\r\n");
	char id[CLASSIC_ID_LEN], *text, *start;
	struct response r;

	client_printf(c, "hello");
	classic_take(&agent, id);
	check(strlen(id) == 48 && strspn(id, "0123456789abcdef") == 48,
	    "id: %s", id);
	r = classic_fetch(&agent, id);
	text = response_text(&r);
	check(r.status == 200 && r.whole, "%d", r.status);
	check(strcmp(response_field(&r, "X-Inverting-Proxy-Request-ID"), id)
	    == 0, "no request id");
	start = response_field(&r, "X-Inverting-Proxy-Request-Start-Time");
	check(start != NULL && strlen(start) == 30 && start[10] == 'T' &&
	    start[19] == '.' && start[29] == 'Z', "start time: %s", start);
	check(strncmp(text, "POST /a%2Fb?c HTTP/1.1\r\n", 24) == 0 &&
	    strcmp(head_field(text, "X-Some", 0), "thing") == 0 &&
	    strcmp(strstr(text, "\r\n\r\n"), "\r\n\r\nhello") == 0, "%s", text);
	response_clear(&r);
	check(classic_post_str(&agent, id, "HTTP/1.1 201 Made\r\n"
	    "Transfer-Encoding: chunked\r\nTrailer: X-T\r\nX-Answer: 1\r\n\r\n"
	    "3\r\nabc\r\n2;x=y\r\nde\r\n0\r\nX-T: 1\r\n\r\n") == 200, "post");
	r = stack_receive(c, "POST");
	check(r.status == 201 && r.whole && strcmp(response_text(&r), "abcde")
	    == 0 && strcmp(response_field(&r, "X-Answer"), "1") == 0,
	    "%d %s", r.status, response_text(&r));
	response_clear(&r);
	check(classic_post_str(&agent, id, OK_ANSWER) == 404, "again");
}
TEST_EACH_WEB(classic_protocol, one_exchange, .agents = STACK_NO_AGENT)

/* What an agent does whose call broke off, as with a worker that died. */
static void
it_may_be_fetched_again(struct stack *s)
{
	struct classic agent = classic_new(s);
	struct client *c = stack_send(s, "POST", "/x",
	    "Content-Length: 5\r\n");
	char id[CLASSIC_ID_LEN];
	struct response r;

	client_printf(c, "hello");
	classic_take(&agent, id);
	for (int i = 0; i < 3; i++) {
		r = classic_fetch(&agent, id);
		check(r.status == 200 && r.whole && strcmp(strstr(
		    response_text(&r), "\r\n\r\n"), "\r\n\r\nhello") == 0,
		    "fetch %d: %d %s", i, r.status, response_text(&r));
		response_clear(&r);
	}
	check(classic_post_str(&agent, id, OK_ANSWER) == 200, "post");
	r = stack_receive(c, "POST");
	check(r.status == 200, "%d", r.status);
	response_clear(&r);
}
TEST_EACH_WEB(classic_protocol, it_may_be_fetched_again,
    .agents = STACK_NO_AGENT, .workers = 2)

static void
a_poll_ends_empty_in_time(struct stack *s)
{
	struct classic agent = { .port = s->port, .backend_id = "b1",
	    .token = s->agent_token };
	static char ids[CLASSIC_IDS_MAX][CLASSIC_ID_LEN];
	long long start = now_ms(), took;

	check(classic_pending(&agent, ids) == 0, "ids out of nowhere");
	took = now_ms() - start;
	check(took > 900 && took < 3000, "held for %lld ms", took);
}
TEST_EACH_WEB(classic_protocol, a_poll_ends_empty_in_time,
    .agents = STACK_NO_AGENT, .worker_options = { "--poll-timeout=1s" })

static void
a_parked_poll_is_woken_at_once(struct stack *s)
{
	struct classic agent = { .port = s->port, .backend_id = "b1",
	    .token = s->agent_token };
	struct client *poll = client_new(s->port), *c;
	struct response r;
	long long late;

	classic_send_head(poll, &agent, "GET", "pending", NULL);
	client_printf(poll, "\r\n");
	/* The backend is attended once the poll is there. */
	wait_for(stack_redis_number(s, "exists ip:{b:b1}:attended")
	    == 1, PATIENCE_MS, "the poll did not arrive");
	c = stack_send(s, "GET", "/x", "");
	response_read_head(poll, "GET", &r, PATIENCE_MS);
	response_read_content(poll, &r);
	late = (now_ns() - c->sent_ns) / 1000000;
	check(r.status == 200 && r.content_len > 40, "%d %s", r.status,
	    response_text(&r));
	check(late < 500, "woken after %lld ms", late);
	response_clear(&r);
	client_free(poll);
	client_free(c);
}
TEST_EACH_WEB(classic_protocol, a_parked_poll_is_woken_at_once,
    .agents = STACK_NO_AGENT, .worker_options = { "--poll-timeout=5s" })

static void
at_most_a_hundred_ids_in_a_list(struct stack *s)
{
	enum { MANY = 130 };
	struct classic agent = classic_new(s);
	struct client *c[MANY];
	static char ids[CLASSIC_IDS_MAX][CLASSIC_ID_LEN];
	size_t got = 0;

	for (size_t i = 0; i < MANY; i++)
		c[i] = stack_send(s, "GET", "/x", "");
	wait_for(stack_redis_number(s, "llen ip:{b:b1}:queue")
	    == MANY, PATIENCE_MS, "not all queued");
	while (got < MANY) {
		size_t n = classic_pending(&agent, ids);

		check(n > 0, "only %zu of %d came", got, MANY);
		for (size_t i = 0; i < n; i++) {
			struct response r = classic_fetch(&agent, ids[i]);

			response_clear(&r);
			check(classic_post_str(&agent, ids[i], OK_ANSWER)
			    == 200, "post");
		}
		got += n;
	}
	for (size_t i = 0; i < MANY; i++) {
		struct response r = stack_receive(c[i], "GET");

		check(r.status == 200, "number %zu: %d", i, r.status);
		response_clear(&r);
	}
}
TEST_EACH_WEB(classic_protocol, at_most_a_hundred_ids_in_a_list,
    .agents = STACK_NO_AGENT)

static int
call_status(struct classic *agent, const char *method, const char *call,
    const char *id)
{
	struct client *c = client_new(agent->port);
	struct response r;

	classic_send_head(c, agent, method, call, id);
	client_printf(c, "Content-Length: 0\r\n\r\n");
	response_read_head(c, method, &r, PATIENCE_MS);
	client_free(c);
	return r.status;
}

static void
wrong_ids_are_refused(struct stack *s)
{
	static const struct {
		const char *id;
		int status;
	} ids[] = { { NULL, 400 }, { NO_ID, 404 }, { "x", 404 },
		{ "../../etc", 404 }, { NO_ID "00", 404 },
		{ ABC_ID, 404 } };
	struct classic agent = classic_new(s);

	for (size_t i = 0; i < sizeof(ids) / sizeof(ids[0]); i++) {
		const char *id = ids[i].id;
		int fetch = call_status(&agent, "GET", "request", id);
		int post = call_status(&agent, "POST", "response", id);

		/* an id that can't be one may be called malformed, too */
		check(fetch == ids[i].status || (id != NULL && fetch == 400),
		    "fetch of %s: %d", id, fetch);
		check(post == ids[i].status || (id != NULL && post == 400),
		    "post to %s: %d", id, post);
	}
	agent.backend_id = "nothing";
	check(call_status(&agent, "GET", "pending", NULL) == 403 ||
	    call_status(&agent, "GET", "pending", NULL) == 404,
	    "an unknown backend");
	agent.backend_id = "";
	check(call_status(&agent, "GET", "pending", NULL) == 400,
	    "no backend");
}
TEST_EACH_WEB(classic_protocol, wrong_ids_are_refused,
    .agents = STACK_NO_AGENT)

static void
the_request_streams_while_it_arrives(struct stack *s)
{
	struct classic agent = classic_new(s);
	struct client *c = stack_send(s, "POST", "/up",
	    "Content-Length: 10\r\n"), *fetch = client_new(s->port);
	char id[CLASSIC_ID_LEN];
	struct response r;

	client_printf(c, "first");
	classic_take(&agent, id);
	classic_send_head(fetch, &agent, "GET", "request", id);
	client_printf(fetch, "\r\n");
	response_read_head(fetch, "GET", &r, PATIENCE_MS);
	while (memmem(buf_data(&r.content), buf_len(&r.content), "first", 5)
	    == NULL)
		check(response_read_piece(fetch, &r, PATIENCE_MS).len > 0,
		    "the first bytes are held back");
	client_printf(c, "other");
	response_read_content(fetch, &r);
	check(r.whole && strstr(response_text(&r), "firstother") != NULL,
	    "%s", response_text(&r));
	response_clear(&r);
	client_free(fetch);
	check(classic_post_str(&agent, id, OK_ANSWER) == 200, "post");
	r = stack_receive(c, "POST");
	check(r.status == 200, "%d", r.status);
	response_clear(&r);
}
TEST_EACH_WEB(classic_protocol, the_request_streams_while_it_arrives,
    .agents = STACK_NO_AGENT)

static void
content_of_unknown_length_is_fetched_whole(struct stack *s)
{
	static const size_t sizes[] = { 1, 65535, 65536, 65537, 200000 };
	struct classic agent = classic_new(s);

	for (size_t i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
		struct client *c = stack_send(s, "POST", "/up",
		    "Transfer-Encoding: chunked\r\n");
		char id[CLASSIC_ID_LEN];
		struct response r;

		client_send_pattern(c, sizes[i], true);
		classic_take(&agent, id);
		r = classic_fetch(&agent, id);
		check(r.status == 200 && r.whole && r.content_len > sizes[i],
		    "%zu bytes: %d, %llu came", sizes[i], r.status,
		    r.content_len);
		response_clear(&r);
		client_free(c);
	}
}
TEST_EACH_WEB(classic_protocol, content_of_unknown_length_is_fetched_whole,
    .agents = STACK_NO_AGENT)

static void
the_fetch_breaks_off_with_the_client(struct stack *s)
{
	struct classic agent = classic_new(s);
	struct client *c = stack_send(s, "POST", "/up",
	    "Content-Length: 10\r\n"), *fetch = client_new(s->port);
	char id[CLASSIC_ID_LEN];
	struct response r;

	client_printf(c, "first");
	classic_take(&agent, id);
	classic_send_head(fetch, &agent, "GET", "request", id);
	client_printf(fetch, "\r\n");
	response_read_head(fetch, "GET", &r, PATIENCE_MS);
	response_read_piece(fetch, &r, PATIENCE_MS);
	client_reset(c);
	response_read_content(fetch, &r);
	check(r.ended && !r.whole, "half a request looks whole");
	response_clear(&r);
	client_free(fetch);
}
TEST_EACH_WEB(classic_protocol, the_fetch_breaks_off_with_the_client,
    .agents = STACK_NO_AGENT)

/* As the existing agent does: the post is opened while the request is still
 * being fetched, nothing comes for a while, then small chunks of what is
 * itself chunked. */
static void
a_post_may_wait_and_come_in_crumbs(struct stack *s)
{
	static const char answer[] = "HTTP/1.1 200 OK\r\n"
	    "Transfer-Encoding: chunked\r\n\r\n4\r\nbody\r\n0\r\n\r\n";
	struct classic agent = classic_new(s);
	struct client *c = stack_send(s, "POST", "/x",
	    "Content-Length: 5\r\n"), *post = client_new(s->port),
	    *fetch = client_new(s->port);
	char id[CLASSIC_ID_LEN];
	struct response r;

	classic_take(&agent, id);
	classic_send_head(fetch, &agent, "GET", "request", id);
	client_printf(fetch, "\r\n");
	response_read_head(fetch, "GET", &r, PATIENCE_MS);
	check(r.status == 200, "fetch: %d", r.status);
	classic_send_head(post, &agent, "POST", "response", id);
	client_printf(post, "Transfer-Encoding: chunked\r\n"
	    "Content-Type: text/plain\r\n\r\n");
	client_printf(c, "hello");
	response_read_content(fetch, &r);
	check(r.whole, "fetch beside an open post");
	response_clear(&r);
	client_free(fetch);
	for (size_t i = 0; i < sizeof(answer) - 1; i++)
		client_printf(post, "1\r\n%c\r\n", answer[i]);
	client_printf(post, "0\r\n\r\n");
	response_read_head(post, "POST", &r, PATIENCE_MS);
	check(r.status == 200, "post: %d", r.status);
	response_clear(&r);
	client_free(post);
	r = stack_receive(c, "POST");
	check(r.status == 200 && strcmp(response_text(&r), "body") == 0,
	    "%d %s", r.status, response_text(&r));
	response_clear(&r);
}
TEST_EACH_WEB(classic_protocol, a_post_may_wait_and_come_in_crumbs,
    .agents = STACK_NO_AGENT)

static void
anonymous_user_id_is_empty(struct stack *s)
{
	struct classic agent = classic_new(s);
	struct client *c = stack_send(s, "GET", "/x",
	    "X-Inverting-Proxy-User-ID: root\r\n");
	char id[CLASSIC_ID_LEN], *user;
	struct response r;

	classic_take(&agent, id);
	r = classic_fetch(&agent, id);
	user = response_field(&r, "X-Inverting-Proxy-User-ID");
	check(user == NULL || user[0] == '\0', "user %s", user);
	check(strstr(response_text(&r), "root") == NULL,
	    "a client's word arrives");
	response_clear(&r);
	client_free(c);
}
TEST_EACH_WEB(classic_protocol, anonymous_user_id_is_empty,
    .agents = STACK_NO_AGENT)

/* A host with two addresses has one agent, which calls from either. */
static void
an_agent_may_call_from_two_addresses(struct stack *s)
{
	static char none[CLASSIC_IDS_MAX][CLASSIC_ID_LEN];
	struct classic agent = classic_new(s), elsewhere = agent;
	struct client *c = stack_send(s, "POST", "/x",
	    "Content-Length: 0\r\n");
	char id[CLASSIC_ID_LEN];
	struct response r;
	long long fetched;

	elsewhere.from = "127.0.0.2";
	classic_take(&agent, id);
	r = classic_fetch(&agent, id);
	check(r.status == 200, "fetch: %d", r.status);
	response_clear(&r);
	fetched = now_ms();
	/* For longer than the lease only the other address is heard of. */
	while (now_ms() < fetched + 2500)
		check(classic_pending(&elsewhere, none) == 0, "done again");
	check(classic_post_str(&elsewhere, id, "HTTP/1.1 200 OK\r\n"
	    "Content-Length: 4\r\n\r\nhere") == 200, "a stranger");
	r = stack_receive(c, "POST");
	check(r.status == 200, "%d %s", r.status, response_text(&r));
	response_clear(&r);
}
TEST_EACH_WEB(classic_protocol, an_agent_may_call_from_two_addresses,
    .agents = STACK_NO_AGENT, .worker_options = { "--lease=1s" })

/* Its fetch broke off in the content.  Who has fetched it knows the id. */
static void
what_was_fetched_has_another_id(struct stack *s)
{
	struct classic agent = classic_new(s);
	struct client *c = stack_send(s, "PUT", "/up",
	    "Content-Length: 200\r\n"), *fetch = client_new(s->port);
	char id[CLASSIC_ID_LEN], again[CLASSIC_ID_LEN];
	struct response r;

	classic_take(&agent, id);
	classic_send_head(fetch, &agent, "GET", "request", id);
	client_printf(fetch, "\r\n");
	response_read_head(fetch, "GET", &r, PATIENCE_MS);
	check(r.status == 200, "%d", r.status);
	client_reset(fetch);
	/* Where the web server tells of it, it does at the next write. */
	for (int i = 0; i < 100 && !process_log_has(s->worker,
	    "given to another agent"); i++) {
		client_printf(c, "x");
		harness_pause();
	}
	classic_take(&agent, again);
	check(strcmp(id, again) != 0, "the id is not new");
	client_free(c);
	response_clear(&r);
}
TEST_EACH_WEB(classic_protocol, what_was_fetched_has_another_id,
    .agents = STACK_NO_AGENT, .worker_options = { "--lease=1s" })

/* An exchange of whose request nothing matters. */
static void
take_and_fetch(const struct classic *agent, char id[CLASSIC_ID_LEN])
{
	struct response r;

	classic_take(agent, id);
	r = classic_fetch(agent, id);
	response_clear(&r);
}

/* Its agent is alive, but posts no more: what it had is given away again.
 * (lighttpd passes on no post before it is whole.) */
static void
a_post_that_broke_off_is_not_waited_for(struct stack *s)
{
	struct classic agent = classic_new(s);
	struct client *c = stack_send(s, "GET", "/x", ""),
	    *post = client_new(s->port);
	char id[CLASSIC_ID_LEN], again[CLASSIC_ID_LEN];
	struct response r;

	take_and_fetch(&agent, id);
	classic_send_head(post, &agent, "POST", "response", id);
	client_printf(post, "Transfer-Encoding: chunked\r\n\r\n"
	    "8\r\nHTTP/1.1\r\n");
	wait_for(process_log_has(s->worker, "a post begins"), PATIENCE_MS,
	    "it does not arrive");
	client_reset(post);
	take_and_fetch(&agent, again);
	check(strcmp(id, again) != 0, "the id is not new");
	check(classic_post_str(&agent, again, "HTTP/1.1 200 OK\r\n"
	    "Content-Length: 2\r\n\r\nok") == 200, "not taken");
	r = stack_receive(c, "GET");
	check(r.status == 200, "%d %s", r.status, response_text(&r));
	response_clear(&r);
}
STACK_TEST(classic_protocol, a_post_that_broke_off_is_not_waited_for,
    WEB_APACHE, "classic", once, .agents = STACK_NO_AGENT,
    .worker_options = { "--lease=1s" })

/* The agent has lost the first from sight, and the web server has not. */
static void
who_posts_again_begins_anew(struct stack *s)
{
	struct classic agent = classic_new(s);
	struct client *c = stack_send(s, "POST", "/x",
	    "Content-Length: 0\r\n"), *post = client_new(s->port);
	char id[CLASSIC_ID_LEN];
	struct response r;

	take_and_fetch(&agent, id);
	classic_send_head(post, &agent, "POST", "response", id);
	client_printf(post, "Transfer-Encoding: chunked\r\n\r\n"
	    "8\r\nHTTP/1.1\r\n");
	wait_for(process_log_has(s->worker, "a post begins"), PATIENCE_MS,
	    "it does not arrive");
	check(classic_post_str(&agent, id, OK_ANSWER) == 200, "not taken");
	r = stack_receive(c, "POST");
	check(r.status == 200 && strcmp(response_text(&r), "ok") == 0,
	    "%d %s", r.status, response_text(&r));
	response_clear(&r);
	client_free(post);
}
STACK_TEST(classic_protocol, who_posts_again_begins_anew, WEB_APACHE,
    "classic", apache, .agents = STACK_NO_AGENT, .workers = 2,
    .worker_options = { "--lease=1s" })

/* A part of the first is at the client: while it goes on it counts. */
static void
who_posts_again_too_late_changes_nothing(struct stack *s)
{
	struct classic agent = classic_new(s);
	struct client *c = stack_send(s, "GET", "/x", ""),
	    *post = client_new(s->port);
	char id[CLASSIC_ID_LEN];
	long long again;
	struct response r, posted;

	take_and_fetch(&agent, id);
	classic_send_head(post, &agent, "POST", "response", id);
	client_printf(post, "Transfer-Encoding: chunked\r\n\r\n"
	    "2a\r\nHTTP/1.1 200 OK\r\nContent-Length: 12\r\n\r\n123\r\n");
	response_read_head(c, "GET", &r, PATIENCE_MS);
	check(r.status == 200, "%d", r.status);
	check(classic_post_str(&agent, id, OK_ANSWER) == 404, "taken");
	again = now_ms();
	while (now_ms() < again + 1500)
		harness_pause();
	client_printf(post, "9\r\n456789abc\r\n0\r\n\r\n");
	response_read_content(c, &r);
	check(r.whole && strcmp(response_text(&r), "123456789abc") == 0,
	    "%s", response_text(&r));
	posted = stack_receive(post, "POST");
	check(posted.status == 200, "the first: %d", posted.status);
	response_clear(&posted);
	response_clear(&r);
	client_free(c);
}
STACK_TEST(classic_protocol, who_posts_again_too_late_changes_nothing,
    WEB_APACHE, "classic", apache, .agents = STACK_NO_AGENT, .workers = 2,
    .worker_options = { "--lease=1s" })
