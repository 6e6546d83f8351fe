/* store_keys.c - every Redis key and channel of the project is spelled here.
 * Each carries one hash tag, so that no command touches two slots. */
#include "config.h"

#include <assert.h>
#include <string.h>

#include "fcgi/store_keys.h"

/* "ip:{" tag name "}:" suffix.  The longest name is a backend's id, which is
 * checked before it comes here; its characters exclude '{' and '}', so that
 * the hash tag is all of it. */
static struct store_key
make_key(const char *tag, struct span name, const char *suffix)
{
	const struct span part[] = { span_str("ip:{"), span_str(tag), name,
		span_str("}:"), span_str(suffix) };
	struct store_key key = { .len = 0 };

	for (size_t i = 0; i < sizeof(part) / sizeof(part[0]); i++) {
		assert(part[i].len < sizeof(key.text) - key.len);
		if (part[i].len > 0)
			memcpy(key.text + key.len, part[i].data, part[i].len);
		key.len += part[i].len;
	}
	key.text[key.len] = '\0';
	return key;
}

static struct store_key
registry_key(const char *suffix)
{
	return make_key("registry", span_of(NULL, 0), suffix);
}

struct store_key
store_key_backends(void)
{
	return registry_key("backends");
}

struct store_key
store_key_tokens(void)
{
	return registry_key("tokens");
}

struct store_key
store_key_version(void)
{
	return registry_key("version");
}

struct store_key
store_key_changed(void)
{
	return registry_key("changed");
}

struct store_key
store_key_used(void)
{
	return registry_key("used");
}

struct store_key
store_key_seen(void)
{
	return registry_key("seen");
}

struct store_key
store_key_workers(void)
{
	return make_key("workers", span_of(NULL, 0), "alive");
}

struct store_key
store_key_probe(void)
{
	return make_key("workers", span_of(NULL, 0), "probe");
}

struct store_key
store_key_mail(struct span worker)
{
	return make_key("w:", worker, "mail");
}

struct store_key
store_key_queue(struct span backend)
{
	return make_key("b:", backend, "queue");
}

struct store_key
store_key_wake(struct span backend)
{
	return make_key("b:", backend, "wake");
}

struct store_key
store_key_attended(struct span backend)
{
	return make_key("b:", backend, "attended");
}

struct store_key
store_key_agent_mail(struct span agent)
{
	return make_key("a:", agent, "mail");
}

struct store_key
store_key_agent_wake(struct span agent)
{
	return make_key("a:", agent, "wake");
}

struct store_key
store_key_agent_alive(struct span agent)
{
	return make_key("a:", agent, "alive");
}
