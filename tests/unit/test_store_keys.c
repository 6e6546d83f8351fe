/* test_store_keys.c - every key carries exactly one hash tag. */
#include "config.h"

#include <criterion/criterion.h>
#include <string.h>

#include "fcgi/registry.h"
#include "fcgi/store_keys.h"

Test(store_keys, are_spelled_as_documented)
{
	const struct span id = span_str("0123456789abcdef");

	cr_expect_str_eq(store_key_backends().text, "ip:{registry}:backends");
	cr_expect_str_eq(store_key_tokens().text, "ip:{registry}:tokens");
	cr_expect_str_eq(store_key_version().text, "ip:{registry}:version");
	cr_expect_str_eq(store_key_changed().text, "ip:{registry}:changed");
	cr_expect_str_eq(store_key_used().text, "ip:{registry}:used");
	cr_expect_str_eq(store_key_seen().text, "ip:{registry}:seen");
	cr_expect_str_eq(store_key_workers().text, "ip:{workers}:alive");
	cr_expect_str_eq(store_key_probe().text, "ip:{workers}:probe");
	cr_expect_str_eq(store_key_mail(id).text,
	    "ip:{w:0123456789abcdef}:mail");
	cr_expect_str_eq(store_key_queue(span_str("my.b")).text,
	    "ip:{b:my.b}:queue");
	cr_expect_str_eq(store_key_wake(span_str("b")).text, "ip:{b:b}:wake");
	cr_expect_str_eq(store_key_attended(span_str("b")).text,
	    "ip:{b:b}:attended");
	cr_expect_str_eq(store_key_agent_mail(id).text,
	    "ip:{a:0123456789abcdef}:mail");
	cr_expect_str_eq(store_key_agent_wake(id).text,
	    "ip:{a:0123456789abcdef}:wake");
	cr_expect_str_eq(store_key_agent_alive(id).text,
	    "ip:{a:0123456789abcdef}:alive");
}

Test(store_keys, have_room_for_the_longest_backend_id)
{
	char id[BACKEND_ID_MAX];
	struct store_key key;

	memset(id, 'x', sizeof(id));
	key = store_key_attended(span_of(id, sizeof(id)));
	cr_expect_eq(key.len, strlen(key.text));
	cr_expect_eq(store_key_span(&key).len, sizeof(id) +
	    strlen("ip:{b:}:attended"));
}

/* Ids of different kinds never make the same key. */
Test(store_keys, of_different_kinds_differ)
{
	const struct span id = span_str("0123456789abcdef");
	const struct store_key key[] = { store_key_mail(id),
		store_key_queue(id), store_key_wake(id),
		store_key_attended(id), store_key_agent_mail(id),
		store_key_agent_wake(id), store_key_agent_alive(id),
		store_key_queue(span_str("registry")),
		store_key_workers(), store_key_backends() };
	const size_t count = sizeof(key) / sizeof(key[0]);

	for (size_t i = 0; i < count; i++)
		for (size_t k = i + 1; k < count; k++)
			cr_expect_str_neq(key[i].text, key[k].text);
}
