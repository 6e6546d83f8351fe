/* fuzz_credential.c - any bytes as an Authorization field and as an exchange
 * id: only the one text proves the token, and an id has one spelling. */
#include "config.h"

#include "common/frame.h"
#include "fcgi/auth.h"
#include "tests/fuzz/fuzz.h"

/* What the field value must be, but for the case of "Bearer" and spaces. */
static const char right[] =
    "ip_0123456789ab_0123456789012345678901234567890123456789012";

static void
check_id(struct span text)
{
	char again[EXCHANGE_ID_TEXT + 1];
	struct exchange_id id;

	if (!exchange_id_parse(text, &id))
		return;
	exchange_id_text(&id, again);
	must(span_is(text, span_str(again)));
}

static void
check_bearer(const char *value)
{
	/* BLAKE2b-256 of `right`. */
	struct token token = { .hash = {
		0x1c, 0xe1, 0xa6, 0x6d, 0xac, 0xbb, 0xf3, 0xba,
		0x83, 0xd0, 0xb7, 0x7c, 0x89, 0xbf, 0xc8, 0xf4,
		0x0b, 0x77, 0x65, 0x02, 0x53, 0xa6, 0x41, 0x13,
		0xc5, 0x31, 0x12, 0x13, 0xce, 0xe8, 0x4b, 0xe4 } };
	struct span id;

	if (!auth_bearer_id(value, &id)) {
		must(!auth_bearer_proves(value, &token));
		return;
	}
	must(id.len == 12 && id.data >= value &&
	    id.data + id.len <= value + strlen(value));
	must(!auth_bearer_proves(value, NULL));
	must(!auth_bearer_proves(value, &token) ||
	    strstr(value, right) != NULL);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	char *value = span_strdup(span_of(data, size));

	must(value != NULL);
	check_id(span_of(data, size));
	check_bearer(value);
	free(value);
	return 0;
}
