/* stack.h - the whole system, started for one test: Redis, a web server with
 * the files of deploy/, workers, agents, a scripted backend.
 *
 * A test is a function that gets a started stack:
 *
 *	static void
 *	keeps_the_method(struct stack *s)
 *	{
 *		struct response r = stack_get(s, "/echo");
 *		...
 *	}
 *	TEST_EACH(fidelity, keeps_the_method)
 *
 * TEST_EACH makes four tests of it: behind each web server, with the agent
 * speaking each protocol.  TEST_EACH_WEB makes two, with the native agent.
 * More arguments are members of struct stack, as .workers = 2.  */
#ifndef INTEGRATION_STACK_H
#define INTEGRATION_STACK_H

#include <stdbool.h>

#include "tests/integration/backend.h"
#include "tests/integration/client.h"
#include "tests/integration/harness.h"

enum web_server { WEB_LIGHTTPD, WEB_APACHE };

enum { STACK_OPTIONS_MAX = 12, STACK_AGENTS_MAX = 4, STACK_NO_AGENT = -1 };

#define AGENT_MOUNT "/inverting-proxy/"
#define ADMIN_MOUNT "/inverting-proxy/"

struct stack {
	/* What a test may ask for. */
	enum web_server web;
	const char *protocol;	/* of the agents: native, classic, auto */
	int agents;		/* 0: one; STACK_NO_AGENT: none */
	int workers;		/* 0: one */
	bool inherited;		/* the worker's socket is the test's, passed on
				 * as descriptor 0, as systemd does */
	bool two_hosts;		/* worker and worker_beside, each on a TCP port
				 * of its own, before Apache's balancer */
	bool persistent;	/* Redis keeps what it has, as deploy/redis says */
	bool login;		/* clients log in: alice, bob and carol, each
				 * with the name as password */
	bool admins_log_in;	/* and so do admins */
	const char *address;	/* where the web server listens, too; NULL */
	pid_t agents_netns;	/* agents run in this process's network
				 * namespace and call that address; 0 */
	const char *worker_options[STACK_OPTIONS_MAX];
	const char *agent_options[STACK_OPTIONS_MAX];

	/* What there is. */
	int port;		/* of the web server */
	struct backend *backend;	/* served as "b1", for allUsers at / */
	struct process *redis, *web_process, *worker;
	struct process *worker_beside;	/* stack_start_worker_beside */
	int worker_fd;			/* when inherited */
	int worker_port[2];		/* of two_hosts */
	struct process *agent[STACK_AGENTS_MAX];
	char *agent_token;	/* identity agent-one, backend b1's */
	char *admin_token;
	char *redis_socket, *worker_socket;
};

void stack_start(struct stack *s);
void stack_stop(struct stack *s);

/* Parts of it, for tests that stop and start them. */
void stack_start_redis(struct stack *s);
void stack_start_worker(struct stack *s);
void stack_start_agent(struct stack *s, int n);
void stack_start_web(struct stack *s);

/* A second one on the same socket, which must be inherited, or the second of
 * two_hosts. */
void stack_start_worker_beside(struct stack *s);

/* The only agent, which calls this port instead of the web server's; ready. */
void stack_start_agent_through(struct stack *s, int port);

/* Until a request of a client comes back from the backend. */
void stack_wait_ready(struct stack *s);

/* Until a worker says that it and Redis are well. */
void stack_wait_healthy(struct stack *s);

/* The command-line tool: what it printed, heap, without the last newline. */
char *stack_admin(struct stack *s, size_t argc, const char *const *argv);
#define admin(s, ...) stack_admin(s, \
	sizeof((const char *[]){ __VA_ARGS__ }) / sizeof(const char *), \
	(const char *[]){ __VA_ARGS__ })

/* Asks Redis with redis-cli: what it printed, heap. */
char *stack_redis(struct stack *s, const char *command);
/* The number that it printed. */
long stack_redis_number(struct stack *s, const char *command);

/* GET of the target on a connection of its own, logged in as alice where
 * clients have to. */
struct response stack_get(const struct stack *s, const char *target);

/* The same with a field block ("Name: value\r\n...") and without waiting:
 * read the response from the client this returns. */
struct client *stack_send(const struct stack *s, const char *method,
    const char *target, const char *fields);

/* Reads the response to the method to its end, frees the client. */
struct response stack_receive(struct client *c, const char *method);

int stack_status(const struct stack *s, const char *target);

/* GET target, which must be answered with this status. */
void stack_expect(const struct stack *s, const char *target, int status);

/* What differs between the web servers in front: measured, and not ours to
 * change. */
struct web_facts {
	const char *name;
	bool unknown_methods;	/* passed on; else 501 */
	bool streams_chunked_upload;	/* else spooled whole first, and with
					 * it a classic agent's response */
	bool answers_early;	/* passes a response on before the request's
				 * content has ended */
	bool sees_client_leave;	/* before it writes to it */
	const char *cookie_join;	/* between merged Cookie lines */
};
const struct web_facts *web_facts(const struct stack *s);

/* Does a response reach the client while the backend still makes it, and the
 * client's leaving the backend?  Not with a classic agent behind a server that
 * spools its posts. */
bool stack_streams_responses(const struct stack *s);

/* The classic protocol can't call an exchange back. */
bool stack_can_cancel(const struct stack *s);

#define STACK_TEST(suite, test, server, proto, suffix, ...) \
	Test(suite, test##_##suffix, .timeout = 120) \
	{ \
		struct stack s = { __VA_ARGS__ }; \
		s.web = server; \
		s.protocol = proto; \
		stack_start(&s); \
		test(&s); \
		stack_stop(&s); \
	}

#define TEST_EACH_WEB(suite, test, ...) \
	STACK_TEST(suite, test, WEB_LIGHTTPD, "native", lighttpd, __VA_ARGS__) \
	STACK_TEST(suite, test, WEB_APACHE, "native", apache, __VA_ARGS__)

#define TEST_EACH(suite, test, ...) \
	STACK_TEST(suite, test, WEB_LIGHTTPD, "native", lighttpd_native, \
	    __VA_ARGS__) \
	STACK_TEST(suite, test, WEB_APACHE, "native", apache_native, \
	    __VA_ARGS__) \
	STACK_TEST(suite, test, WEB_LIGHTTPD, "classic", lighttpd_classic, \
	    __VA_ARGS__) \
	STACK_TEST(suite, test, WEB_APACHE, "classic", apache_classic, \
	    __VA_ARGS__)

#endif
