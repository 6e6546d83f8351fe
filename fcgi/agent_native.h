/* agent_native.h - the native protocol at the worker that an agent calls:
 * frames from it to the owners of the exchanges, and back (PROTOCOL.md). */
#ifndef FCGI_AGENT_NATIVE_H
#define FCGI_AGENT_NATIVE_H

#include "fcgi/agent_call.h"

struct agent_native;

struct agent_native *agent_native_new(struct agent_parts *parts);
void agent_native_free(struct agent_native *n);

/* POST agent/exchange.  Takes over the call. */
void agent_native_exchange(struct agent_native *n, struct call *call,
    const struct agent_caller *caller);

/* Frames for an agent: true when it has a call parked here that takes them. */
bool agent_native_take(struct agent_native *n, const unsigned char *instance,
    struct span frames);

/* This agent was lost: its parked calls are taken back, at every worker. */
void agent_native_lost(struct agent_native *n, const unsigned char *instance);

/* The end of a turn of the loop: answers the calls that have something. */
void agent_native_turn(struct agent_native *n);

/* Answers every call that is parked. */
void agent_native_recall(struct agent_native *n);

#endif
