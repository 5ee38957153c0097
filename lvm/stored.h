/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A copy and its manifest: reading a chunk of it and checking it by its hash. Restores, incremental
 * copies, resumes and --verify all read copies by this.
 */
#ifndef LVM_STORED_H
#define LVM_STORED_H

#include "manifest_file.h"
#include "medium.h"
#include "pipeline.h"

/*
 * Fills data, hash, len and zero of C, whose index is set, unpacked. -EBADMSG: it is damaged; the
 * line says which chunk. NAME is the copy's.
 */
int stored_read(struct medium *medium, const struct manifest *m, const char *name, struct chunk *c,
	struct err *err);

/* All of the copy must be what the manifest says. STOP may be NULL. */
int stored_check(struct medium *medium, const struct manifest *m, const char *name,
	unsigned threads, atomic_bool *stop, struct err *err);

/* Chunks at the start of the copy that are right, of those that M has entries of. */
uint64_t stored_good(
	struct medium *medium, const struct manifest *m, const char *name, atomic_bool *stop);

/* Is the file PATH the whole copy that M speaks of? Reads all of it. STOP may be NULL. */
bool stored_is_of(const char *path, const struct manifest *m, atomic_bool *stop);

/*
 * The manifest of the file PATH, at MANIFEST or, if that is NULL, beside it: also after a crash
 * that kept it from getting its name; then all of the file is read to see that it is this one's.
 * -EBADMSG unless it is complete.
 */
int stored_manifest(const char *path, const char *manifest, struct manifest *ret, struct err *err);

/* Bytes of it: of the whole copy if M is complete. */
uint64_t stored_size(const struct manifest *m);

#endif
