/* response_head.c - from an HTTP/1.1 response head to the head of a CGI
 * response.  Pure: no I/O. */
#include "config.h"

#include "common/http1_head.h"
#include "fcgi/response_head.h"

/* Fields by which a CGI response would make the web server do something
 * (lighttpd, Apache mod_xsendfile, nginx): a backend must not. */
static const struct span steering[] = {
	SPAN("Status"), SPAN("X-Sendfile"), SPAN("X-Sendfile2"),
	SPAN("X-Sendfile-Temporary"), SPAN("X-LIGHTTPD-send-file"),
	SPAN("X-LIGHTTPD-send-tempfile"), SPAN("X-LIGHTTPD-KBytes-per-second"),
	SPAN("X-Accel-Redirect"), SPAN("X-Accel-Buffering"),
	SPAN("X-Accel-Charset"), SPAN("X-Accel-Expires"),
	SPAN("X-Accel-Limit-Rate"), SPAN("Script-Control"),
	SPAN("HTTP2-Settings"), { 0 },
};

static int
append_line(struct buf *out, struct span name, struct span value)
{
	int r;

	if ((r = buf_append_span(out, name)) != 0 ||
	    (r = buf_append(out, ": ", 2)) != 0 ||
	    (r = buf_append_span(out, value)) != 0)
		return r;
	return buf_append(out, "\r\n", 2);
}

static int
append_lines(struct buf *out, const struct fields *fields,
    const struct response_head *head)
{
	bool length_done = false;
	int r;

	for (size_t i = 0; i < fields->count; i++) {
		struct span name = fields->line[i].name;

		if (span_is_one_of(name, steering))
			continue;
		/* Equal repeats are one (RFC 9110 8.6); none with 204. */
		if (span_is_nocase(name, span_str("Content-Length"))) {
			if (length_done || !head->has_length)
				continue;
			length_done = true;
		}
		r = append_line(out, name, fields->line[i].value);
		if (r != 0)
			return r;
	}
	return WIRE_OK;
}

static int
read_content(const struct http1_response *response, struct span method,
    struct response_head *head)
{
	struct http1_framing framing;
	const struct field *length;
	int r;

	if ((r = http1_response_framing(response, method, &framing)) != 0)
		return r;
	head->has_content = framing.kind != HTTP1_FRAMING_NONE;
	/* A framing of LENGTH was checked; for HEAD and 304 the field says
	 * what the content would be (RFC 9110 8.6) and passes, if sane. */
	length = fields_find(&response->fields, "Content-Length");
	if (length == NULL || response->status == 204 ||
	    framing.kind == HTTP1_FRAMING_CHUNKED)
		return WIRE_OK;
	if (!span_to_u64(length->value, &head->length))
		return WIRE_MALFORMED;
	head->has_length = true;
	return WIRE_OK;
}

int
response_head_encode(struct span wire, struct span method,
    const struct response_head_options *options, struct response_head *head,
    struct buf *out)
{
	struct http1_response response;
	struct response_head h = { 0 };
	int r;

	if ((r = http1_response_decode(wire, options->max_fields,
	    &response)) != 0)
		return r;
	if (response.status < 200) {
		r = WIRE_UNSUPPORTED;
		goto out;
	}
	h.status = response.status;
	if ((r = read_content(&response, method, &h)) != 0)
		goto out;
	fields_remove_hop_by_hop(&response.fields);
	struct span reason = response.reason;

	/* Apache takes a Status without a phrase for a malformed one. */
	if (reason.len == 0)
		reason = span_str(http1_reason_phrase(h.status));
	if (reason.len == 0)
		reason = span_str("Unknown");
	if ((r = buf_printf(out, "Status: %d ", h.status)) != 0 ||
	    (r = buf_append_span(out, reason)) != 0 ||
	    (r = buf_append(out, "\r\n", 2)) != 0 ||
	    (r = append_lines(out, &response.fields, &h)) != 0)
		goto out;
	if (options->close && h.has_content &&
	    (r = buf_append_str(out, "Connection: close\r\n")) != 0)
		goto out;
	if (options->via && (r = buf_append_str(out,
	    "Via: 1.1 inverting-proxy\r\n")) != 0)
		goto out;
	if ((r = buf_append(out, "\r\n", 2)) == 0)
		*head = h;
out:	http1_response_clear(&response);
	return r;
}
