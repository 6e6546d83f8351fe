/* backend.c - a backend, and the heads that go to and come from it. */
#include "config.h"

#include <stdlib.h>
#include <string.h>

#include "agent/backend.h"
#include "common/log.h"

#define USER_FIELD "X-Inverting-Proxy-User-ID"

struct backend *
backend_new(struct transfer_engine *engine, const struct settings *s,
    const char *item)
{
	struct backend *b = calloc(1, sizeof(*b));
	struct transfer_peer_settings peer = { 0 };
	struct span id, host;
	char *url, *path;

	if (b == NULL || !settings_read_backend(item, &id, &host))
		fatal("out of memory");
	if (host.len == 0)
		host = span_str(s->host);
	if ((b->id = span_strdup(id)) == NULL ||
	    (b->host = span_strdup(host)) == NULL)
		fatal("out of memory");
	b->is_healthy = true;
	if (!settings_read_host(b->host, &url, &path)) {
		backend_free(b);
		return NULL;
	}
	peer.url = url;
	peer.unix_path = path;
	peer.acks_at_once = path == NULL;
	peer.ca_file = s->ca_file;
	peer.connect_timeout_ms = s->connect_timeout_ms;
	peer.http = !s->force_http2 ? TRANSFER_HTTP1 :
	    strncmp(url, "https:", 6) == 0 ? TRANSFER_HTTP2_TLS :
	    TRANSFER_HTTP2;
	b->peer = transfer_peer_new(engine, &peer);
	free(url);
	free(path);
	if (b->peer == NULL) {
		backend_free(b);
		return NULL;
	}
	return b;
}

void
backend_free(struct backend *b)
{
	if (b == NULL)
		return;
	transfer_peer_free(b->peer);
	free(b->id);
	free(b->host);
	free(b);
}

/* A server of CGI reads "_" and "-" in names as one. */
static bool
is_user_field(struct span name)
{
	char folded[sizeof(USER_FIELD)];

	if (name.len != sizeof(folded) - 1)
		return false;
	for (size_t i = 0; i < name.len; i++)
		folded[i] = name.data[i] == '_' ? '-' : name.data[i];
	return span_is_nocase(span_of(folded, name.len), span_str(USER_FIELD));
}

/* Equal repeats of Content-Length are one (RFC 9110 8.6).  The framing has
 * been read, so they are equal, or tell of content that does not come. */
static void
keep_one_content_length(struct fields *f)
{
	size_t kept = 0;
	bool seen = false;

	for (size_t i = 0; i < f->count; i++) {
		if (span_is_nocase(f->line[i].name,
		    span_str("Content-Length"))) {
			if (seen)
				continue;
			seen = true;
		}
		f->line[kept++] = f->line[i];
	}
	f->count = kept;
}

int
backend_request(const struct settings *s, struct span user,
    struct http1_request *request, struct http1_framing *framing)
{
	struct fields *f = &request->fields;
	size_t kept = 0;
	int r;

	if ((r = http1_request_framing(request, framing)) != 0)
		return r;
	fields_remove_hop_by_hop(f);
	(void)fields_remove(f, "Expect");
	for (size_t i = 0; i < f->count; i++)
		if (!is_user_field(f->line[i].name))
			f->line[kept++] = f->line[i];
	f->count = kept;
	if (framing->kind == HTTP1_FRAMING_LENGTH)
		keep_one_content_length(f);
	if (s->strip_credentials)
		(void)fields_remove(f, "Authorization");
	if (!s->forward_user_id || user.len == 0)
		return WIRE_OK;
	if (!field_value_is_valid(user))
		return WIRE_MALFORMED;
	return fields_add(f, span_str(USER_FIELD), user);
}

int
backend_response(struct span head, struct span method, bool chunked,
    struct buf *out, struct http1_framing *framing)
{
	struct http1_response response;
	struct fields *f = &response.fields;
	bool was_coded;
	int r;

	if ((r = http1_response_decode(head, BACKEND_FIELDS_MAX,
	    &response)) != 0)
		return r;
	/* Not asked for, and there is no one to switch to (RFC 9110 15.2.2). */
	r = response.status == 101 ? WIRE_UNSUPPORTED : WIRE_OK;
	/* Where both are given Transfer-Encoding overrides (RFC 9112 6.3);
	 * libcurl has removed the coding. */
	was_coded = fields_find(f, "Transfer-Encoding") != NULL;
	if (was_coded)
		(void)fields_remove(f, "Content-Length");
	if (r == 0)
		r = http1_response_framing(&response, method, framing);
	if (r != 0)
		goto out;
	fields_remove_hop_by_hop(f);
	keep_one_content_length(f);
	if (framing->kind == HTTP1_FRAMING_NONE)
		chunked = false;
	if (chunked) {
		(void)fields_remove(f, "Content-Length");
		r = fields_add(f, span_str("Transfer-Encoding"),
		    span_str("chunked"));
	}
	if (r != 0 || (r = buf_printf(out, "HTTP/1.1 %03d %.*s\r\n",
	    response.status, (int)response.reason.len,
	    response.reason.data)) != 0 ||
	    (r = fields_encode(f, out)) != 0)
		goto out;
	r = buf_append_str(out, "\r\n");
out:	http1_response_clear(&response);
	return r;
}
