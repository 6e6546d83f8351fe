/* hex.c - bytes as hexadecimal digits.
 * Pure: memory the caller gives. */
#include "config.h"

#include "common/hex.h"

int
hex_digit(int c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	if (c >= 'a' && c <= 'f')
		return c - 'a' + 10;
	if (c >= 'A' && c <= 'F')
		return c - 'A' + 10;
	return -1;
}

void
hex_encode(const void *bytes, size_t len, char *text)
{
	static const char digit[] = "0123456789abcdef";
	const unsigned char *byte = bytes;

	for (size_t i = 0; i < len; i++) {
		*text++ = digit[byte[i] >> 4];
		*text++ = digit[byte[i] & 15];
	}
	*text = '\0';
}

bool
hex_decode(struct span text, void *bytes, size_t len)
{
	unsigned char *byte = bytes;

	if (text.len != 2 * len)
		return false;
	/* One spelling for each value: ids are compared as text, too. */
	for (size_t i = 0; i < text.len; i++)
		if (hex_digit(text.data[i]) < 0 ||
		    (text.data[i] >= 'A' && text.data[i] <= 'F'))
			return false;
	for (size_t i = 0; i < len; i++)
		byte[i] = (unsigned char)
		    ((unsigned)hex_digit(text.data[2 * i]) << 4 |
		    (unsigned)hex_digit(text.data[2 * i + 1]));
	return true;
}
