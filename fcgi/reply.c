/* reply.c - short answers of the worker itself: errors and lists. */
#include "config.h"

#include <stdio.h>
#include <string.h>

#include "common/http1_head.h"
#include "fcgi/reply.h"

static void
write_head(struct call *call, int status, const char *type, size_t length,
    int retry_after)
{
	char head[512];
	int len;

	/* 401 without it is no challenge (RFC 9110 15.5.2). */
	len = snprintf(head, sizeof head, "Status: %d %s\r\n"
	    "Content-Type: %s\r\nContent-Length: %zu\r\n"
	    "Cache-Control: no-store\r\n%s", status,
	    http1_reason_phrase(status), type, length, status == 401 ?
	    "WWW-Authenticate: Bearer realm=\"inverting-proxy\"\r\n" : "");
	if (retry_after > 0)
		len += snprintf(head + len, sizeof head - (size_t)len,
		    "Retry-After: %d\r\n", retry_after);
	len += snprintf(head + len, sizeof head - (size_t)len, "\r\n");
	call_write(call, head, (size_t)len);
}

void
reply_content(struct call *call, int status, const char *type,
    struct span content)
{
	write_head(call, status, type, content.len, 0);
	call_write(call, content.data, content.len);
	call_finish(call);
}

void
reply_text(struct call *call, int status, const char *message,
    const char *exchange, int retry_after)
{
	const char *method = call_param(call, "REQUEST_METHOD");
	char text[1024];
	int len;

	len = snprintf(text, sizeof text, "%d %s\n\n%s\n", status,
	    http1_reason_phrase(status), message);
	if (exchange != NULL && (size_t)len < sizeof text)
		len += snprintf(text + len, sizeof text - (size_t)len,
		    "\nExchange: %s\n", exchange);
	if ((size_t)len >= sizeof text)
		len = sizeof text - 1;
	write_head(call, status, "text/plain; charset=utf-8", (size_t)len,
	    retry_after);
	/* RFC 9110 9.3.2: the head as for GET, without the content. */
	if (method == NULL || strcmp(method, "HEAD") != 0)
		call_write(call, text, (size_t)len);
	call_finish(call);
}

bool
reply_break_needs_close(const struct call *call)
{
	return call_is_from_apache(call);
}
