/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * As whom we work. As root: what is in sm and sm.bak is touched with the rights of their owner only
 * (rights_borrow(), rights_return()), and for the time on the network we become that owner for
 * good, without groups and capabilities. Who is not root has to be the owner.
 */
#ifndef SM_NOTIFY_RIGHTS_H
#define SM_NOTIFY_RIGHTS_H

#include "err.h"

#include <stdbool.h>
#include <sys/types.h>

struct rights {
	uid_t uid; /* owner of sm */
	gid_t gid;
	bool root;     /* we are, now and then */
	bool borrowed; /* the owner's at the moment */
};

/* Gives up supplementary groups. -EPERM: we are neither root nor the owner. */
int rights_init(struct rights *r, uid_t uid, gid_t gid, struct err *err);

/* From now on files are opened as the owner; and as root again. Both may be called twice. */
int rights_borrow(struct rights *r, struct err *err);
int rights_return(struct rights *r, struct err *err);

/*
 * From now on, for good: the owner and nobody else, no capability, none to be got by execve(2)
 * either. An owner that is root stays root, without capabilities.
 */
int rights_drop(struct rights *r, struct err *err);

/*
 * System calls that are not needed fail from now on: in this thread and those it starts. Needed are
 * sockets, threads, and files for records and whatever the resolver is configured to load; there is
 * no new program, no other user, no mount, no debugging. Nothing in sanitizer builds.
 */
int rights_filter(struct err *err);

#endif
