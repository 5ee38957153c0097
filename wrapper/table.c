/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Tables on the screen; see table.h. Cells are kept as they are printed. */
#include "table.h"

#include "str.h"
#include "util.h"

#include <stdlib.h>
#include <string.h>
#include <wchar.h>

enum { GAP = 2 };

void table_init(struct table *t, const struct table_column *columns, size_t count)
{
	*t = (struct table){.columns = columns, .count = count};
}

void table_done(struct table *t)
{
	for (size_t i = 0; i < t->used; i++)
		free(t->cells[i]);
	free(t->cells);
	*t = (struct table){0};
}

/* Takes CELL. */
static void add(struct table *t, char *cell)
{
	if (t->used == t->room) {
		size_t room = t->room ? 2 * t->room : 64;
		char **more = realloc(t->cells, room * sizeof(*more));

		if (!more) {
			free(cell);
			return;
		}
		t->cells = more;
		t->room = room;
	}
	t->cells[t->used++] = cell;
}

void table_add(struct table *t, const char *text)
{
	size_t len = strlen(text), room = 4 * len + 1;
	char *cell = malloc(room);

	if (cell)
		str_printable(cell, room, text, len);
	add(t, cell);
}

void table_add_number(struct table *t, uint64_t n)
{
	char text[32];

	snprintf(text, sizeof(text), "%llu", (unsigned long long)n);
	table_add(t, text);
}

void table_add_time(struct table *t, uint64_t us)
{
	char text[32];

	if (us < 1000)
		snprintf(text, sizeof(text), "%llu us", (unsigned long long)us);
	else if (us < 1000 * 1000)
		snprintf(text, sizeof(text), us < 100000 ? "%.2f ms" : "%.0f ms", (double)us / 1e3);
	else
		snprintf(text, sizeof(text), "%.2f s", (double)us / 1e6);
	table_add(t, text);
}

void table_add_bytes(struct table *t, uint64_t bytes)
{
	static const char units[] = "KMGTPE";
	double n = (double)bytes;
	char text[32];
	int unit = -1;

	for (; n >= 1023.95 && unit < 5; unit++)
		n /= 1024;
	if (unit < 0)
		snprintf(text, sizeof(text), "%llu", (unsigned long long)bytes);
	else
		snprintf(text, sizeof(text), "%.1f%c", n, units[unit]);
	table_add(t, text);
}

void table_add_rate(struct table *t, double n)
{
	char text[32];

	if (n <= 0)
		snprintf(text, sizeof(text), "0");
	else if (n < 9.95)
		snprintf(text, sizeof(text), "%.1f", n);
	else
		snprintf(text, sizeof(text), n < 99999.5 ? "%.0f" : "%.0fk",
			n < 99999.5 ? n : n / 1000);
	table_add(t, text);
}

/* The character at *P, which is moved behind it; what is no UTF-8 counts byte by byte. */
static wchar_t next_char(const char **p)
{
	const unsigned char *s = (const unsigned char *)*p;
	unsigned more = *s >= 0xf0 ? 3 : *s >= 0xe0 ? 2 : *s >= 0xc0 ? 1 : 0;
	wchar_t c = *s & (more ? 0x3f >> more : 0x7f);

	(*p)++;
	for (; more > 0 && (**p & 0xc0) == 0x80; more--, (*p)++)
		c = c << 6 | (**p & 0x3f);
	return c;
}

size_t table_width(const char *text)
{
	size_t n = 0;

	while (*text) {
		int width = wcwidth(next_char(&text));

		n += width < 0 ? 1 : (size_t)width; /* unknown to this locale */
	}
	return n;
}

static const char *cell_of(const struct table *t, size_t i)
{
	return i < t->used && t->cells[i] ? t->cells[i] : "";
}

static size_t width_of(const struct table *t, size_t column)
{
	size_t width = table_width(t->columns[column].title);

	for (size_t i = column; i < t->used; i += t->count)
		width = MAX_OF(width, table_width(cell_of(t, i)));
	return width;
}

static void print_cell(
	const struct table *t, const char *text, size_t column, size_t width, FILE *out)
{
	int pad = (int)(width - table_width(text));
	bool is_last = column + 1 == t->count;

	if (t->columns[column].side == TABLE_RIGHT)
		fprintf(out, "%*s%s%*s", pad, "", text, is_last ? 0 : GAP, "");
	else
		fprintf(out, "%s%*s", text, is_last ? 0 : pad + GAP, "");
}

void table_print(const struct table *t, FILE *out)
{
	size_t *widths = calloc(t->count, sizeof(*widths));

	for (size_t k = 0; widths && k < t->count; k++)
		widths[k] = width_of(t, k);
	for (size_t k = 0; widths && k < t->count; k++)
		print_cell(t, t->columns[k].title, k, widths[k], out);
	if (widths)
		putc('\n', out);
	for (size_t i = 0; widths && i < t->used; i++) {
		print_cell(t, cell_of(t, i), i % t->count, widths[i % t->count], out);
		if (i % t->count == t->count - 1)
			putc('\n', out);
	}
	free(widths);
}
