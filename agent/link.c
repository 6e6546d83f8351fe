/* link.c - is the proxy there?  Losses and returns, each said once, and the
 * backoff between. */
#include "config.h"

#include <stdint.h>
#include <stdlib.h>
#include <sys/random.h>

#include "agent/link.h"
#include "common/log.h"

enum {
	DELAY_MAX_MS = 3000,
	/* A proxy that is there and waits for its Redis. */
	DELAY_NOT_READY_MAX_MS = 1000,
	EMPTY_ANSWERS_MAX = 16,
	REST_DOUBLINGS = 8,
};

static const double at_once_s = .1, shortest_rest_s = .01;

void
link_init(struct link *l, const char *what, long first_delay_ms)
{
	*l = (struct link){ .what = what, .first_delay_ms = first_delay_ms };
}

/* Between -0.1 and 0.1: many agents of one proxy must not return in step. */
static double
jitter(void)
{
	uint16_t n = 0;

	if (getrandom(&n, sizeof(n), GRND_NONBLOCK) != sizeof(n))
		return 0.;
	return ((double)n / UINT16_MAX - 0.5) / 5;
}

static const char *
advice(int status)
{
	switch (status) {
	case 401:
		return "the credential is missing or wrong: check --token-file "
		    "or --token-command";
	case 403:
		return "this credential may not serve this backend: check "
		    "--backend and whose token it is";
	case 404:
	case 405:
		return "there is no agent mount at this address: check --proxy";
	case 503:
		return "the proxy or its Redis is not ready";
	default:
		if (status >= 300 && status < 400)
			return "the proxy redirects agents, maybe to a login "
			    "page: check --proxy";
		return "unexpected answer";
	}
}

double
link_failed(struct link *l, int status, const char *why)
{
	long delay = status == 503 ? DELAY_NOT_READY_MAX_MS : DELAY_MAX_MS;

	if (status != 0)
		why = advice(status);
	/* Another status is news: a proxy that is back but says no. */
	if (l->failures == 0 || (status != 0 && status != l->status))
		log_warn(NULL, "no work from %s: %s%.0d%s%s", l->what,
		    status != 0 ? "status " : "", status,
		    status != 0 ? ", " : "", why);
	else
		log_debug(NULL, "still no work from %s: %s%.0d%s%s", l->what,
		    status != 0 ? "status " : "", status,
		    status != 0 ? ", " : "", why);
	if (status != 0)
		l->status = status;
	if (l->failures < 16 && l->first_delay_ms << l->failures < delay)
		delay = l->first_delay_ms << l->failures;
	l->failures++;
	return (double)delay / 1e3 * (1. + jitter());
}

void
link_worked(struct link *l)
{
	if (l->failures > 0)
		log_info(NULL, "%s is back after %u failed calls", l->what,
		    l->failures);
	l->failures = 0;
	l->status = 0;
}

double
link_answered(struct link *l, double seconds, bool is_empty)
{
	unsigned more;

	if (!is_empty || seconds > at_once_s) {
		l->empty_answers = 0;
		return 0.;
	}
	if (++l->empty_answers < EMPTY_ANSWERS_MAX)
		return 0.;
	more = l->empty_answers - EMPTY_ANSWERS_MAX;
	if (more == 0)
		log_warn(NULL, "%s answers at once, with nothing: it is asked "
		    "less often", l->what);
	if (more > REST_DOUBLINGS)
		more = REST_DOUBLINGS;
	return (1 << more) * shortest_rest_s;
}
