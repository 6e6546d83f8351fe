/* stack.c - starts and stops the whole system for one test. */
#include "config.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "tests/integration/stack.h"

/* Basic credentials of alice; tests with other users bring their own. */
#define ALICE "Authorization: Basic YWxpY2U6YWxpY2U=\r\n"

/* user:password with the same word for both (htpasswd -nbB -C 4). */
static const char users_file[] =
    "alice:$2y$04$6z3/94KQSNITWF12Izvm/.3JfC3oSgpUHJd17rhOIYFCTG07ygxuS\n"
    "bob:$2y$04$l34TBoe.mFAoX4zD451CfuRyOuwL3Yd3V7/.34XD49a3rRcvgNbIG\n"
    "carol:$2y$04$5iFsSbrRDOjBZas4AwjucuczcEsFkhymGRmwqFJAPjqlciM9OlIxS\n";

const struct web_facts *
web_facts(const struct stack *s)
{
	static const struct web_facts facts[] = {
		[WEB_LIGHTTPD] = {
			.name = "lighttpd",
			.unknown_methods = false,
			.streams_chunked_upload = false,
			.answers_early = true,
			.sees_client_leave = true,
			.cookie_join = "; ",
		},
		[WEB_APACHE] = {
			.name = "apache",
			.unknown_methods = true,
			.streams_chunked_upload = true,
			.answers_early = false,
			.sees_client_leave = false,
			.cookie_join = ", ",
		},
	};

	return &facts[s->web];
}

bool
stack_can_cancel(const struct stack *s)
{
	return strcmp(s->protocol, "classic") != 0;
}

bool
stack_streams_responses(const struct stack *s)
{
	return stack_can_cancel(s) || web_facts(s)->streams_chunked_upload;
}

/* Does somebody listen there? */
static bool
unix_socket_answers(const char *path)
{
	struct sockaddr_un a = { .sun_family = AF_UNIX };
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	bool answers;

	snprintf(a.sun_path, sizeof(a.sun_path), "%s", path);
	answers = connect(fd, (struct sockaddr *)&a, sizeof(a)) == 0;
	close(fd);
	return answers;
}

/* deploy/redis/redis.conf, but that its default user may do everything: the
 * tests look into Redis and disturb it.  The programs log in as the user with
 * the least rights, whose password stays the one that is there to be changed. */
static char *
write_redis_config(void)
{
	char *path = harness_path("redis.conf");
	FILE *in = fopen(harness_source("deploy/redis/redis.conf"), "r");
	FILE *out = fopen(path, "w");
	FILE *password = fopen(harness_path("redis.password"), "w");
	char line[8192];

	check(in != NULL && out != NULL && password != NULL,
	    "deploy/redis/redis.conf: %s", strerror(errno));
	while (fgets(line, sizeof(line), in) != NULL)
		fputs(strcmp(line, "user default off\n") == 0 ?
		    "user default on nopass ~* &* +@all\n" : line, out);
	fputs("change-me\n", password);
	check(fclose(in) == 0 && fclose(out) == 0 && fclose(password) == 0,
	    "redis.conf: %s", strerror(errno));
	return path;
}

static void
add_redis_arguments(struct stack *s, struct process *p)
{
	process_arg(p, "--redis=unix:%s", s->redis_socket);
	process_arg(p, "--redis-user=inverting-proxy");
	process_arg(p, "--redis-password-file=%s",
	    harness_path("redis.password"));
}

void
stack_start_redis(struct stack *s)
{
	struct process *p = s->redis;

	if (p == NULL) {
		p = s->redis = process_new("redis");
		process_arg(p, "redis-server");
		process_arg(p, "%s", write_redis_config());
		process_arg(p, "--port");
		process_arg(p, "0");
		process_arg(p, "--unixsocket");
		process_arg(p, "%s", s->redis_socket);
		/* The programs may run as somebody else. */
		process_arg(p, "--unixsocketperm");
		process_arg(p, "777");
		process_arg(p, "--dir");
		process_arg(p, "%s", harness_dir());
		process_arg(p, "--save");
		process_arg(p, "%s", "");
		process_arg(p, "--appendonly");
		process_arg(p, s->persistent ? "yes" : "no");
		process_arg(p, "--shutdown-on-sigterm");
		process_arg(p, "nosave");
	}
	process_start(p);
	wait_for(unix_socket_answers(s->redis_socket), PATIENCE_MS,
	    "Redis does not start");
}

