/* privilege.c - from root to somebody who may do less. */
#include "config.h"

#include <errno.h>
#include <grp.h>
#include <pwd.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <unistd.h>

#include "common/log.h"
#include "common/privilege.h"
#include "common/span.h"

static const struct passwd *
find_user(const char *user)
{
	const struct passwd *entry;
	unsigned long long uid;

	errno = 0;
	entry = getpwnam(user);
	if (entry == NULL && span_to_u64(span_str(user), &uid) &&
	    uid <= INT32_MAX)
		entry = getpwuid((uid_t)uid);
	if (entry == NULL)
		fatal("--user %s: there is no such user", user);
	return entry;
}

/* The groups first: afterwards nothing may be changed any more. */
static void
become(const struct passwd *entry)
{
	int death_signal = 0;

	/* What the one who started us asked for is lost with the user. */
	(void)prctl(PR_GET_PDEATHSIG, &death_signal);
	if (initgroups(entry->pw_name, entry->pw_gid) != 0 ||
	    setgid(entry->pw_gid) != 0 || setuid(entry->pw_uid) != 0)
		fatal("--user %s: %s", entry->pw_name, strerror(errno));
	if (entry->pw_uid != 0 && (setuid(0) == 0 || geteuid() == 0))
		fatal("--user %s: root can be had back", entry->pw_name);
	(void)prctl(PR_SET_PDEATHSIG, death_signal);
}

void
privilege_drop(const char *user)
{
	const struct passwd *entry;

	if (user == NULL) {
		if (geteuid() == 0)
			log_warn(NULL, "running as root, which is not needed: "
			    "see --user");
		return;
	}
	entry = find_user(user);
	if (geteuid() == 0)
		become(entry);
	else if (geteuid() != entry->pw_uid)
		fatal("--user %s: only root can become another user", user);
}

void
privilege_hide_memory(void)
{
	const struct rlimit none = { 0, 0 };

	(void)setrlimit(RLIMIT_CORE, &none);
	/* The limit alone does not hold for a core that is piped to a
	 * program (core(5)). */
	(void)prctl(PR_SET_DUMPABLE, 0);
}
