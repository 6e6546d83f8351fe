/* agent.h - what the parts of the agent share. */
#ifndef AGENT_AGENT_H
#define AGENT_AGENT_H

#include <ev.h>
#include <stdbool.h>
#include <stddef.h>

#include "agent/backend.h"
#include "agent/proxy.h"
#include "agent/settings.h"
#include "agent/transfer.h"

struct agent {
	struct ev_loop *loop;
	struct settings *settings;
	struct transfer_engine *engine;
	struct proxy *proxy;
	struct backend **backends;
	size_t backend_count;
	size_t in_flight;	/* exchanges in hand */
	size_t waiting;		/* ... that wait for their clients */
	size_t promised;	/* that open native calls may bring */
	size_t session_count;	/* native ones */
	bool is_draining;	/* takes no more work */
	/* The proxy has answered a call for the first time. */
	void (*served)(struct agent *agent);
};

/* Clients that stand still must not keep others out, but there is an end to
 * how many of them are waited for: so many times what may be in flight. */
enum { AGENT_WAITING_FACTOR = 16 };

/* How many more exchanges may be taken. */
static inline size_t
agent_room(const struct agent *agent)
{
	size_t max = (size_t)agent->settings->max_in_flight;

	if (agent->is_draining || agent->in_flight >= max ||
	    agent->waiting >= max * AGENT_WAITING_FACTOR)
		return 0;
	return max - agent->in_flight;
}

#endif