/* A listening socket for workers to inherit. */
static int
listen_for_workers(const char *path)
{
	struct sockaddr_un a = { .sun_family = AF_UNIX };
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

	snprintf(a.sun_path, sizeof(a.sun_path), "%s", path);
	check(bind(fd, (struct sockaddr *)&a, sizeof(a)) == 0 &&
	    chmod(path, 0666) == 0 && listen(fd, 1024) == 0, "%s: %s", path,
	    strerror(errno));
	return fd;
}

static struct process *
worker_new(struct stack *s, const char *name, int port)
{
	struct process *p = process_new(name);

	process_arg(p, "%s", harness_program("inverting-proxy.fcgi"));
	if (s->inherited) {
		p->stdin_fd = s->worker_fd;
	} else if (s->two_hosts) {
		process_arg(p, "--listen=127.0.0.1:%d", port);
	} else {
		process_arg(p, "--listen=unix:%s", s->worker_socket);
		/* The web server may run as somebody else. */
		process_arg(p, "--socket-mode=0666");
	}
	add_redis_arguments(s, p);
	process_arg(p, "--workers=%d", s->workers == 0 ? 1 : s->workers);
	process_arg(p, "--drain-timeout=1s");
	process_arg(p, "--log-level=debug");
	/* The test is the agent, and waits for its own polls. */
	if (s->agents == STACK_NO_AGENT)
		process_arg(p, "--poll-timeout=200ms");
	for (int i = 0; s->worker_options[i] != NULL; i++)
		process_arg(p, "%s", s->worker_options[i]);
	return p;
}

void
stack_start_worker(struct stack *s)
{
	if (s->inherited && s->worker_fd == 0)
		s->worker_fd = listen_for_workers(s->worker_socket);
	if (s->worker == NULL)
		s->worker = worker_new(s, "worker", s->worker_port[0]);
	process_start(s->worker);
	wait_for(s->two_hosts ? client_can_connect(s->worker_port[0]) :
	    unix_socket_answers(s->worker_socket), PATIENCE_MS,
	    "the worker does not listen");
}

void
stack_start_worker_beside(struct stack *s)
{
	if (s->worker_beside == NULL)
		s->worker_beside = worker_new(s, "worker-beside",
		    s->worker_port[1]);
	process_start(s->worker_beside);
	wait_for(!s->two_hosts || client_can_connect(s->worker_port[1]),
	    PATIENCE_MS, "the worker beside does not listen");
}

void
stack_start_agent(struct stack *s, int n)
{
	static const char *const names[] = { "agent0", "agent1", "agent2",
		"agent3" };
	struct process *p = s->agent[n];

	if (p == NULL) {
		p = s->agent[n] = process_new(names[n]);
		if (s->agents_netns != 0) {
			process_arg(p, "nsenter");
			process_arg(p, "--net=/proc/%d/ns/net",
			    (int)s->agents_netns);
		}
		process_arg(p, "%s", harness_program("inverting-proxy-agent"));
		process_arg(p, "--proxy=http://%s:%d" AGENT_MOUNT,
		    s->agents_netns != 0 ? s->address : "127.0.0.1", s->port);
		process_arg(p, "--backend=b1");
		process_arg(p, "--host=127.0.0.1:%d",
		    backend_port(s->backend));
		process_arg(p, "--token-file=%s", harness_path("agent.token"));
		process_arg(p, "--protocol=%s", s->protocol);
		process_arg(p, "--graceful-shutdown-timeout=1s");
		process_arg(p, "--log-level=debug");
		for (int i = 0; s->agent_options[i] != NULL; i++)
			process_arg(p, "%s", s->agent_options[i]);
	}
	process_start(p);
}

static void
write_lighttpd_config(const struct stack *s, const char *path)
{
	FILE *f = fopen(path, "we");

	check(f != NULL, "%s: %s", path, strerror(errno));
	fprintf(f, "var.inverting_proxy_socket = \"%s\"\n", s->worker_socket);
	fprintf(f, "server.bind = \"127.0.0.1\"\nserver.port = %d\n", s->port);
	if (s->address != NULL)
		fprintf(f, "$SERVER[\"socket\"] == \"%s:%d\" {}\n",
		    s->address, s->port);
	fprintf(f, "server.document-root = \"%s\"\n", harness_dir());
	fprintf(f, "server.upload-dirs = ( \"%s\" )\n", harness_dir());
	fprintf(f, "include \"%s\"\n",
	    harness_source("deploy/lighttpd/inverting-proxy.conf"));
	if (s->login)
		fprintf(f, "var.inverting_proxy_users = \"%s\"\n"
		    "include \"%s\"\n", harness_path("users"),
		    harness_source("deploy/lighttpd/login.conf"));
	if (s->admins_log_in)
		fprintf(f, "include \"%s\"\n",
		    harness_source("deploy/lighttpd/admin-login.conf"));
	check(fclose(f) == 0, "%s: %s", path, strerror(errno));
}

