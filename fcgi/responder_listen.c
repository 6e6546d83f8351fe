/* responder_listen.c - listening sockets, made or inherited. */
#include "config.h"

#include <errno.h>
#include <netdb.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "common/span.h"
#include "fcgi/responder_private.h"

static char message[512];

static int fail(const char **error, const char *format, ...)
    __attribute__((format(printf, 2, 3)));

static int
fail(const char **error, const char *format, ...)
{
	va_list ap;
	va_start(ap, format);
	vsnprintf(message, sizeof(message), format, ap);
	va_end(ap);
	*error = message;
	return -1;
}

/* A socket file that nobody serves any more is in the way: removes it. */
static int
remove_stale(const char *path, const struct sockaddr_un *name,
    const char **error)
{
	struct stat st;
	if (lstat(path, &st) != 0)
		return errno == ENOENT ? 0 :
		    fail(error, "%s: %s", path, strerror(errno));
	if (!S_ISSOCK(st.st_mode))
		return fail(error, "%s exists and is not a socket: "
		    "remove it or choose another path", path);
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC,
	    0);
	if (fd < 0)
		return fail(error, "%s: %s", path, strerror(errno));
	int r = connect(fd, (const struct sockaddr *)name, sizeof(*name));
	int saved = errno;
	close(fd);
	/* EAGAIN: its queue is full, so somebody does. */
	if (r == 0 || saved == EAGAIN)
		return fail(error, "%s is served by another process: "
		    "stop it or choose another path", path);
	if (saved != ECONNREFUSED)
		return fail(error, "%s: %s", path, strerror(saved));
	if (unlink(path) != 0 && errno != ENOENT)
		return fail(error, "can't remove the stale socket %s: %s",
		    path, strerror(errno));
	return 0;
}

static int
listen_unix(const char *path, unsigned mode, int backlog, const char **error)
{
	struct sockaddr_un name = { .sun_family = AF_UNIX };
	size_t len = strlen(path);
	if (len == 0 || len >= sizeof(name.sun_path))
		return fail(error, "%s: the path of a socket has 1 to %zu "
		    "bytes", path, sizeof(name.sun_path) - 1);
	memcpy(name.sun_path, path, len);
	if (remove_stale(path, &name, error) != 0)
		return -1;
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (fd < 0)
		return fail(error, "%s: %s", path, strerror(errno));
	/* Never more open than it should be, not for a moment; chmod for
	 * what the umask took away. */
	mode_t before = umask(~(mode_t)mode & 0777);
	int r = bind(fd, (const struct sockaddr *)&name, sizeof(name));
	int saved = errno;
	umask(before);
	if (r != 0) {
		close(fd);
		return fail(error, "can't make the socket %s: %s (does its "
		    "directory exist, and may we write to it?)", path,
		    strerror(saved));
	}
	if (chmod(path, (mode_t)mode) != 0 || listen(fd, backlog) != 0) {
		fail(error, "%s: %s", path, strerror(errno));
		close(fd);
		return -1;
	}
	return fd;
}

/* "host:port", "[v6]:port", ":port" -> two strings; false: not that. */
static bool
split_address(const char *address, char host[256], char port[32])
{
	const char *colon = strrchr(address, ':');
	struct span h, p;
	unsigned long long number;
	if (colon == NULL)
		return false;
	h = span_of(address, (size_t)(colon - address));
	p = span_str(colon + 1);
	if (h.len >= 2 && h.data[0] == '[' && h.data[h.len - 1] == ']')
		h = span_of(h.data + 1, h.len - 2);
	else if (memchr(h.data, ':', h.len) != NULL)
		return false;	/* IPv6 goes in brackets */
	/* getaddrinfo would take the port modulo 65536. */
	if (h.len >= 256 || !span_to_u64(p, &number) ||
	    number > 65535 || p.len >= 32)
		return false;
	memcpy(host, h.data, h.len);
	host[h.len] = '\0';
	memcpy(port, p.data, p.len + 1);
	return true;
}

static int
listen_at(const struct addrinfo *at, int backlog)
{
	int on = 1, off = 0;
	int fd = socket(at->ai_family, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (fd < 0)
		return -1;
	setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on));
	/* "[::]" and ":port" take IPv4 as well. */
	if (at->ai_family == AF_INET6)
		setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &off, sizeof(off));
	if (bind(fd, at->ai_addr, at->ai_addrlen) == 0 &&
	    listen(fd, backlog) == 0)
		return fd;
	int saved = errno;
	close(fd);
	errno = saved;
	return -1;
}

static int
listen_tcp(const char *address, int backlog, const char **error)
{
	char host[256], port[32];
	struct addrinfo hints = { .ai_socktype = SOCK_STREAM,
		.ai_flags = AI_PASSIVE };
	struct addrinfo *list, *at;
	if (!split_address(address, host, port))
		return fail(error, "\"%s\" is not an address to listen at: "
		    "unix:/path, host:port, [v6]:port or :port", address);
	int r = getaddrinfo(host[0] == '\0' ? NULL : host, port, &hints,
	    &list);
	if (r != 0)
		return fail(error, "can't listen at %s: %s", address,
		    gai_strerror(r));
	int fd = -1, problem = 0;
	/* Without a host: first the one that takes both families. */
	if (host[0] == '\0')
		for (at = list; at != NULL && fd < 0; at = at->ai_next)
			if (at->ai_family == AF_INET6)
				fd = listen_at(at, backlog);
	for (at = list; at != NULL && fd < 0; at = at->ai_next)
		if ((fd = listen_at(at, backlog)) < 0)
			problem = errno;
	freeaddrinfo(list);
	if (fd >= 0)
		return fd;
	return fail(error, "can't listen at %s: %s%s", address,
	    strerror(problem), problem == EADDRINUSE ?
	    " (stop what listens there or choose another port)" : "");
}

int
responder_listen(const char *address, unsigned socket_mode, int backlog,
    const char **error)
{
	if (strncmp(address, "unix:", 5) == 0)
		return listen_unix(address + 5, socket_mode, backlog, error);
	if (address[0] == '/')
		return listen_unix(address, socket_mode, backlog, error);
	return listen_tcp(address, backlog, error);
}

bool
responder_is_inherited(void)
{
	int listens = 0;
	socklen_t len = sizeof(listens);
	return getsockopt(STDIN_FILENO, SOL_SOCKET, SO_ACCEPTCONN, &listens,
	    &len) == 0 && listens != 0;
}

/* FastCGI 1.0, section 3.2; only TCP peers have an address. */
bool
responder_peer_is_allowed(int fd, const char *allowed)
{
	struct sockaddr_storage peer = { 0 };
	socklen_t len = sizeof(peer);
	char text[NI_MAXHOST];
	if (allowed == NULL || *allowed == '\0')
		return true;
	if (getpeername(fd, (struct sockaddr *)&peer, &len) != 0)
		return false;
	if (peer.ss_family == AF_UNIX)
		return true;
	if (getnameinfo((struct sockaddr *)&peer, len, text, sizeof(text),
	    NULL, 0, NI_NUMERICHOST) != 0)
		return false;
	/* IPv4 on a socket for both families. */
	const char *name = strncmp(text, "::ffff:", 7) == 0 ? text + 7 : text;
	while (*allowed != '\0') {
		size_t n = strcspn(allowed, ",");
		if (span_is(span_trim(span_of(allowed, n)), span_str(name)))
			return true;
		allowed += n + (allowed[n] == ',');
	}
	return false;
}
