/* classic.c - calls of a classic agent, made one by one by a test. */
#include "config.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tests/integration/classic.h"

struct classic
classic_new(const struct stack *s)
{
	struct classic a = { .port = s->port, .backend_id = "b1",
		.token = s->agent_token };

	classic_attend(&a);
	return a;
}

void
classic_attend(const struct classic *a)
{
	static char ids[CLASSIC_IDS_MAX][CLASSIC_ID_LEN];

	check(classic_pending(a, ids) == 0, "ids out of nowhere");
}

void
classic_send_head(struct client *c, const struct classic *a,
    const char *method, const char *call, const char *id)
{
	client_printf(c, "%s " AGENT_MOUNT "agent/%s HTTP/1.1\r\n"
	    "Host: proxy.test\r\nAuthorization: Bearer %s\r\n"
	    "X-Inverting-Proxy-Backend-ID: %s\r\n", method, call, a->token,
	    a->backend_id);
	if (id != NULL)
		client_printf(c, "X-Inverting-Proxy-Request-ID: %s\r\n", id);
}

/* A JSON array of plain strings. */
static size_t
read_ids(const struct response *r, char id[CLASSIC_IDS_MAX][CLASSIC_ID_LEN])
{
	char *text = response_text(r), *at = text;
	size_t n = 0;

	check(text[0] == '[' && strchr(text, ']') != NULL,
	    "not a JSON array: %s", text);
	while ((at = strchr(at, '"')) != NULL) {
		size_t len = strcspn(at + 1, "\"");

		check(n < CLASSIC_IDS_MAX && len < CLASSIC_ID_LEN,
		    "too many ids, or too long: %s", text);
		snprintf(id[n++], CLASSIC_ID_LEN, "%.*s", (int)len, at + 1);
		at += len + 2;
	}
	free(text);
	return n;
}

size_t
classic_pending(const struct classic *a,
    char id[CLASSIC_IDS_MAX][CLASSIC_ID_LEN])
{
	struct client *c = client_new_from(a->port, a->from);
	struct response r;
	size_t n;

	classic_send_head(c, a, "GET", "pending", NULL);
	client_printf(c, "\r\n");
	response_read_head(c, "GET", &r, 40000);
	response_read_content(c, &r);
	check(r.status == 200, "pending: %d %s", r.status, response_text(&r));
	n = read_ids(&r, id);
	response_clear(&r);
	client_free(c);
	return n;
}

void
classic_take(const struct classic *a, char id[CLASSIC_ID_LEN])
{
	static char ids[CLASSIC_IDS_MAX][CLASSIC_ID_LEN];
	size_t n = 0;

	wait_for((n = classic_pending(a, ids)) > 0, PATIENCE_MS,
	    "no exchange came");
	check(n == 1, "%zu exchanges came, not one", n);
	memcpy(id, ids[0], CLASSIC_ID_LEN);
}

struct response
classic_fetch(const struct classic *a, const char *id)
{
	struct client *c = client_new_from(a->port, a->from);
	struct response r;

	classic_send_head(c, a, "GET", "request", id);
	client_printf(c, "\r\n");
	response_read_head(c, "GET", &r, PATIENCE_MS);
	response_read_content(c, &r);
	client_free(c);
	return r;
}

int
classic_post(const struct classic *a, const char *id, const void *bytes,
    size_t len)
{
	struct client *c = client_new_from(a->port, a->from);
	struct response r;
	int status;

	classic_send_head(c, a, "POST", "response", id);
	client_printf(c, "Content-Type: text/plain\r\n"
	    "Content-Length: %zu\r\n\r\n", len);
	client_send(c, bytes, len);
	response_read_head(c, "POST", &r, PATIENCE_MS);
	response_read_content(c, &r);
	status = r.status;
	response_clear(&r);
	client_free(c);
	return status;
}
