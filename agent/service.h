/* service.h - which protocol serves: native where the proxy speaks it, else
 * classic. */
#ifndef AGENT_SERVICE_H
#define AGENT_SERVICE_H

#include <stdbool.h>

#include "agent/agent.h"

struct service;

struct service *service_new(struct agent *agent);
void service_free(struct service *s);

/* A backend's health, the credential or draining has changed. */
void service_changed(struct service *s);

/* Once per loop turn. */
void service_turn(struct service *s);

/* Nothing is in hand, and nothing is left to be said to the proxy. */
bool service_is_idle(const struct service *s);

#endif
