/* settings.c - the option table of the agent: the command line, environment,
 * config file, --help and --show-config are all read from it. */
#include "config.h"

#include <ctype.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/un.h>

#include "agent/settings.h"
#include "agent/transfer.h"
#include "common/field.h"
#include "common/log.h"

enum { BACKEND_ID_MAX = 128 };

#define AT(member) offsetof(struct settings, member)
#define DAY_MS 86400000

static const struct option options[] = {
	{ .name = "proxy", .letter = 'p', .type = OPTION_STRING,
	    .offset = AT(proxy), .value_name = "URL", .group = "What to serve",
	    .help = "The proxy's agent mount, such as "
	    "https://proxy.example.org/inverting-proxy/; agent/exchange and "
	    "the like are added to it." },
	{ .name = "backend", .letter = 'b', .type = OPTION_LIST,
	    .offset = AT(backends), .value_name = "ID[=HOST]",
	    .help = "The backend's id at the proxy. May be repeated, each "
	    "with its own HOST, as in --host." },
	{ .name = "host", .letter = 'H', .type = OPTION_STRING,
	    .offset = AT(host), .value_name = "HOST",
	    .help = "Where the backend is, when --backend does not say: "
	    "HOST:PORT, http://HOST[:PORT], https://HOST[:PORT] or "
	    "unix:/path." },
	{ .name = "protocol", .type = OPTION_STRING, .offset = AT(protocol),
	    .fallback = "auto", .value_name = "auto|native|classic",
	    .help = "How to talk to the proxy. auto: native, and classic with "
	    "a proxy that does not speak it." },

	{ .name = "token-file", .type = OPTION_STRING,
	    .offset = AT(token_file), .value_name = "FILE",
	    .group = "Who we are",
	    .help = "The first line of FILE is the token for the proxy. Read "
	    "again when the proxy refuses it." },
	{ .name = "token-command", .type = OPTION_STRING,
	    .offset = AT(token_command), .value_name = "COMMAND",
	    .help = "A shell command that prints the token. Run at the start, "
	    "and again when the proxy refuses it." },
	{ .name = "token-command-timeout", .type = OPTION_DURATION_MS,
	    .offset = AT(token_command_timeout_ms), .fallback = "30s",
	    .min = 100, .max = 600000, .value_name = "TIME",
	    .help = "How long it may run; then it is killed." },
	{ .name = "client-cert", .type = OPTION_STRING,
	    .offset = AT(client_cert), .value_name = "FILE",
	    .help = "Client certificate for the proxy, PEM." },
	{ .name = "client-key", .type = OPTION_STRING,
	    .offset = AT(client_key), .value_name = "FILE",
	    .help = "Its private key, PEM, if it is not in the same file." },
	{ .name = "ca-file", .type = OPTION_STRING, .offset = AT(ca_file),
	    .value_name = "FILE",
	    .help = "Certificates to trust instead of the system's, PEM; for "
	    "the proxy, and for a backend given by https." },
	{ .name = "header", .type = OPTION_LIST, .offset = AT(headers),
	    .value_name = "'NAME: VALUE'",
	    .help = "A further field line for every call to the proxy. May be "
	    "repeated. Others on this machine can see it: see --header-file "
	    "for a secret." },
	{ .name = "header-file", .type = OPTION_STRING,
	    .offset = AT(header_file), .value_name = "FILE",
	    .help = "The same, one on each line of FILE; read at the start." },
	{ .name = "user", .letter = 'u', .type = OPTION_STRING,
	    .offset = AT(user), .value_name = "NAME",
	    .help = "Who to become when started as root, once the log is "
	    "open. NAME must be allowed to read the other files." },

	{ .name = "forward-user-id", .type = OPTION_BOOL,
	    .offset = AT(forward_user_id), .group = "Requests to the backend",
	    .help = "Tell the backend who the end user is, in "
	    "X-Inverting-Proxy-User-ID." },
	{ .name = "strip-credentials", .type = OPTION_BOOL,
	    .offset = AT(strip_credentials),
	    .help = "Remove Authorization from requests: it was for the "
	    "proxy, not for the backend." },
	{ .name = "force-http2", .type = OPTION_BOOL,
	    .offset = AT(force_http2),
	    .help = "Speak HTTP/2 to the backend, without TLS by prior "
	    "knowledge (h2c)." },
	{ .name = "request-forwarding-timeout", .type = OPTION_DURATION_MS,
	    .offset = AT(request_forwarding_timeout_ms), .fallback = "120s",
	    .min = 10, .max = DAY_MS, .value_name = "TIME",
	    .help = "To the head of the backend's response, counted from the "
	    "last request content sent; then the client gets 504." },
	{ .name = "connect-timeout", .type = OPTION_DURATION_MS,
	    .offset = AT(connect_timeout_ms), .fallback = "10s", .min = 10,
	    .max = 600000, .value_name = "TIME",
	    .help = "To make a connection, to the proxy or a backend." },
	{ .name = "dead-link-timeout", .type = OPTION_DURATION_MS,
	    .offset = AT(dead_link_timeout_ms), .fallback = "15s",
	    .min = 1000, .max = 600000, .value_name = "TIME",
	    .help = "A connection to the proxy whose other end acknowledges "
	    "nothing for this long is given up: the line was cut." },
	{ .name = "max-in-flight", .type = OPTION_INTEGER,
	    .offset = AT(max_in_flight), .fallback = "256", .min = 1,
	    .max = 60000, .value_name = "N",
	    .help = "Exchanges taken at the same time, of all backends; those "
	    "that wait for a slow client do not count (up to 16 times as "
	    "many), and a classic poll may bring 100 more." },

	{ .name = "health-check-path", .type = OPTION_STRING,
	    .offset = AT(health_check_path), .fallback = "/",
	    .value_name = "PATH", .group = "Health",
	    .help = "What to GET from the backend; 2xx and 3xx are healthy." },
	{ .name = "health-check-interval", .type = OPTION_DURATION_MS,
	    .offset = AT(health_check_interval_ms), .fallback = "0",
	    .min = 0, .max = DAY_MS, .value_name = "TIME",
	    .help = "How often; 0: never. An unhealthy backend gets no work "
	    "until it is healthy again." },
	{ .name = "health-check-timeout", .type = OPTION_DURATION_MS,
	    .offset = AT(health_check_timeout_ms), .fallback = "10s",
	    .min = 10, .max = DAY_MS, .value_name = "TIME",
	    .help = "For the whole response to a check; then it has "
	    "failed." },
	{ .name = "health-check-unhealthy-threshold", .type = OPTION_INTEGER,
	    .offset = AT(health_check_unhealthy_threshold), .fallback = "2",
	    .min = 1, .max = 1000, .value_name = "N",
	    .help = "Failures in a row that make a backend unhealthy." },

	{ .name = "graceful-shutdown-timeout", .type = OPTION_DURATION_MS,
	    .offset = AT(graceful_shutdown_timeout_ms), .fallback = "30s",
	    .min = 0, .max = DAY_MS, .value_name = "TIME", .group = "Other",
	    .help = "After SIGTERM or SIGINT, time to finish what is under "
	    "way." },
	{ .name = "log-file", .type = OPTION_STRING, .offset = AT(log_file),
	    .value_name = "FILE",
	    .help = "Log there and not to standard error; SIGHUP opens it "
	    "again." },
	{ .name = "log-level", .type = OPTION_STRING, .offset = AT(log_level),
	    .fallback = "info", .value_name = "error|warn|info|debug",
	    .help = "What to log. info has a line for each exchange." },
	{ .name = "log-format", .type = OPTION_STRING,
	    .offset = AT(log_format), .fallback = "text",
	    .value_name = "text|json", .help = "How to write log lines." },
	{ .name = "debug", .letter = 'd', .type = OPTION_BOOL,
	    .offset = AT(debug), .help = "The same as --log-level debug." },
	{ .name = NULL },
};

