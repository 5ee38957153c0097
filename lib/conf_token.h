/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The words of a configuration file, as libconfuse reads them, but strict: what its lexer passes
 * over in silence, or never recovers from, is wrong here. Pure.
 */
#ifndef LIB_CONF_TOKEN_H
#define LIB_CONF_TOKEN_H

#include <stddef.h>

enum conf_token_kind {
	CONF_END,
	CONF_WORD,
	CONF_QUOTED,
	CONF_SIGN,  /* one of { } ( ) = , */
	CONF_WRONG, /* `wrong` says why; a text that does not end lasts to the end of its line */
};

struct conf_token {
	enum conf_token_kind kind;
	char sign;
	size_t begin, end; /* in the text */
	unsigned line;
	const char *wrong;
};

struct conf_scan {
	char *text;
	size_t len, at;
	unsigned line; /* of `at`, from 1 */
};

/* Comments on the way to it are replaced by spaces. */
void conf_scan_next(struct conf_scan *s, struct conf_token *ret);
/* So that T is the next token again. */
void conf_scan_back(struct conf_scan *s, const struct conf_token *t);

#endif
