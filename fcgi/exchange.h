/* exchange.h - one client request with its response, as its owner sees it: the
 * worker that holds the client's connection drives it.
 *
 *	WAITS_FOR_CONTENT    collects the first content, for a moment
 *	  |
 *	WAITS_FOR_AGENT <--------------------------------+
 *	  | an agent's call took it                      | agent lost, and it is
 *	WAITS_FOR_ACCEPT  it may not have arrived yet ---+ safe to do it again
 *	  | accepted (native), fetched (classic)         |
 *	WAITS_FOR_RESPONSE ------------------------------+
 *	  | response head
 *	ANSWERS           until the content's end
 */
#ifndef FCGI_EXCHANGE_H
#define FCGI_EXCHANGE_H

#include <ev.h>

#include "common/buf.h"
#include "common/frame.h"
#include "fcgi/hand_out.h"
#include "fcgi/mailbox.h"
#include "fcgi/quota.h"
#include "fcgi/registry.h"
#include "fcgi/request_head.h"
#include "fcgi/responder.h"
#include "fcgi/settings.h"

struct exchange;
struct exchanges;	/* all that this worker owns */

struct exchanges_parts {
	struct ev_loop *loop;
	const struct settings *settings;
	struct store *store;
	struct registry *registry;
	struct mailbox *mailbox;
	struct hand_out *hand_out;
	/* An agent was lost: its calls get nothing more. */
	void (*agent_lost)(void *arg, const unsigned char *instance);
	void *arg;
};

struct exchanges *exchanges_new(const struct exchanges_parts *parts);
void exchanges_free(struct exchanges *all);
size_t exchanges_count(const struct exchanges *all);

/* Is it one of this worker's, and not over? */
bool exchanges_have(const struct exchanges *all, const struct exchange_id *id);

/* Begins an exchange for this call and drives it to its end; the call belongs
 * to it from here on, and has it as its data until it has ended (then NULL).
 * wire is taken (the head in HTTP/1.1 form), and so is the place with the
 * backend, given back when the exchange ends. */
void exchange_begin(struct exchanges *all, struct call *call,
    const struct backend *backend, const char *user,
    const struct request_head *head, struct buf *wire,
    struct quota_place *place);

/* What the responder tells about the call. */
void exchange_content(struct exchange *x);
void exchange_drained(struct exchange *x);
void exchange_gone(struct exchange *x);

/* A frame for an exchange of this worker. */
void exchanges_take_frame(struct exchanges *all, const struct address *from,
    struct span backends, const struct frame *frame);

/* An agent was heard of, here and now. */
void exchanges_agent_seen(struct exchanges *all,
    const unsigned char *instance);

/* Backends may be gone: fails what waits for an agent of one that is. */
void exchanges_registry_changed(struct exchanges *all);
void exchanges_store_up(struct exchanges *all);
void exchanges_store_down(struct exchanges *all);

#endif
