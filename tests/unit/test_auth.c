/* test_auth.c - tokens: made, and told from those that are not. */
#include "config.h"

#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "fcgi/auth.h"

static struct token *known;

static char text[64];

/* As auth_check_bearer does it, with a registry of one token. */
static const struct token *
check_value(const char *authorization, enum token_role role)
{
	const struct token *token;
	struct span id;

	if (!auth_bearer_id(authorization, &id))
		return NULL;
	token = known != NULL && span_is(id, span_str(known->id)) ? known :
	    NULL;
	return auth_bearer_proves(authorization, token) &&
	    token->role == role ? token : NULL;
}

static const struct token *
check(const char *before, const char *token, enum token_role role)
{
	char *value = malloc(strlen(before) + strlen(token) + 1);
	const struct token *t;

	strcpy(value, before);
	strcat(value, token);
	t = check_value(value, role);
	free(value);
	return t;
}

static void
set_up(void)
{
	cr_assert_eq(auth_token_new(TOKEN_ROLE_AGENT, "ann", &known, text), 0);
}

static void
tear_down(void)
{
	token_free(known);
}

TestSuite(auth, .init = set_up, .fini = tear_down);

Test(auth, makes_tokens_of_the_documented_form)
{
	static const char letters[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZ"
	    "abcdefghijklmnopqrstuvwxyz0123456789-_";

	cr_expect_eq(strlen(text), 3 + 12 + 1 + 43);
	cr_expect_eq(strncmp(text, "ip_", 3), 0);
	cr_expect_eq(strncmp(text + 3, known->id, 12), 0);
	cr_expect_eq(text[15], '_');
	cr_expect_eq(strspn(text + 16, letters), 43);
	cr_expect_str_eq(known->user, "ann");
	cr_expect_eq(known->role, TOKEN_ROLE_AGENT);
	cr_expect_gt(known->created_ms, 1700000000000LL);
}

Test(auth, keeps_no_part_of_the_secret)
{
	cr_expect_null(memmem(known->hash, sizeof(known->hash), text + 16, 4));
}

Test(auth, makes_no_token_twice)
{
	struct token *other;
	char other_text[64];

	cr_assert_eq(auth_token_new(TOKEN_ROLE_AGENT, "ann", &other,
	    other_text), 0);
	cr_expect_str_neq(other->id, known->id);
	cr_expect_str_neq(other_text + 16, text + 16);
	token_free(other);
}

Test(auth, takes_the_right_token)
{
	cr_expect_eq(check("Bearer ", text, TOKEN_ROLE_AGENT), known);
	cr_expect_eq(check("bearer ", text, TOKEN_ROLE_AGENT), known);
	cr_expect_eq(check("BEARER   ", text, TOKEN_ROLE_AGENT), known);
}

Test(auth, refuses_the_other_role)
{
	cr_expect_null(check("Bearer ", text, TOKEN_ROLE_ADMIN));
	known->role = TOKEN_ROLE_ADMIN;
	cr_expect_null(check("Bearer ", text, TOKEN_ROLE_AGENT));
	cr_expect_eq(check("Bearer ", text, TOKEN_ROLE_ADMIN), known);
}

Test(auth, refuses_a_token_with_any_byte_changed)
{
	for (size_t i = 0; i < strlen(text); i++) {
		char changed[64];

		memcpy(changed, text, sizeof(text));
		changed[i] = changed[i] == 'a' ? 'b' : 'a';
		cr_expect_null(check("Bearer ", changed, TOKEN_ROLE_AGENT),
		    "took it with byte %zu changed", i);
	}
}

Test(auth, refuses_what_is_no_token)
{
	char longer[80];

	snprintf(longer, sizeof(longer), "%sA", text);
	cr_expect_null(check_value(NULL, TOKEN_ROLE_AGENT));
	cr_expect_null(check("", "", TOKEN_ROLE_AGENT));
	cr_expect_null(check("Bearer", "", TOKEN_ROLE_AGENT));
	cr_expect_null(check("Bearer ", "", TOKEN_ROLE_AGENT));
	cr_expect_null(check("Basic ", text, TOKEN_ROLE_AGENT));
	cr_expect_null(check("", text, TOKEN_ROLE_AGENT));
	cr_expect_null(check("Bearer", text, TOKEN_ROLE_AGENT));
	cr_expect_null(check("Bearer ", longer, TOKEN_ROLE_AGENT));
	cr_expect_null(check("Bearer x", text, TOKEN_ROLE_AGENT));
	longer[strlen(text) - 1] = '\0';
	cr_expect_null(check("Bearer ", longer, TOKEN_ROLE_AGENT));
}

Test(auth, refuses_tokens_that_are_not_registered)
{
	token_free(known);
	known = NULL;
	cr_expect_null(check("Bearer ", text, TOKEN_ROLE_AGENT));
}
