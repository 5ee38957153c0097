/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Users and groups by name, and becoming another user for good. */
#ifndef LIB_USER_H
#define LIB_USER_H

#include <stdbool.h>
#include <sys/types.h>

#include "err.h"

/* GID: the user's own group. */
bool user_find(const char *name, uid_t *ret_uid, gid_t *ret_gid);
bool user_find_group(const char *name, gid_t *ret);

struct user {
	const char *name;
	uid_t uid;
	gid_t gid;
};

/* GROUP NULL: the user's own. 0, or -EINVAL with a line: there is none of this name. */
int user_resolve(const char *name, const char *group, struct user *ret, struct err *err);

/*
 * From now on this process is U, with the groups U is a member of, and cannot go back. Who is U
 * already stays so; others have to be root. 0 or -errno with a line.
 */
int user_become(const struct user *u, struct err *err);

#endif
