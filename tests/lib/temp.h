/* SPDX-License-Identifier: GPL-2.0-or-later */
/* A folder of a test's own, made by mkdtemp and removed with all that is in it. */
#ifndef TESTS_LIB_TEMP_H
#define TESTS_LIB_TEMP_H

#include <stddef.h>

enum { TEMP_PATH_MAX = 256 };

struct temp {
	char folder[64];
	char path[TEMP_PATH_MAX]; /* what temp_path() made last */
};

void temp_init(struct temp *t);
void temp_done(struct temp *t);

/* FOLDER/NAME, valid until the next call. */
const char *temp_path(struct temp *t, const char *name);

/* Makes the file NAME with this content and returns its path as temp_path() does. */
const char *temp_file(struct temp *t, const char *name, const char *content);

#endif
