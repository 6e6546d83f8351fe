/* fuzz_agent_native.c - any answers of a native proxy (frames) and of the
 * backend: every call is whole frames, and every exchange comes to an end. */
#include "config.h"

#include "agent/native.h"
#include "common/frame.h"
#include "tests/fuzz/fake_transfer.h"
#include "tests/fuzz/fuzz.h"
#include "tests/fuzz/fuzz_agent.h"

static void
verdict(void *arg, bool spoken, const struct backend *backend,
    struct span instead)
{
	(void)arg;
	must(!spoken || instead.len == 0);
	must(instead.len == 0 || backend != NULL);
	fuzz_touch(instead);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct span in = span_of(data, size);
	struct agent *agent = fuzz_agent_new();
	struct native *n = native_new(agent, agent->backends, 1, verdict,
	    NULL);

	native_set_active(n, true);
	while (in.len > 0) {
		native_turn(n);
		fake_transfer_step(agent->engine, &in);
		ev_run(agent->loop, EVRUN_NOWAIT);
	}
	agent->is_draining = true;
	native_changed(n);
	native_turn(n);
	native_free(n);
	fuzz_agent_free(agent);
	return 0;
}
