/* test_request_head.c - params in, HTTP/1.1 head out; each trap of CGI. */
#include "config.h"

#include <criterion/criterion.h>
#include <string.h>

#include "fcgi/request_head.h"

static const struct request_head_limits limits = { .fields = 20,
	.via = false };

/* Encodes params given as one list; returns the wire form (heap). */
static int
encode(const char *const *params, struct request_head *head, char **wire)
{
	/* FastCGI's params are not const, though nobody writes to them. */
	union {
		const char *const *given;
		char *const *taken;
	} env = { .given = params };
	struct buf out;
	int r;

	buf_init(&out, 4096);
	r = request_head_encode(env.taken, &limits, head, &out);
	*wire = r == WIRE_OK ? span_strdup(buf_span(&out)) : NULL;
	buf_clear(&out);
	return r;
}

static void
expect(const char *const *params, const char *wanted)
{
	struct request_head head;
	char *wire;

	cr_assert_eq(encode(params, &head, &wire), WIRE_OK);
	cr_assert_str_eq(wire, wanted);
	free(wire);
}

static void
expect_error(const char *const *params, int error)
{
	struct request_head head;
	char *wire;

	cr_assert_eq(encode(params, &head, &wire), error);
}

#define PARAMS(...) (const char *const []){ __VA_ARGS__, NULL }
#define GET "REQUEST_METHOD=GET", "HTTP_HOST=h"
#define TAIL "X-Forwarded-Proto: http\r\nX-Forwarded-Host: h\r\n\r\n"

Test(request_head, keeps_the_raw_target)
{
	expect(PARAMS(GET, "REQUEST_URI=/a%2Fb//c/../d?x=%20&y"),
	    "GET /a%2Fb//c/../d?x=%20&y HTTP/1.1\r\nHost: h\r\n" TAIL);
	expect(PARAMS(GET, "REQUEST_URI=/?"),
	    "GET /? HTTP/1.1\r\nHost: h\r\n" TAIL);
}

Test(request_head, cuts_absolute_form_to_origin_form)
{
	expect(PARAMS(GET, "REQUEST_URI=http://other:1/p?q"),
	    "GET /p?q HTTP/1.1\r\nHost: h\r\n" TAIL);
	expect(PARAMS(GET, "REQUEST_URI=HTTPS://other"),
	    "GET / HTTP/1.1\r\nHost: h\r\n" TAIL);
	expect(PARAMS(GET, "REQUEST_URI=http://other?q"),
	    "GET /?q HTTP/1.1\r\nHost: h\r\n" TAIL);
}

Test(request_head, passes_unknown_methods_and_asterisk_form)
{
	expect(PARAMS("REQUEST_METHOD=M-SEARCH", "HTTP_HOST=h",
	    "REQUEST_URI=*"), "M-SEARCH * HTTP/1.1\r\nHost: h\r\n" TAIL);
}

Test(request_head, refuses_what_is_no_request_for_a_gateway)
{
	expect_error(PARAMS("REQUEST_METHOD=CONNECT", "HTTP_HOST=h",
	    "REQUEST_URI=h:443"), WIRE_UNSUPPORTED);
	expect_error(PARAMS(GET), WIRE_UNSUPPORTED);
	expect_error(PARAMS("HTTP_HOST=h", "REQUEST_URI=/"), WIRE_MALFORMED);
	expect_error(PARAMS("REQUEST_METHOD=G ET", "HTTP_HOST=h",
	    "REQUEST_URI=/"), WIRE_MALFORMED);
	expect_error(PARAMS(GET, "REQUEST_URI=/a b"), WIRE_MALFORMED);
	expect_error(PARAMS(GET, "REQUEST_URI=a"), WIRE_MALFORMED);
}

Test(request_head, refuses_bytes_that_would_inject_a_line)
{
	expect_error(PARAMS(GET, "REQUEST_URI=/\r\nX: y"), WIRE_MALFORMED);
	expect_error(PARAMS(GET, "REQUEST_URI=/", "HTTP_X=a\r\nY: b"),
	    WIRE_MALFORMED);
	expect_error(PARAMS(GET, "REQUEST_URI=/", "HTTP_A B=c"),
	    WIRE_MALFORMED);
	expect_error(PARAMS("REQUEST_METHOD=GET", "HTTP_HOST=h\nX: y",
	    "REQUEST_URI=/"), WIRE_MALFORMED);
}

