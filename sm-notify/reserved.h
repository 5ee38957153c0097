/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Reserved ports to send from. Some firewalls, and some peers, believe a sender more if its port is
 * one that only root can have.
 */
#ifndef SM_NOTIFY_RESERVED_H
#define SM_NOTIFY_RESERVED_H

#include <stdbool.h>
#include <stdint.h>

enum { RESERVED_FIRST = 600, RESERVED_LAST = 1023, RESERVED_COUNT = 424 };

/*
 * The ports one after the other, from a random one on: I from 0 to RESERVED_COUNT - 1. 0 for one
 * that belongs to a service (services(5)) or is on the list of the administrator.
 */
struct reserved {
	uint32_t start;
	bool listed[RESERVED_COUNT]; /* /etc/bindresvport.blacklist */
};

/* BLACKLIST NULL: the usual file. */
void reserved_init(struct reserved *r, const char *blacklist, uint32_t start);
uint16_t reserved_port(const struct reserved *r, uint32_t i);

#endif
