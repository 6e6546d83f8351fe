/* transfer.c - the door to libcurl: one request with its response.  See also
 * transfer_engine.c and transfer_peer.c. */
#include "config.h"

#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "agent/transfer_private.h"
#include "common/log.h"

enum {
	/* How long a kept connection may have been idle.  Servers close
	 * theirs after 5 s and more; a request that must not be repeated
	 * can't afford to meet that. */
	MAX_IDLE_S = 55,
	MAX_IDLE_UNREPEATABLE_S = 3,
};

#define SET(easy, option, value) \
	(curl_easy_setopt((easy), (option), (value)) == CURLE_OK)

const char *
transfer_library(void)
{
	static char text[128];
	const curl_version_info_data *info =
	    curl_version_info(CURLVERSION_NOW);

	/* Not curl_version: it starts OpenLDAP, which asks the DNS for this
	 * host's name and loads the plug-ins of SASL. */
	(void)snprintf(text, sizeof(text), "libcurl/%s %s", info->version,
	    info->ssl_version != NULL ? info->ssl_version : "without TLS");
	return text;
}

bool
transfer_url_is_valid(const char *url)
{
	static const CURLUPart refused[] = { CURLUPART_USER, CURLUPART_QUERY,
		CURLUPART_FRAGMENT };
	CURLU *u = curl_url();
	char *scheme = NULL, *part;
	CURLUcode code = CURLUE_OUT_OF_MEMORY;
	bool ok;

	if (u != NULL)
		code = curl_url_set(u, CURLUPART_URL, url, 0);
	if (code == CURLUE_OK)
		code = curl_url_get(u, CURLUPART_SCHEME, &scheme, 0);
	if (code == CURLUE_OUT_OF_MEMORY)
		fatal("out of memory");
	ok = code == CURLUE_OK &&
	    (strcmp(scheme, "http") == 0 || strcmp(scheme, "https") == 0) &&
	    /* libcurl takes "http:/host", too. */
	    strncmp(url + strlen(scheme), "://", 3) == 0;
	for (size_t i = 0; ok && i < sizeof(refused) / sizeof(*refused); i++) {
		part = NULL;
		if (curl_url_get(u, refused[i], &part, 0) == CURLUE_OK)
			ok = false;
		curl_free(part);
	}
	curl_free(scheme);
	curl_url_cleanup(u);
	return ok;
}

/* --- what libcurl calls for one transfer --- */

/* Called each time the request is about to be sent. */
static int
on_request(void *arg, char *peer_ip, char *local_ip, int peer_port,
    int local_port)
{
	struct transfer *t = arg;

	(void)peer_ip;
	(void)local_ip;
	(void)peer_port;
	(void)local_port;
	/* libcurl sends again by itself when a kept connection dies before
	 * the first byte of a response; whether the first was acted on nobody
	 * knows (RFC 9110 9.2.2). */
	if (t->handler == NULL)
		return CURL_PREREQFUNC_ABORT;
	if (t->attempts++ > 0 && !t->may_repeat) {
		t->reason = "the connection died, and the request may not be "
		    "repeated";
		return CURL_PREREQFUNC_ABORT;
	}
	return CURL_PREREQFUNC_OK;
}

static int
on_rewind(void *arg, curl_off_t offset, int origin)
{
	struct transfer *t = arg;

	if (offset == 0 && origin == SEEK_SET && t->sent == 0)
		return CURL_SEEKFUNC_OK;
	return CURL_SEEKFUNC_FAIL;
}

static bool
has_digits(struct span s, size_t at, size_t count)
{
	if (s.len < at + count)
		return false;
	for (size_t i = at; i < at + count; i++)
		if (s.data[i] < '0' || s.data[i] > '9')
			return false;
	return true;
}

/* "HTTP/1.1 200 OK", "HTTP/2 200 ": always as HTTP/1.1 with a phrase.  Nothing
 * else, as libcurl may find another status in it than others do. */
