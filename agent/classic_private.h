/* classic_private.h - what the two halves of the classic protocol share:
 * classic.c asks for work, classic_exchange.c does it. */
#ifndef AGENT_CLASSIC_PRIVATE_H
#define AGENT_CLASSIC_PRIVATE_H

#include <ev.h>
#include <stdbool.h>

#include "agent/agent.h"
#include "agent/recent.h"
#include "common/span.h"

struct classic_exchange;

struct classic {
	struct agent *agent;
	bool is_active;
	bool has_changed;		/* polls may be able to begin */
	struct classic_poll *polls;	/* one for each backend */
	struct recent *taken;		/* ids */
	struct classic_exchange *exchanges;
};

/* An id came: fetches the request and does it. */
void classic_exchange_start(struct classic *c, const struct backend *backend,
    struct span id);

/* Ends it and frees it. */
void classic_exchange_free(struct classic_exchange *cx);

#endif
