/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Manifests on disk: a copy that is being made writes one as a log, entry by entry, and gives it a
 * trailer when all data is durable. The one of the last copy is read as a whole.
 */
#ifndef LVM_MANIFEST_FILE_H
#define LVM_MANIFEST_FILE_H

#include "manifest.h"

#include <openssl/evp.h>

/* One that was read. Entries were checked; `complete` means there is a trailer, and it is right. */
struct manifest {
	struct manifest_head head;
	struct manifest_entry *entries;
	uint64_t count; /* of entries: all if complete */
	uint64_t *at;   /* where each chunk is stored; one more for the end */
	bool complete;
	struct manifest_trailer trailer; /* if complete */
};

/*
 * Reads PATH. -ENOENT; -EBADMSG: damaged, with a line. One cut off anywhere behind its head is good
 * and not complete.
 */
int manifest_read(const char *path, struct manifest *ret, struct err *err);
void manifest_done(struct manifest *m);

/* One that is being written. */
struct manifest_log {
	int fd; /* -1 = not open */
	const char *path;
	struct buf pending;
	EVP_MD_CTX *digest;
	struct manifest_trailer totals;
};

/* Opens and locks PATH, which is made if CREATE: a descriptor, -ENOENT, -EBUSY. */
int manifest_lock(const char *path, bool create, struct err *err);

/*
 * Makes PATH anew (kept, not copied) with this head; or with KEPT, goes on behind the first COUNT
 * entries of what is there. PATH is locked until manifest_log_close(). -EBUSY: somebody else has
 * it.
 */
int manifest_log_open(struct manifest_log *l, const char *path, const struct manifest_head *head,
	const struct manifest *kept, uint64_t count, struct err *err);
void manifest_log_init(struct manifest_log *l);
void manifest_log_close(struct manifest_log *l);

/* Written now and then, not synced: a reader looks at the data anyway. */
int manifest_log_add(struct manifest_log *l, const struct manifest_entry *e, struct err *err);

/* Hands everything to the file, so that manifest_read() sees it. */
int manifest_log_flush(struct manifest_log *l, struct err *err);

/* Writes the trailer and syncs. l->totals has its digest then. */
int manifest_log_finish(struct manifest_log *l, bool readback, struct err *err);

#endif
