/* runner_leak.c - Criterion's runner leaks 48 bytes of its own when tests run
 * side by side.  LeakSanitizer shall not count those, but every leak of a
 * test, whose stack shows Criterion as well: so it depends on the process. */
#include "config.h"

#include <stdlib.h>

const char *__lsan_default_suppressions(void);

/* Tests run in processes of their own, which find the runner by BXFI_MAP. */
const char *
__lsan_default_suppressions(void)
{
	return getenv("BXFI_MAP") == NULL ? "leak:libcriterion.so\n" : "";
}
