/* classic.h - the test as an agent of the classic protocol, call by call. */
#ifndef INTEGRATION_CLASSIC_H
#define INTEGRATION_CLASSIC_H

#include "tests/integration/stack.h"

enum { CLASSIC_IDS_MAX = 100, CLASSIC_ID_LEN = 64 };

struct classic {
	int port;
	const char *backend_id;
	const char *token;
	const char *from;	/* the address it calls from; NULL: any */
};

/* As the stack's agent for b1, which has polled once: a backend that no agent
 * ever asked for is answered 503 at once. */
struct classic classic_new(const struct stack *s);
void classic_attend(const struct classic *a);

/* One poll: how many ids it brought. */
size_t classic_pending(const struct classic *a,
    char id[CLASSIC_IDS_MAX][CLASSIC_ID_LEN]);

/* Polls until one exchange comes, up to PATIENCE_MS. */
void classic_take(const struct classic *a, char id[CLASSIC_ID_LEN]);

/* The client's request of that id. */
struct response classic_fetch(const struct classic *a, const char *id);

/* Posts these bytes as the response; the status that the proxy answers. */
int classic_post(const struct classic *a, const char *id, const void *bytes,
    size_t len);
#define classic_post_str(a, id, s) classic_post(a, id, s, sizeof(s) - 1)

/* The head of any call, for those that are made by hand: everything but the
 * field that says how long the content is, and the empty line. */
void classic_send_head(struct client *c, const struct classic *a,
    const char *method, const char *call, const char *id);

#endif
