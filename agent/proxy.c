/* proxy.c - calls to the proxy: where they go and what each carries. */
#include "config.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <unistd.h>

#include "agent/proxy.h"
#include "agent/token.h"
#include "common/frame.h"
#include "common/hex.h"
#include "common/log.h"

struct proxy {
	struct token *token;
	struct transfer_peer *peer[PROXY_ENDPOINTS];
	/* Tells this process from other agents at the same address: the
	 * classic protocol has no name for an agent. */
	char id[2 * AGENT_INSTANCE_LEN + 1];
	struct buf header_text;		/* of --header-file */
	struct fields headers;		/* every call's: views into it */
};

enum { HEADER_FILE_MAX = 64 * 1024 };

static struct transfer_peer *
make_peer(struct transfer_engine *engine, const struct settings *s,
    const char *path)
{
	struct transfer_peer_settings settings = {
		.use_environment_proxy = true,
		.ca_file = s->ca_file,
		.client_cert = s->client_cert,
		.client_key = s->client_key,
		.connect_timeout_ms = s->connect_timeout_ms,
		.dead_link_ms = s->dead_link_timeout_ms,
	};
	struct transfer_peer *peer;
	size_t len = strlen(s->proxy);
	char *url;

	while (len > 0 && s->proxy[len - 1] == '/')
		len--;
	if (asprintf(&url, "%.*s/%s", (int)len, s->proxy, path) < 0)
		fatal("out of memory");
	settings.url = url;
	settings.http = strncasecmp(url, "https:", 6) == 0 ?
	    TRANSFER_HTTP2_TLS : TRANSFER_HTTP1;
	peer = transfer_peer_new(engine, &settings);
	free(url);
	return peer;
}

static void
draw_id(struct proxy *p)
{
	unsigned char bytes[AGENT_INSTANCE_LEN];

	if (getrandom(bytes, sizeof(bytes), 0) != sizeof(bytes))
		fatal("no random bytes");
	hex_encode(bytes, sizeof(bytes), p->id);
}

/* Does what goes to this URL stay on this machine, or is it encrypted? */
static bool
is_private(const char *url)
{
	static const char *const here[] = { "http://localhost", "http://127.",
		"http://[::1]" };

	for (size_t i = 0; i < sizeof(here) / sizeof(*here); i++)
		if (strncasecmp(url, here[i], strlen(here[i])) == 0)
			return true;
	return strncasecmp(url, "https:", 6) == 0;
}

/* One field line; false when it is none. */
static bool
add_header(struct proxy *p, const char *line)
{
	struct span name, value;

	if (!settings_read_header(line, &name, &value))
		return false;
	if (fields_add(&p->headers, name, value) != 0)
		fatal("out of memory");
	return true;
}

/* Cuts what was read into lines; empty ones and '#' comments say nothing. */
static bool
take_header_lines(struct proxy *p, const char *path, char *rest)
{
	char *line;
	unsigned number = 0;

	while ((line = strsep(&rest, "\n")) != NULL) {
		size_t len = strlen(line);

		number++;
		if (len > 0 && line[len - 1] == '\r')
			line[len - 1] = '\0';
		if (line[0] == '\0' || line[0] == '#')
			continue;
		if (!add_header(p, line)) {
			/* The line itself may be a secret. */
			log_error(NULL, "--header-file %s: line %u is not "
			    "'Name: value'", path, number);
			return false;
		}
	}
	return true;
}

static bool
read_header_file(struct proxy *p, const char *path)
{
	FILE *f = fopen(path, "re");
	char *text;
	size_t len;

	if (f == NULL) {
		log_error(NULL, "--header-file %s: %s", path, strerror(errno));
		return false;
	}
	if ((text = buf_reserve(&p->header_text, HEADER_FILE_MAX)) == NULL)
		fatal("out of memory");
	setvbuf(f, NULL, _IONBF, 0);
	len = fread(text, 1, HEADER_FILE_MAX, f);
	(void)fclose(f);
	if (len == HEADER_FILE_MAX || memchr(text, '\0', len) != NULL) {
		log_error(NULL, "--header-file %s: too large, or not text",
		    path);
		return false;
	}
	text[len] = '\0';
	buf_commit(&p->header_text, len + 1);
	return take_header_lines(p, path, text);
}

