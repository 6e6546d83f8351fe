/* test_span.c - comparing, trimming and reading borrowed bytes. */
#include "config.h"

#include <criterion/criterion.h>
#include <stdlib.h>

#include "common/span.h"
#include "common/wire_error.h"

Test(span, compares_bytes_and_not_strings)
{
	cr_assert(span_is(span_of("a\0b", 3), span_of("a\0b", 3)));
	cr_assert_not(span_is(span_of("a\0b", 3), span_of("a\0c", 3)));
	cr_assert_not(span_is(span_str("ab"), span_str("abc")));
	cr_assert(span_is(span_str(NULL), span_str("")));
}

Test(span, ignores_the_case_of_ascii_letters_only)
{
	cr_assert(span_is_nocase(span_str("Content-Length"),
	    span_str("cONTENT-lENGTH")));
	cr_assert(span_is_nocase(span_str(NULL), span_str("")));
	cr_assert_not(span_is_nocase(span_str("ab"), span_str("ac")));
	cr_assert_not(span_is_nocase(span_str("ab"), span_str("a")));
	/* These differ in the bit that makes a letter lower-case. */
	cr_assert_not(span_is_nocase(span_str("@"), span_str("`")));
	cr_assert_not(span_is_nocase(span_str("["), span_str("{")));
	cr_assert_not(span_is_nocase(span_str("-"), span_str("\r")));
	cr_assert_not(span_is_nocase(span_str("\xc4"), span_str("\xe4")));
}

Test(span, trims_optional_white_space_and_nothing_else)
{
	static const struct { const char *in, *out; } vectors[] = {
		{ "", "" }, { " ", "" }, { "\t \t", "" }, { "a", "a" },
		{ "  a b\t", "a b" }, { "\r\na\n", "\r\na\n" },
		{ "\va\f", "\va\f" },
	};

	for (size_t i = 0; i < sizeof(vectors) / sizeof(vectors[0]); i++)
		cr_assert(span_is(span_trim(span_str(vectors[i].in)),
		    span_str(vectors[i].out)), "vector %zu", i);
}

Test(span, reads_decimal_numbers_up_to_64_bits)
{
	static const struct { const char *in; unsigned long long out; }
	    vectors[] = {
		{ "0", 0 }, { "7", 7 }, { "007", 7 }, { "42", 42 },
		{ "18446744073709551615", 18446744073709551615ULL },
		{ "0000000000000000000000000000000000001", 1 },
	};

	for (size_t i = 0; i < sizeof(vectors) / sizeof(vectors[0]); i++) {
		unsigned long long n = 99;

		cr_assert(span_to_u64(span_str(vectors[i].in), &n),
		    "%s", vectors[i].in);
		cr_assert_eq(n, vectors[i].out, "%s", vectors[i].in);
	}
}

Test(span, refuses_what_is_not_a_decimal_number)
{
	static const char *const vectors[] = {
		"", " 1", "1 ", "+1", "-1", "0x1", "1.0", "1,1", "a", "1a",
		"18446744073709551616", "99999999999999999999", "/", ":",
		"184467440737095516150",
	};

	for (size_t i = 0; i < sizeof(vectors) / sizeof(vectors[0]); i++) {
		unsigned long long n = 99;

		cr_assert_not(span_to_u64(span_str(vectors[i]), &n),
		    "%s", vectors[i]);
		cr_assert_eq(n, 99, "%s", vectors[i]);
	}
	cr_assert_not(span_to_u64(span_of("1\0", 2),
	    &(unsigned long long){ 0 }));
}

Test(span, copies_to_a_string)
{
	char *empty = span_strdup(span_of(NULL, 0));
	char *copy = span_strdup(span_of("abcdef", 3));

	cr_assert_str_eq(empty, "");
	cr_assert_str_eq(copy, "abc");
	free(empty);
	free(copy);
}

Test(wire_error, has_a_phrase_of_its_own_for_every_value)
{
	for (int a = WIRE_AMBIGUOUS; a <= WIRE_MORE; a++) {
		cr_assert_str_neq(wire_strerror(a), "unknown error");
		for (int b = WIRE_AMBIGUOUS; b < a; b++)
			cr_assert_str_neq(wire_strerror(a), wire_strerror(b));
	}
	cr_assert_str_eq(wire_strerror(-999), "unknown error");
}
