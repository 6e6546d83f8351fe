/* test_field.c - field lines and what an intermediary takes out of them. */
#include "config.h"

#include <criterion/criterion.h>
#include <string.h>

#include "common/field.h"

/* Adds "name: value" lines up to an empty string. */
static void
add_lines(struct fields *f, const char *const *lines)
{
	for (; **lines != '\0'; lines++) {
		const char *colon = strchr(*lines, ':');
		struct span name = span_of(*lines, (size_t)(colon - *lines));

		cr_assert_eq(fields_add(f, name,
		    span_trim(span_str(colon + 1))), WIRE_OK);
	}
}

static void
assert_encodes(const struct fields *f, const char *wanted)
{
	struct buf out;

	buf_init(&out, 65536);
	cr_assert_eq(fields_encode(f, &out), WIRE_OK);
	cr_assert(span_is(buf_span(&out), span_str(wanted)),
	    "encoded \"%.*s\"", (int)buf_len(&out), buf_data(&out));
	buf_clear(&out);
}

Test(field, keeps_lines_in_order_and_merges_nothing)
{
	struct fields f;

	fields_init(&f);
	add_lines(&f, (const char *const []){ "Set-Cookie: a=1", "X: 1",
	    "set-cookie: b=2", "X-Empty:", "X: 1", "" });
	assert_encodes(&f, "Set-Cookie: a=1\r\nX: 1\r\nset-cookie: b=2\r\n"
	    "X-Empty: \r\nX: 1\r\n");
	fields_clear(&f);
	cr_assert_eq(f.count, 0);
	assert_encodes(&f, "");
}

Test(field, finds_counts_and_removes_without_regard_to_case)
{
	struct fields f;

	fields_init(&f);
	add_lines(&f, (const char *const []){ "Host: a", "Cookie: 1",
	    "COOKIE: 2", "Cookies: 3", "" });
	cr_assert(span_is(fields_find(&f, "cookie")->value, span_str("1")));
	cr_assert_null(fields_find(&f, "cooki"));
	cr_assert_eq(fields_count(&f, "cookie"), 2);
	cr_assert_eq(fields_count(&f, "absent"), 0);
	cr_assert_eq(fields_remove(&f, "cooKie"), 2);
	cr_assert_eq(fields_remove(&f, "cookie"), 0);
	assert_encodes(&f, "Host: a\r\nCookies: 3\r\n");
	fields_clear(&f);
}

Test(field, holds_many_lines)
{
	struct fields f;

	fields_init(&f);
	for (int i = 0; i < 1000; i++)
		cr_assert_eq(fields_add(&f, span_str("n"), span_str("v")),
		    WIRE_OK);
	cr_assert_eq(fields_count(&f, "N"), 1000);
	fields_clear(&f);
	fields_clear(&f);
}

Test(field, removes_every_hop_by_hop_line)
{
	struct fields f;

	fields_init(&f);
	add_lines(&f, (const char *const []){ "Accept: */*",
	    "Connection: keep-alive", "Keep-Alive: timeout=5",
	    "proxy-connection: x", "Proxy-Authenticate: Basic",
	    "Proxy-Authorization: Basic x", "TE: trailers", "Trailer: X-T",
	    "Transfer-Encoding: chunked", "Upgrade: h2c", "Tea: kept", "" });
	fields_remove_hop_by_hop(&f);
	assert_encodes(&f, "Accept: */*\r\nTea: kept\r\n");
	fields_clear(&f);
}

Test(field, removes_what_connection_names_before_and_behind_it)
{
	struct fields f;

	fields_init(&f);
	add_lines(&f, (const char *const []){ "X-One: 1", "x-two: 2",
	    "Connection: close, x-ONE ,,\tX-Two", "X-One: again", "X-Three: 3",
	    "connection: connection,x-four", "X-Four: 4", "X: 5", "" });
	fields_remove_hop_by_hop(&f);
	assert_encodes(&f, "X-Three: 3\r\nX: 5\r\n");
	fields_clear(&f);
}

Test(field, lets_no_connection_option_remove_what_steers_a_message)
{
	struct fields f;

	fields_init(&f);
	add_lines(&f, (const char *const []){
	    "Connection: host, content-length, CONTENT-TYPE, cookie, "
	    "set-cookie, authorization, x", "Host: a", "Content-Length: 3",
	    "Content-Type: t", "Cookie: c", "Set-Cookie: s",
	    "Authorization: z", "X: gone", "" });
	fields_remove_hop_by_hop(&f);
	assert_encodes(&f, "Host: a\r\nContent-Length: 3\r\n"
	    "Content-Type: t\r\nCookie: c\r\nSet-Cookie: s\r\n"
	    "Authorization: z\r\n");
	fields_clear(&f);
}

Test(field, finds_tokens_in_comma_separated_lists)
{
	struct fields f;

	fields_init(&f);
	add_lines(&f, (const char *const []){ "Connection: ",
	    "Connection: , ,", "Connection: a,b ,\tUpgrade", "Other: c", "" });
	cr_assert(fields_has_token(&f, "connection", "upgrade"));
	cr_assert(fields_has_token(&f, "connection", "B"));
	cr_assert_not(fields_has_token(&f, "connection", "c"));
	cr_assert_not(fields_has_token(&f, "connection", "up"));
	cr_assert_not(fields_has_token(&f, "absent", "a"));
	fields_clear(&f);
}

Test(field, accepts_only_tokens_as_names)
{
	static const char bad[] = "\"(),/:;<=>?@[\\]{} \t\r\n\x7f\x80\xff\x01";
	static const char good[] = "!#$%&'*+-.^_`|~09AZaz";

	cr_assert(field_name_is_valid(span_str(good)));
	cr_assert_not(field_name_is_valid(span_str("")));
	cr_assert_not(field_name_is_valid(span_of("a\0b", 3)));
	for (const char *p = bad; *p != '\0'; p++) {
		char name[3] = { 'a', *p, 'b' };

		cr_assert_not(field_name_is_valid(span_of(name, 3)),
		    "0x%02x", (unsigned char)*p);
	}
}

Test(field, accepts_text_as_value_but_no_control_byte)
{
	char value[40];

	cr_assert(field_value_is_valid(span_str("")));
	cr_assert(field_value_is_valid(span_str("a \t b, \"\x80\xff\"~!")));
	cr_assert_not(field_value_is_valid(span_str(" a")));
	cr_assert_not(field_value_is_valid(span_str("a\t")));
	for (int c = 0; c < 256; c++)
		for (size_t at = 1; at < sizeof(value) - 1; at++) {
			bool good = c == '\t' || (c >= 0x20 && c != 0x7f);

			memset(value, 'v', sizeof(value));
			value[at] = (char)c;
			cr_assert_eq(field_value_is_valid(span_of(value,
			    sizeof(value))), good, "0x%02x at %zu", c, at);
		}
}

Test(field, encodes_all_lines_or_none)
{
	struct fields f;
	struct buf out;

	fields_init(&f);
	add_lines(&f, (const char *const []){ "A: 1", "B: 2", "" });
	buf_init(&out, 14);
	cr_assert_eq(buf_append_str(&out, "xyz"), WIRE_OK);
	cr_assert_eq(fields_encode(&f, &out), WIRE_TOO_LARGE);
	cr_assert_eq(buf_len(&out), 3);
	buf_drain(&out, 1);
	cr_assert_eq(fields_encode(&f, &out), WIRE_OK);
	cr_assert(span_is(buf_span(&out), span_str("yzA: 1\r\nB: 2\r\n")));
	buf_clear(&out);
	fields_clear(&f);
}
