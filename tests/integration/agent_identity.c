/* agent_identity.c - what an agent may have: the frames of its own identity,
 * as long as its token and its backends last, and no more calls than so
 * many. */
#include "config.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tests/integration/classic.h"
#include "tests/integration/native.h"

/* Another identity with a backend of its own. */
static struct native
stranger(struct stack *s, unsigned char instance)
{
	struct native b = native_new(s, instance);

	admin(s, "backend", "add", "b2", "--end-user=allUsers",
	    "--backend-user=agent-two", "--path=/b2");
	b.backend_id = "b2";
	b.token = admin(s, "token", "add", "--role=agent",
	    "--user=agent-two");
	wait_for(native_call(&b, false) == 200, PATIENCE_MS,
	    "the stranger is not let in");
	return b;
}

/* The stranger calls itself by the name of another's agent, which has gone
 * away with content to come; none of it comes to the stranger. */
static void
an_instance_belongs_to_its_identity(struct stack *s)
{
	enum { LEN = 300000 };
	struct native a = native_new(s, 7), b = stranger(s, 7);
	struct frame open, f;
	struct client *c;
	unsigned strange = 0;

	check(native_call(&a, false) == 200, "the agent is not let in");
	c = stack_send(s, "PUT", "/x", "Content-Length: 300000\r\n");
	client_send_pattern(c, LEN, false);
	native_wait(&a, FRAME_OPEN, &open);
	a.in_flight = 1;
	native_add(&a, &(struct frame){ .type = FRAME_ACCEPT, .id = open.id });
	native_add(&a, &(struct frame){ .type = FRAME_WINDOW, .id = open.id,
		.offset = open.content.len, .limit = LEN });
	check(native_call(&a, false) == 200, "ACCEPT");
	for (int i = 0; i < 3; i++) {
		check(native_call(&b, true) == 200, "the stranger's call");
		while (native_take(&b, &f))
			strange += f.type != FRAME_WELCOME;
	}
	check(strange == 0, "%u frames came to a stranger", strange);
	native_wait(&a, FRAME_DATA, &f);
	check(memcmp(&f.id, &open.id, sizeof(f.id)) == 0,
	    "the content does not come to its agent");
	client_free(c);
}
TEST_EACH_WEB(agent_identity, an_instance_belongs_to_its_identity,
    .agents = STACK_NO_AGENT)

/* It answers with the id and the name of the agent that has the exchange. */
static void
a_stranger_answers_nothing(struct stack *s)
{
	struct native a = native_new(s, 7), b = stranger(s, 7);
	struct frame open, f;
	struct response r;
	struct client *c;

	check(native_call(&a, false) == 200, "the agent is not let in");
	c = stack_send(s, "GET", "/x", "");
	native_wait(&a, FRAME_OPEN, &open);
	native_answer(&b, open.id, "HTTP/1.1 200 OK\r\n"
	    "Content-Length: 4\r\n\r\n", "evil");
	check(native_call(&b, false) == 200, "the stranger's call");
	native_wait(&b, FRAME_RESET, &f);
	check(f.code == FRAME_RESET_UNKNOWN, "RESET %u", f.code);
	native_answer(&a, open.id, "HTTP/1.1 200 OK\r\n"
	    "Content-Length: 4\r\n\r\n", "good");
	check(native_call(&a, false) == 200, "answer");
	r = stack_receive(c, "GET");
	check(r.status == 200 && strcmp(response_text(&r), "good") == 0,
	    "%d %s", r.status, response_text(&r));
	response_clear(&r);
}
TEST_EACH_WEB(agent_identity, a_stranger_answers_nothing,
    .agents = STACK_NO_AGENT)

/* What waits is ended by what takes its right away. */
static void
ends_a_parked_call(struct stack *s, struct client *poll, const char *method,
    int status)
{
	long long start = now_ms();
	struct response r = stack_receive(poll, method);

	check(r.status == status, "%d, expected %d", r.status, status);
	check(now_ms() - start < 5000, "after %lld ms", now_ms() - start);
	response_clear(&r);
	stack_wait_healthy(s);
}

static struct client *
poll_classic(struct stack *s, const char *token)
{
	return stack_send(s, "GET", AGENT_MOUNT "agent/pending",
	    harness_name("Authorization: Bearer %s\r\n"
	    "X-Inverting-Proxy-Backend-ID: b1\r\n", token));
}

static void
a_removed_token_ends_parked_calls(struct stack *s)
{
	struct native a = native_new(s, 7);
	struct client *native, *classic;
	char *token = admin(s, "token", "add", "--role=agent",
	    "--user=agent-one");

	a.token = token;
	wait_for(native_call(&a, false) == 200, PATIENCE_MS, "not let in");
	native = native_send(&a, true);
	classic = poll_classic(s, token);
	wait_for(strtol(stack_redis(s, "pubsub numsub ip:{b:b1}:wake") +
	    strlen("ip:{b:b1}:wake\n"), NULL, 10) == 1, PATIENCE_MS,
	    "nobody waits");
	admin(s, "token", "remove", harness_name("%.12s", token + 3));
	ends_a_parked_call(s, native, "POST", 401);
	ends_a_parked_call(s, classic, "GET", 401);
}
TEST_EACH_WEB(agent_identity, a_removed_token_ends_parked_calls,
    .agents = STACK_NO_AGENT, .worker_options = { "--poll-timeout=30s" })

