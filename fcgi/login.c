/* login.c - failed logins, and agents over a limit.  A token has 256 random
 * bits, so nobody guesses one: the delay keeps who tries from costing much, the
 * bound on log lines from hiding what else is in the log. */
#include "config.h"

#include <stdlib.h>
#include <string.h>

#include "common/log.h"
#include "fcgi/login.h"

enum { LINES_MAX = 20, LINES_SECONDS = 10 };

struct logins {
	struct ev_loop *loop;
	double delay;
	ev_tstamp since;	/* lines are counted */
	unsigned lines;
	unsigned left_out;	/* not yet told */
};

struct logins *
logins_new(struct ev_loop *loop, long delay_ms)
{
	struct logins *l = calloc(1, sizeof *l);

	if (l == NULL)
		fatal("login: out of memory");
	l->loop = loop;
	l->delay = (double)delay_ms / 1000;
	return l;
}

void
logins_free(struct logins *l)
{
	free(l);
}

static bool
may_log(struct logins *l)
{
	if (ev_now(l->loop) - l->since > LINES_SECONDS) {
		l->since = ev_now(l->loop);
		l->lines = 0;
	}
	if (l->lines++ < LINES_MAX)
		return true;
	l->left_out++;
	return false;
}

static void
add_param(struct log_line *line, const char *key, const struct call *call,
    const char *param)
{
	const char *value = call_param(call, param);

	if (value != NULL && value[0] != '\0')
		log_line_span(line, key, span_str(value));
}

static void
end_line(struct logins *l, struct log_line *line)
{
	if (l->left_out > 0)
		log_line_number(line, "left_out", l->left_out);
	l->left_out = 0;
	log_line_end(line);
}

void
login_failed(struct logins *l, struct call *call, int status,
    const char *why)
{
	struct log_line line;

	if (status == 401 && call_param(call, "HTTP_AUTHORIZATION") != NULL)
		call_delay(call, l->delay);
	if (!may_log(l))
		return;
	log_line_begin(&line, LOG_LEVEL_WARN, NULL, "login failed");
	log_line_number(&line, "status", status);
	add_param(&line, "role", call, "INVERTING_PROXY_ROLE");
	add_param(&line, "address", call, "REMOTE_ADDR");
	add_param(&line, "user", call, "REMOTE_USER");
	add_param(&line, "backend", call, "HTTP_X_INVERTING_PROXY_BACKEND_ID");
	log_line_span(&line, "why", span_str(why));
	end_line(l, &line);
}

void
login_over_limit(struct logins *l, const struct call *call, int status,
    const char *identity, const char *limit)
{
	struct log_line line;

	if (!may_log(l))
		return;
	log_line_begin(&line, LOG_LEVEL_WARN, NULL, "agent refused");
	log_line_number(&line, "status", status);
	add_param(&line, "address", call, "REMOTE_ADDR");
	log_line_span(&line, "agent", span_str(identity));
	log_line_span(&line, "limit", span_str(limit));
	end_line(l, &line);
}