Test(request_head, spells_field_names_as_usual)
{
	expect(PARAMS(GET, "REQUEST_URI=/", "HTTP_ACCEPT_ENCODING=gzip",
	    "HTTP_COOKIE=a=b; c=d"), "GET / HTTP/1.1\r\nHost: h\r\n"
	    "Accept-Encoding: gzip\r\nCookie: a=b; c=d\r\n" TAIL);
}

Test(request_head, drops_what_ends_at_this_hop)
{
	expect(PARAMS(GET, "REQUEST_URI=/", "HTTP_CONNECTION=close, X-Mine",
	    "HTTP_X_MINE=1", "HTTP_TE=trailers", "HTTP_UPGRADE=h2c",
	    "HTTP_KEEP_ALIVE=1", "HTTP_PROXY_CONNECTION=keep-alive",
	    "HTTP_PROXY_AUTHORIZATION=x", "HTTP_EXPECT=100-continue",
	    "HTTP_TRAILER=X"),
	    "GET / HTTP/1.1\r\nHost: h\r\n" TAIL);
}

Test(request_head, lets_connection_take_nothing_a_backend_relies_on)
{
	expect(PARAMS(GET, "REQUEST_URI=/", "HTTP_CONNECTION=cookie, host",
	    "HTTP_COOKIE=a=b"), "GET / HTTP/1.1\r\nHost: h\r\n"
	    "Cookie: a=b\r\n" TAIL);
}

Test(request_head, believes_no_identity_from_a_client)
{
	expect(PARAMS(GET, "REQUEST_URI=/", "HTTP_PROXY=http://evil",
	    "HTTP_X_INVERTING_PROXY_USER_ID=root",
	    "HTTP_X_FORWARDED_USER=root", "HTTP_X_FORWARDED_PROTO=https",
	    "HTTP_FORWARDED=for=1.2.3.4", "HTTP_CONTENT_LENGTH=99",
	    "HTTP_REMOTE_USER=root", "HTTP_X_REMOTE_USER=root",
	    "HTTP_X_REAL_IP=1.2.3.4", "HTTP_X_CLIENT_IP=1.2.3.4"),
	    "GET / HTTP/1.1\r\nHost: h\r\n" TAIL);
}

/* Web servers fold them; one that does not must not open a way in. */
Test(request_head, knows_names_that_were_not_folded)
{
	expect(PARAMS(GET, "REQUEST_URI=/", "HTTP_Proxy=http://evil",
	    "HTTP_x-inverting-proxy-user-id=root", "HTTP_X-Forwarded-User=root",
	    "HTTP_connection=x", "HTTP_Keep-Alive=1"),
	    "GET / HTTP/1.1\r\nHost: h\r\n" TAIL);
}

Test(request_head, keeps_the_web_servers_own_login_from_backends)
{
	expect(PARAMS(GET, "REQUEST_URI=/", "AUTH_TYPE=Basic",
	    "HTTP_AUTHORIZATION=basic YTpi"),
	    "GET / HTTP/1.1\r\nHost: h\r\n" TAIL);
	/* Another scheme, or no login here: it is the backend's. */
	expect(PARAMS(GET, "REQUEST_URI=/", "AUTH_TYPE=Basic",
	    "HTTP_AUTHORIZATION=Bearer t"),
	    "GET / HTTP/1.1\r\nHost: h\r\nAuthorization: Bearer t\r\n"
	    TAIL);
	expect(PARAMS(GET, "REQUEST_URI=/", "HTTP_AUTHORIZATION=Basic YTpi"),
	    "GET / HTTP/1.1\r\nHost: h\r\nAuthorization: Basic YTpi\r\n"
	    TAIL);
}

