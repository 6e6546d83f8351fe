/* test_settings.c - the worker's options. */
#include "config.h"

#include <criterion/criterion.h>

#include "fcgi/settings.h"
#include "tests/unit/manual.h"

Test(settings, are_all_in_the_manual)
{
	manual_lists_options("fcgi/inverting-proxy.fcgi.8",
	    &settings_program);
}

Test(settings, have_their_limits_in_one_table)
{
	manual_tables_limits("fcgi/inverting-proxy.fcgi.8",
	    &settings_program, "workers");
}
