/* wire_error.c - names for what decoders and bounded containers answer. */
#include "config.h"

#include "common/wire_error.h"

const char *
wire_strerror(int error)
{
	/* An int comes in, so an enum switch could not be exhaustive. */
	switch (error) {
	case WIRE_MORE:
		return "incomplete";
	case WIRE_DONE:
		return "done";
	case WIRE_MALFORMED:
		return "malformed";
	case WIRE_TOO_LARGE:
		return "too large";
	case WIRE_UNSUPPORTED:
		return "not supported";
	case WIRE_TRUNCATED:
		return "ended in the middle";
	case WIRE_NO_MEMORY:
		return "out of memory";
	case WIRE_AMBIGUOUS:
		return "ambiguous";
	}
	return "unknown error";
}
