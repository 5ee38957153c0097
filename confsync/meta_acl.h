/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A POSIX ACL as text with names: entries of acl(5)'s short form, separated by commas,
 * "u::rw-,u:www-data:r--,g::r--,m::r--,o::---". In the order of tags, those of one tag by name: not
 * by number, which differs from node to node.
 */
#ifndef CONFSYNC_META_ACL_H
#define CONFSYNC_META_ACL_H

#include "meta.h"

#include <stdbool.h>

/* What FD (readable) has; DEFAULT_ACL: what a folder hands on. *ret: malloc'd. 0 or -errno. */
int meta_acl_read(struct meta_names *n, int fd, bool default_acl, char **ret);
int meta_acl_write(
	struct meta_names *n, int fd, bool default_acl, const char *text, struct err *err);
/* Is TEXT an ACL, and are its users and groups there? */
int meta_acl_check(struct meta_names *n, const char *text, struct err *err);

#endif
