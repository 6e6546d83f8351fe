/* http1_head.c - request and response heads in HTTP/1.1 wire form
 * (RFC 9112 sections 2 to 6).  Strict where leniency lets two readers see two
 * messages: CRLF only, no obs-fold, no space before the colon.
 * Pure: memory the caller gives, views into the bytes that were decoded. */
#include "config.h"

#include <stdint.h>
#include <string.h>

#include "common/http1_head.h"

/* A bare CR, or a NUL, in the len bytes of a line before its CRLF. */
static bool
has_stray_byte(const char *line, size_t len)
{
	return memchr(line, '\r', len) != NULL ||
	    memchr(line, '\0', len) != NULL;
}

int
http1_head_find_end(struct span bytes, size_t from, size_t max,
    size_t *head_len)
{
	size_t len = bytes.len < max ? bytes.len : max;
	const char *p, *end, *nl;

	if (len == 0)
		return max == 0 ? WIRE_TOO_LARGE : WIRE_MORE;
	end = bytes.data + len;
	/* The last byte seen may be a CR that waits for its LF. */
	if (from > 0)
		from--;
	p = bytes.data + (from < len ? from : len);

	while ((nl = memchr(p, '\n', (size_t)(end - p))) != NULL) {
		size_t at = (size_t)(nl - bytes.data);

		if (at == 0 || nl[-1] != '\r')
			return WIRE_MALFORMED;
		/* When the CR was the last byte seen, p stands on it. */
		if (nl - 1 > p && has_stray_byte(p, (size_t)(nl - 1 - p)))
			return WIRE_MALFORMED;
		if (at == 1)
			return WIRE_MALFORMED;	/* no start line */
		if (at >= 3 && nl[-2] == '\n') {
			*head_len = at + 1;
			return WIRE_DONE;
		}
		p = nl + 1;
	}
	/* What is left begins a line; only its last byte may be a CR. */
	if (p < end && (has_stray_byte(p, (size_t)(end - 1 - p)) ||
	    end[-1] == '\0'))
		return WIRE_MALFORMED;
	return bytes.len >= max ? WIRE_TOO_LARGE : WIRE_MORE;
}

/* Takes a line off *rest, without its CRLF.  A bare CR stays in the line for
 * the check of its bytes. */
static bool
next_line(struct span *rest, struct span *line)
{
	const char *nl;
	size_t len;

	if (rest->len == 0)
		return false;
	nl = memchr(rest->data, '\n', rest->len);
	if (nl == NULL || nl == rest->data || nl[-1] != '\r')
		return false;
	len = (size_t)(nl + 1 - rest->data);
	*line = span_of(rest->data, len - 2);
	*rest = span_of(nl + 1, rest->len - len);
	return true;
}

/* Takes what is before the first space off *line, and the space. */
static bool
next_word(struct span *line, struct span *word)
{
	const char *space;
	size_t len;

	if (line->len == 0)
		return false;
	space = memchr(line->data, ' ', line->len);
	if (space == NULL)
		return false;
	len = (size_t)(space - line->data);
	*word = span_of(line->data, len);
	*line = span_of(space + 1, line->len - len - 1);
	return true;
}

/* RFC 9112 2.3: "HTTP/" DIGIT "." DIGIT. */
static int
decode_version(struct span text, int *minor_version)
{
	const char *p = text.data;

	if (text.len != 8 || memcmp(p, "HTTP/", 5) != 0 ||
	    p[5] < '0' || p[5] > '9' || p[6] != '.' ||
	    p[7] < '0' || p[7] > '9')
		return WIRE_MALFORMED;
	if (p[5] != '1')
		return WIRE_UNSUPPORTED;
	*minor_version = p[7] - '0';
	return WIRE_OK;
}

/* RFC 9112 5: field-name ":" OWS field-value OWS.  A line that begins with
 * white space (obs-fold, 5.2) has no valid name, nor has one with white space
 * before its colon (5.1). */
static int
decode_field_line(struct span line, struct fields *fields)
{
	const char *colon = memchr(line.data, ':', line.len);
	struct span name, value;

	if (colon == NULL)
		return WIRE_MALFORMED;
	name = span_of(line.data, (size_t)(colon - line.data));
	value = span_trim(span_of(colon + 1, line.len - name.len - 1));
	if (!field_name_is_valid(name) || !field_value_is_valid(value))
		return WIRE_MALFORMED;
	return fields_add(fields, name, value);
}

/* The field lines and the empty line, and nothing behind it. */
static int
decode_fields(struct span rest, size_t max_fields, struct fields *fields)
{
	struct fields list;
	struct span line;
	int r = WIRE_MALFORMED;

	fields_init(&list);
	while (next_line(&rest, &line)) {
		if (line.len == 0) {
			if (rest.len > 0)
				break;
			*fields = list;
			return WIRE_OK;
		}
		if (list.count == max_fields) {
			r = WIRE_TOO_LARGE;
			break;
		}
		r = decode_field_line(line, &list);
		if (r != WIRE_OK)
			break;
		r = WIRE_MALFORMED;
	}
	fields_clear(&list);
	return r;
}

