/* bodies.c - content of every size and framing arrives whole, both ways. */
#include "config.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tests/integration/stack.h"

/* Around the limits of frames, FastCGI records, windows and buffers. */
static const unsigned long long sizes[] = { 0, 1, 2, 8191, 8192, 8193, 65535,
	65536, 65537, 131072, 524287, 524288, 524289, 3000000 };

enum { SIZES = sizeof(sizes) / sizeof(sizes[0]) };

static void
downloads_arrive_whole(struct stack *s)
{
	static const char *const framings[] = { "bytes", "chunked", "close" };

	for (size_t f = 0; f < 3; f++)
		for (size_t n = 0; n < SIZES; n++) {
			char target[64];
			struct response r;

			snprintf(target, sizeof(target), "/%s/%llu",
			    framings[f], sizes[n]);
			r = stack_get(s, target);
			check(r.status == 200 && r.whole &&
			    r.content_len == sizes[n] &&
			    r.hash == hash_pattern(sizes[n]),
			    "%s: %d, %llu bytes, %s", target, r.status,
			    r.content_len, r.whole ? "whole" : "cut");
			response_clear(&r);
		}
}
TEST_EACH(bodies, downloads_arrive_whole)

static void
upload(struct stack *s, unsigned long long size, bool chunked)
{
	char length[64], want[64];
	struct client *c;
	struct response r;

	snprintf(length, sizeof(length), chunked ?
	    "Transfer-Encoding: chunked\r\n" : "Content-Length: %llu\r\n",
	    size);
	c = stack_send(s, "POST", "/hash", length);
	check(client_send_pattern(c, size, chunked), "upload refused");
	r = stack_receive(c, "POST");
	snprintf(want, sizeof(want), "%llu %016llx\n", size,
	    (unsigned long long)hash_pattern(size));
	check(r.status == 200 && strcmp(response_text(&r), want) == 0,
	    "%llu bytes%s: %d %s, expected %s", size,
	    chunked ? " chunked" : "", r.status, response_text(&r), want);
	response_clear(&r);
}

static void
uploads_arrive_whole(struct stack *s)
{
	for (size_t n = 0; n < SIZES; n++) {
		upload(s, sizes[n], false);
		upload(s, sizes[n], true);
	}
}
TEST_EACH(bodies, uploads_arrive_whole)

/* RFC 9110 9.3.1: a GET may have content; a POST may have none. */
static void
content_belongs_to_no_method(struct stack *s)
{
	struct client *c = stack_send(s, "GET", "/echo",
	    "Content-Length: 5\r\n");
	struct response r;
	const char *text;

	client_printf(c, "hello");
	r = stack_receive(c, "GET");
	text = response_text(&r);
	check(r.status == 200 && strcmp(strstr(text, "\r\n\r\n"),
	    "\r\n\r\nhello") == 0, "%d %s", r.status, text);
	check(head_field(text, "Content-Length", 0) != NULL, "%s", text);
	response_clear(&r);
	r = stack_receive(stack_send(s, "POST", "/echo",
	    "Content-Length: 0\r\nContent-Type: text/plain\r\n"), "POST");
	text = response_text(&r);
	check(strcmp(head_field(text, "Content-Length", 0), "0") == 0 &&
	    strcmp(head_field(text, "Content-Type", 0), "text/plain") == 0,
	    "%s", text);
	response_clear(&r);
}
TEST_EACH(bodies, content_belongs_to_no_method)

static void
expect_100_continue_is_answered(struct stack *s)
{
	struct client *c = stack_send(s, "POST", "/hash",
	    "Content-Length: 5\r\nExpect: 100-continue\r\n");
	struct response r;

	client_printf(c, "hello");
	response_read_head(c, "POST", &r, PATIENCE_MS);
	response_read_content(c, &r);
	check(r.status == 200 && strncmp(response_text(&r), "5 ", 2) == 0,
	    "%d %s", r.status, response_text(&r));
	response_clear(&r);
	client_free(c);
}
TEST_EACH_WEB(bodies, expect_100_continue_is_answered)

/* Many at once on connections of their own: none gets another's content. */
static void
many_at_once_are_kept_apart(struct stack *s)
{
	enum { MANY = 48 };
	struct client *c[MANY];

	for (unsigned i = 0; i < MANY; i++) {
		char target[64];

		snprintf(target, sizeof(target), "/%s/%u",
		    i % 2 == 0 ? "bytes" : "chunked", 1 + i * 7001);
		c[i] = stack_send(s, "GET", target, "");
	}
	for (unsigned i = 0; i < MANY; i++) {
		struct response r = stack_receive(c[i], "GET");

		check(r.status == 200 && r.whole &&
		    r.content_len == 1 + i * 7001 &&
		    r.hash == hash_pattern(1 + i * 7001),
		    "number %u: %d, %llu bytes", i, r.status, r.content_len);
		response_clear(&r);
	}
}
TEST_EACH(bodies, many_at_once_are_kept_apart)
