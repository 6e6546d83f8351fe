/* upgrade.h - a new binary, or new options, without a request lost.
 *
 * On SIGUSR2 the process executes its program again, in place: its id, its
 * place under systemd and the listening socket (as descriptor 0) stay.  The
 * workers of before, its former ones, go on until one of the new ones serves;
 * then they are told to stop, and finish what they have. */
#ifndef FCGI_UPGRADE_H
#define FCGI_UPGRADE_H

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

/* First of all: takes note of the command line, and of what a former program
 * has left in the environment. */
void upgrade_init(char *const *argv);

/* Are we only asked whether we could start?  Then main ends before it touches
 * anything. */
bool upgrade_is_rehearsal(void);

/* Is descriptor 0 the socket of a former program? */
bool upgrade_is_under_way(void);

/* What it knew, and may not be readable any more; heap, NULL: nothing. */
char *upgrade_take_password(void);

/* The ends of the socket through which its workers pass connections on
 * (responder.h); false: it had none. */
bool upgrade_take_pass(int ends[2]);

/* Tells the former workers to stop, once. */
void upgrade_dismiss_former(void);

/* How many of them still run; they are reaped here alone. */
size_t upgrade_count_former(void);

/* Would the program start, as it now is on disk?  Takes some milliseconds; the
 * log says why not. */
bool upgrade_is_possible(void);

/* Executes the program, with these workers left to it, and the ends of the
 * socket between them.  Returns only when that fails; the log says why. */
void upgrade_execute(int listen_fd, const int pass[2], const char *password,
    const pid_t *workers, size_t count);

#endif
