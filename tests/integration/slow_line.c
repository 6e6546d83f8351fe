/* slow_line.c - an agent on a slow line: large responses share it, small ones
 * do not wait behind them, and nothing is sent over and over, either way. */
#include "config.h"

#include <stdio.h>
#include <string.h>

#include "tests/integration/line.h"
#include "tests/integration/stack.h"

enum { LARGE = 8, LARGE_LEN = 400 * 1000, SMALL = 4,
	UPLOADS = 6, BYTES_A_SECOND = 1000 * 1000 };

static void
small_responses_overtake_large_ones(struct stack *s)
{
	struct line *line = line_start_agent(s, LINE_UP, BYTES_A_SECOND);
	size_t begun = line_bytes(line), len;
	struct client *large[LARGE];
	char target[32];

	snprintf(target, sizeof(target), "/bytes/%d", LARGE_LEN);
	for (int i = 0; i < LARGE; i++)
		large[i] = stack_send(s, "GET", target, "");
	for (int i = 0; i < SMALL; i++)
		stack_expect(s, "/ready", 200);
	len = line_bytes(line) - begun;
	check(len < LARGE * LARGE_LEN, "%zu bytes before the small responses",
	    len);
	for (int i = 0; i < LARGE; i++) {
		struct response r = stack_receive(large[i], "GET");

		check(r.status == 200 && r.whole &&
		    r.hash == hash_pattern(LARGE_LEN), "large response %d: "
		    "%d, %llu bytes", i, r.status, r.content_len);
		response_clear(&r);
	}
	len = line_bytes(line) - begun;
	check(len < LARGE * LARGE_LEN * 3 / 2, "%zu bytes for %d of content",
	    len, LARGE * LARGE_LEN);
}
TEST_EACH(slow_line, small_responses_overtake_large_ones,
    .agents = STACK_NO_AGENT)

/* Uploads that the line has long begun to carry. */
static void
small_requests_overtake_large_ones(struct stack *s)
{
	struct line *line = line_start_agent(s, LINE_DOWN, BYTES_A_SECOND / 2);
	size_t begun = line_bytes(line), len;
	struct client *large[UPLOADS];
	char length[64];

	snprintf(length, sizeof(length), "Content-Length: %d\r\n", LARGE_LEN);
	for (int i = 0; i < UPLOADS; i++) {
		large[i] = stack_send(s, "POST", "/hash", length);
		check(client_send_pattern(large[i], LARGE_LEN, false),
		    "upload %d refused", i);
	}
	wait_for(line_bytes(line) - begun > UPLOADS * LARGE_LEN / 4,
	    PATIENCE_MS, "no upload");
	begun = line_bytes(line);
	stack_expect(s, "/ready", 200);
	len = line_bytes(line) - begun;
	/* With a window of 512 KiB each it was up to 2 MB. */
	check(len < BYTES_A_SECOND / 2 * 3 / 2, "%zu bytes before the small "
	    "request", len);
	for (int i = 0; i < UPLOADS; i++)
		client_free(large[i]);
}
TEST_EACH_WEB(slow_line, small_requests_overtake_large_ones,
    .agents = STACK_NO_AGENT)

static void
large_requests_are_sent_once(struct stack *s)
{
	struct line *line = line_start_agent(s, LINE_DOWN, BYTES_A_SECOND);
	size_t begun = line_bytes(line), len;
	struct client *large[LARGE];
	char length[64], want[64];

	snprintf(length, sizeof(length), "Content-Length: %d\r\n", LARGE_LEN);
	snprintf(want, sizeof(want), "%d %016llx\n", LARGE_LEN,
	    (unsigned long long)hash_pattern(LARGE_LEN));
	for (int i = 0; i < LARGE; i++) {
		large[i] = stack_send(s, "POST", "/hash", length);
		check(client_send_pattern(large[i], LARGE_LEN, false),
		    "upload %d refused", i);
	}
	for (int i = 0; i < LARGE; i++) {
		struct response r = stack_receive(large[i], "POST");

		check(r.status == 200 && strcmp(response_text(&r), want) == 0,
		    "large request %d: %d %s", i, r.status, response_text(&r));
		response_clear(&r);
	}
	len = line_bytes(line) - begun;
	check(len < LARGE * LARGE_LEN * 3 / 2, "%zu bytes for %d of content",
	    len, LARGE * LARGE_LEN);
}
TEST_EACH(slow_line, large_requests_are_sent_once, .agents = STACK_NO_AGENT)