/* Kept raw; no space, no control byte (RFC 9112 3.2).  Bytes from 0x80 are
 * not in the grammar, but clients send them and backends take them. */
static bool
target_is_valid(struct span target)
{
	unsigned bad = 0;

	for (size_t i = 0; i < target.len; i++) {
		unsigned char c = (unsigned char)target.data[i];

		bad |= (unsigned)(c < 0x21) | (c == 0x7f);
	}
	return bad == 0 && target.len > 0;
}

int
http1_request_decode(struct span head, size_t max_fields,
    struct http1_request *request)
{
	struct http1_request req;
	struct span line;
	int r;

	if (!next_line(&head, &line) || !next_word(&line, &req.method) ||
	    !next_word(&line, &req.target))
		return WIRE_MALFORMED;
	if (!http1_method_is_valid(req.method) || !target_is_valid(req.target))
		return WIRE_MALFORMED;
	r = decode_version(line, &req.minor_version);
	if (r != WIRE_OK)
		return r;
	r = decode_fields(head, max_fields, &req.fields);
	if (r == WIRE_OK)
		*request = req;
	return r;
}

void
http1_request_clear(struct http1_request *request)
{
	fields_clear(&request->fields);
	*request = (struct http1_request){ 0 };
}

/* RFC 9112 4: three digits.  Below 100 is no class of status. */
static bool
decode_status(struct span text, int *status)
{
	unsigned long long n;

	if (text.len != 3 || !span_to_u64(text, &n) || n < 100)
		return false;
	*status = (int)n;
	return true;
}

/* RFC 9112 4: the same bytes as in a field value, but white space may stand
 * at its ends. */
static bool
reason_is_valid(struct span reason)
{
	return field_value_is_valid(span_trim(reason));
}

int
http1_response_decode(struct span head, size_t max_fields,
    struct http1_response *response)
{
	struct http1_response resp;
	struct span line, version, status;
	int r;

	if (!next_line(&head, &line) || !next_word(&line, &version))
		return WIRE_MALFORMED;
	r = decode_version(version, &resp.minor_version);
	if (r != WIRE_OK)
		return r;
	/* Servers without a reason phrase leave out its space as well. */
	if (next_word(&line, &status)) {
		resp.reason = line;
	} else {
		status = line;
		resp.reason = span_of("", 0);
	}
	if (!decode_status(status, &resp.status) ||
	    !reason_is_valid(resp.reason))
		return WIRE_MALFORMED;
	r = decode_fields(head, max_fields, &resp.fields);
	if (r == WIRE_OK)
		*response = resp;
	return r;
}

void
http1_response_clear(struct http1_response *response)
{
	fields_clear(&response->fields);
	*response = (struct http1_response){ 0 };
}

/* Content-Length and Transfer-Encoding of a head, in one look at its lines. */
static int
read_framing(const struct fields *fields, int minor_version, bool *has_framing,
    struct http1_framing *framing)
{
	const struct span content_length = span_str("Content-Length");
	const struct span transfer_encoding = span_str("Transfer-Encoding");
	struct http1_framing f = { HTTP1_FRAMING_NONE, 0 };
	const struct field *coding = NULL;
	bool has_length = false, is_chunked;
	unsigned codings = 0;

	for (size_t i = 0; i < fields->count; i++) {
		const struct field *line = &fields->line[i];
		unsigned long long length;

		if (span_is_nocase(line->name, transfer_encoding)) {
			coding = line;
			codings++;
		} else if (span_is_nocase(line->name, content_length)) {
			/* Nobody after us takes more: libcurl counts in
			 * signed numbers, web servers refuse it. */
			if (!span_to_u64(line->value, &length) ||
			    length > INT64_MAX)
				return WIRE_MALFORMED;
			if (has_length && length != f.length)
				return WIRE_AMBIGUOUS;
			has_length = true;
			f.kind = HTTP1_FRAMING_LENGTH;
			f.length = length;
		}
	}
	if (coding != NULL) {
		/* RFC 9112 6.1: both, or a coding in HTTP/1.0, is how
		 * messages are smuggled past one of two readers. */
		if (has_length || minor_version == 0)
			return WIRE_AMBIGUOUS;
		is_chunked = span_is_nocase(coding->value,
		    span_str("chunked"));
		if (codings > 1 || !is_chunked)
			return WIRE_UNSUPPORTED;
		f.kind = HTTP1_FRAMING_CHUNKED;
	}
	*has_framing = has_length || coding != NULL;
	*framing = f;
	return WIRE_OK;
}

