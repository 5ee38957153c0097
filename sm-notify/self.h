/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Whom we speak for (-v): the name to tell and the addresses to send from. Without -v each record
 * has the name, and the kernel chooses the address.
 */
#ifndef SM_NOTIFY_SELF_H
#define SM_NOTIFY_SELF_H

#include "addr.h"
#include "err.h"

#include <stddef.h>

enum { SELF_ADDRS_MAX = 16, SELF_NAME_MAX = 1024 };

struct self {
	char name[SELF_NAME_MAX + 1]; /* "" = the one of each record */
	size_t count;                 /* 0 = any address */
	struct addr addrs[SELF_ADDRS_MAX];
};

/*
 * TEXT is a host's name, taken as it is, with all its addresses; or an address, which has to have a
 * name: peers do not know us by addresses. NULL: see above. Waits for the resolver. 0 or -errno.
 */
int self_find(struct self *self, const char *text, struct err *err);

/*
 * Binds a socket of one family to the first of our addresses that is this host's, without any to
 * all of them. 0, -ENODATA: we have none of this family, or another -errno.
 */
int self_bind(const struct self *self, int fd, bool v6, uint16_t port);

#endif
