/* test_hex.c - bytes as hexadecimal digits. */
#include "config.h"

#include <criterion/criterion.h>
#include <string.h>

#include "common/hex.h"

Test(hex, encodes_every_byte_in_lower_case)
{
	const unsigned char bytes[] = { 0x00, 0x0a, 0xa0, 0x7f, 0xff };
	char text[2 * sizeof bytes + 1];

	hex_encode(bytes, sizeof bytes, text);
	cr_assert_str_eq(text, "000aa07fff");
}

Test(hex, decodes_what_it_encodes)
{
	unsigned char bytes[256], back[256];
	char text[2 * sizeof bytes + 1];

	for (size_t i = 0; i < sizeof bytes; i++)
		bytes[i] = (unsigned char)i;
	hex_encode(bytes, sizeof bytes, text);
	cr_assert(hex_decode(span_str(text), back, sizeof back));
	cr_assert_arr_eq(back, bytes, sizeof bytes);
}

Test(hex, refuses_anything_else_and_leaves_the_bytes_alone)
{
	static const char *const wrong[] = { "", "a", "abc", "abcde", "abc ",
		"ABCD", "abcg", "0x12", "+123", "\xff\xff\xff\xff" };

	for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
		unsigned char bytes[2] = { 1, 2 };

		cr_assert_not(hex_decode(span_str(wrong[i]), bytes, 2),
		    "%s", wrong[i]);
		cr_assert(bytes[0] == 1 && bytes[1] == 2, "%s", wrong[i]);
	}
}

Test(hex, reads_a_digit_of_either_case)
{
	cr_assert_eq(hex_digit('0'), 0);
	cr_assert_eq(hex_digit('f'), 15);
	cr_assert_eq(hex_digit('F'), 15);
	cr_assert_eq(hex_digit('g'), -1);
	cr_assert_eq(hex_digit(-1), -1);
	cr_assert_eq(hex_digit(0x130), -1);
}
