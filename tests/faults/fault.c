/* fault.c - the rows of the fault table, and the promises. */
#include "config.h"

#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "tests/faults/fault.h"

enum { VERDICT_LEN = 512 };

unsigned
fault_size(unsigned in_short, unsigned in_long)
{
	const char *form = getenv("INVERTING_PROXY_FAULTS");

	return form != NULL && strcmp(form, "long") == 0 ? in_long : in_short;
}

/* Tests run side by side: a row is one write. */
void
fault_row(const struct stack *s, const char *fault, const char *load_text,
    const struct load_sum *sum, long recovery_ms, const char *verdict)
{
	const char *path = getenv("INVERTING_PROXY_FAULTS_TABLE");
	int fd = path == NULL ? dup(STDERR_FILENO) :
	    open(path, O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC, 0666);

	check(fd >= 0, "%s can't be written", path);
	dprintf(fd, "%s\t%s\t%s\t%u\t%u\t%u\t%u\t%u\t%u\t%u\t%u\t%u\t%ld\t"
	    "%ld\t%s\n", fault, web_facts(s)->name, load_text, sum->requests,
	    sum->ok, sum->status_502, sum->status_503, sum->status_504,
	    sum->broken_off, sum->hung, sum->doubled, sum->lost + sum->wrong,
	    sum->slowest_ms, recovery_ms, verdict);
	close(fd);
}

static void
broken(char *verdict, const char *format, ...)
    __attribute__((format(printf, 2, 3)));

static void
broken(char *verdict, const char *format, ...)
{
	size_t len = strlen(verdict);
	va_list ap;

	va_start(ap, format);
	len += (size_t)snprintf(verdict + len, VERDICT_LEN - len, "%s",
	    len > 0 ? ", " : "");
	vsnprintf(verdict + len, VERDICT_LEN - len, format, ap);
	va_end(ap);
}

static void
forbid(char *verdict, bool may, unsigned count, const char *what)
{
	if (!may && count > 0)
		broken(verdict, "%u %s", count, what);
}

static unsigned
failed_gets(const struct load *l)
{
	unsigned count = 0;

	for (unsigned i = 0; i < load_begun(l); i++)
		count += !load_entry(l, i)->is_post &&
		    load_entry(l, i)->end == LOAD_ANSWERED &&
		    load_entry(l, i)->status == 502;
	return count;
}

static void
judge(char *verdict, const struct load *l, const struct load_sum *sum,
    const struct fault_promise *p, long recovery_ms, long decided_ms)
{
	forbid(verdict, false, sum->hung, "hung");
	forbid(verdict, false, sum->wrong, "wrong");
	forbid(verdict, false, sum->lost, "lost");
	forbid(verdict, false, sum->doubled, "doubled");
	forbid(verdict, false, sum->other_status, "other status");
	forbid(verdict, p->may_502_posts, sum->status_502, "502");
	forbid(verdict, false, failed_gets(l), "502 to a GET");
	forbid(verdict, p->may_deny, sum->denied, "502 without execution");
	forbid(verdict, p->may_503, sum->status_503, "503");
	forbid(verdict, p->may_504, sum->status_504, "504");
	forbid(verdict, p->may_break_off, sum->broken_off, "broken off");
	forbid(verdict, p->may_repeat, sum->repeated, "repeated");
	forbid(verdict, p->may_overlap, sum->together, "twice at a time");
	if (recovery_ms > p->recovery_ms)
		broken(verdict, "recovered after %ld ms", recovery_ms);
	if (p->decided_ms > 0 && decided_ms > p->decided_ms)
		broken(verdict, "decided after %ld ms", decided_ms);
	if (verdict[0] == '\0')
		snprintf(verdict, VERDICT_LEN, "kept");
}

void
fault_report(const struct stack *s, const char *fault, const char *load_text,
    const struct load *l, long long began_ns, long long over_ns,
    const struct fault_promise *promise)
{
	struct load_sum sum = load_sum(l);
	long recovery_ms = load_recovery_ms(l, over_ns);
	char verdict[VERDICT_LEN] = "";

	judge(verdict, l, &sum, promise, recovery_ms,
	    load_decided_ms(l, began_ns));
	fault_row(s, fault, load_text, &sum, recovery_ms, verdict);
	check(strcmp(verdict, "kept") == 0, "%s: %s", fault, verdict);
}

void
fault_run(pid_t netns, const char *command)
{
	static int runs;
	struct process *p = process_new(harness_name("command-%d", ++runs));
	char *copy = strdup(command), *rest = copy, *word;

	if (netns != 0) {
		process_arg(p, "nsenter");
		process_arg(p, "--net=/proc/%d/ns/net", (int)netns);
	}
	while ((word = strsep(&rest, " ")) != NULL)
		process_arg(p, "%s", word);
	free(copy);
	free(process_run(p));
}
