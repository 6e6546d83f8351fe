/* memory.c - see memory.h. */
#include "config.h"

#include <malloc.h>
#include <stdlib.h>

#include "common/log.h"
#include "common/memory.h"

static const double watch_seconds = 30.;

/* More than this many times what is kept. */
enum { MUCH = 4 };

static size_t kept_len;
static ev_timer watch;

void
memory_keep(size_t kept)
{
	kept_len = kept;
	(void)mallopt(M_MMAP_THRESHOLD, (int)(kept / 2));
	(void)mallopt(M_TRIM_THRESHOLD, (int)kept);
	/* Else each large one that is freed gathers all small ones. */
	(void)mallopt(M_MXFAST, 0);
}

static void
on_watch(struct ev_loop *loop, ev_timer *timer, int events)
{
	(void)loop;
	(void)timer;
	(void)events;
	if (mallinfo2().fordblks > MUCH * kept_len)
		(void)malloc_trim(kept_len);
}

void
memory_watch(struct ev_loop *loop)
{
	ev_timer_init(&watch, on_watch, watch_seconds, watch_seconds);
	ev_timer_start(loop, &watch);
	ev_unref(loop);
}

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