const struct option_program settings_program = {
	.name = "inverting-proxy-agent",
	.usage = "--proxy URL --backend ID --host HOST [OPTION...]",
	.summary = "Serves a backend that nothing can connect to: asks the "
	    "inverting proxy for requests, sends them to the backend and "
	    "returns the responses. Only outbound HTTP is needed.",
	.epilogue = "Example:\n"
	    "  inverting-proxy-agent --proxy https://proxy.example.org/"
	    "inverting-proxy/ \\\n"
	    "      --backend notebook --host localhost:8888 "
	    "--token-file token\n",
	.options = options,
	.environment_prefix = "INVERTING_PROXY_",
	.default_config = NULL,
};

static char *
duplicate(struct span s)
{
	char *copy = span_strdup(s);

	if (copy == NULL)
		fatal("out of memory");
	return copy;
}

static bool
has_space_or_control(const char *s)
{
	for (; *s != '\0'; s++)
		if ((unsigned char)*s <= ' ' || *s == 0x7f)
			return true;
	return false;
}

bool
settings_read_host(const char *host, char **url, char **unix_path)
{
	const char *path = NULL;
	char *u;
	size_t len;

	if (strncmp(host, "unix:", 5) == 0) {
		path = host + 5;
		if (*path != '/' || strlen(path) >=
		    sizeof(((struct sockaddr_un *)NULL)->sun_path))
			return false;
		u = duplicate(span_str("http://localhost"));
	} else if (has_space_or_control(host) || *host == '\0') {
		return false;
	} else if (strstr(host, "://") != NULL) {
		u = duplicate(span_str(host));
	} else if (asprintf(&u, "http://%s", host) < 0) {
		fatal("out of memory");
	}
	/* A lone "/" at the end says nothing; a path would be lost. */
	len = strlen(u);
	if (len > 0 && u[len - 1] == '/')
		u[len - 1] = '\0';
	if (!transfer_url_is_valid(u) ||
	    strchr(strstr(u, "://") + 3, '/') != NULL) {
		free(u);
		return false;
	}
	*url = u;
	*unix_path = path == NULL ? NULL : duplicate(span_str(path));
	return true;
}

