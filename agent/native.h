/* native.h - the native protocol (PROTOCOL.md): one session with the proxy for
 * up to 256 backends, whose calls carry frames of many exchanges. */
#ifndef AGENT_NATIVE_H
#define AGENT_NATIVE_H

#include <stdbool.h>
#include <stddef.h>

#include "agent/agent.h"

struct native;

/* The proxy has shown that it does or does not speak this protocol; the
 * session is then active or not.  instead: when it does not, what it answered
 * to a call that it took for one of this backend, often nothing. */
typedef void native_verdict_fn(void *arg, bool spoken,
    const struct backend *backend, struct span instead);

/* backends: borrowed. */
struct native *native_new(struct agent *agent,
    struct backend *const *backends, size_t count,
    native_verdict_fn *verdict, void *arg);
void native_free(struct native *n);

/* Whether to ask for work: at first, with a call that finds out. */
void native_set_active(struct native *n, bool active);

/* Makes an inactive one find out again. */
void native_probe(struct native *n);

void native_changed(struct native *n);
void native_turn(struct native *n);
bool native_is_idle(const struct native *n);

#endif
