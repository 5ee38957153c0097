/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The files of a set as they are now. Folders are walked without following links; what
 * config_allows() refuses is passed over. A folder is an entry if config_allows() it, which is so
 * for a pattern that names it and for all in it; one that is only on the way is none. What is not
 * there is no fault. Content and attributes are read unless the index (index.h) knows them: then a
 * file costs one call. Attributes with names (ACLs) and those of folders are always read. A file
 * that changes while it is read is read again (3 times), then -EAGAIN.
 */
#ifndef CONFSYNC_SCAN_H
#define CONFSYNC_SCAN_H

#include "config.h"
#include "err.h"
#include "manifest.h"

enum scan_depth { SCAN_QUICK, SCAN_FULL }; /* FULL: believes no index, hashes everything */

enum { SCAN_FAULTS_MAX = 20 };

struct scan {
	struct manifest files;
	uint8_t digest[MANIFEST_HASH];
	uint64_t hashed; /* files that were read */
	/* "PATH: what is wrong": unreadable, symbolic link, socket, breaks a rule, too many ... */
	char *faults[SCAN_FAULTS_MAX];
	size_t fault_count; /* may be larger than there are texts */
};

/* Files and links; folders are limited by MANIFEST_ENTRIES_MAX. More is a fault, and no more is
 * looked at. */
enum { SCAN_FILES_MAX = 10000 };
#define SCAN_BYTES_MAX (1024ULL * 1024 * 1024)

/* INDEX: path of the index file, read and replaced (when something was hashed; that it cannot be is
 * no failure); NULL = none. 0 also with faults: then FILES has what could be read. -errno: nothing
 * could be found out, RET is empty. */
int scan_set(const struct config *c, const struct config_set *s, const char *index,
	enum scan_depth depth, struct scan *ret, struct err *err);
void scan_done(struct scan *s);

/* SHA-256 and size of what FD has from its start on. */
int scan_hash(int fd, uint8_t ret[MANIFEST_HASH], uint64_t *size);

#endif
