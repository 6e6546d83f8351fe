/* agent_classic.h - the classic protocol at the worker that an agent calls
 * (PROTOCOL.md).  Each call turns its bytes into the frames that the owner of
 * the exchange understands, and back. */
#ifndef FCGI_AGENT_CLASSIC_H
#define FCGI_AGENT_CLASSIC_H

#include "fcgi/agent_call.h"

struct agent_classic;

struct agent_classic *agent_classic_new(struct agent_parts *parts);
void agent_classic_free(struct agent_classic *c);

/* GET agent/pending, GET agent/request, POST agent/response.  Each takes over
 * the call. */
void agent_classic_pending(struct agent_classic *c, struct call *call,
    const struct agent_caller *caller);
void agent_classic_fetch(struct agent_classic *c, struct call *call,
    const struct agent_caller *caller);
void agent_classic_response(struct agent_classic *c, struct call *call,
    const struct agent_caller *caller);

/* A frame for one of these calls, from the owner. */
void agent_classic_take(struct agent_classic *c, unsigned long long call,
    const struct frame *frame);

/* The end of a turn of the loop: answers polls that have got something. */
void agent_classic_turn(struct agent_classic *c);

/* Answers every poll that waits. */
void agent_classic_recall(struct agent_classic *c);

#endif
