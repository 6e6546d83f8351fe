/* own_redis.c - a redis-server for one test. */
#include "config.h"

#include <criterion/criterion.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "tests/unit/own_redis.h"

void
own_redis_init(struct own_redis *r)
{
	snprintf(r->dir, sizeof(r->dir), "/tmp/own_redis.XXXXXX");
	cr_assert_not_null(mkdtemp(r->dir));
	snprintf(r->socket, sizeof(r->socket), "%s/socket", r->dir);
	snprintf(r->address, sizeof(r->address), "unix:%s", r->socket);
	r->pid = -1;
}

void
own_redis_start(struct own_redis *r, const char *more, const char *value)
{
	int null;

	if ((r->pid = fork()) != 0) {
		cr_assert_gt(r->pid, 0);
		return;
	}
	/* Whatever ends the test ends this. */
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	if ((null = open("/dev/null", O_WRONLY)) >= 0)
		dup2(null, STDOUT_FILENO);
	execlp("redis-server", "redis-server", "--port", "0", "--unixsocket",
	    r->socket, "--save", "", "--appendonly", "no", "--dir", r->dir,
	    "--daemonize", "no", more, value, (char *)NULL);
	_exit(127);
}

void
own_redis_stop(struct own_redis *r)
{
	if (r->pid < 0)
		return;
	kill(r->pid, SIGKILL);
	waitpid(r->pid, NULL, 0);
	r->pid = -1;
}

void
own_redis_clear(struct own_redis *r)
{
	own_redis_stop(r);
	unlink(r->socket);
	rmdir(r->dir);
}
