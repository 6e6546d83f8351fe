/* privileges.c - what the programs are not when they run: root, nor a source of
 * their secrets. */
#include "config.h"

#include <grp.h>
#include <pwd.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "tests/integration/stack.h"

/* The line of /proc/PID/file that begins with `name`, heap. */
static char *
proc_line(pid_t pid, const char *file, const char *name)
{
	char *text = file_read(harness_name("/proc/%d/%s", (int)pid, file),
	    NULL);
	char *line = text == NULL ? NULL : strstr(text, name);

	check(line != NULL, "%d: no %s", (int)pid, name);
	line = strndup(line, strcspn(line, "\n"));
	free(text);
	return line;
}

/* All four ids are this user's, and there is no group of root. */
static void
runs_as(pid_t pid, const struct passwd *user)
{
	char *uids = proc_line(pid, "status", "Uid:");
	char *gids = proc_line(pid, "status", "Gid:");
	char *groups = proc_line(pid, "status", "Groups:");
	int u = (int)user->pw_uid, g = (int)user->pw_gid;

	check(strcmp(uids, harness_name("Uid:\t%d\t%d\t%d\t%d", u, u, u, u))
	    == 0, "%s", uids);
	check(strcmp(gids, harness_name("Gid:\t%d\t%d\t%d\t%d", g, g, g, g))
	    == 0, "%s", gids);
	check(strstr(groups, "\t0 ") == NULL && strstr(groups, " 0 ") == NULL,
	    "%s", groups);
}

/* Neither a core file nor another process of the user gets at it: what is not
 * dumpable has root's files in /proc. */
static void
hides_its_memory(pid_t pid)
{
	char *limit = proc_line(pid, "limits", "Max core file size");
	struct stat st;
	unsigned long soft = 1, hard = 1;

	check(sscanf(limit, "Max core file size %lu %lu", &soft, &hard) == 2 &&
	    soft == 0 && hard == 0, "%s", limit);
	check(stat(harness_name("/proc/%d/environ", (int)pid), &st) == 0 &&
	    st.st_uid == 0, "its environment is there to be read");
}

static void
root_is_given_up(struct stack *s)
{
	const struct passwd *nobody = getpwnam("nobody");
	pid_t child[4];
	size_t count = process_children(s->worker, child, 4);
	struct stat st;

	check(stat(s->worker_socket, &st) == 0 &&
	    st.st_gid == getgrnam("www-data")->gr_gid,
	    "the socket is not the web server's");
	check(count == 2, "%zu workers", count);
	runs_as(s->worker->pid, nobody);
	for (size_t i = 0; i < count; i++)
		runs_as(child[i], nobody);
	runs_as(s->agent[0]->pid, nobody);
	/* ... and a worker that is started later has what it needs. */
	kill(child[0], SIGKILL);
	wait_for(process_children(s->worker, child, 4) == 2, PATIENCE_MS,
	    "no other worker is started");
	stack_wait_ready(s);
	s->worker->may_fail = true;
}

static void
memory_is_hidden(struct stack *s)
{
	hides_its_memory(s->worker->pid);
	hides_its_memory(s->agent[0]->pid);
}

/* Only root can give it up. */
#define TEST_AS_ROOT(test, ...) \
	Test(privileges, test, .timeout = 120) \
	{ \
		struct stack s = { __VA_ARGS__ }; \
		s.protocol = "native"; \
		if (geteuid() != 0) \
			cr_skip_test("not root"); \
		stack_start(&s); \
		test(&s); \
		stack_stop(&s); \
	}
TEST_AS_ROOT(root_is_given_up, .workers = 2,
    .worker_options = { "--user=nobody", "--socket-group=www-data" },
    .agent_options = { "--user=nobody" })
TEST_AS_ROOT(memory_is_hidden, .worker_options = { "--user=nobody" },
    .agent_options = { "--user=nobody" })

/* Nothing of it in the arguments, nor in what --show-config prints. */
static void
a_header_can_be_kept_in_a_file(struct stack *s)
{
	char *text;

	file_write(harness_path("header"), harness_name("# the agent's "
	    "credential\r\n\nX-One: 1\nAuthorization: Bearer %s\n",
	    s->agent_token));
	file_write(harness_path("wrong"), "Authorization Bearer hunter2\n");

	/* ... with which alone it is let in. */
	struct process *agent = process_new("agent-by-header");

	process_stop(s->agent[0]);
	process_arg(agent, "%s", harness_program("inverting-proxy-agent"));
	process_arg(agent, "--proxy=http://127.0.0.1:%d" AGENT_MOUNT, s->port);
	process_arg(agent, "--backend=b1");
	process_arg(agent, "--host=127.0.0.1:%d", backend_port(s->backend));
	process_arg(agent, "--header-file=%s", harness_path("header"));
	process_start(agent);
	stack_wait_ready(s);

	struct process *p = process_new("show-config");

	process_arg(p, "%s", harness_program("inverting-proxy-agent"));
	process_arg(p, "--header=Authorization: Bearer hunter2");
	process_arg(p, "--show-config");
	text = process_run(p);
	check(strstr(text, "hunter2") == NULL, "%s", text);
	free(text);

	p = process_new("wrong-header");
	process_arg(p, "%s", harness_program("inverting-proxy-agent"));
	process_arg(p, "--proxy=http://127.0.0.1:1/");
	process_arg(p, "--backend=b1");
	process_arg(p, "--host=127.0.0.1:1");
	process_arg(p, "--header-file=%s", harness_path("wrong"));
	process_start(p);
	p->may_fail = true;
	process_wait(p, PATIENCE_MS);
	check(process_log_has(p, "line 1 is not") &&
	    !process_log_has(p, "hunter2"), "what is wrong is not said");
}
TEST_EACH_WEB(privileges, a_header_can_be_kept_in_a_file)
