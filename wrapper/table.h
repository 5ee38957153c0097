/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Rows for people: each column as wide as its widest cell, counted in places on the screen. Texts
 * are made printable. Memory that runs out shows as empty cells.
 */
#ifndef WRAPPER_TABLE_H
#define WRAPPER_TABLE_H

#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

struct table_column {
	const char *title;
	enum { TABLE_LEFT, TABLE_RIGHT } side;
};

struct table {
	const struct table_column *columns;
	size_t count;
	char **cells; /* row by row */
	size_t used, room;
};

/* COLUMNS stay the caller's. */
void table_init(struct table *t, const struct table_column *columns, size_t count);
void table_done(struct table *t);

/* The next cell, rows from left to right. */
void table_add(struct table *t, const char *text);
void table_add_number(struct table *t, uint64_t n);
void table_add_time(struct table *t, uint64_t us);     /* "850 us", "1.25 ms", "12.5 s" */
void table_add_bytes(struct table *t, uint64_t bytes); /* "512", "1.5K", "20.3G" */
void table_add_rate(struct table *t, double n);        /* "0", "0.4", "12", "3.2k" */

/* Titles, then the rows; nothing at the end of a line. */
void table_print(const struct table *t, FILE *out);

/* Places TEXT (UTF-8) takes on the screen. */
size_t table_width(const char *text);

#endif
