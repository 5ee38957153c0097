/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Secrets from files: communities, passphrases, keys. A file must be regular, belong to root or to
 * us, and nobody else may read or write it. What is read lies in memory of its own that is locked
 * (as far as limits allow), left out of core dumps, and wiped when freed.
 */
#ifndef LIB_SECRET_H
#define LIB_SECRET_H

#include "err.h"

#include <stddef.h>

enum {
	SECRET_LINE_MAX = 1024, /* bytes */
	SECRET_TEXT_MAX = 16384,
};

/*
 * One line of MIN to MAX bytes (at most SECRET_LINE_MAX), with or without a newline at its end,
 * without control characters. 0, or -errno and one line that says what is wrong, never with a byte
 * of the secret.
 */
int secret_read_line(const char *path, size_t min, size_t max, char **ret, struct err *err);

/* A text of several lines, as it is: a private key. It ends in a zero byte and has no other. */
int secret_read_text(const char *path, char **ret, struct err *err);

/* Wipes; NULL is good. */
void secret_free(char *secret);

#endif
