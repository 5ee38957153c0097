/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Who is at a victim right now, across processes of one host; files in the run directory, which is
 * gone after a boot.
 *
 *	NODE.lock      one shot of a victim at a time: an flock, so it ends with its process
 *	NODE.off       "off is wanted": who wants it, until when. Until then nobody else switches on
 *
 * Time is CLOCK_BOOTTIME, so that the wall clock may jump; a file of another boot counts as none.
 * Names are those of nodes as configured; their case does not matter.
 *
 * None of it keeps a victim alive: if a file cannot be made (full disk, no folder) the answer is an
 * error other than -EBUSY, and the shot is to go on and say so.
 */
#ifndef STONITH_LEASE_H
#define STONITH_LEASE_H

#include "err.h"

#include <stdbool.h>
#include <stdint.h>

enum {
	LEASE_ACTOR_MAX = 128, /* bytes of who */
};

/* CLOCK_BOOTTIME: goes on while the host sleeps, never back. */
uint64_t lease_clock_ms(void);

/*
 * Makes the folder with mode 0700 if it is not there. -EPERM: it is somebody else's, or others may
 * write there; -ENOTDIR: it is a link or no folder. Once at a start; all below need it.
 */
int lease_prepare(const char *dir, struct err *err);

/*
 * The victim's lock, waited for up to WAIT_MS. Returns a descriptor that holds it until it is
 * closed. -EBUSY and who has it; any other error: there is no lock to be had, see above. ACTOR: us,
 * for others to read.
 */
int lease_lock(
	const char *dir, const char *node, const char *actor, uint64_t wait_ms, struct err *err);

/* Does anybody have that lock? Nobody waits for the answer, nor for long because of the question.
 */
bool lease_is_locked(const char *dir, const char *node);

/*
 * From now on, for MS, ACTOR wants NODE off. To be called with the lock, before the first set. Of a
 * later one of another actor: the later one's, but never shorter than what was left. 0 or -errno.
 */
int lease_want_off(
	const char *dir, const char *node, const char *actor, uint64_t ms, struct err *err);

/* May ACTOR switch NODE on? 0; -EBUSY: another one wants it off, and how long still. A lease of
 * ACTOR's own does not count, nor does one that cannot be read. */
int lease_may_on(const char *dir, const char *node, const char *actor, struct err *err);

/* Nobody wants NODE off any more: it was switched on, or an administrator says so. */
void lease_drop(const char *dir, const char *node);

#endif
