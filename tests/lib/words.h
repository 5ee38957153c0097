/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Command lines of tests. */
#ifndef TESTS_LIB_WORDS_H
#define TESTS_LIB_WORDS_H

enum { WORDS_MAX = 16, WORDS_TEXT_MAX = 256 };

struct words {
	char text[WORDS_TEXT_MAX]; /* what `argv` points into */
	char *argv[WORDS_MAX + 1];
	int argc;
};

/* PROGRAM and what COMMAND has behind it, between blanks. It must fit. */
void words_split(struct words *w, const char *program, const char *command);

#endif
