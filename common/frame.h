/* frame.h - the frames of the native protocol (PROTOCOL.md, "Native").
 * Pure: memory the caller gives. */
#ifndef COMMON_FRAME_H
#define COMMON_FRAME_H

#include <stdbool.h>
#include <stdint.h>

#include "common/buf.h"
#include "common/span.h"
#include "common/wire_error.h"

enum {
	FRAME_VERSION = 1,
	FRAME_HEADER_LEN = 8,
	FRAME_HEAD_MAX = 128 * 1024,	/* HTTP head inside OPEN and HEAD */
	FRAME_DATA_MAX = 64 * 1024,	/* content bytes in one frame */
	FRAME_DATA_OVERHEAD = 40,	/* what DATA takes beside its content */
	FRAME_PAYLOAD_MAX = 256 * 1024,
	FRAME_BACKENDS_MAX = 256,	/* in one HELLO */
	FRAME_CALL_MAX = 4 * 1024 * 1024, /* content of one call or answer */
};

enum frame_type {
	FRAME_HELLO = 1,	/* agent -> proxy, first in each call */
	FRAME_WELCOME = 2,	/* proxy -> agent, first in each answer */
	FRAME_REFUSED = 3,	/* proxy -> agent: a backend is not served */
	FRAME_OPEN = 4,		/* proxy -> agent: a new exchange */
	FRAME_HEAD = 5,		/* agent -> proxy: head of the response */
	FRAME_DATA = 6,		/* both: content at an absolute offset */
	FRAME_WINDOW = 7,	/* both: taken so far, and how far to go */
	FRAME_RESET = 8,	/* both: the exchange ends here */
	FRAME_ACCEPT = 9,	/* agent -> proxy: the exchange is in hand */
	/* Between workers only, refused from agents: */
	FRAME_HANDED = 32,	/* to the owner: given to an agent */
	FRAME_FETCH = 33,	/* to the owner: a classic agent asks for it */
};

enum {
	FRAME_FLAG_END = 1,	/* OPEN, HEAD, DATA: the content ends after it */
	FRAME_FLAG_RESEND = 1,	/* WINDOW: send again from `received` */
	FRAME_FLAG_PARK = 1,	/* HELLO: hold the call until there is work */
	FRAME_FLAG_LEAVING = 2,	/* HELLO: this instance takes no more work */
};

/* Why an exchange ends before its time. */
enum frame_reset {
	FRAME_RESET_CANCELLED = 1,	/* the client has left */
	FRAME_RESET_UNKNOWN = 2,	/* no such exchange (any more) */
	FRAME_RESET_UNREACHABLE = 3,	/* the backend can't be reached: 502 */
	FRAME_RESET_BROKEN = 4,		/* the backend broke off or sent what is
					 * not HTTP: 502, or a cut response */
	FRAME_RESET_TIMEOUT = 5,	/* the backend was too slow: 504 */
	FRAME_RESET_NOT_STARTED = 6,	/* the agent won't (draining, full,
					 * unhealthy): give it to another */
	FRAME_RESET_REFUSED = 7,	/* the proxy won't take it (malformed,
					 * too large) */
	FRAME_RESET_DEADLINE = 8,	/* the proxy's time for it is over */
	/* Between workers only: the response is complete at the client's. */
	FRAME_RESET_DONE = 32,
};

enum { EXCHANGE_ID_LEN = 24, EXCHANGE_ID_TEXT = 48, WORKER_ID_LEN = 8,
	AGENT_INSTANCE_LEN = 16 };

/* Names an exchange: the worker that owns it, and 128 random bits. */
struct exchange_id {
	unsigned char byte[EXCHANGE_ID_LEN];
};

/* 48 lower-case hex digits, NUL-terminated. */
void exchange_id_text(const struct exchange_id *id,
    char text[EXCHANGE_ID_TEXT + 1]);
/* false unless exactly 48 lower-case hex digits. */
bool exchange_id_parse(struct span text, struct exchange_id *id);

/* A decoded frame.  Spans look into the bytes that were decoded. */
struct frame {
	unsigned type;		/* enum frame_type, or one not known */
	unsigned flags;
	struct exchange_id id;	/* OPEN HEAD DATA WINDOW RESET ACCEPT ... */

	uint64_t offset;	/* DATA: of its first byte.
				 * WINDOW: bytes received without a gap */
	uint64_t limit;		/* WINDOW, OPEN: may send up to this offset */
	uint64_t start_ns;	/* OPEN: unix time the request arrived */
	unsigned deadline_ms;	/* OPEN: time left for the response head */
	unsigned code;		/* RESET: enum frame_reset.  REFUSED: status */
	struct span backend;	/* OPEN, REFUSED */
	struct span user;	/* OPEN: the end user, empty: anonymous */
	struct span head;	/* OPEN, HEAD: HTTP/1.1 wire head with its
				 * empty line */
	struct span content;	/* OPEN, HEAD (offset 0), DATA */
	struct span text;	/* RESET, REFUSED: for people.  HELLO: agent's
				 * name and version */

	unsigned version;	/* HELLO, WELCOME */
	unsigned capacity;	/* HELLO: OPENs the answer may bring */
	uint32_t in_flight;	/* HELLO: exchanges the agent has */
	unsigned char instance[AGENT_INSTANCE_LEN];	/* HELLO */
	unsigned backend_count;	/* HELLO */
	struct span backends;	/* HELLO: read with frame_next_backend */
	unsigned park_ms;	/* WELCOME: how long a call is held at most */
	unsigned lease_ms;	/* WELCOME: call at least this often while
				 * exchanges are in flight */
	uint32_t call_size;	/* WELCOME: the content of a call that suits
				 * the web server; 0: any */
};

/* Takes one frame from the front of *in.  WIRE_DONE, WIRE_MORE (not all there
 * yet; *in unchanged), WIRE_TOO_LARGE, WIRE_MALFORMED.  A frame of unknown type
 * is WIRE_DONE with that type and no payload: skip it. */
int frame_decode(struct span *in, struct frame *frame) WIRE_MUSTCHECK;

/* How long the payload of the frame in front will be, before it is there; 0
 * when not even that is. */
size_t frame_payload_len(struct span in);

/* Appends the encoding of *frame; the fields of its type are used, the others
 * ignored.  WIRE_TOO_LARGE when a part is over its limit. */
int frame_encode(struct buf *out, const struct frame *frame) WIRE_MUSTCHECK;

/* The backends of a HELLO one by one: start with *rest = frame->backends. */
bool frame_next_backend(struct span *rest, struct span *backend);

/* Appends one backend to the encoded list that frame_encode takes. */
int frame_append_backend(struct buf *list, struct span backend) WIRE_MUSTCHECK;

const char *frame_reset_name(unsigned code);

#endif
