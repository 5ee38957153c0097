/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What the kernel's lock manager is told. PROC_ROOT: "/proc", or a folder in its place for tests.
 */
#ifndef SM_NOTIFY_KERNEL_H
#define SM_NOTIFY_KERNEL_H

#include "err.h"

#include <stddef.h>
#include <stdint.h>

enum { KERNEL_BOOT_ROOM = 40 };

/*
 * sys/fs/nfs/nsm_local_state, which goes into the lock requests of this host. 0, also without that
 * file (lockd is not loaded), or negative with a line.
 */
int kernel_tell_state(const char *proc_root, int32_t state, struct err *err);

/*
 * fs/lockd/nlm_end_grace: ends the grace period of lockd in our network namespace. Only if nobody
 * has anything to reclaim, and as root. Results as above.
 */
int kernel_lift_grace(const char *proc_root, struct err *err);

/* Id of this boot, "" if it is unknown. One from PROC_ROOT, else the real one. */
void kernel_boot_id(const char *proc_root, char ret[KERNEL_BOOT_ROOM]);

#endif
