/* fuzz_agent_settings.c - any text as the options that say where things are:
 * a place of a backend, a backend, a field line, the URL of the proxy.  What
 * is taken can be used. */
#include "config.h"

#include <sys/un.h>

#include "agent/settings.h"
#include "agent/transfer.h"
#include "common/field.h"
#include "tests/fuzz/fuzz.h"

static void
check_host(const char *text)
{
	char *url, *path;

	if (!settings_read_host(text, &url, &path))
		return;
	must(transfer_url_is_valid(url));
	must(path == NULL || (path[0] == '/' && strlen(path) <
	    sizeof(((struct sockaddr_un *)NULL)->sun_path)));
	free(url);
	free(path);
}

static void
check_together(char *text)
{
	static char one[] = "1", word[] = "auto", level[] = "info",
	    format[] = "text";
	struct settings s = { .proxy = text, .host = text, .protocol = word,
		.backends = { &text, 1 }, .headers = { &text, 1 },
		.log_level = level, .log_format = format,
		.health_check_path = text };
	const char *wrong = settings_check(&s);

	must(wrong == NULL || wrong[0] != '\0');
	s.proxy = text;
	s.health_check_path = one;
	must(settings_check(&s) != NULL);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	char *text = span_strdup(span_of(data, size));
	struct span a, b;

	must(text != NULL);
	check_host(text);
	if (settings_read_backend(text, &a, &b))
		must(a.len >= 1 && a.len <= 128 &&
		    memchr(a.data, ' ', a.len) == NULL);
	if (settings_read_header(text, &a, &b))
		must(field_name_is_valid(a) && field_value_is_valid(b));
	check_together(text);
	free(text);
	return 0;
}
