/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * An error with words: filled where the knowledge is, printed once by the program (see log.h).
 * A function that takes `struct err *` fills it exactly when it returns a negative number.
 */
#ifndef LIB_ERR_H
#define LIB_ERR_H

enum { ERR_TEXT_MAX = 512 };

struct err {
	int code;                /* errno value, 0 = none */
	char text[ERR_TEXT_MAX]; /* one line: what, where, what would be right */
};

/* Sets CODE and the text; ERR may be NULL. Returns -CODE, so `return err_set(...)` reads well. */
int err_set(struct err *err, int code, const char *fmt, ...) __attribute__((format(printf, 3, 4)));

/* As err_set, and appends ": " and what strerror says of CODE. */
int err_sys(struct err *err, int code, const char *fmt, ...) __attribute__((format(printf, 3, 4)));

#endif
