/* admin_table.c - rows of text with aligned columns. */
#include "config.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "common/log.h"
#include "fcgi/admin_table.h"

void
admin_table_init(struct admin_table *table, size_t columns,
    const char *const *header)
{
	assert(columns > 0 && columns <= ADMIN_COLUMNS_MAX);
	*table = (struct admin_table){ .columns = columns };
	for (size_t i = 0; i < columns; i++)
		admin_table_add(table, header[i]);
}

void
admin_table_clear(struct admin_table *table)
{
	for (size_t i = 0; i < table->count; i++)
		free(table->cell[i]);
	free(table->cell);
	*table = (struct admin_table){ .columns = table->columns };
}

void
admin_table_add(struct admin_table *table, const char *text)
{
	char *copy = strdup(text);

	if (table->count == table->cap) {
		const size_t cap = table->cap == 0 ? 64 : table->cap * 2;
		char **cell = reallocarray(table->cell, cap, sizeof(*cell));

		if (cell == NULL)
			fatal("out of memory");
		table->cell = cell;
		table->cap = cap;
	}
	if (copy == NULL)
		fatal("out of memory");
	for (char *p = copy; *p != '\0'; p++)
		if ((unsigned char)*p < 0x20 || *p == 0x7f)
			*p = '?';
	table->cell[table->count++] = copy;
}

/* Characters, not bytes, of UTF-8. */
static size_t
text_width(const char *s)
{
	size_t width = 0;

	for (; *s != '\0'; s++)
		width += ((unsigned char)*s & 0xc0) != 0x80;
	return width;
}

void
admin_table_print(const struct admin_table *table, FILE *out)
{
	size_t width[ADMIN_COLUMNS_MAX] = { 0 };

	for (size_t i = 0; i < table->count; i++) {
		const size_t w = text_width(table->cell[i]);

		if (w > width[i % table->columns])
			width[i % table->columns] = w;
	}
	for (size_t i = 0; i < table->count; i++) {
		const size_t column = i % table->columns;
		const bool last = column + 1 == table->columns;
		size_t pad = width[column] - text_width(table->cell[i]) + 2;

		fputs(table->cell[i], out);
		for (; !last && pad > 0; pad--)
			putc(' ', out);
		if (last)
			putc('\n', out);
	}
}
