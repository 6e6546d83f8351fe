/* load.h - clients that ask without pause and keep books: each request has a
 * number and a nonce, the backend notes how often it did each, and the answer
 * has to bring the same nonce back.  One thread; connections are never more
 * than the plan says. */
#ifndef FAULTS_LOAD_H
#define FAULTS_LOAD_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "tests/integration/stack.h"

struct load_plan {
	unsigned connections;	/* at the same time */
	unsigned requests;	/* in all; 0: until load_stop */
	unsigned rate;		/* a second, at most; 0: as fast as it goes */
	unsigned post_percent;
	unsigned work_ms;	/* that the backend takes for each */
	unsigned patience_ms;	/* a request without an end hangs; 0: 60 s */
};

enum load_end {
	LOAD_UNDERWAY,
	LOAD_ANSWERED,		/* whole, with this status */
	LOAD_BROKEN_OFF,	/* refused, closed or reset before that */
	LOAD_HUNG,
	LOAD_WRONG,		/* 200, but another request's */
};

/* The books of one request. */
struct load_entry {
	uint64_t nonce;
	bool is_post;
	enum load_end end;
	int status;		/* of the head, when one came */
	bool has_retry_after;
	long long began_ns, ended_ns;
	atomic_uint executions;	/* begun at the backend */
	atomic_uint running;	/* of these, at this moment */
	atomic_uint together;	/* the most of them at one moment */
};

struct load;

/* Begins at once.  The stack's backend gets a script for /load/. */
struct load *load_start(struct stack *s, const struct load_plan *plan);

/* Begins no more requests; returns when all have ended. */
void load_stop(struct load *l);

/* Returns when all that the plan wants have ended. */
void load_wait(struct load *l);

/* So far. */
unsigned load_begun(const struct load *l);

/* Until so many more have begun. */
void load_go_on(const struct load *l, unsigned count);
unsigned load_ended(const struct load *l);
unsigned load_running(const struct load *l);	/* at the backend */

/* After load_stop or load_wait. */
const struct load_entry *load_entry(const struct load *l, unsigned number);

struct load_sum {
	unsigned requests;
	unsigned ok;		/* 200 with the right nonce */
	unsigned status_502, status_503, status_504, other_status;
	unsigned broken_off;
	unsigned hung;
	unsigned doubled;	/* POST done twice, or anything thrice */
	unsigned repeated;	/* done twice, and may be */
	unsigned together;	/* done twice at the same time */
	unsigned lost;		/* 200 without having been done */
	unsigned denied;	/* 502 without having been done */
	unsigned wrong;		/* another request's answer */
	long slowest_ms;
	long p50_ms, p99_ms;	/* of those that were ok */
};
struct load_sum load_sum(const struct load *l);

/* From this moment (now_ns) until everything that begins is ok again; 0 when it
 * was at once. */
long load_recovery_ms(const struct load *l, long long from_ns);

/* The longest that a request which was under way at this moment went on. */
long load_decided_ms(const struct load *l, long long from_ns);

#endif
