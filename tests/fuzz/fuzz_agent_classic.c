/* fuzz_agent_classic.c - any answers of a classic proxy (lists of ids,
 * requests in wire form) and of the backend: the agent ends each exchange and
 * has never more of them than it may. */
#include "config.h"

#include "agent/classic.h"
#include "tests/fuzz/fake_transfer.h"
#include "tests/fuzz/fuzz.h"
#include "tests/fuzz/fuzz_agent.h"

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct span in = span_of(data, size);
	struct agent *agent = fuzz_agent_new();
	struct classic *c = classic_new(agent);

	classic_set_active(c, true);
	while (in.len > 0) {
		classic_turn(c);
		fake_transfer_step(agent->engine, &in);
		must(agent->in_flight <= 8);
		ev_run(agent->loop, EVRUN_NOWAIT);
	}
	agent->is_draining = true;
	classic_changed(c);
	classic_turn(c);
	must(classic_is_idle(c) || agent->in_flight > 0);
	classic_free(c);
	fuzz_agent_free(agent);
	return 0;
}