bool
settings_read_backend(const char *item, struct span *id, struct span *host)
{
	const char *equals = strchr(item, '=');

	*id = equals == NULL ? span_str(item) :
	    span_of(item, (size_t)(equals - item));
	*host = equals == NULL ? span_of("", 0) : span_str(equals + 1);
	if (id->len == 0 || id->len > BACKEND_ID_MAX)
		return false;
	for (size_t i = 0; i < id->len; i++)
		if (!isgraph((unsigned char)id->data[i]))
			return false;
	return true;
}

bool
settings_read_header(const char *item, struct span *name, struct span *value)
{
	const char *colon = strchr(item, ':');

	if (colon == NULL)
		return false;
	*name = span_of(item, (size_t)(colon - item));
	*value = span_trim(span_str(colon + 1));
	return field_name_is_valid(*name) && field_value_is_valid(*value);
}

enum protocol_choice
settings_protocol(const struct settings *s)
{
	return strcmp(s->protocol, "native") == 0 ? PROTOCOL_NATIVE :
	    strcmp(s->protocol, "classic") == 0 ? PROTOCOL_CLASSIC :
	    PROTOCOL_AUTO;
}

static bool
is_one_of(const char *value, const char *const *words)
{
	for (; *words != NULL; words++)
		if (strcmp(value, *words) == 0)
			return true;
	return false;
}

static const char *
check_backend(const struct settings *s, size_t index)
{
	static char message[512];
	const char *item = s->backends.item[index], *place;
	struct span id, host, other;
	char *url, *path;

	if (!settings_read_backend(item, &id, &host)) {
		(void)snprintf(message, sizeof(message), "--backend %.200s: "
		    "give an id of 1 to 128 characters, or ID=HOST", item);
		return message;
	}
	place = host.len > 0 ? host.data : s->host;
	if (place == NULL || *place == '\0') {
		(void)snprintf(message, sizeof(message), "--backend %.200s: "
		    "say where it is, with --host HOST:PORT or as %.200s="
		    "HOST:PORT", item, item);
		return message;
	}
	if (!settings_read_host(place, &url, &path)) {
		(void)snprintf(message, sizeof(message), "%s %.200s: not a "
		    "place of a backend; give HOST:PORT, http://HOST[:PORT], "
		    "https://HOST[:PORT] or unix:/path", host.len > 0 ?
		    "--backend" : "--host", host.len > 0 ? item : place);
		return message;
	}
	free(url);
	free(path);
	for (size_t i = 0; i < index; i++) {
		(void)settings_read_backend(s->backends.item[i], &other,
		    &host);
		if (span_is(id, other)) {
			(void)snprintf(message, sizeof(message), "--backend "
			    "%.*s is given twice", (int)id.len, id.data);
			return message;
		}
	}
	return NULL;
}

static const char *
check_words(const struct settings *s)
{
	static const char *const protocols[] = { "auto", "native", "classic",
		NULL };
	static const char *const formats[] = { "text", "json", NULL };

	if (!is_one_of(s->protocol, protocols))
		return "--protocol: give auto, native or classic";
	if (!is_one_of(s->log_format, formats))
		return "--log-format: give text or json";
	if (log_level_from_name(s->log_level) < 0)
		return "--log-level: give error, warn, info or debug";
	if (s->health_check_path[0] != '/' ||
	    has_space_or_control(s->health_check_path))
		return "--health-check-path: give a path that begins with /";
	return NULL;
}

const char *
settings_check(struct settings *s)
{
	struct span name, value;
	const char *wrong;

	if (s->proxy == NULL)
		return "--proxy is missing: give the URL of the proxy";
	if (has_space_or_control(s->proxy) || !transfer_url_is_valid(s->proxy))
		return "--proxy: give a URL of http or https, without user, "
		    "query or fragment";
	if (s->backends.count == 0)
		return "--backend is missing: give the backend's id";
	for (size_t i = 0; i < s->backends.count; i++)
		if ((wrong = check_backend(s, i)) != NULL)
			return wrong;
	if (s->token_file != NULL && s->token_command != NULL)
		return "--token-file and --token-command: give only one";
	if (s->client_key != NULL && s->client_cert == NULL)
		return "--client-key needs --client-cert";
	for (size_t i = 0; i < s->headers.count; i++)
		if (!settings_read_header(s->headers.item[i], &name, &value))
			return "--header: give 'Name: value'";
	return check_words(s);
}
