/* request_head.c - from FastCGI params to the head of an HTTP/1.1 request.
 * Pure: no I/O.  CGI names fold case and '-' (RFC 3875 4.1.18), so nothing that
 * a client can name decides anything here: our own fields are written after
 * every field that folds to the same name has been left out. */
#include "config.h"

#include <stdint.h>
#include <strings.h>

#include "common/field.h"
#include "common/http1_head.h"
#include "fcgi/request_head.h"

/* The params that matter, picked out in one pass. */
struct params {
	const char *method, *target, *scheme, *https;
	const char *host, *server_name, *server_port;
	const char *content_type, *content_length, *transfer_encoding;
	const char *remote_addr, *forwarded_for, *via, *connection;
	const char *auth_type;
};

#define WANTED(name, member) { SPAN(name), offsetof(struct params, member) }

static const struct wanted {
	struct span name;
	size_t offset;
} wanted[] = {
	WANTED("REQUEST_METHOD", method),
	WANTED("REQUEST_URI", target),
	WANTED("REQUEST_SCHEME", scheme),
	WANTED("HTTPS", https),
	WANTED("HTTP_HOST", host),
	WANTED("SERVER_NAME", server_name),
	WANTED("SERVER_PORT", server_port),
	WANTED("CONTENT_TYPE", content_type),
	WANTED("CONTENT_LENGTH", content_length),
	WANTED("HTTP_TRANSFER_ENCODING", transfer_encoding),
	WANTED("REMOTE_ADDR", remote_addr),
	WANTED("HTTP_X_FORWARDED_FOR", forwarded_for),
	WANTED("HTTP_VIA", via),
	WANTED("HTTP_CONNECTION", connection),
	WANTED("AUTH_TYPE", auth_type),
};

static void
pick(char *const *env, struct params *p)
{
	for (; *env != NULL; env++) {
		const char *value = strchr(*env, '=');

		if (value == NULL)
			continue;
		struct span name = span_of(*env, (size_t)(value++ - *env));

		for (size_t i = 0; i < sizeof wanted / sizeof *wanted; i++)
			if (span_is(name, wanted[i].name)) {
				memcpy((char *)p + wanted[i].offset, &value,
				    sizeof value);
				break;
			}
	}
}

/* Names (without HTTP_) that never pass; ours are written instead of some. */
static const struct span withheld[] = {
	SPAN("HOST"), SPAN("VIA"), SPAN("CONNECTION"), SPAN("KEEP_ALIVE"),
	SPAN("PROXY_CONNECTION"), SPAN("PROXY_AUTHENTICATE"),
	SPAN("PROXY_AUTHORIZATION"), SPAN("TE"), SPAN("TRAILER"),
	SPAN("TRANSFER_ENCODING"), SPAN("UPGRADE"), SPAN("EXPECT"),
	SPAN("PROXY"), SPAN("CONTENT_LENGTH"), SPAN("CONTENT_TYPE"),
	SPAN("FORWARDED"), SPAN("HTTP2_SETTINGS"),
	/* By these other gateways tell who and where the client is, and
	 * backends believe them. */
	SPAN("REMOTE_USER"), SPAN("X_REMOTE_USER"), SPAN("X_REAL_IP"),
	SPAN("X_CLIENT_IP"), { 0 },
};

/* What a Connection option cannot remove: a client must not be able to take
 * away what a backend relies on. */
static const struct span steadfast[] = {
	SPAN("HOST"), SPAN("COOKIE"), SPAN("AUTHORIZATION"),
	SPAN("CONTENT_TYPE"), SPAN("CONTENT_LENGTH"), { 0 },
};

/* As CGI does it.  Web servers have done so with the names of params, but a
 * name that passes here by its spelling would be another field's there. */
static char
fold(char c)
{
	if (c >= 'a' && c <= 'z')
		return (char)(c - 'a' + 'A');
	return c == '-' ? '_' : c;
}

static bool
begins_with(struct span name, const char *prefix)
{
	for (size_t i = 0; prefix[i] != '\0'; i++)
		if (i == name.len || fold(name.data[i]) != prefix[i])
			return false;
	return true;
}

static bool
folds_to(struct span a, struct span b)
{
	if (a.len != b.len)
		return false;
	for (size_t i = 0; i < a.len; i++)
		if (fold(a.data[i]) != fold(b.data[i]))
			return false;
	return true;
}

static bool
is_listed(const struct span *list, struct span name)
{
	for (; list->len > 0; list++)
		if (folds_to(name, *list))
			return true;
	return false;
}

static bool
is_connection_option(const char *connection, struct span name)
{
	if (connection == NULL || is_listed(steadfast, name))
		return false;
	for (const char *at = connection; *at != '\0'; ) {
		size_t len = strcspn(at, ",");

		if (folds_to(span_trim(span_of(at, len)), name))
			return true;
		at += len;
		if (*at == ',')
			at++;
	}
	return false;
}

