/* line.h - a slow line between an agent and the web server: in one direction
 * bytes go on at so many a second, on all connections together, with little
 * room to queue up.  It can also be cut, as by a pulled cable. */
#ifndef INTEGRATION_LINE_H
#define INTEGRATION_LINE_H

#include <stddef.h>

#include "tests/integration/stack.h"

enum line_way { LINE_UP, LINE_DOWN };	/* from and to the agent */

/* Listens; what comes goes to 127.0.0.1:port.  Lives as long as the test. */
struct line *line_new(int port, enum line_way slow, size_t bytes_per_second);
int line_port(const struct line *l);

/* Starts the first agent behind a new line, and waits until it serves. */
struct line *line_start_agent(struct stack *s, enum line_way slow,
    size_t bytes_per_second);

/* Bytes that have gone the slow way so far. */
size_t line_bytes(struct line *l);

/* From now on nothing gets through, and nobody is told; or again. */
void line_cut(struct line *l);
void line_heal(struct line *l);

#endif
