/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Entries and manifests for tests; whatever fails ends the process. */
#ifndef TESTS_LIB_CONFSYNC_SAMPLE_H
#define TESTS_LIB_CONFSYNC_SAMPLE_H

#include "manifest.h"
#include "rnd.h"

/* Of root, mode 0644 or 0755; a file's content and a link's target come from its path. */
struct entry sample_entry(enum manifest_type type, const char *path);
/* Behind those there are already: names in order. */
void sample_attr(struct entry *e, const char *name, const void *value, size_t len);
/* To M, which is sorted afterwards. */
void sample_add(struct manifest *m, enum manifest_type type, const char *path);
/* COUNT entries of all kinds with names of all bytes, sorted, in folders that are there. */
void sample_random(struct manifest *m, struct rnd *r, size_t count);
/* manifest_print() as a text that is malloc'd. */
char *sample_text(const struct manifest *m);

#endif
