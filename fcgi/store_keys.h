/* store_keys.h - every Redis key and channel of the project is spelled here.
 * Each carries one hash tag, so that no command touches two slots. */
#ifndef FCGI_STORE_KEYS_H
#define FCGI_STORE_KEYS_H

#include "common/span.h"

enum { STORE_KEY_MAX = 320 };

struct store_key {
	char text[STORE_KEY_MAX];
	size_t len;
};

static inline struct span
store_key_span(const struct store_key *key)
{
	return span_of(key->text, key->len);
}

/* Registry: hashes without expiry, owned by the admin. */
struct store_key store_key_backends(void);	/* ip:{registry}:backends */
struct store_key store_key_tokens(void);	/* ip:{registry}:tokens */
struct store_key store_key_version(void);	/* ip:{registry}:version */
struct store_key store_key_changed(void);	/* channel */
/* Hash: backend id -> unix ms of the last exchange / last agent call.  Fields
 * are deleted with the backend. */
struct store_key store_key_used(void);		/* ip:{registry}:used */
struct store_key store_key_seen(void);		/* ip:{registry}:seen */

/* Workers: sorted set of live worker ids by heartbeat (Redis time, ms). */
struct store_key store_key_workers(void);	/* ip:{workers}:alive */
/* A worker's mailbox.  worker: 16 hex digits. */
struct store_key store_key_mail(struct span worker);	/* ip:{w:ID}:mail */

/* Written to see whether Redis takes it; expires at once. */
struct store_key store_key_probe(void);		/* ip:{workers}:probe */

/* A backend's queue of exchanges, its wake-up channel, and the sign that an
 * agent was there (expires). */
struct store_key store_key_queue(struct span backend);	/* ip:{b:ID}:queue */
struct store_key store_key_wake(struct span backend);	/* channel */
struct store_key store_key_attended(struct span backend);

/* A native agent's mailbox, wake-up channel and sign of life.  agent: 32 hex
 * digits. */
struct store_key store_key_agent_mail(struct span agent);
struct store_key store_key_agent_wake(struct span agent);
struct store_key store_key_agent_alive(struct span agent);

#endif
