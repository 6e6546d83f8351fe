/* fuzz_store_address.c - any text as the address of Redis: all of it, or a
 * message and nothing. */
#include "config.h"

#include "fcgi/store_address.h"
#include "tests/fuzz/fuzz.h"

static void
check(const struct store_address *a)
{
	unsigned long long port;

	must(a->text != NULL && a->host != NULL && a->host[0] != '\0');
	must(a->is_unix == (a->port == NULL));
	must(a->database >= 0);
	if (a->is_unix) {
		must(a->host[0] == '/' && a->user == NULL);
		return;
	}
	must(span_to_u64(span_str(a->port), &port) && port >= 1 &&
	    port <= 65535);
	/* A password never stands in it. */
	must(a->user == NULL || strchr(a->user, ':') == NULL);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	char *text = span_strdup(span_of(data, size));
	struct store_address address;
	const char *error;

	must(text != NULL);
	if (store_address_parse(&address, text, &error) == 0) {
		must(error == NULL);
		check(&address);
		store_address_clear(&address);
	} else {
		must(error != NULL && address.text == NULL &&
		    address.host == NULL && address.port == NULL &&
		    address.user == NULL);
	}
	free(text);
	return 0;
}
