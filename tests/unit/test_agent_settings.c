/* test_agent_settings.c - what the agent's options may say. */
#include "config.h"

#include <criterion/criterion.h>
#include <stdlib.h>
#include <string.h>

#include "agent/settings.h"
#include "tests/unit/manual.h"

static enum option_result
parse(struct settings *s, char **argv)
{
	*s = (struct settings){ 0 };
	return option_parse(&settings_program, NULL, &argv, s);
}

#define ARGS(...) (char *[]){ (char[]){ "agent" }, __VA_ARGS__, NULL }
#define ARG(text) (char[]){ text }

/* NULL when the settings are good, else what is wrong. */
static const char *
check(char **argv)
{
	static char wrong[512];
	struct settings s;
	const char *message;

	cr_assert_eq(parse(&s, argv), OPTION_RUN);
	message = settings_check(&s);
	if (message != NULL)
		(void)snprintf(wrong, sizeof(wrong), "%s", message);
	option_clear(&settings_program, &s);
	return message == NULL ? NULL : wrong;
}

Test(agent_settings, reads_each_form_of_a_host)
{
	static const struct { const char *host, *url, *path; } good[] = {
		{ "localhost:8080", "http://localhost:8080", NULL },
		{ "localhost", "http://localhost", NULL },
		{ "[::1]:80", "http://[::1]:80", NULL },
		{ "http://h:1/", "http://h:1", NULL },
		{ "https://h", "https://h", NULL },
		{ "unix:/run/x.sock", "http://localhost", "/run/x.sock" },
	};

	for (size_t i = 0; i < sizeof(good) / sizeof(*good); i++) {
		char *url = NULL, *path = NULL;

		cr_assert(settings_read_host(good[i].host, &url, &path),
		    "%s", good[i].host);
		cr_assert_str_eq(url, good[i].url);
		if (good[i].path == NULL)
			cr_assert_null(path);
		else
			cr_assert_str_eq(path, good[i].path);
		free(url);
		free(path);
	}
}

Test(agent_settings, refuses_what_is_no_host)
{
	static const char *const bad[] = { "", "ftp://h", "http://", "h:port",
		"h:99999", "http://u:p@h", "http://h/path", "h/path", "a b",
		"unix:", "unix:relative", "h?q", "h#f", "http:/h",
		"http:/h/b://" };

	for (size_t i = 0; i < sizeof(bad) / sizeof(*bad); i++) {
		char *url, *path;

		cr_assert_not(settings_read_host(bad[i], &url, &path), "%s",
		    bad[i]);
	}
}

Test(agent_settings, reads_a_backend_with_and_without_a_host)
{
	struct span id, host;

	cr_assert(settings_read_backend("a=h:1", &id, &host));
	cr_assert(span_is(id, span_str("a")));
	cr_assert(span_is(host, span_str("h:1")));
	cr_assert(settings_read_backend("a", &id, &host));
	cr_assert_eq(host.len, 0);
	cr_assert_not(settings_read_backend("", &id, &host));
	cr_assert_not(settings_read_backend("=h", &id, &host));
	cr_assert_not(settings_read_backend("a b", &id, &host));
}

Test(agent_settings, reads_a_header_and_refuses_what_would_inject)
{
	struct span name, value;

	cr_assert(settings_read_header("X-A:  b c ", &name, &value));
	cr_assert(span_is(name, span_str("X-A")));
	cr_assert(span_is(value, span_str("b c")));
	cr_assert_not(settings_read_header("X-A", &name, &value));
	cr_assert_not(settings_read_header("X A: b", &name, &value));
	cr_assert_not(settings_read_header("X: a\r\nY: b", &name, &value));
}

Test(agent_settings, runs_with_the_three_that_are_needed)
{
	cr_assert_null(check(ARGS(ARG("--proxy=http://p/x"),
	    ARG("--backend=b"), ARG("--host=h:1"))));
	cr_assert_null(check(ARGS(ARG("--proxy=http://p"),
	    ARG("--backend=a=h:1"), ARG("--backend=b=unix:/s"))));
}

Test(agent_settings, says_which_option_is_wrong)
{
	cr_assert_not_null(strstr(check(ARGS(ARG("--backend=b"),
	    ARG("--host=h"))), "--proxy"));
	cr_assert_not_null(strstr(check(ARGS(ARG("--proxy=p"),
	    ARG("--backend=b"), ARG("--host=h"))), "--proxy"));
	cr_assert_not_null(strstr(check(ARGS(ARG("--proxy=http://p"))),
	    "--backend"));
	cr_assert_not_null(strstr(check(ARGS(ARG("--proxy=http://p"),
	    ARG("--backend=b"))), "--host"));
	cr_assert_not_null(strstr(check(ARGS(ARG("--proxy=http://p"),
	    ARG("--backend=b=h"), ARG("--backend=b=h"))), "twice"));
	cr_assert_not_null(strstr(check(ARGS(ARG("--proxy=http://p"),
	    ARG("--backend=b"), ARG("--host=ftp://h"))), "--host ftp://h"));
	cr_assert_not_null(strstr(check(ARGS(ARG("--proxy=http://p"),
	    ARG("--backend=b=ftp://h"))), "--backend b=ftp://h"));
	cr_assert_not_null(strstr(check(ARGS(ARG("--proxy=http://p"),
	    ARG("--backend=b=h"), ARG("--protocol=x"))), "--protocol"));
	cr_assert_not_null(strstr(check(ARGS(ARG("--proxy=http://p"),
	    ARG("--backend=b=h"), ARG("--token-file=f"),
	    ARG("--token-command=c"))), "--token-command"));
}

Test(agent_settings, has_the_defaults_of_the_manual)
{
	struct settings s;

	cr_assert_eq(parse(&s, ARGS(ARG("--proxy=http://p"))), OPTION_RUN);
	cr_assert_eq(s.max_in_flight, 256);
	cr_assert_eq(s.request_forwarding_timeout_ms, 120000);
	cr_assert_eq(s.graceful_shutdown_timeout_ms, 30000);
	cr_assert_eq(s.health_check_interval_ms, 0);
	cr_assert_eq(s.health_check_unhealthy_threshold, 2);
	cr_assert_eq(settings_protocol(&s), PROTOCOL_AUTO);
	option_clear(&settings_program, &s);
}

Test(agent_settings, are_all_in_the_manual)
{
	manual_lists_options("agent/inverting-proxy-agent.8",
	    &settings_program);
}
