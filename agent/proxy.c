/* proxy.c - calls to the proxy: where they go and what each carries. */
#include "config.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

#include "agent/proxy.h"
#include "agent/token.h"
#include "common/frame.h"
#include "common/log.h"

struct proxy {
	const struct settings *settings;
	struct token *token;
	struct transfer_peer *peer[PROXY_ENDPOINTS];
	/* Tells this process from other agents at the same address: the
	 * classic protocol has no name for an agent. */
	char id[2 * AGENT_INSTANCE_LEN + 1];
};

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
	for (size_t i = 0; i < sizeof(bytes); i++)
		(void)snprintf(p->id + 2 * i, 3, "%02x", bytes[i]);
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
	p->settings = s;
	draw_id(p);
	for (size_t i = 0; i < PROXY_ENDPOINTS; i++) {
		p->peer[i] = make_peer(engine, s, paths[i]);
		if (p->peer[i] == NULL) {
			log_error(NULL, "--proxy %s can't be used", s->proxy);
			proxy_free(p);
			return NULL;
		}
	}
	p->token = token_new(loop, s->token_file, s->token_command,
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
	struct span name, value;

	proxy_add_field(fields, "User-Agent",
	    span_str("inverting-proxy-agent/" PACKAGE_VERSION));
	if (endpoint != PROXY_EXCHANGE)
		proxy_add_field(fields, "X-Inverting-Proxy-Agent-ID",
		    span_str(p->id));
	if (authorization.len > 0)
		proxy_add_field(fields, "Authorization", authorization);
	for (size_t i = 0; i < p->settings->headers.count; i++)
		if (settings_read_header(p->settings->headers.item[i], &name,
		    &value) && fields_add(fields, name, value) != 0)
			fatal("out of memory");
	request->fields = fields;
	return transfer_start(p->peer[endpoint], request, handler, arg);
}
