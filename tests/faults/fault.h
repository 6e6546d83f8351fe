/* fault.h - one row of the table: a fault, the load it met with, and whether
 * what was promised for it was kept.
 *
 * A fault is a function that gets a started stack, as in tests/integration;
 * FAULT_EACH_WEB makes one test of it behind each web server.
 *
 * INVERTING_PROXY_FAULTS=long asks for the long form;
 * INVERTING_PROXY_FAULTS_TABLE names the file that the rows go to. */
#ifndef FAULTS_FAULT_H
#define FAULTS_FAULT_H

#include "tests/faults/load.h"

/* One of two values, by the form. */
unsigned fault_size(unsigned in_short, unsigned in_long);

/* What may be seen.  Never: hung, wrong, lost, done twice where it must not
 * be, any other status. */
struct fault_promise {
	bool may_502_posts;	/* that were begun */
	bool may_deny;		/* ... as far as anybody can know: 502 without
				 * having been done */
	bool may_503;
	bool may_504;
	bool may_break_off;
	bool may_repeat;	/* GETs, once */
	bool may_overlap;	/* repeated while a stopped agent has it */
	long recovery_ms;	/* at most, from the end of the fault */
	long decided_ms;	/* at most, from its beginning; 0: not asked */
};

/* When the fault began and was over (now_ns); one row; then the promise.
 * Frees nothing: a test is short. */
void fault_report(const struct stack *s, const char *fault,
    const char *load_text, const struct load *l, long long began_ns,
    long long over_ns, const struct fault_promise *promise);

/* A row without a load of ours: these figures as they are. */
void fault_row(const struct stack *s, const char *fault,
    const char *load_text, const struct load_sum *sum, long recovery_ms,
    const char *verdict);

/* Runs a command, words with a space between, in the network namespace of this
 * process (0: ours); one that fails ends the test. */
void fault_run(pid_t netns, const char *command);

#define FAULT_EACH_WEB(suite, test, ...) \
	FAULT_TEST(suite, test, WEB_LIGHTTPD, lighttpd, __VA_ARGS__) \
	FAULT_TEST(suite, test, WEB_APACHE, apache, __VA_ARGS__)

#define FAULT_TEST(suite, test, server, suffix, ...) \
	Test(suite, test##_##suffix, .timeout = 7200) \
	{ \
		struct stack s = { __VA_ARGS__ }; \
		s.web = server; \
		s.protocol = "native"; \
		stack_start(&s); \
		test(&s); \
		stack_stop(&s); \
	}

#endif
