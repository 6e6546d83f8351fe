/* settings.h - the options of the agent. */
#ifndef AGENT_SETTINGS_H
#define AGENT_SETTINGS_H

#include <stdbool.h>

#include "common/option.h"
#include "common/span.h"

enum protocol_choice { PROTOCOL_AUTO, PROTOCOL_NATIVE, PROTOCOL_CLASSIC };

struct settings {
	char *proxy;
	char *protocol;
	struct option_list backends;
	char *host;

	char *token_file;
	char *token_command;
	long token_command_timeout_ms;
	char *client_cert;
	char *client_key;
	char *ca_file;
	struct option_list headers;
	char *header_file;
	char *user;

	bool forward_user_id;
	bool strip_credentials;
	bool force_http2;
	long request_forwarding_timeout_ms;
	long connect_timeout_ms;
	long dead_link_timeout_ms;
	long max_in_flight;

	char *health_check_path;
	long health_check_interval_ms;
	long health_check_timeout_ms;
	long health_check_unhealthy_threshold;

	long graceful_shutdown_timeout_ms;

	bool debug;
	char *log_file;
	char *log_level;
	char *log_format;
};

extern const struct option_program settings_program;

/* Are the options together something to run with?  NULL, or what is wrong
 * and what to do, for people (static or lives until the next call). */
const char *settings_check(struct settings *s);

/* Of a checked settings. */
enum protocol_choice settings_protocol(const struct settings *s);

/* Where a backend is, from --host's value: "HOST:PORT", a URL, "unix:/path".
 * false when it is none of these.  *url and *unix_path (or NULL) are heap,
 * the caller frees them. */
bool settings_read_host(const char *host, char **url, char **unix_path);

/* One --backend value: "ID" or "ID=HOST"; without a host, *host is empty.
 * false when the id is empty, too long or has white space. */
bool settings_read_backend(const char *item, struct span *id,
    struct span *host);

/* "Name: value" of --header; false when it is not a valid field line. */
bool settings_read_header(const char *item, struct span *name,
    struct span *value);

#endif
