/* memory.h - how a program holds on to memory, and none for a library that does
 * not bear being without. */
#ifndef COMMON_MEMORY_H
#define COMMON_MEMORY_H

#include <ev.h>
#include <stddef.h>

/* Large buffers come and go with each call: so much freed memory is kept
 * rather than given back and faulted in again.  Before the first allocation
 * that counts. */
void memory_keep(size_t kept);

/* Gives back what is free and several times as much, every half minute: after
 * a rush it lies between what is in use, where free() alone leaves it.  One loop
 * in a process; does not keep it running. */
void memory_watch(struct ev_loop *loop);

/* For ev_set_allocator, where libev would abort: as realloc, and with a size
 * of 0 as free; out of memory is fatal. */
void *memory_reallocate(void *p, long size);

#endif
