/* auth.c - bearer tokens: made, and checked against the registry.
 * The door to libsodium. */
#include "config.h"

#include <sodium.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <time.h>

#include "common/log.h"
#include "fcgi/auth.h"

/*	ip_ 0123456789ab _ (43 characters of base64url)
 *	    public id      256 random bits */
enum { ID_LEN = 12, SECRET_BYTES = 32, SECRET_LEN = 43, PREFIX_LEN = 3,
	TOKEN_LEN = PREFIX_LEN + ID_LEN + 1 + SECRET_LEN };

static const char token_prefix[] = "ip_";

static void
sodium_ready(void)
{
	if (sodium_init() < 0)
		fatal("libsodium can't be used");
}

/* The id goes into the hash, so that a hash proves only its own token. */
static void
hash_token(unsigned char hash[32], const char text[TOKEN_LEN])
{
	crypto_generichash(hash, 32, (const unsigned char *)text, TOKEN_LEN,
	    NULL, 0);
}

static void
random_id(char id[ID_LEN + 1])
{
	static const char letters[] = "0123456789abcdefghijklmnopqrstuvwxyz";

	for (size_t i = 0; i < ID_LEN; i++)
		id[i] = letters[randombytes_uniform(sizeof(letters) - 1)];
	id[ID_LEN] = '\0';
}

int
auth_token_new(enum token_role role, const char *user, struct token **token,
    char text[64])
{
	unsigned char secret[SECRET_BYTES];
	char id[ID_LEN + 1];
	struct token *t;
	struct timespec now;

	sodium_ready();
	if ((t = calloc(1, sizeof(*t))) == NULL)
		return -1;
	random_id(id);
	t->role = role;
	t->id = strdup(id);
	t->user = strdup(user);
	if (t->id == NULL || t->user == NULL) {
		token_free(t);
		return -1;
	}
	clock_gettime(CLOCK_REALTIME, &now);
	t->created_ms = (long long)now.tv_sec * 1000 + now.tv_nsec / 1000000;
	randombytes_buf(secret, sizeof(secret));
	memcpy(text, token_prefix, PREFIX_LEN);
	memcpy(text + PREFIX_LEN, id, ID_LEN);
	text[PREFIX_LEN + ID_LEN] = '_';
	sodium_bin2base64(text + PREFIX_LEN + ID_LEN + 1, SECRET_LEN + 1,
	    secret, sizeof(secret), sodium_base64_VARIANT_URLSAFE_NO_PADDING);
	sodium_memzero(secret, sizeof(secret));
	hash_token(t->hash, text);
	*token = t;
	return 0;
}

/* RFC 9110 11.4: the scheme is case-insensitive; RFC 6750 2.1: one space, but
 * more do no harm.  The text of a token, or empty. */
static struct span
bearer_text(const char *authorization)
{
	static const char scheme[] = "Bearer ";
	const struct span none = { NULL, 0 };
	struct span text;

	if (authorization == NULL ||
	    strncasecmp(authorization, scheme, sizeof(scheme) - 1) != 0)
		return none;
	text = span_trim(span_str(authorization + sizeof(scheme) - 1));
	if (text.len != TOKEN_LEN ||
	    memcmp(text.data, token_prefix, PREFIX_LEN) != 0 ||
	    text.data[PREFIX_LEN + ID_LEN] != '_')
		return none;
	return text;
}

bool
auth_bearer_id(const char *authorization, struct span *id)
{
	const struct span text = bearer_text(authorization);

	if (text.len == 0)
		return false;
	*id = span_of(text.data + PREFIX_LEN, ID_LEN);
	return true;
}

bool
auth_bearer_proves(const char *authorization, const struct token *token)
{
	/* Compared with where there is no such token, so that the time taken
	 * does not tell which ids there are. */
	static const unsigned char nobody[32];
	const struct span text = bearer_text(authorization);
	unsigned char hash[32];
	int difference;

	if (text.len == 0)
		return false;
	sodium_ready();
	hash_token(hash, text.data);
	difference = sodium_memcmp(hash,
	    token != NULL ? token->hash : nobody, sizeof(hash));
	return token != NULL && difference == 0;
}

const struct token *
auth_check_bearer(const struct registry *r, const char *authorization,
    enum token_role role)
{
	const struct token *token;
	struct span id;

	if (!auth_bearer_id(authorization, &id))
		return NULL;
	token = registry_token(r, id);
	if (!auth_bearer_proves(authorization, token) || token->role != role)
		return NULL;
	return token;
}

void
auth_digest(const struct span *parts, size_t count, unsigned char digest[16])
{
	crypto_generichash_state state;

	sodium_ready();
	crypto_generichash_init(&state, NULL, 0, 16);
	for (size_t i = 0; i < count; i++) {
		/* The length goes first: ("a", "bc") is not ("ab", "c"). */
		unsigned long long len = parts[i].len;

		crypto_generichash_update(&state, (unsigned char *)&len,
		    sizeof(len));
		crypto_generichash_update(&state,
		    (const unsigned char *)parts[i].data, len);
	}
	crypto_generichash_final(&state, digest, 16);
}
