/* settings.c - the option table of the worker: the command line, environment,
 * config file, --help and --show-config are all read from it. */
#include "config.h"

#include <limits.h>

#include "common/frame.h"
#include "fcgi/settings.h"
#include "fcgi/store_options.h"

#define AT(member) offsetof(struct settings, member)

static const struct option options[] = {
	{ .name = "listen", .letter = 'l', .type = OPTION_STRING,
	    .offset = AT(listen), .value_name = "ADDRESS",
	    .group = "Serving",
	    .help = "Where the web server connects: unix:/path, HOST:PORT or "
	    ":PORT. Without it, descriptor 0 as spawn-fcgi, lighttpd and "
	    "systemd pass it." },
	{ .name = "socket-mode", .type = OPTION_STRING,
	    .offset = AT(socket_mode), .fallback = "0660",
	    .value_name = "OCTAL",
	    .help = "Permissions of the unix socket that --listen makes." },
	{ .name = "socket-group", .type = OPTION_STRING,
	    .offset = AT(socket_group), .value_name = "GROUP",
	    .help = "The group of that socket: the web server's." },
	{ .name = "user", .letter = 'u', .type = OPTION_STRING,
	    .offset = AT(user), .value_name = "NAME",
	    .help = "Who to become when started as root, once the socket, the "
	    "log, the pid file and the password's file are open." },
	{ .name = "workers", .letter = 'w', .type = OPTION_INTEGER,
	    .offset = AT(workers), .fallback = "1", .min = 1, .max = 1024,
	    .value_name = "N",
	    .help = "Processes on the one socket; each is an event loop. More "
	    "than one for each core does not help." },
	{ .name = "max-connections", .type = OPTION_INTEGER,
	    .offset = AT(max_connections), .fallback = "16384", .min = 16,
	    .max = 1000000, .value_name = "N",
	    .help = "FastCGI connections for each process: clients that wait "
	    "and agents' polls. Above it new ones wait in the backlog." },
	{ .name = "pid-file", .type = OPTION_STRING, .offset = AT(pid_file),
	    .value_name = "FILE",
	    .help = "Holds the process id while running." },

	STORE_OPTIONS(struct settings),

	{ .name = "admin", .type = OPTION_LIST, .offset = AT(admins),
	    .value_name = "USER", .group = "Access",
	    .help = "A REMOTE_USER who may use the admin API, but not from a "
	    "page in a browser; repeatable. "
	    "Admin tokens (inverting-proxy-admin token add) work without." },
	{ .name = "login-delay", .type = OPTION_DURATION_MS,
	    .offset = AT(login_delay_ms), .fallback = "1s", .min = 0,
	    .max = 60000, .value_name = "TIME",
	    .help = "How much later a wrong token is answered with 401." },

	{ .name = "queue-limit", .type = OPTION_INTEGER,
	    .offset = AT(queue_limit), .fallback = "1000", .min = 1,
	    .max = 1000000, .value_name = "N", .group = "Limits",
	    .help = "Exchanges of one backend that wait for an agent; above "
	    "it clients get 503." },
	{ .name = "backend-limit", .type = OPTION_INTEGER,
	    .offset = AT(backend_limit), .fallback = "12k", .min = 0,
	    .max = 1000000, .value_name = "N",
	    .help = "Exchanges of one backend in flight, for each process; "
	    "above it clients get 503. 0: no limit." },
	{ .name = "client-limit", .type = OPTION_INTEGER,
	    .offset = AT(client_limit), .fallback = "12k", .min = 0,
	    .max = 1000000, .value_name = "N",
	    .help = "Exchanges of one client address (REMOTE_ADDR) in flight "
	    "or not taken whole, for each process; above it the client gets "
	    "429. 0: no limit." },
	{ .name = "poll-limit", .type = OPTION_INTEGER,
	    .offset = AT(poll_limit), .fallback = "12k", .min = 0,
	    .max = 1000000, .value_name = "N",
	    .help = "Polls and other calls that one agent identity has open, "
	    "for each process; above it the agent gets 429. 0: no limit." },
	{ .name = "agent-limit", .type = OPTION_INTEGER,
	    .offset = AT(agent_limit), .fallback = "12k", .min = 0,
	    .max = 1000000, .value_name = "N",
	    .help = "Agents of one identity that called within a minute (by "
	    "the native protocol), for each process; above it they get 429. "
	    "0: no limit." },
	{ .name = "body-limit", .type = OPTION_INTEGER,
	    .offset = AT(body_limit), .fallback = "0", .min = 0,
	    .max = LONG_MAX, .value_name = "BYTES",
	    .help = "Size of a request's content; above it 413. 0: no limit, "
	    "since no content is ever held whole." },
	{ .name = "frame-limit", .type = OPTION_INTEGER,
	    .offset = AT(frame_limit), .fallback = "256k", .min = 200 * 1024,
	    .max = FRAME_PAYLOAD_MAX, .value_name = "BYTES",
	    .help = "Payload of a frame of an agent (a response's head and "
	    "first content, or 64 KiB of content); above it 413." },
	{ .name = "window", .type = OPTION_INTEGER, .offset = AT(window),
	    .fallback = "512k", .min = 128 * 1024, .max = 16 * 1024 * 1024,
	    .value_name = "BYTES",
	    .help = "Content in flight of one exchange, in each direction." },
	{ .name = "min-rate", .type = OPTION_INTEGER, .offset = AT(min_rate),
	    .fallback = "16", .min = 0, .max = 1024 * 1024,
	    .value_name = "BYTES",
	    .help = "Of a request's content in a second: more slowly is as "
	    "good as nothing to --response-timeout (then 408) and "
	    "--idle-timeout." },
	{ .name = "head-limit", .type = OPTION_INTEGER,
	    .offset = AT(head_limit), .fallback = "64k", .min = 1024,
	    .max = 128 * 1024, .value_name = "BYTES",
	    .help = "Size of a request or response head; above it 431 or "
	    "502." },
	{ .name = "field-limit", .type = OPTION_INTEGER,
	    .offset = AT(field_limit), .fallback = "256", .min = 16,
	    .max = 900, .value_name = "N",
	    .help = "Field lines of a head; above it 431 or 502." },

	{ .name = "head-timeout", .type = OPTION_DURATION_MS,
	    .offset = AT(head_timeout_ms), .fallback = "10s", .min = 100,
	    .max = 3600000, .value_name = "TIME", .group = "Times",
	    .help = "For the web server to pass on a request's head, from its "
	    "first byte to its last; then the connection is closed." },
	{ .name = "queue-timeout", .type = OPTION_DURATION_MS,
	    .offset = AT(queue_timeout_ms), .fallback = "30s", .min = 100,
	    .max = 3600000, .value_name = "TIME",
	    .help = "How long an exchange waits for an agent; then 504." },
	{ .name = "response-timeout", .type = OPTION_DURATION_MS,
	    .offset = AT(response_timeout_ms), .fallback = "120s", .min = 100,
	    .max = 86400000, .value_name = "TIME",
	    .help = "From the hand-out to the response head; then 504." },
	{ .name = "idle-timeout", .type = OPTION_DURATION_MS,
	    .offset = AT(idle_timeout_ms), .fallback = "300s", .min = 100,
	    .max = 86400000, .value_name = "TIME",
	    .help = "Without a byte of a response that has begun, or of "
	    "request content; then it is broken off." },
	{ .name = "linger-timeout", .type = OPTION_DURATION_MS,
	    .offset = AT(linger_timeout_ms), .fallback = "30s", .min = 100,
	    .max = 3600000, .value_name = "TIME",
	    .help = "Without 4 KiB taken of a response that is complete, or "
	    "read of content that nobody wants; then the connection is "
	    "closed." },
	{ .name = "lease", .type = OPTION_DURATION_MS, .offset = AT(lease_ms),
	    .fallback = "10s", .min = 400, .max = 600000, .value_name = "TIME",
	    .help = "An agent that is silent for this long while it has "
	    "exchanges is lost." },
	{ .name = "poll-timeout", .type = OPTION_DURATION_MS,
	    .offset = AT(poll_timeout_ms), .fallback = "30s", .min = 100,
	    .max = 55000, .value_name = "TIME",
	    .help = "How long an agent's call is held without work." },
	{ .name = "agent-absence", .type = OPTION_DURATION_MS,
	    .offset = AT(agent_absence_ms), .fallback = "5m", .min = 1000,
	    .max = 86400000, .value_name = "TIME",
	    .help = "A backend that no agent asked for in this time answers "
	    "503 at once." },
	{ .name = "drain-timeout", .type = OPTION_DURATION_MS,
	    .offset = AT(drain_timeout_ms), .fallback = "30s", .min = 0,
	    .max = 3600000, .value_name = "TIME",
	    .help = "After SIGTERM, time to finish what is under way." },

	{ .name = "via", .type = OPTION_BOOL, .offset = AT(via),
	    .fallback = "yes", .group = "Other",
	    .help = "Add a Via field in both directions." },
	{ .name = "log-file", .type = OPTION_STRING, .offset = AT(log_file),
	    .value_name = "FILE",
	    .help = "Log there and not to standard error; SIGHUP opens it "
	    "again." },
	{ .name = "log-level", .type = OPTION_STRING, .offset = AT(log_level),
	    .fallback = "info", .value_name = "LEVEL",
	    .help = "error, warn, info (a line for each exchange) or debug." },
	{ .name = "log-format", .type = OPTION_STRING,
	    .offset = AT(log_format), .fallback = "text",
	    .value_name = "FORMAT", .help = "text or json." },
	{ .name = NULL },
};

const struct option_program settings_program = {
	.name = "inverting-proxy.fcgi",
	.usage = "[options]",
	.summary = "The worker of the inverting proxy: a FastCGI responder "
	    "behind a stock web server that gives the requests of clients to "
	    "agents, which fetch them over HTTP from beside the backends.",
	.epilogue = "Example:\n"
	    "  inverting-proxy.fcgi --listen unix:/run/inverting-proxy/fcgi."
	    "sock \\\n      --redis unix:/run/redis/redis.sock --workers 2\n",
	.options = options,
	.environment_prefix = "INVERTING_PROXY_",
	.default_config = NULL,
};