/* --header and --header-file */
static bool
read_headers(struct proxy *p, const struct settings *s)
{
	for (size_t i = 0; i < s->headers.count; i++)
		if (!add_header(p, s->headers.item[i]))
			return false;
	return s->header_file == NULL || read_header_file(p, s->header_file);
}

static bool
can_read(const char *option, const char *path)
{
	if (path == NULL || access(path, R_OK) == 0)
		return true;
	log_error(NULL, "%s %s: %s", option, path, strerror(errno));
	return false;
}

/* libcurl reads them with each connection, too late to say that one is not
 * there. */
static bool
can_read_files(const struct settings *s)
{
	return can_read("--ca-file", s->ca_file) &&
	    can_read("--client-cert", s->client_cert) &&
	    can_read("--client-key", s->client_key);
}

struct proxy *
proxy_new(struct ev_loop *loop, struct transfer_engine *engine,
    const struct settings *s, void (*has_credential)(void *arg), void *arg)
{
	static const char *const paths[PROXY_ENDPOINTS] = {
		[PROXY_PENDING] = "agent/pending",
		[PROXY_REQUEST] = "agent/request",
		[PROXY_RESPONSE] = "agent/response",
		[PROXY_EXCHANGE] = "agent/exchange",
	};
	struct proxy *p = calloc(1, sizeof(*p));

	if (p == NULL)
		fatal("out of memory");
	if (!is_private(s->proxy))
		log_warn(NULL, "--proxy %s: credentials and contents go there "
		    "in clear text; use https", s->proxy);
	draw_id(p);
	fields_init(&p->headers);
	buf_init(&p->header_text, HEADER_FILE_MAX);
	if (!can_read_files(s) || !read_headers(p, s)) {
		proxy_free(p);
		return NULL;
	}
	for (size_t i = 0; i < PROXY_ENDPOINTS; i++) {
		p->peer[i] = make_peer(engine, s, paths[i]);
		if (p->peer[i] == NULL) {
			log_error(NULL, "--proxy %s can't be used", s->proxy);
			proxy_free(p);
			return NULL;
		}
	}
	p->token = token_new(loop, s->token_file, s->token_command,
	    (double)s->token_command_timeout_ms / 1e3,
	    has_credential, arg);
	if (p->token == NULL) {
		proxy_free(p);
		return NULL;
	}
	return p;
}

void
proxy_free(struct proxy *p)
{
	if (p == NULL)
		return;
	for (size_t i = 0; i < PROXY_ENDPOINTS; i++)
		transfer_peer_free(p->peer[i]);
	token_free(p->token);
	fields_clear(&p->headers);
	buf_wipe(&p->header_text);
	free(p);
}

bool
proxy_is_ready(const struct proxy *p)
{
	return token_is_ready(p->token);
}

void
proxy_refused(struct proxy *p)
{
	token_refused(p->token);
}

void
proxy_add_field(struct fields *f, const char *name, struct span value)
{
	if (fields_add(f, span_str(name), value) != 0)
		fatal("out of memory");
}

struct transfer *
proxy_start(struct proxy *p, enum proxy_endpoint endpoint,
    struct transfer_request *request, struct fields *fields,
    const struct transfer_handler *handler, void *arg)
{
	struct span authorization = token_authorization(p->token);

	proxy_add_field(fields, "User-Agent",
	    span_str("inverting-proxy-agent/" PACKAGE_VERSION));
	if (endpoint != PROXY_EXCHANGE)
		proxy_add_field(fields, "X-Inverting-Proxy-Agent-ID",
		    span_str(p->id));
	if (authorization.len > 0)
		proxy_add_field(fields, "Authorization", authorization);
	for (size_t i = 0; i < p->headers.count; i++)
		if (fields_add(fields, p->headers.line[i].name,
		    p->headers.line[i].value) != 0)
			fatal("out of memory");
	request->fields = fields;
	return transfer_start(p->peer[endpoint], request, handler, arg);
}
