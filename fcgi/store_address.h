/* store_address.h - where Redis is: the text of an option, taken apart. */
#ifndef FCGI_STORE_ADDRESS_H
#define FCGI_STORE_ADDRESS_H

#include <stdbool.h>

struct store_address {
	char *text;	/* as it was given, for the log */
	bool is_unix;
	char *host;	/* or the path of the socket */
	char *port;	/* NULL with a socket */
	char *user;	/* of a redis:// address, or NULL */
	long database;	/* of a redis:// address, or 0 */
};

/* "unix:/path", "/path", "host:port", "host", ":port", "[v6]:port",
 * "redis://[user@]host[:port][/db]".  0, or -1 with *error set to a static
 * message; then nothing needs clearing. */
int store_address_parse(struct store_address *address, const char *text,
    const char **error);
void store_address_clear(struct store_address *address);

#endif
