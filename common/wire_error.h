/* wire_error.h - what every decoder and bounded container answers. */
#ifndef COMMON_WIRE_ERROR_H
#define COMMON_WIRE_ERROR_H

/*
 * Decoders answer WIRE_DONE, WIRE_MORE ("not yet, feed me") or a negative
 * value.  A failure is sticky: feeding a failed decoder fails again.
 */
enum wire_error {
	WIRE_MORE = 1,
	WIRE_DONE = 0,
	WIRE_OK = 0,
	WIRE_MALFORMED = -1,	/* breaks the grammar it is read by */
	WIRE_TOO_LARGE = -2,	/* over the ceiling the caller gave */
	WIRE_UNSUPPORTED = -3,	/* well-formed, but not ours to handle */
	WIRE_TRUNCATED = -4,	/* the input ended in the middle */
	WIRE_NO_MEMORY = -5,
	WIRE_AMBIGUOUS = -6,	/* two readings: a smuggling risk, refused */
};

#define WIRE_MUSTCHECK __attribute__((warn_unused_result))

/* A short English phrase for a wire_error; never NULL. */
const char *wire_strerror(int error);

#endif