/* The web server's own login: it logged the client in with these credentials,
 * which are not for the backend to see. */
static bool
is_own_login(const struct params *p, struct span name, struct span value)
{
	size_t len;

	if (p->auth_type == NULL || (len = strlen(p->auth_type)) == 0 ||
	    !folds_to(name, span_str("AUTHORIZATION")))
		return false;
	return value.len > len && value.data[len] == ' ' &&
	    span_is_nocase(span_of(value.data, len), span_str(p->auth_type));
}

static bool
passes(const struct params *p, struct span name)
{
	return !is_listed(withheld, name) &&
	    !begins_with(name, "X_INVERTING_PROXY_") &&
	    !begins_with(name, "X_FORWARDED_") &&
	    !is_connection_option(p->connection, name);
}

/* ACCEPT_ENCODING -> Accept-Encoding: the usual spelling, as good as any since
 * field names are case-insensitive and CGI forgot the client's. */
static int
append_name(struct buf *out, struct span name)
{
	bool first = true;
	char *to = buf_reserve(out, name.len);

	if (to == NULL)
		return WIRE_TOO_LARGE;
	for (size_t i = 0; i < name.len; i++) {
		char c = name.data[i];

		if (c == '_')
			c = '-';
		else if (!first && c >= 'A' && c <= 'Z')
			c = (char)(c - 'A' + 'a');
		first = c == '-';
		to[i] = c;
	}
	buf_commit(out, name.len);
	return WIRE_OK;
}

static int
append_field(struct buf *out, const char *name, struct span value)
{
	int r;

	if (!field_value_is_valid(value))
		return WIRE_MALFORMED;
	if ((r = buf_append_str(out, name)) != 0 ||
	    (r = buf_append(out, ": ", 2)) != 0 ||
	    (r = buf_append_span(out, value)) != 0)
		return r;
	return buf_append(out, "\r\n", 2);
}

static int
append_passing(struct buf *out, char *const *env, const struct params *p,
    size_t max)
{
	size_t count = 0;

	for (; *env != NULL; env++) {
		const char *equals;
		int r;

		if (strncmp(*env, "HTTP_", 5) != 0 ||
		    (equals = strchr(*env, '=')) == NULL)
			continue;
		struct span name = span_of(*env + 5,
		    (size_t)(equals - *env - 5));
		struct span value = span_trim(span_str(equals + 1));

		if (!passes(p, name) || is_own_login(p, name, value))
			continue;
		if (!field_name_is_valid(name) || !field_value_is_valid(value))
			return WIRE_MALFORMED;
		if (++count > max)
			return WIRE_TOO_LARGE;
		if ((r = append_name(out, name)) != 0 ||
		    (r = buf_append(out, ": ", 2)) != 0 ||
		    (r = buf_append_span(out, value)) != 0 ||
		    (r = buf_append(out, "\r\n", 2)) != 0)
			return r;
	}
	return WIRE_OK;
}

static int
append_list(struct buf *out, const char *name, const char *before,
    const char *own)
{
	int r;
	struct span first = span_trim(span_str(before));

	if (first.len == 0)
		return append_field(out, name, span_str(own));
	if (!field_value_is_valid(first) ||
	    !field_value_is_valid(span_str(own)))
		return WIRE_MALFORMED;
	if ((r = buf_append_str(out, name)) != 0 ||
	    (r = buf_append(out, ": ", 2)) != 0 ||
	    (r = buf_append_span(out, first)) != 0 ||
	    (r = buf_append(out, ", ", 2)) != 0 ||
	    (r = buf_append_str(out, own)) != 0)
		return r;
	return buf_append(out, "\r\n", 2);
}

/* What an intermediary adds: RFC 9110 7.6.3 and the usual X-Forwarded-*. */
static int
append_own(struct buf *out, const struct params *p, bool via)
{
	const char *scheme = p->scheme != NULL ? p->scheme :
	    p->https != NULL && strcasecmp(p->https, "off") != 0 ? "https" :
	    "http";
	int r = 0;

	if (p->remote_addr != NULL)
		r = append_list(out, "X-Forwarded-For", p->forwarded_for,
		    p->remote_addr);
	if (r == 0)
		r = append_field(out, "X-Forwarded-Proto", span_str(scheme));
	if (r == 0 && p->host != NULL)
		r = append_field(out, "X-Forwarded-Host",
		    span_trim(span_str(p->host)));
	if (r == 0 && via)
		r = append_list(out, "Via", p->via, "1.1 inverting-proxy");
	else if (r == 0 && p->via != NULL)
		r = append_field(out, "Via", span_trim(span_str(p->via)));
	return r;
}

