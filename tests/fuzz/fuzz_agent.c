/* fuzz_agent.c - an agent whose proxy and backend are fake_transfer.c. */
#include "config.h"

#include "tests/fuzz/fake_transfer.h"
#include "tests/fuzz/fuzz.h"
#include "tests/fuzz/fuzz_agent.h"

static char proxy_url[] = "http://proxy.invalid/";
static char host[] = "backend.invalid:80";
static struct settings settings = { .proxy = proxy_url, .host = host,
	.max_in_flight = 8, .forward_user_id = true,
	.request_forwarding_timeout_ms = 1000 };

static void
served(struct agent *agent)
{
	must(agent->in_flight <= 8 + agent->promised);
}

static void
has_credential(void *arg)
{
	(void)arg;
}

struct agent *
fuzz_agent_new(void)
{
	static struct ev_loop *loop;
	struct agent *agent = calloc(1, sizeof(*agent));

	if (loop == NULL)
		must((loop = ev_loop_new(EVBACKEND_POLL)) != NULL);
	fuzz_log_nowhere();
	must(agent != NULL);
	agent->loop = loop;
	agent->settings = &settings;
	agent->engine = fake_transfer_engine();
	agent->served = served;
	agent->backends = calloc(1, sizeof(*agent->backends));
	must(agent->backends != NULL);
	agent->backends[0] = backend_new(agent->engine, &settings, "b");
	agent->backend_count = agent->session_count = 1;
	agent->proxy = proxy_new(loop, agent->engine, &settings,
	    has_credential, NULL);
	must(agent->backends[0] != NULL && agent->proxy != NULL);
	return agent;
}

void
fuzz_agent_free(struct agent *agent)
{
	must(agent->in_flight == 0 && agent->promised == 0);
	proxy_free(agent->proxy);
	backend_free(agent->backends[0]);
	free(agent->backends);
	fake_transfer_free(agent->engine);
	free(agent);
}
