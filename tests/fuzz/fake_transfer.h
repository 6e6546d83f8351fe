/* fake_transfer.h - stands in for transfer.c (libcurl) where a fuzz target
 * plays proxy and backend to the agent, and says anything at all, as far as
 * transfer.h lets a transfer say it. */
#ifndef TESTS_FUZZ_FAKE_TRANSFER_H
#define TESTS_FUZZ_FAKE_TRANSFER_H

#include "agent/transfer.h"

struct transfer_engine *fake_transfer_engine(void);
void fake_transfer_free(struct transfer_engine *e);

/* Something happens to one of the transfers, as bytes of *in choose. */
void fake_transfer_step(struct transfer_engine *e, struct span *in);

#endif
