/* health.h - asks each backend now and then whether it is well. */
#ifndef AGENT_HEALTH_H
#define AGENT_HEALTH_H

#include "agent/agent.h"

struct health;

/* changed(arg): is_healthy of a backend has changed.  NULL when checks are
 * off. */
struct health *health_new(struct agent *agent, void (*changed)(void *arg),
    void *arg);
void health_free(struct health *h);

#endif
