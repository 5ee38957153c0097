/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Differences for people: a line for each file, and of texts what diff(1) says. Foreign text is
 * made printable. Of contents nothing is said but by difftext_contents(); whoever calls that has
 * made sure that they are no secrets.
 */
#ifndef CONFSYNC_DIFFTEXT_H
#define CONFSYNC_DIFFTEXT_H

#include "err.h"
#include "manifest.h"

#include <jansson.h>

enum { DIFFTEXT_SIZE_MAX = 1024 * 1024 }; /* bytes of a file that diff(1) is given */

/* "+ PATH", "- PATH", "~ PATH (content, mode 0644 -> 0600)". */
void difftext_change(const struct change *c);
json_t *difftext_document(const struct change *c);

/* To stdout, a unified diff of two descriptors (memory or files, any position) called OLD and NEW;
 * files that are no text: their sizes. 0, or -errno: then nothing was said. */
int difftext_contents(
	int old, const char *old_name, int new, const char *new_name, struct err *err);
/* The line about files that are no text, or too long. */
void difftext_sizes(const char *old_name, uint64_t old, const char *new_name, uint64_t new);

#endif