static struct process *
lighttpd_new(struct stack *s)
{
	struct process *p = process_new("lighttpd");
	const char *config = harness_path("lighttpd.conf");

	write_lighttpd_config(s, config);
	/* A relative name keeps it from reloading beside itself. */
	process_arg(p, "/usr/sbin/lighttpd");
	process_arg(p, "-D");
	process_arg(p, "-f");
	process_arg(p, "%s", config);
	return p;
}

static struct process *
apache_new(struct stack *s)
{
	struct process *p = process_new("apache");
	const char *config = harness_source("deploy/apache/httpd.conf");
	const char *const defines[][2] = {
		{ "CONF", harness_source("deploy/apache") },
		{ "LISTEN", harness_name("127.0.0.1:%d", s->port) },
		{ "RUN", harness_dir() },
		{ "ERROR_LOG", harness_path("apache-error.log") },
		{ "SOCKET", s->worker_socket },
		{ "USERS", harness_path("users") },
	};

	process_arg(p, "apache2");
	process_arg(p, "-DFOREGROUND");
	for (size_t i = 0; i < sizeof(defines) / sizeof(defines[0]); i++) {
		process_arg(p, "-C");
		process_arg(p, "Define INVERTING_PROXY_%s %s", defines[i][0],
		    defines[i][1]);
	}
	if (s->address != NULL) {
		process_arg(p, "-C");
		process_arg(p, "Listen %s:%d", s->address, s->port);
	}
	for (int i = 0; s->two_hosts && i < 2; i++) {
		process_arg(p, "-C");
		process_arg(p, "Define INVERTING_PROXY_WORKER_%d "
		    "127.0.0.1:%d", i + 1, s->worker_port[i]);
	}
	if (s->two_hosts)
		process_arg(p, "-DINVERTING_PROXY_BALANCER");
	if (s->login)
		process_arg(p, "-DINVERTING_PROXY_LOGIN");
	if (s->admins_log_in)
		process_arg(p, "-DINVERTING_PROXY_ADMIN_LOGIN");
	process_arg(p, "-f");
	process_arg(p, "%s", config);
	return p;
}

/* Waits for nobody. */
static void
start_web(struct stack *s)
{
	if (s->web_process == NULL) {
		s->port = harness_port();
		if (s->login)
			file_write(harness_path("users"), users_file);
		s->web_process = s->web == WEB_APACHE ? apache_new(s) :
		    lighttpd_new(s);
	}
	process_start(s->web_process);
}

static void
wait_web(struct stack *s)
{
	wait_for(client_can_connect(s->port), PATIENCE_MS,
	    "the web server does not start");
}

void
stack_start_web(struct stack *s)
{
	start_web(s);
	wait_web(s);
}

char *
stack_admin(struct stack *s, size_t argc, const char *const *argv)
{
	static int runs;
	struct process *p = process_new(harness_name("admin-%d", ++runs));
	char *text;
	size_t len;

	process_arg(p, "%s", harness_program("inverting-proxy-admin"));
	add_redis_arguments(s, p);
	for (size_t i = 0; i < argc; i++)
		process_arg(p, "%s", argv[i]);
	text = process_run(p);
	len = strlen(text);
	if (len > 0 && text[len - 1] == '\n')
		text[len - 1] = '\0';
	return text;
}

char *
stack_redis(struct stack *s, const char *command)
{
	static int runs;
	struct process *p = process_new(harness_name("redis-cli-%d", ++runs));
	char *copy = strdup(command), *rest = copy, *word;

	process_arg(p, "redis-cli");
	process_arg(p, "-s");
	process_arg(p, "%s", s->redis_socket);
	while ((word = strsep(&rest, " ")) != NULL)
		process_arg(p, "%s", word);
	free(copy);
	return process_run(p);
}

