/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A configuration file before libconfuse sees it: cut into its statements, with all faults of
 * syntax and all unknown keys. What is wrong is replaced by spaces, so that the rest can be judged
 * too, and so that libconfuse, which stops at the first fault and leaks and forgets to count lines
 * behind it, never meets one. Pure.
 */
#ifndef LIB_CONF_TEXT_H
#define LIB_CONF_TEXT_H

#include <stdbool.h>
#include <stddef.h>

#include "conf.h"

enum { CONF_KEYS_MAX = 64 };

/* A section, or an include. */
struct conf_statement {
	const struct conf_kind *kind; /* NULL: include */
	const char *text;             /* of an include: include = "PATTERN" */
	size_t len;
	unsigned line;                 /* where it begins */
	unsigned lines[CONF_KEYS_MAX]; /* of each key in the table of KIND, 0 = not given */
	bool torn;                     /* something of it was wrong, so something may be missing */
};

struct conf_text_ops {
	/* In the order of the file, with line numbers from 1. */
	void (*statement)(void *ctx, const struct conf_statement *s);
	void (*fault)(void *ctx, unsigned line, const char *text);
};

/* TEXT, LEN bytes without a zero, is changed; statements point into it. */
void conf_text_split(char *text, size_t len, const struct conf_kind *kinds, size_t kind_count,
	const struct conf_text_ops *ops, void *ctx);

#endif
