/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What an administrator has confirmed about a node (`xnbd-stonith confirm`), as a file in the run
 * directory (lease_prepare() first):
 *
 * CONFIRM_DOWN: "I have looked: it is off". For a shot that cannot verify it, because a PDU is
 * dead; counts if the node's section has accept-confirmation. Used up by the shot that relies on
 * it.
 *
 * CONFIRM_ON: "it may be switched on", for policy cycle-confirmed. Used up by what switches on.
 *
 * It expires, by CLOCK_BOOTTIME, and does not outlive a boot, so that what was true last week never
 * vouches for today.
 */
#ifndef STONITH_CONFIRM_H
#define STONITH_CONFIRM_H

#include "err.h"

#include <stdbool.h>
#include <stdint.h>

enum confirm_kind { CONFIRM_DOWN, CONFIRM_ON };

enum { CONFIRM_WHO_MAX = 128, CONFIRM_DEFAULT_MS = 600000 };

struct confirm {
	char who[CONFIRM_WHO_MAX];
	uint64_t age_ms, left_ms;
};

/* WHO: "root on tty1 (uid 0)". Replaces one that is there. 0 or -errno. */
int confirm_set(const char *dir, const char *node, enum confirm_kind kind, const char *who,
	uint64_t ms, struct err *err);

/* Is there one that holds? RET may be NULL. Only files of root, or of us, count. */
bool confirm_get(const char *dir, const char *node, enum confirm_kind kind, struct confirm *ret);

/* As confirm_get(), and uses it up: of several at once one gets it. */
bool confirm_take(const char *dir, const char *node, enum confirm_kind kind, struct confirm *ret);

/* Taken back. */
void confirm_drop(const char *dir, const char *node, enum confirm_kind kind);

#endif
