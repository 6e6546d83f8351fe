/* link.h - is the proxy there?  Says a loss once and the return once, and how
 * long to wait before the next try. */
#ifndef AGENT_LINK_H
#define AGENT_LINK_H

#include <stdbool.h>

struct link {
	const char *what;	/* borrowed: "proxy", a backend's id */
	long first_delay_ms;
	unsigned failures;	/* in a row */
	unsigned empty_answers;	/* at once, in a row */
	int status;		/* that the last failure had, 0: none */
};

void link_init(struct link *l, const char *what, long first_delay_ms);

/* A call failed: with this status, or without one and `why`.  Returns how many
 * seconds to wait: doubling from the first delay to 3 s (to 1 s for status
 * 503), give or take a tenth. */
double link_failed(struct link *l, int status, const char *why);

/* A call worked. */
void link_worked(struct link *l);

/* A call that waits for work worked, after so many seconds.  Returns how many
 * to wait before the next: 0, but for a proxy that answers at once, with
 * nothing, and always does: it would keep us busy.  10 ms after 16 such answers
 * in a row, doubling to 2.56 s. */
double link_answered(struct link *l, double seconds, bool is_empty);

#endif
