/* relay.h - a middlebox that loses things: it passes the agent's calls on to
 * the web server, whole ones, and now and then does to them what networks
 * do.  It knows HTTP/1.1 with Content-Length and no frames. */
#ifndef INTEGRATION_RELAY_H
#define INTEGRATION_RELAY_H

#include <stddef.h>
#include <stdint.h>

enum relay_fault {
	RELAY_LOSE_CALL,	/* closed before a byte of it went on */
	RELAY_CUT_CALL,		/* a part of it goes on, then all is closed */
	RELAY_ABANDON_CALL,	/* it goes on whole, then all is closed */
	RELAY_LOSE_ANSWER,	/* the answer comes, and the agent sees none */
	RELAY_CUT_ANSWER,	/* the agent sees a part of it */
	RELAY_REPEAT_CALL,	/* a copy goes on a connection of its own, at
				 * once or later; nobody gets its answer */
	RELAY_DELAY_CALL,
	RELAY_DELAY_ANSWER,
	RELAY_FAULTS
};

/* Listens; what comes goes to 127.0.0.1:port.  Each fault strikes a call with
 * its own chance, in thousandths, whatever the others do.  Lives as long as
 * the test. */
struct relay *relay_new(int port, const unsigned chance[RELAY_FAULTS],
    uint64_t seed);
int relay_port(const struct relay *r);

/* Every call that waits fails; the next call that comes is never answered, on a
 * connection that stays open. */
void relay_cut_and_hang(struct relay *r);

/* Calls that hang, or did until the agent gave them up. */
size_t relay_hung(struct relay *r);

/* No more faults from now on. */
void relay_calm(struct relay *r);

/* Whole calls that came; how many of them a fault struck. */
size_t relay_calls(struct relay *r);
size_t relay_struck(struct relay *r, enum relay_fault fault);
const char *relay_fault_name(enum relay_fault fault);

/* Any number, for what repeats with the same seed: SplitMix64. */
uint64_t relay_random(uint64_t *state);

#endif
