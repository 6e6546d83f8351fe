/* fuzz_agent.h - an agent without sockets, for the fuzz targets of its two
 * protocols. */
#ifndef TESTS_FUZZ_FUZZ_AGENT_H
#define TESTS_FUZZ_FUZZ_AGENT_H

#include "agent/agent.h"

/* With one backend, "b", and room for eight exchanges. */
struct agent *fuzz_agent_new(void);

/* All transfers are over, or this aborts. */
void fuzz_agent_free(struct agent *agent);

#endif
