/* admin_table.h - rows of text with aligned columns. */
#ifndef FCGI_ADMIN_TABLE_H
#define FCGI_ADMIN_TABLE_H

#include <stdio.h>

enum { ADMIN_COLUMNS_MAX = 8 };

struct admin_table {
	char **cell;		/* row after row */
	size_t count, cap;
	size_t columns;
};

/* The header: columns texts. */
void admin_table_init(struct admin_table *table, size_t columns,
    const char *const *header);
void admin_table_clear(struct admin_table *table);

/* The next cell, copied.  Control characters become '?': a terminal must not
 * be steered. */
void admin_table_add(struct admin_table *table, const char *text);

void admin_table_print(const struct admin_table *table, FILE *out);

#endif
