/* What the agent's codecs answer when there is no memory. */
#include "config.h"

#include <criterion/criterion.h>

#include "agent/backend.h"
#include "tests/no_memory.h"

Test(agent_no_memory, of_a_responses_head)
{
	struct http1_framing framing;
	struct buf out;
	int r;

	buf_init(&out, 10000);
	NO_MEMORY_EACH(r = backend_response(
	    span_str("HTTP/1.1 200 OK\r\nA: b\r\n\r\n"), span_str("GET"),
	    true, &out, &framing); if (r != 0) buf_clear(&out),
	    r == WIRE_NO_MEMORY, buf_clear(&out));
}

Test(agent_no_memory, of_the_users_field)
{
	static const char head[] = "GET / HTTP/1.1\r\nHost: a\r\n\r\n";
	const struct settings settings = { .forward_user_id = true };
	struct http1_request request;
	struct http1_framing framing;
	int r = 0;

	NO_MEMORY_EACH(r = http1_request_decode(span_str(head), 100,
	    &request); if (r == 0 && (r = backend_request(&settings,
	    span_str("u"), &request, &framing)) != 0)
		http1_request_clear(&request),
	    r == WIRE_NO_MEMORY, http1_request_clear(&request));
}
