/* classic.h - the classic protocol (PROTOCOL.md): a poll for each backend, a
 * fetch and a post for each exchange. */
#ifndef AGENT_CLASSIC_H
#define AGENT_CLASSIC_H

#include <stdbool.h>

#include "agent/agent.h"

struct classic;

struct classic *classic_new(struct agent *agent);
void classic_free(struct classic *c);

/* Whether to ask for work; not at first.  Exchanges in hand go on. */
void classic_set_active(struct classic *c, bool active);

/* Something changed that polls depend on: a backend's health, the
 * credential, draining. */
void classic_changed(struct classic *c);

/* The answer to a poll of this backend that was not made here: its ids are
 * listed nowhere else.  Whatever is not a list is ignored. */
void classic_take_ids(struct classic *c, const struct backend *backend,
    struct span answer);

/* Once per loop turn: polls that may begin begin. */
void classic_turn(struct classic *c);

/* Nothing is in hand. */
bool classic_is_idle(const struct classic *c);

#endif
