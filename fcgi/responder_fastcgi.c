/* responder_fastcgi.c - the door to libfcgi.
 *
 * libfcgi decodes the heads of requests, but it would also read the socket
 * itself, and block on it.  It does so through a small portability layer of
 * its own (fcgios.h).  We define those functions: the symbols of a program come
 * before those of its shared libraries, so libfcgi calls ours, which take
 * bytes from the buffer of the connection.  It never touches a descriptor.
 * fastcgi_start checks that this is so.
 *
 * Content does not go through libfcgi's streams but through record.c: these
 * copy each byte twice more, both ways, in records of 8 KiB.
 *
 * OS_LibInit is ours as well: libfcgi's would install handlers for SIGTERM,
 * SIGUSR1 and SIGPIPE. */
#include "config.h"

#include <assert.h>
#include <errno.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>

#include <fcgiapp.h>
#include <fcgios.h>

#include "common/log.h"
#include "fcgi/responder_private.h"

struct fastcgi {
	FCGX_Request request;
};

/* The connection libfcgi is called for.  It only knows descriptors, and this
 * many of them: */
static struct conn *active;
enum { ACTIVE_FD = INT_MAX };

int
OS_LibInit(int stdio_fds[3])
{
	(void)stdio_fds;
	return 0;
}

int
OS_Read(int fd, char *into, size_t len)
{
	if (fd != ACTIVE_FD || active == NULL || active->scanned == 0) {
		errno = EAGAIN;
		return -1;
	}
	if (len > active->scanned)
		len = active->scanned;
	if (len > INT_MAX)
		len = INT_MAX;
	memcpy(into, buf_data(&active->in), len);
	buf_drain(&active->in, len);
	active->scanned -= len;
	return (int)len;
}

/* Nothing is ever written through its streams. */
int
OS_Write(int fd, char *data, size_t len)
{
	(void)fd;
	(void)data;
	(void)len;
	errno = EPIPE;
	return -1;
}

/* After a failure FCGX_Accept_r would accept the next connection. */
int
OS_Accept(int listen_fd, int fail_on_interrupt, const char *addresses)
{
	(void)listen_fd;
	(void)fail_on_interrupt;
	(void)addresses;
	errno = EAGAIN;
	return -1;
}

/* Connections are closed by conn_lose and its like. */
int
OS_IpcClose(int fd, int shutdown)
{
	(void)fd;
	(void)shutdown;
	return 0;
}

static struct fastcgi *
accept_head(struct conn *c)
{
	struct fastcgi *f = malloc(sizeof(*f));
	if (f == NULL)
		fatal("out of memory for a call");
	FCGX_InitRequest(&f->request, -1, 0);
	/* So FCGX_Accept_r takes the connection to be open already. */
	f->request.ipcFd = ACTIVE_FD;
	f->request.keepConnection = 1;
	active = c;
	int r = FCGX_Accept_r(&f->request);
	active = NULL;
	if (r != 0) {
		free(f);
		return NULL;
	}
	/* 8 KiB each, and none is wanted. */
	FCGX_FreeStream(&f->request.in);
	FCGX_FreeStream(&f->request.out);
	FCGX_FreeStream(&f->request.err);
	return f;
}

/* One request without params. */
static bool
is_ours(void)
{
	static const char request[] =
	    "\1\1\0\1\0\10\0\0" "\0\1\1\0\0\0\0\0"	/* BEGIN_REQUEST */
	    "\1\4\0\1\0\0\0\0";				/* PARAMS */
	struct conn c = { .scanned = sizeof(request) - 1 };
	buf_init(&c.in, sizeof(request));
	if (buf_append(&c.in, request, c.scanned) != WIRE_OK)
		fatal("out of memory");
	struct fastcgi *f = accept_head(&c);
	bool ours = f != NULL && buf_len(&c.in) == 0;
	fastcgi_free(f);
	buf_clear(&c.in);
	return ours;
}

void
fastcgi_start(void)
{
	if (FCGX_Init() != 0 || !is_ours())
		fatal("libfcgi does its own input and output: link this "
		    "program to the shared libfcgi, built without "
		    "-Bsymbolic, and export its OS_* functions");
}

struct fastcgi *
fastcgi_accept(struct conn *c)
{
	return accept_head(c);
}

char *const *
fastcgi_params(const struct fastcgi *f)
{
	return f->request.envp;
}

void
fastcgi_free(struct fastcgi *f)
{
	if (f == NULL)
		return;
	FCGX_Free(&f->request, 0);
	free(f);
}
