/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Which copies are kept. Pure.
 *
 * Of the good ones: the last N; and of each of the last N days, weeks and months that have one, the
 * newest. Days end at midnight UTC, weeks on Sunday. The newest good copy is always kept. Others,
 * bad ones and those cut off, are not; they count for nothing.
 */
#ifndef BACKUP_KEEP_H
#define BACKUP_KEEP_H

#include "record.h"

struct keep_policy {
	uint64_t last, daily, weekly, monthly;
};

/* Sets KEEP[i] for each of R. */
void keep_choose(const struct records *r, const struct keep_policy *p, bool *keep);

/* So many copies are kept at most. */
uint64_t keep_most(const struct keep_policy *p);

/*
 * For copies that take turns (%n): the place of the next one, such that no copy that would be kept
 * after it is overwritten. One that was cut off or is bad goes first, then one never used, then the
 * oldest that is not needed. From 1 to keep_most() + 1.
 */
unsigned keep_next_slot(const struct records *r, const struct keep_policy *p);

#endif
