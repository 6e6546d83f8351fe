/* manual.h - is each option in the manual page? */
#ifndef TESTS_UNIT_MANUAL_H
#define TESTS_UNIT_MANUAL_H

#include "common/option.h"

/* name: of the page in the source tree. */
void manual_lists_options(const char *name,
    const struct option_program *program);

#endif
