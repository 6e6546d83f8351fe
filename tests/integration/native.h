/* native.h - the test as an agent of the native protocol, call by call. */
#ifndef INTEGRATION_NATIVE_H
#define INTEGRATION_NATIVE_H

#include "common/frame.h"
#include "tests/integration/stack.h"

struct native {
	int port;
	const char *backend_id;
	const char *token;
	unsigned char instance[AGENT_INSTANCE_LEN];
	unsigned capacity;	/* of each call */
	uint32_t in_flight;
	struct buf out;		/* frames for the next call */
	struct buf in;		/* frames of the last answer */
	size_t taken;		/* bytes of it */
};

/* As an agent for b1; instance makes it another one. */
struct native native_new(const struct stack *s, unsigned char instance);

/* Adds to the next call. */
void native_add(struct native *a, const struct frame *frame);

/* One call with HELLO and what was added; its status.  The answer's frames can
 * be taken when it is 200. */
int native_call(struct native *a, bool park);

/* The same in two steps, so that a call can be parked meanwhile. */
struct client *native_send(struct native *a, bool park);
int native_receive(struct native *a, struct client *c);

/* The next frame of the answer; false after the last one. */
bool native_take(struct native *a, struct frame *frame);

/* Calls until a frame of this type comes. */
void native_wait(struct native *a, unsigned type, struct frame *frame);

/* Raw content in place of frames: the status it gets. */
int native_call_bytes(struct native *a, const void *bytes, size_t len);

/* HEAD with END: a whole small response. */
void native_answer(struct native *a, struct exchange_id id, const char *head,
    const char *content);

#endif