static bool
begin_head(struct transfer *t, struct span line)
{
	size_t at = has_digits(line, 5, 1) ? 6 : line.len;

	if (at < line.len && line.data[at] == '.' &&
	    has_digits(line, at + 1, 1))
		at += 2;
	if (at >= line.len || line.data[at++] != ' ' ||
	    !has_digits(line, at, 3) ||
	    (line.len > at + 3 && line.data[at + 3] != ' '))
		return false;
	t->status = (line.data[at] - '0') * 100 + (line.data[at + 1] - '0') *
	    10 + (line.data[at + 2] - '0');
	buf_drain(&t->head, buf_len(&t->head));
	if (buf_append_str(&t->head, "HTTP/1.1 ") != 0)
		return false;
	if (line.len > at + 4)
		return buf_append(&t->head, line.data + at, line.len - at) == 0;
	return buf_printf(&t->head, "%03d %s", t->status,
	    http1_reason_phrase(t->status)) == 0;
}

static bool
take_head_line(struct transfer *t, struct span line)
{
	size_t len = buf_len(&t->head);
	bool is_fold = line.len > 0 && (*line.data == ' ' || *line.data == '\t');

	/* A fold of the status line (RFC 9112 2.2) */
	if (is_fold && (len == 0 || memchr(buf_data(&t->head), '\n', len - 1)
	    == NULL))
		return false;
	if (line.len >= 5 && memcmp(line.data, "HTTP/", 5) == 0 &&
	    (len == 0 || memchr(line.data, ':', line.len) == NULL)) {
		if (!begin_head(t, line))
			return false;
	} else if (is_fold) {
		/* obs-fold: one space instead (RFC 9112 5.2) */
		buf_truncate(&t->head, len - 2);
		if (buf_append_str(&t->head, " ") != 0 ||
		    buf_append_span(&t->head, span_trim(line)) != 0)
			return false;
	} else if (buf_append_span(&t->head, line) != 0) {
		return false;
	}
	return buf_append_str(&t->head, "\r\n") == 0;
}

/* What comes after the final head is a trailer section, which is dropped; but
 * libcurl keeps it, so there is an end to it. */
static size_t
take_trailer(struct transfer *t, struct span line)
{
	t->trailer_len += line.len;
	if (t->trailer_len <= TRANSFER_HEAD_MAX)
		return line.len;
	t->reason = "the response's trailer section is too large";
	return 0;
}

/* One line with its end; a head ends with an empty one. */
static size_t
on_head_line(char *data, size_t size, size_t count, void *arg)
{
	struct transfer *t = arg;
	struct span line = span_of(data, size * count);

	if (t->handler == NULL)
		return 0;
	if (t->head_done)
		return take_trailer(t, line);
	while (line.len > 0 && (line.data[line.len - 1] == '\n' ||
	    line.data[line.len - 1] == '\r'))
		line.len--;
	if (!take_head_line(t, line)) {
		t->reason = "the response's head is malformed or too large";
		return 0;
	}
	if (line.len > 0 || t->status < 200)
		return size * count;
	t->head_done = true;
	if (!t->deadline_is_total)
		ev_timer_stop(t->peer->engine->loop, &t->deadline);
	if (t->handler->head != NULL &&
	    !t->handler->head(t->arg, t->status, buf_span(&t->head)))
		return 0;
	/* After an error libcurl stops sending, but would wait for a paused
	 * sender for ever. */
	if (t->send_paused && t->status >= 300)
		transfer_resume_send(t);
	return size * count;
}

static size_t
on_content(char *data, size_t size, size_t count, void *arg)
{
	struct transfer *t = arg;
	const struct transfer_handler *handler = t->handler;

	if (handler == NULL)
		return 0;
	/* After a 101, which libcurl takes for the last head. */
	if (!t->head_done) {
		t->reason = "content comes before a final response's head";
		return 0;
	}
	if (t->deadline_is_total)
		ev_timer_again(t->peer->engine->loop, &t->deadline);
	if (size * count > t->content_left) {
		t->reason = "the response's content is too large";
		return 0;
	}
	if (handler->content == NULL ||
	    handler->content(t->arg, span_of(data, size * count))) {
		t->content_left -= size * count;
		return size * count;
	}
	/* It may have ended it. */
	if (t->handler == NULL)
		return 0;
	t->receive_paused = true;
	return CURL_WRITEFUNC_PAUSE;
}

