/* memory.c - memory for a library that does not bear being without. */
#include "config.h"

#include <stdlib.h>

#include "common/log.h"
#include "common/memory.h"

void *
memory_reallocate(void *p, long size)
{
	if (size == 0) {
		free(p);
		return NULL;
	}
	if ((p = realloc(p, (size_t)size)) == NULL)
		fatal("out of memory");
	return p;
}
