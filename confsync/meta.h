/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Owner, mode and extended attributes of files: read into an entry, and given to a new file. Owners
 * are names; a number that has no name stays a number. Of extended attributes user.*,
 * security.capability and POSIX ACLs are kept; ACLs as text with names (libacl), under the names
 * "acl.access" and "acl.default". Labels of SELinux are the node's own and left alone.
 */
#ifndef CONFSYNC_META_H
#define CONFSYNC_META_H

#include "err.h"
#include "manifest.h"

#include <sys/stat.h>

/* Names of users are asked for once each in a struct. */
struct meta_names;
struct meta_names *meta_names_new(void);
void meta_names_free(struct meta_names *n);

/* Fills type, mode, owner, group, size, attrs (FD: of a file or folder, readable; -1 = without
 * attrs) of RET from ST. 0, -EOPNOTSUPP: not a file, folder or link; -errno. */
int meta_read(struct meta_names *n, int fd, const struct stat *st, struct entry *ret);

/* The attributes only; none after failure. */
int meta_read_attrs(struct meta_names *n, int fd, struct entry *ret);

/* Gives FD (readable or writable, not O_PATH) what E says: owner first, then attributes, mode last
 * (chown takes setuid bits away). ERR says what cannot be had here: "there is no user NAME on this
 * node". */
int meta_apply(struct meta_names *n, int fd, const struct entry *e, struct err *err);
/* The same for a symbolic link: owner only. */
int meta_apply_link(struct meta_names *n, int parent_fd, const char *name, const struct entry *e,
	struct err *err);
/* Can what E says be had here: users and groups are there and would be read back under these names,
 * attributes are of the kinds that are kept? */
int meta_check(struct meta_names *n, const struct entry *e, struct err *err);

#endif
