/* auth.h - who is calling: bearer tokens and the web server's REMOTE_USER.
 *
 * A token is "ip_" + 12 characters (its public id) + "_" + 43 characters of
 * base64url (256 random bits).  Only a BLAKE2b-256 hash of the secret is
 * stored; the comparison is constant-time (libsodium). */
#ifndef FCGI_AUTH_H
#define FCGI_AUTH_H

#include <stdbool.h>

#include "common/span.h"
#include "fcgi/registry.h"

/* Makes a token: *token (the caller stores it by registry_put_token and frees
 * it) and its text, shown once. */
int auth_token_new(enum token_role role, const char *user,
    struct token **token, char text[64]);

/* The token that this Authorization field value proves, or NULL: not a
 * Bearer, malformed, unknown, or of the other role. */
const struct token *auth_check_bearer(const struct registry *r,
    const char *authorization, enum token_role role);

/* Its two halves.  The public id that the field value names (a view into it),
 * false when it is no bearer token of ours; and whether it proves this token,
 * NULL where there is none of that id. */
bool auth_bearer_id(const char *authorization, struct span *id);
bool auth_bearer_proves(const char *authorization, const struct token *token);

/* 128 bits that stand for these parts together. */
void auth_digest(const struct span *parts, size_t count,
    unsigned char digest[16]);

#endif