int
http1_request_framing(const struct http1_request *request,
    struct http1_framing *framing)
{
	bool has_framing;

	/* RFC 9112 3.2 */
	if (fields_count(&request->fields, "Host") > 1)
		return WIRE_AMBIGUOUS;
	return read_framing(&request->fields, request->minor_version,
	    &has_framing, framing);
}

int
http1_response_framing(const struct http1_response *response,
    struct span method, struct http1_framing *framing)
{
	int status = response->status, r;
	struct http1_framing f;
	bool has_framing;

	/* An upgraded connection, or a tunnel: no content to delimit. */
	if (status == 101 || (status >= 200 && status < 300 &&
	    span_is(method, span_str("CONNECT"))))
		return WIRE_UNSUPPORTED;
	/* Also where there is no content: the client will read the length of
	 * an answer to HEAD, so a bad one is not let through. */
	r = read_framing(&response->fields, response->minor_version,
	    &has_framing, &f);
	if (r != WIRE_OK)
		return r;
	if (status < 200 || status == 204 || status == 304 ||
	    span_is(method, span_str("HEAD")))
		f = (struct http1_framing){ HTTP1_FRAMING_NONE, 0 };
	else if (!has_framing)
		f.kind = HTTP1_FRAMING_UNTIL_CLOSE;
	*framing = f;
	return WIRE_OK;
}

bool
http1_method_is_idempotent(struct span method)
{
	static const char *const list[] = {
		"GET", "HEAD", "PUT", "DELETE", "OPTIONS", "TRACE",
		"PROPFIND", "REPORT", "SEARCH",
	};

	for (size_t i = 0; i < sizeof(list) / sizeof(list[0]); i++)
		if (span_is(method, span_str(list[i])))
			return true;
	return false;
}

bool
http1_method_is_valid(struct span method)
{
	return field_name_is_valid(method);	/* the same grammar: token */
}

const char *
http1_reason_phrase(int status)
{
	/* The HTTP Status Code registry of IANA. */
	static const struct { int status; const char *phrase; } list[] = {
		{ 100, "Continue" }, { 101, "Switching Protocols" },
		{ 102, "Processing" }, { 103, "Early Hints" },
		{ 200, "OK" }, { 201, "Created" }, { 202, "Accepted" },
		{ 203, "Non-Authoritative Information" },
		{ 204, "No Content" }, { 205, "Reset Content" },
		{ 206, "Partial Content" }, { 207, "Multi-Status" },
		{ 208, "Already Reported" }, { 226, "IM Used" },
		{ 300, "Multiple Choices" }, { 301, "Moved Permanently" },
		{ 302, "Found" }, { 303, "See Other" },
		{ 304, "Not Modified" }, { 305, "Use Proxy" },
		{ 307, "Temporary Redirect" }, { 308, "Permanent Redirect" },
		{ 400, "Bad Request" }, { 401, "Unauthorized" },
		{ 402, "Payment Required" }, { 403, "Forbidden" },
		{ 404, "Not Found" }, { 405, "Method Not Allowed" },
		{ 406, "Not Acceptable" },
		{ 407, "Proxy Authentication Required" },
		{ 408, "Request Timeout" }, { 409, "Conflict" },
		{ 410, "Gone" }, { 411, "Length Required" },
		{ 412, "Precondition Failed" }, { 413, "Content Too Large" },
		{ 414, "URI Too Long" }, { 415, "Unsupported Media Type" },
		{ 416, "Range Not Satisfiable" },
		{ 417, "Expectation Failed" }, { 421, "Misdirected Request" },
		{ 422, "Unprocessable Content" }, { 423, "Locked" },
		{ 424, "Failed Dependency" }, { 425, "Too Early" },
		{ 426, "Upgrade Required" }, { 428, "Precondition Required" },
		{ 429, "Too Many Requests" },
		{ 431, "Request Header Fields Too Large" },
		{ 451, "Unavailable For Legal Reasons" },
		{ 500, "Internal Server Error" }, { 501, "Not Implemented" },
		{ 502, "Bad Gateway" }, { 503, "Service Unavailable" },
		{ 504, "Gateway Timeout" },
		{ 505, "HTTP Version Not Supported" },
		{ 506, "Variant Also Negotiates" },
		{ 507, "Insufficient Storage" }, { 508, "Loop Detected" },
		{ 511, "Network Authentication Required" },
	};
	size_t low = 0, high = sizeof(list) / sizeof(list[0]);

	while (low < high) {
		size_t middle = low + (high - low) / 2;

		if (list[middle].status == status)
			return list[middle].phrase;
		if (list[middle].status < status)
			low = middle + 1;
		else
			high = middle;
	}
	return "";
}
