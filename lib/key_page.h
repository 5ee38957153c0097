/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Pages of section 5, in mdoc(7), made of tables of keys: what a program does that runs when the
 * tree is built. All of it goes to standard output. Called as
 *
 *	PROGRAM TEMPLATE       the page: a line "@KEYS SECTION@" becomes entries of a list
 *	PROGRAM                a line "SECTION KEY" for each key, for tests
 *	PROGRAM --check FILE   the faults of FILE on standard error, for tests
 */
#ifndef LIB_KEY_PAGE_H
#define LIB_KEY_PAGE_H

#include "conf.h"
#include "key.h"

struct key_page {
	const struct conf_kind *kinds;
	size_t kind_count;
	/* Instead of key_page_entry(); NULL = that. */
	void (*entry)(const struct conf_kind *kind, const struct key *k);
	/* Prints what takes the place of a LINE of the template; false = it stays. NULL = all do.
	 */
	bool (*line)(const char *line);
	/* Reads a configuration and frees it: 0 or -errno, with RET. NULL = there is no --check. */
	int (*read)(const char *path, struct conf *ret);
};

/* The whole of main(). */
int key_page_main(const struct key_page *p, int argc, char **argv);

/* ".It Cm name No = value", the help, and the range of a number. */
void key_page_entry(const struct key *k);

/* One sentence a line, as mdoc wants it. */
void key_page_text(const char *text);

#endif