long
stack_redis_number(struct stack *s, const char *command)
{
	char *text = stack_redis(s, command);
	long number = strtol(text, NULL, 10);

	free(text);
	return number;
}

/* A token, b1 with everything the test's clients ask for. */
static void
register_backend(struct stack *s)
{
	s->agent_token = admin(s, "token", "add", "--role=agent",
	    "--user=agent-one");
	s->admin_token = admin(s, "token", "add", "--role=admin",
	    "--user=root");
	admin(s, "backend", "add", "b1", "--end-user=allUsers",
	    "--backend-user=agent-one", "--path=/");
	file_write(harness_path("agent.token"), s->agent_token);
}

void
stack_start(struct stack *s)
{
	int agents = s->agents == 0 ? 1 : s->agents;

	harness_start();
	s->login |= s->admins_log_in;
	s->redis_socket = harness_path("redis.sock");
	s->worker_socket = harness_path("worker.sock");
	s->backend = backend_new();
	for (int i = 0; s->two_hosts && i < 2; i++)
		s->worker_port[i] = harness_port();
	start_web(s);	/* the slowest first */
	stack_start_redis(s);
	register_backend(s);
	stack_start_worker(s);
	if (s->two_hosts)
		stack_start_worker_beside(s);
	wait_web(s);
	for (int n = 0; n < agents; n++)
		stack_start_agent(s, n);
	if (agents > 0)
		stack_wait_ready(s);
	else
		stack_wait_healthy(s);
	/* The first that is there answers; a test is of them all. */
	for (int n = 0; agents > 1 && n < agents; n++)
		wait_for(process_log_has(s->agent[n], "method=GET") ||
		    (stack_wait_ready(s), false), PATIENCE_MS,
		    "agent %d takes nothing", n);
}

/* Redis remembers what it did not let its user do. */
static void
check_redis_rights(struct stack *s)
{
	char *denied;

	if (!process_is_running(s->redis) || !unix_socket_answers(
	    s->redis_socket))
		return;
	denied = stack_redis(s, "acl log");
	check(strstr(denied, "inverting-proxy") == NULL,
	    "the user of deploy/redis lacks a right: %s", denied);
	free(denied);
}

void
stack_stop(struct stack *s)
{
	check_redis_rights(s);
	/* lighttpd exits with 1 when it had to cut something off. */
	s->web_process->may_fail = true;
	harness_finish();
}

struct client *
stack_send(const struct stack *s, const char *method, const char *target,
    const char *fields)
{
	struct client *c = client_new(s->port);

	client_printf(c, "%s %s HTTP/1.1\r\nHost: proxy.test\r\n"
	    "Connection: close\r\n%s%s\r\n", method, target,
	    s->login ? ALICE : "", fields);
	return c;
}

struct response
stack_receive(struct client *c, const char *method)
{
	struct response r;

	response_read_head(c, method, &r, 2 * PATIENCE_MS);
	response_read_content(c, &r);
	client_free(c);
	return r;
}

struct response
stack_get(const struct stack *s, const char *target)
{
	return stack_receive(stack_send(s, "GET", target, ""), "GET");
}

void
stack_expect(const struct stack *s, const char *target, int status)
{
	struct response r = stack_get(s, target);

	check(r.status == status, "%s: %d, expected %d; %s", target, r.status,
	    status, response_text(&r));
	check(r.whole, "%s: cut short", target);
	response_clear(&r);
}

int
stack_status(const struct stack *s, const char *target)
{
	struct response r = stack_get(s, target);
	int status = r.status;

	response_clear(&r);
	return status;
}

/* Each of several workers is met sooner or later. */
static bool
always_ok(const struct stack *s, const char *target)
{
	int tries = s->workers > 1 ? 10 * s->workers : 1;

	for (int i = 0; i < tries; i++)
		if (stack_status(s, target) != 200)
			return false;
	return true;
}

void
stack_wait_ready(struct stack *s)
{
	wait_for(always_ok(s, "/ready"), PATIENCE_MS,
	    "no request comes through");
}

void
stack_start_agent_through(struct stack *s, int port)
{
	s->agent_options[0] = harness_name("--proxy=http://127.0.0.1:%d"
	    AGENT_MOUNT, port);
	stack_start_agent(s, 0);
	stack_wait_ready(s);
}

void
stack_wait_healthy(struct stack *s)
{
	wait_for(always_ok(s, ADMIN_MOUNT "healthz"), PATIENCE_MS,
	    "the worker does not become healthy");
}
