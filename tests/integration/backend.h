/* backend.h - a scripted HTTP/1.1 server inside the test's own process: what
 * it answers is chosen by the request target, and it remembers what it saw.
 *
 * Always there:
 *	/ready			200, "ready\n"
 *	/echo...		200, the request as it came: head, then content
 *	/hash...		200, "LENGTH HASH\n" of the request's content
 *	/status/N		status N with a short content
 *	/bytes/N		200, N bytes of the pattern, Content-Length
 *	/chunked/N		the same in the chunked coding
 *	/close/N		the same, ended by closing
 *	/break/N/AFTER		Content-Length N, closed after AFTER bytes
 *	/break-chunked/AFTER	chunked, closed after AFTER bytes, no last chunk
 *	/break-head		closed in the middle of the head
 *	/break-reset/AFTER	the same as /break, ended by a reset
 *	/sse/COUNT/MS		events "data: NOW_NS\n\n", one each MS
 *	/never			no answer until the peer leaves
 *	/slow/MS		200, "slow\n" after MS
 *	/drip/N/MS		N bytes, one each MS
 */
#ifndef INTEGRATION_BACKEND_H
#define INTEGRATION_BACKEND_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/buf.h"
#include "common/span.h"
#include "tests/integration/pattern.h"

struct backend_request {
	char *head;		/* as it came, with its empty line */
	size_t head_len;
	char *target;
	char *method;
	struct buf content;	/* the first bytes of it, decoded */
	unsigned long long content_len;
	uint64_t content_hash;
	bool content_whole;	/* read to its end */
	bool gone;		/* the peer closed before the response ended */
	bool done;		/* the script has returned */
	struct backend_request *next;
};

/* One request on one connection, as a script sees it. */
struct backend_connection {
	int fd;
	struct buf in;		/* read and not yet looked at */
	struct backend *backend;
	struct backend_request *request;
	bool close;		/* set it: no further request here */
	bool forgets;		/* the request is freed after its script */
	struct backend_connection *next;
};

typedef void backend_script_fn(struct backend_connection *c, void *arg);

struct backend *backend_new(void);
int backend_port(const struct backend *b);

/* Stops listening and ends what is open: connections are refused.  Then listens
 * again. */
void backend_stop(struct backend *b);
void backend_resume(struct backend *b);

/* Targets that begin with `prefix` run fn in a thread of their own.  The last
 * one given wins. */
void backend_script(struct backend *b, const char *prefix,
    backend_script_fn *fn, void *arg);

/* Answers exactly these bytes (borrowed), then closes. */
void backend_answer(struct backend *b, const char *prefix, const void *bytes,
    size_t len);
#define backend_answer_str(b, prefix, s) \
	backend_answer(b, prefix, s, sizeof(s) - 1)

/* For scripts.  Sending stops silently when the peer is gone. */
void backend_send(struct backend_connection *c, const void *bytes, size_t len);
void backend_printf(struct backend_connection *c, const char *format, ...)
    __attribute__((format(printf, 2, 3)));
void backend_send_pattern(struct backend_connection *c,
    unsigned long long from, unsigned long long len);
void backend_read_content(struct backend_connection *c);
bool backend_wait_gone(struct backend_connection *c, int ms);

/* From now on it does not remember requests whose target begins with prefix:
 * for so many that their memory counts. */
void backend_forget(struct backend *b, const char *prefix);

/* What it has seen: requests whose target begins with prefix, in order. */
size_t backend_count(struct backend *b, const char *prefix);
size_t backend_count_gone(struct backend *b, const char *prefix);
size_t backend_count_open(struct backend *b, const char *prefix);
const struct backend_request *backend_request(struct backend *b,
    const char *prefix, size_t n);

/* The scripts of the list above. (backend_scripts.c) */
void backend_add_scripts(struct backend *b);

#endif
