/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Configuration files of tests in a folder of their own, and what is told of them. */
#ifndef TESTS_LIB_CONFTEXT_H
#define TESTS_LIB_CONFTEXT_H

#include "conf.h"
#include "temp.h"

/* The file NAME with TEXT, in which '@' is the folder's name; its path, as of temp_path(). */
const char *conftext_write(struct temp *t, const char *name, const char *text);

/* A line each; the folder's name is FOLDER, and left out with its '/' in front. They must fit. */
void conftext_faults(const struct temp *t, const struct conf *files, char *ret, size_t room);

#endif
