/* store_address.c - where Redis is: the text of an option, taken apart.
 * Pure: memory the caller frees. */
#include "config.h"

#include <stdlib.h>
#include <string.h>
#include <sys/un.h>

#include "common/span.h"
#include "fcgi/store_address.h"

enum { DATABASE_MAX = 1000000 };

static const char default_host[] = "127.0.0.1";
static const char default_port[] = "6379";

/* Takes what is before the first `c`, and c itself, off the front of *rest. */
static bool
cut(struct span *rest, char c, struct span *before)
{
	const char *at = rest->len == 0 ? NULL :
	    memchr(rest->data, c, rest->len);

	if (at == NULL)
		return false;
	*before = span_of(rest->data, (size_t)(at - rest->data));
	*rest = span_of(at + 1, rest->len - before->len - 1);
	return true;
}

static const char *
parse_host_port(struct store_address *address, struct span s)
{
	struct span host, port;
	unsigned long long number;

	if (s.len > 0 && s.data[0] == '[') {
		s = span_of(s.data + 1, s.len - 1);
		if (!cut(&s, ']', &host) || host.len == 0)
			return "the '[' of an IPv6 address is not closed";
		if (s.len > 0 && s.data[0] != ':')
			return "after ']' there must be ':' and a port";
		port = s.len > 0 ? span_of(s.data + 1, s.len - 1) :
		    span_str(default_port);
	} else if (cut(&s, ':', &host)) {
		if (memchr(s.data, ':', s.len) != NULL)
			return "an IPv6 address must be in brackets: "
			    "[::1]:6379";
		port = s;
	} else {
		host = s;
		port = span_str(default_port);
	}
	if (!span_to_u64(port, &number) || number < 1 || number > 65535)
		return "the port must be a number from 1 to 65535";
	if (host.len == 0)
		host = span_str(default_host);
	address->host = span_strdup(host);
	address->port = span_strdup(port);
	if (address->host == NULL || address->port == NULL)
		return "out of memory";
	return NULL;
}

static const char *
parse_url(struct store_address *address, struct span s)
{
	struct span user, authority;
	unsigned long long database = 0;

	if (cut(&s, '@', &user)) {
		/* A password here would show in `ps` and in logs. */
		if (memchr(user.data, ':', user.len) != NULL)
			return "a password does not belong in the address: "
			    "use the password file";
		if (user.len > 0 &&
		    (address->user = span_strdup(user)) == NULL)
			return "out of memory";
	}
	if (cut(&s, '/', &authority)) {
		if (s.len > 0 && (!span_to_u64(s, &database) ||
		    database > DATABASE_MAX))
			return "after the '/' of redis:// there must be the "
			    "number of a database";
	} else {
		authority = s;
	}
	address->database = (long)database;
	return parse_host_port(address, authority);
}

static const char *
parse(struct store_address *address, struct span s)
{
	static const char url[] = "redis://", tls[] = "rediss://";
	const size_t url_len = sizeof(url) - 1, tls_len = sizeof(tls) - 1;
	struct sockaddr_un un;

	if (s.len == 0)
		return "it is empty";
	if (s.len >= url_len && memcmp(s.data, url, url_len) == 0)
		return parse_url(address, span_of(s.data + url_len,
		    s.len - url_len));
	if (s.len >= tls_len && memcmp(s.data, tls, tls_len) == 0)
		return "TLS to Redis is not supported: use a socket, a "
		    "private network or a tunnel";
	if (s.len >= 5 && memcmp(s.data, "unix:", 5) == 0) {
		s = span_of(s.data + 5, s.len - 5);
		if (s.len == 0 || s.data[0] != '/')
			return "after unix: there must be an absolute path";
	}
	if (s.data[0] != '/')
		return parse_host_port(address, s);
	if (s.len >= sizeof(un.sun_path))
		return "the path of the socket is too long (107 bytes at most)";
	address->is_unix = true;
	address->host = span_strdup(s);
	return address->host == NULL ? "out of memory" : NULL;
}

int
store_address_parse(struct store_address *address, const char *text,
    const char **error)
{
	*address = (struct store_address){ .text = span_strdup(span_str(text)) };
	*error = address->text == NULL ? "out of memory" :
	    parse(address, span_str(text));
	if (*error == NULL)
		return 0;
	store_address_clear(address);
	return -1;
}

void
store_address_clear(struct store_address *address)
{
	free(address->text);
	free(address->host);
	free(address->port);
	free(address->user);
	*address = (struct store_address){ .text = NULL };
}
