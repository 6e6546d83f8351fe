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
	size_t promised;	/* that open native calls may bring */
	size_t session_count;	/* native ones */
	bool is_draining;	/* takes no more work */
	/* The proxy has answered a call for the first time. */
	void (*served)(struct agent *agent);
};

/* How many more exchanges may be taken. */
static inline size_t
agent_room(const struct agent *agent)
{
	size_t max = (size_t)agent->settings->max_in_flight;

	return agent->is_draining || agent->in_flight >= max ? 0 :
	    max - agent->in_flight;
}

#endif
