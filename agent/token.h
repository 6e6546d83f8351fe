/* token.h - the credential for the proxy: of a file, or of a command that is
 * run without blocking the loop. */
#ifndef AGENT_TOKEN_H
#define AGENT_TOKEN_H

#include <ev.h>
#include <stdbool.h>

#include "common/span.h"

struct token;

/* file or command or neither; command_timeout in seconds.  changed(arg) is
 * called from the loop when there is a new one.  NULL when the file can't be
 * read: said in the log. */
struct token *token_new(struct ev_loop *loop, const char *file,
    const char *command, double command_timeout, void (*changed)(void *arg),
    void *arg);
void token_free(struct token *t);

/* Is it known?  Also when none is needed. */
bool token_is_ready(const struct token *t);

/* The value of the Authorization field; empty when there is none. */
struct span token_authorization(const struct token *t);

/* The proxy refused it: reads the file or runs the command again, at most
 * every 5 seconds. */
void token_refused(struct token *t);

#endif