static size_t
on_send(char *into, size_t size, size_t count, void *arg)
{
	struct transfer *t = arg;
	long n;

	if (t->handler == NULL)
		return CURL_READFUNC_ABORT;
	n = t->handler->send(t->arg, into, size * count);
	if (n == TRANSFER_SEND_LATER && t->server_closed) {
		t->reason = "the connection was closed early";
		return CURL_READFUNC_ABORT;
	}
	if (n == TRANSFER_SEND_BREAK)
		return CURL_READFUNC_ABORT;
	if (n == TRANSFER_SEND_LATER) {
		t->send_paused = true;
		return CURL_READFUNC_PAUSE;
	}
	t->sent += (size_t)n;
	if (ev_is_active(&t->deadline) && !t->deadline_is_total)
		ev_timer_again(t->peer->engine->loop, &t->deadline);
	return (size_t)n;
}

bool
transfer_set_callbacks(struct transfer *t)
{
	CURL *easy = t->easy;

	return SET(easy, CURLOPT_PRIVATE, t) &&
	    SET(easy, CURLOPT_ERRORBUFFER, t->error) &&
	    SET(easy, CURLOPT_HEADERFUNCTION, on_head_line) &&
	    SET(easy, CURLOPT_HEADERDATA, t) &&
	    SET(easy, CURLOPT_WRITEFUNCTION, on_content) &&
	    SET(easy, CURLOPT_WRITEDATA, t) &&
	    SET(easy, CURLOPT_READFUNCTION, on_send) &&
	    SET(easy, CURLOPT_READDATA, t) &&
	    SET(easy, CURLOPT_SEEKFUNCTION, on_rewind) &&
	    SET(easy, CURLOPT_SEEKDATA, t) &&
	    SET(easy, CURLOPT_PREREQFUNCTION, on_request) &&
	    SET(easy, CURLOPT_PREREQDATA, t);
}

/* --- one transfer --- */

/* Appends a NUL-terminated text; its offset goes where a pointer will be:
 * the buffer may still move. */
static void
add_text(struct transfer *t, size_t line, struct span a,
    const char *separator, struct span b)
{
	t->lines[line].data = (char *)(uintptr_t)buf_len(&t->text);
	if (buf_append_span(&t->text, a) != 0 ||
	    buf_append_str(&t->text, separator) != 0 ||
	    buf_append_span(&t->text, b) != 0 ||
	    buf_append(&t->text, "", 1) != 0)
		fatal("out of memory");
}

/* The list of field lines, as libcurl reads it: "Name: value"; "Name;" is
 * an empty value; "Name:" takes out what libcurl would add.  It goes through
 * them all for each field that it may have to add itself. */
static void
set_lines(struct transfer *t, const struct transfer_request *request)
{
	static const char *const unwanted[] = { "Accept", "Expect",
		"Content-Type" };
	const struct fields *f = request->fields;
	const struct span none = span_of("", 0);
	/* The last two come with content only. */
	size_t n = 0, extra = request->framing.kind == HTTP1_FRAMING_NONE ? 1 :
	    sizeof(unwanted) / sizeof(*unwanted);

	if ((t->lines = calloc(f->count + extra + 1,
	    sizeof(*t->lines))) == NULL)
		fatal("out of memory");
	for (size_t i = 0; i < f->count; i++)
		add_text(t, n++, f->line[i].name,
		    f->line[i].value.len == 0 ? ";" : ": ", f->line[i].value);
	for (size_t i = 0; i < extra; i++)
		if (fields_find(f, unwanted[i]) == NULL)
			add_text(t, n++, span_str(unwanted[i]), ":", none);
	/* The last one is the method, outside the list. */
	add_text(t, n, request->method, "", none);
	for (size_t i = 0; i <= n; i++) {
		t->lines[i].data = t->text.data + t->text.off +
		    (uintptr_t)t->lines[i].data;
		t->lines[i].next = i + 1 < n ? &t->lines[i + 1] : NULL;
	}
	(void)curl_easy_setopt(t->easy, CURLOPT_HTTPHEADER, t->lines);
	(void)curl_easy_setopt(t->easy, CURLOPT_CUSTOMREQUEST,
	    t->lines[n].data);
}