Test(request_head, appends_to_x_forwarded_for)
{
	expect(PARAMS(GET, "REQUEST_URI=/", "REMOTE_ADDR=10.0.0.1",
	    "HTTP_X_FORWARDED_FOR=1.2.3.4", "HTTPS=on"),
	    "GET / HTTP/1.1\r\nHost: h\r\n"
	    "X-Forwarded-For: 1.2.3.4, 10.0.0.1\r\n"
	    "X-Forwarded-Proto: https\r\nX-Forwarded-Host: h\r\n\r\n");
}

Test(request_head, takes_the_contents_length_from_the_web_server)
{
	struct request_head head;
	char *wire;

	cr_assert_eq(encode(PARAMS("REQUEST_METHOD=POST", "HTTP_HOST=h",
	    "REQUEST_URI=/", "CONTENT_LENGTH=12", "CONTENT_TYPE=text/plain"),
	    &head, &wire), WIRE_OK);
	cr_assert_str_eq(wire, "POST / HTTP/1.1\r\nHost: h\r\n"
	    "Content-Type: text/plain\r\nContent-Length: 12\r\n" TAIL);
	cr_assert(head.has_content && head.has_length);
	cr_assert_eq(head.length, 12);
	free(wire);
	expect_error(PARAMS("REQUEST_METHOD=POST", "HTTP_HOST=h",
	    "REQUEST_URI=/", "CONTENT_LENGTH=-1"), WIRE_MALFORMED);
	expect_error(PARAMS("REQUEST_METHOD=POST", "HTTP_HOST=h",
	    "REQUEST_URI=/", "CONTENT_LENGTH=1x"), WIRE_MALFORMED);
	expect_error(PARAMS("REQUEST_METHOD=POST", "HTTP_HOST=h",
	    "REQUEST_URI=/", "CONTENT_LENGTH=9223372036854775808"),
	    WIRE_MALFORMED);
}

Test(request_head, tells_no_content_from_empty_content)
{
	struct request_head head;
	char *wire;

	cr_assert_eq(encode(PARAMS("REQUEST_METHOD=POST", "HTTP_HOST=h",
	    "REQUEST_URI=/", "CONTENT_LENGTH=0"), &head, &wire), WIRE_OK);
	cr_assert_not_null(strstr(wire, "Content-Length: 0\r\n"));
	cr_assert_not(head.has_content);
	free(wire);
	cr_assert_eq(encode(PARAMS(GET, "REQUEST_URI=/", "CONTENT_LENGTH=0"),
	    &head, &wire), WIRE_OK);
	cr_assert_null(strstr(wire, "Content-Length"));
	free(wire);
}

Test(request_head, marks_content_of_unknown_length_as_chunked)
{
	struct request_head head;
	char *wire;

	cr_assert_eq(encode(PARAMS("REQUEST_METHOD=PUT", "HTTP_HOST=h",
	    "REQUEST_URI=/", "HTTP_TRANSFER_ENCODING=chunked"), &head,
	    &wire), WIRE_OK);
	cr_assert_str_eq(wire, "PUT / HTTP/1.1\r\nHost: h\r\n"
	    "Transfer-Encoding: chunked\r\n" TAIL);
	cr_assert(head.has_content && !head.has_length);
	free(wire);
}

Test(request_head, bounds_the_number_of_field_lines)
{
	const char *params[40] = { GET, "REQUEST_URI=/" };
	size_t n = 3;

	while (n < 23)
		params[n++] = "HTTP_A=b";
	expect(PARAMS(GET, "REQUEST_URI=/"),
	    "GET / HTTP/1.1\r\nHost: h\r\n" TAIL);
	struct request_head head;
	char *wire;

	cr_assert_eq(encode(params, &head, &wire), WIRE_OK);
	free(wire);
	params[n++] = "HTTP_A=b";
	expect_error(params, WIRE_TOO_LARGE);
}

Test(request_head, bounds_the_size)
{
	char *big = malloc(6000);

	memset(big, 'x', 5999);
	big[5999] = '\0';
	memcpy(big, "HTTP_A=", 7);
	expect_error(PARAMS(GET, "REQUEST_URI=/", big), WIRE_TOO_LARGE);
	free(big);
}
