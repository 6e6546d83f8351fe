/* logins.c - who tries tokens is told late that they are wrong, is in the log,
 * and harms nobody else. */
#include "config.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tests/integration/classic.h"

#define WRONG "ip_abcdefghijkl_wrongwrongwrongwrongwrongwrongwrongwrongwro"

static struct client *
knock(struct stack *s, const char *target, const char *token)
{
	return stack_send(s, "GET", target, harness_name(
	    "Authorization: Bearer %s\r\n"
	    "X-Inverting-Proxy-Backend-ID: b1\r\n", token));
}

static int
enter(struct stack *s, const char *target, const char *token, long long *ms)
{
	long long start = now_ms();
	struct response r = stack_receive(knock(s, target, token), "GET");
	int status = r.status;

	*ms = now_ms() - start;
	response_clear(&r);
	return status;
}

static void
a_wrong_token_is_answered_late(struct stack *s)
{
	static const char *const targets[] = { AGENT_MOUNT "agent/pending",
		ADMIN_MOUNT "api/backends" };
	struct client *others[20];
	long long ms;

	for (int i = 0; i < 20; i++)
		others[i] = knock(s, targets[i % 2], WRONG);
	for (int i = 0; i < 2; i++) {
		int status = enter(s, targets[i], WRONG, &ms);

		check(status == 401 && ms >= 700, "%s: %d after %lld ms",
		    targets[i], status, ms);
	}
	for (int i = 0; i < 20; i++) {
		struct response r = stack_receive(others[i], "GET");

		check(r.status == 401, "number %d: %d", i, r.status);
		response_clear(&r);
	}
	/* Nobody else waits meanwhile. */
	others[0] = knock(s, targets[0], WRONG);
	check(enter(s, targets[1], s->admin_token, &ms) == 200 && ms < 700,
	    "the right token after %lld ms", ms);
	check(stack_status(s, "/ready") == 200, "a client");
	client_free(others[0]);
}
TEST_EACH_WEB(logins, a_wrong_token_is_answered_late,
    .worker_options = { "--login-delay=800ms" })

static size_t
count(const char *text, const char *word)
{
	size_t n = 0;

	for (; (text = strstr(text, word)) != NULL; text++)
		n++;
	return n;
}

static void
failed_logins_do_not_fill_the_log(struct stack *s)
{
	char *log;
	long long ms;

	for (int i = 0; i < 60; i++)
		check(enter(s, AGENT_MOUNT "agent/pending", WRONG, &ms) ==
		    401, "number %d", i);
	log = file_read(s->worker->log, NULL);
	check(count(log, "login failed") >= 1 &&
	    count(log, "login failed") <= 45, "%zu lines",
	    count(log, "login failed"));
	check(strstr(log, "address=127.0.0.1") != NULL,
	    "it does not say from where");
	check(strstr(log, "wrongwrong") == NULL, "the token is in the log");
	free(log);
}
TEST_EACH_WEB(logins, failed_logins_do_not_fill_the_log,
    .agents = STACK_NO_AGENT, .worker_options = { "--login-delay=0" })

/* More than are held back at a time: some are answered at once, all are. */
static void
many_wrong_tokens_take_no_more_room(struct stack *s)
{
	enum { MANY = 300 };
	static struct client *c[MANY];
	long rss = process_rss_kib(s->worker->pid);

	for (int i = 0; i < MANY; i++)
		c[i] = knock(s, AGENT_MOUNT "agent/pending", WRONG);
	check(stack_status(s, "/ready") == 200, "a client has to wait");
	for (int i = 0; i < MANY; i++) {
		struct response r = stack_receive(c[i], "GET");

		check(r.status == 401, "number %d: %d", i, r.status);
		response_clear(&r);
	}
	check(process_rss_kib(s->worker->pid) - rss < 32 * 1024 +
	    SANITIZER_KIB, "%ld KiB more",
	    process_rss_kib(s->worker->pid) - rss);
}
TEST_EACH_WEB(logins, many_wrong_tokens_take_no_more_room,
    .worker_options = { "--login-delay=1s" })
