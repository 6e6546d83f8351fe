/* memory.h - memory for a library that does not bear being without. */
#ifndef COMMON_MEMORY_H
#define COMMON_MEMORY_H

/* For ev_set_allocator, where libev would abort: as realloc, and with a size
 * of 0 as free; out of memory is fatal. */
void *memory_reallocate(void *p, long size);

#endif
