/* manual.h - is each option in the manual page, and each limit in its table? */
#ifndef TESTS_UNIT_MANUAL_H
#define TESTS_UNIT_MANUAL_H

#include "common/option.h"

/* name: of the page in the source tree. */
void manual_lists_options(const char *name,
    const struct option_program *program);

/* Every option with a number, but `but`, with its default, in the table of
 * section LIMITS. */
void manual_tables_limits(const char *name,
    const struct option_program *program, const char *but);

#endif
