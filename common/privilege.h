/* privilege.h - what a daemon gives up once it has what it needs root for. */
#ifndef COMMON_PRIVILEGE_H
#define COMMON_PRIVILEGE_H

/* Becomes this user (a name or a number) with its groups, for good.  With NULL
 * it stays who it is, and says so in the log if that is root.  Ends the process
 * where it can't. */
void privilege_drop(const char *user);

/* No core file of this process, and no other process of the same user reads
 * its memory or environment: tokens are in there.  After privilege_drop, and
 * again in no child: it is inherited by fork. */
void privilege_hide_memory(void);

#endif