static void
a_lost_backend_ends_parked_calls(struct stack *s)
{
	struct native a = native_new(s, 7);
	struct client *native, *classic;

	check(native_call(&a, false) == 200, "not let in");
	native = native_send(&a, true);
	classic = poll_classic(s, s->agent_token);
	wait_for(strtol(stack_redis(s, "pubsub numsub ip:{b:b1}:wake") +
	    strlen("ip:{b:b1}:wake\n"), NULL, 10) == 1, PATIENCE_MS,
	    "nobody waits");
	admin(s, "backend", "add", "b1", "--end-user=allUsers",
	    "--backend-user=somebody-else", "--path=/");
	ends_a_parked_call(s, native, "POST", 403);
	ends_a_parked_call(s, classic, "GET", 403);
}
TEST_EACH_WEB(agent_identity, a_lost_backend_ends_parked_calls,
    .agents = STACK_NO_AGENT, .worker_options = { "--poll-timeout=30s" })

/* What is under way is broken off, for the client to see. */
static void
a_removed_token_breaks_off_a_response(struct stack *s)
{
	static const char begin[] = "HTTP/1.1 200 OK\r\n"
	    "Content-Length: 100\r\n\r\nhalf of it";
	char *token = admin(s, "token", "add", "--role=agent",
	    "--user=agent-one");
	struct classic agent = classic_new(s);
	struct native probe = native_new(s, 7);
	struct client *client, *post;
	char id[CLASSIC_ID_LEN];
	struct response r;

	probe.token = token;
	wait_for(native_call(&probe, false) == 200, PATIENCE_MS,
	    "the token is not seen");
	client = stack_send(s, "GET", "/x", "");
	agent.token = token;
	classic_take(&agent, id);
	r = classic_fetch(&agent, id);
	check(r.status == 200, "fetch: %d", r.status);
	response_clear(&r);
	post = client_new(s->port);
	classic_send_head(post, &agent, "POST", "response", id);
	client_printf(post, "Content-Length: 1000\r\n\r\n%s", begin);
	response_read_head(client, "GET", &r, PATIENCE_MS);
	check(r.status == 200, "%d", r.status);
	admin(s, "token", "remove", harness_name("%.12s", token + 3));
	wait_for(response_read_piece(client, &r, 100).len == 0 && r.ended,
	    PATIENCE_MS, "it goes on");
	check(!r.whole, "it seems to be whole");
	response_clear(&r);
	client_free(client);
	client_free(post);
}
TEST_EACH_WEB(agent_identity, a_removed_token_breaks_off_a_response,
    .agents = STACK_NO_AGENT)

/* One identity can't take all there is; others are not touched. */
static void
open_calls_of_an_identity_are_bounded(struct stack *s)
{
	enum { MANY = 5 };
	struct native b = stranger(s, 9);
	struct client *poll[MANY];
	struct response r;
	int waited = 0, refused = 0;

	for (int i = 0; i < MANY; i++)
		poll[i] = poll_classic(s, s->agent_token);
	check(native_call(&b, true) == 200, "another identity is refused");
	for (int i = 0; i < MANY; i++) {
		r = stack_receive(poll[i], "GET");
		waited += r.status == 200;
		refused += r.status == 429;
		check(r.status == 200 || response_field(&r, "Retry-After") !=
		    NULL, "%d without Retry-After", r.status);
		response_clear(&r);
	}
	check(waited == 2 && refused == 3, "%d waited, %d were refused",
	    waited, refused);
	check(process_log_has(s->worker, "limit=--poll-limit"),
	    "the log does not say which limit");
	/* ... and there is room again. */
	r = stack_receive(poll_classic(s, s->agent_token), "GET");
	check(r.status == 200, "%d", r.status);
	response_clear(&r);
}
TEST_EACH_WEB(agent_identity, open_calls_of_an_identity_are_bounded,
    .agents = STACK_NO_AGENT,
    .worker_options = { "--poll-limit=2", "--poll-timeout=3s" })

static void
agents_of_an_identity_are_bounded(struct stack *s)
{
	struct native a[4];

	for (unsigned char i = 0; i < 4; i++) {
		a[i] = native_new(s, i);
		int status = native_call(&a[i], false);

		check(status == (i < 3 ? 200 : 429), "number %d: %d", i,
		    status);
	}
	check(process_log_has(s->worker, "limit=--agent-limit"),
	    "the log does not say which limit");
	check(native_call(&a[0], false) == 200, "a known one is refused");
}
TEST_EACH_WEB(agent_identity, agents_of_an_identity_are_bounded,
    .agents = STACK_NO_AGENT, .worker_options = { "--agent-limit=3" })