/* RFC 9112 3.2: a gateway takes origin-form and "*"; absolute-form, which
 * Apache passes on, is cut to origin-form. */
static int
read_target(const char *raw, struct span method, struct span *target)
{
	const char *authority;

	if (raw == NULL || span_is(method, span_str("CONNECT")))
		return WIRE_UNSUPPORTED;
	if (strncasecmp(raw, "http://", 7) == 0)
		authority = raw + 7;
	else if (strncasecmp(raw, "https://", 8) == 0)
		authority = raw + 8;
	else
		authority = NULL;
	if (authority != NULL)
		raw = authority + strcspn(authority, "/?");
	*target = span_str(raw);
	if (authority != NULL && target->len == 0)
		*target = span_str("/");
	for (size_t i = 0; i < target->len; i++)
		if ((unsigned char)target->data[i] <= ' ' ||
		    target->data[i] == 0x7f)
			return WIRE_MALFORMED;
	if (target->len > 0 && (target->data[0] == '/' ||
	    (authority != NULL && target->data[0] == '?')))
		return WIRE_OK;
	return span_is(*target, span_str("*")) ? WIRE_OK : WIRE_MALFORMED;
}

/* CONTENT_LENGTH is the web server's word; HTTP_CONTENT_LENGTH is not
 * looked at.  A web server that says 0 for a request without content does not
 * make it one with content. */
static int
read_content(const struct params *p, struct request_head *head)
{
	const char *length = p->content_length;
	bool expects = span_is(head->method, span_str("POST")) ||
	    span_is(head->method, span_str("PUT")) ||
	    span_is(head->method, span_str("PATCH"));

	if (length != NULL && length[0] != '\0') {
		/* As for http1_request_framing, which the agent asks. */
		if (!span_to_u64(span_str(length), &head->length) ||
		    head->length > INT64_MAX)
			return WIRE_MALFORMED;
		head->has_content = head->length > 0;
		head->has_length = head->length > 0 || expects;
		return WIRE_OK;
	}
	head->has_content = p->transfer_encoding != NULL &&
	    strcasecmp(p->transfer_encoding, "chunked") == 0;
	return WIRE_OK;
}

static int
append_content_fields(struct buf *out, const struct params *p,
    const struct request_head *head)
{
	int r = 0;

	if (p->content_type != NULL && p->content_type[0] != '\0')
		r = append_field(out, "Content-Type",
		    span_trim(span_str(p->content_type)));
	if (r == 0 && head->has_length)
		r = buf_printf(out, "Content-Length: %llu\r\n", head->length);
	else if (r == 0 && head->has_content)
		r = append_field(out, "Transfer-Encoding",
		    span_str("chunked"));
	return r;
}

static int
append_host(struct buf *out, const struct params *p)
{
	if (p->host != NULL && p->host[0] != '\0')
		return append_field(out, "Host", span_trim(span_str(p->host)));
	/* HTTP/1.0 clients may leave it out, HTTP/1.1 may not. */
	if (p->server_name == NULL || p->server_name[0] == '\0' ||
	    !field_value_is_valid(span_str(p->server_name)))
		return append_field(out, "Host", span_str(""));
	if (p->server_port == NULL ||
	    !field_value_is_valid(span_str(p->server_port)))
		return append_field(out, "Host", span_str(p->server_name));
	return buf_printf(out, "Host: %s:%s\r\n", p->server_name,
	    p->server_port);
}

int
request_head_encode(char *const *env, const struct request_head_limits *limits,
    struct request_head *head, struct buf *out)
{
	struct params p = { 0 };
	struct request_head h = { 0 };
	int r;

	pick(env, &p);
	h.method = span_str(p.method);
	if (!http1_method_is_valid(h.method))
		return WIRE_MALFORMED;
	if ((r = read_target(p.target, h.method, &h.target)) != 0 ||
	    (r = read_content(&p, &h)) != 0)
		return r;
	if ((r = buf_append_span(out, h.method)) != 0 ||
	    (r = buf_append(out, " ", 1)) != 0)
		return r;
	if (h.target.data[0] == '?' && (r = buf_append(out, "/", 1)) != 0)
		return r;
	if ((r = buf_append_span(out, h.target)) != 0 ||
	    (r = buf_append_str(out, " HTTP/1.1\r\n")) != 0 ||
	    (r = append_host(out, &p)) != 0 ||
	    (r = append_passing(out, env, &p, limits->fields)) != 0 ||
	    (r = append_content_fields(out, &p, &h)) != 0 ||
	    (r = append_own(out, &p, limits->via)) != 0 ||
	    (r = buf_append(out, "\r\n", 2)) != 0)
		return r;
	*head = h;
	return WIRE_OK;
}