static void
set_target(struct transfer *t, struct span target)
{
	size_t at = buf_len(&t->text);

	if (target.len == 0)
		return;
	if (buf_append_span(&t->text, target) != 0 ||
	    buf_append(&t->text, "", 1) != 0)
		fatal("out of memory");
	(void)curl_easy_setopt(t->easy, CURLOPT_REQUEST_TARGET,
	    buf_data(&t->text) + at);
}

static void
set_content(struct transfer *t, const struct transfer_request *request)
{
	CURL *easy = t->easy;
	bool ok = SET(easy, CURLOPT_MAXAGE_CONN, request->may_repeat ?
	    (long)MAX_IDLE_S : (long)MAX_IDLE_UNREPEATABLE_S);

	if (request->framing.kind == HTTP1_FRAMING_LENGTH &&
	    request->content.data != NULL) {
		ok = ok && SET(easy, CURLOPT_POST, 1L) &&
		    SET(easy, CURLOPT_POSTFIELDS, request->content.data) &&
		    SET(easy, CURLOPT_POSTFIELDSIZE_LARGE,
		    (curl_off_t)request->content.len);
	} else if (request->framing.kind == HTTP1_FRAMING_CHUNKED ||
	    (request->framing.kind == HTTP1_FRAMING_LENGTH &&
	    request->framing.length > 0)) {
		ok = ok && SET(easy, CURLOPT_UPLOAD, 1L) &&
		    SET(easy, CURLOPT_INFILESIZE_LARGE,
		    request->framing.kind == HTTP1_FRAMING_LENGTH ?
		    (curl_off_t)request->framing.length : (curl_off_t)-1);
	} else if (span_is(request->method, span_str("HEAD"))) {
		ok = ok && SET(easy, CURLOPT_NOBODY, 1L);
	}
	if (!ok)
		fatal("out of memory");
}

struct transfer *
transfer_start(struct transfer_peer *peer,
    const struct transfer_request *request,
    const struct transfer_handler *handler, void *arg)
{
	struct transfer *t = transfer_new(peer);

	if (t == NULL)
		fatal("out of memory");
	t->handler = handler;
	t->arg = arg;
	t->may_repeat = request->may_repeat;
	t->content_left = request->content_max > 0 ? request->content_max :
	    SIZE_MAX;
	set_content(t, request);
	set_target(t, request->target);
	set_lines(t, request);
	t->deadline_is_total = request->timeout_ms > 0;
	t->deadline.repeat = (double)(t->deadline_is_total ?
	    request->timeout_ms : request->head_timeout_ms) / 1e3;
	if (t->deadline.repeat > 0.)
		ev_timer_again(peer->engine->loop, &t->deadline);
	transfer_enqueue(t);
	return t;
}

void
transfer_resume_receive(struct transfer *t)
{
	t->receive_wanted = true;
	transfer_enqueue(t);
}

void
transfer_resume_send(struct transfer *t)
{
	t->send_wanted = true;
	transfer_enqueue(t);
}

void
transfer_abort(struct transfer *t)
{
	if (t == NULL)
		return;
	t->handler = NULL;
	ev_timer_stop(t->peer->engine->loop, &t->deadline);
	transfer_enqueue(t);
}

void
transfer_abort_connection(struct transfer *t)
{
	if (t == NULL)
		return;
	t->kill_connection = true;
	transfer_abort(t);
}

