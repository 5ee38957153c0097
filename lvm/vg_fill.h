/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * How full a snapshot is, asked of the kernel's device mapper: cheap enough for every second, which
 * LVM's reports are not. Needs root.
 */
#ifndef LVM_VG_FILL_H
#define LVM_VG_FILL_H

#include "err.h"

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

struct vg_fill {
	uint64_t used;  /* bytes, metadata included */
	uint64_t total; /* bytes */
	uint64_t read;  /* bytes that were read of the device since it was activated */
	bool is_bad; /* overflowed or otherwise invalid: every read fails from now on, for ever */
};

/* Of the snapshot VG/LV. -ENODEV: it is not active, -EINVAL: it is no snapshot. */
int vg_fill_read(const char *vg, const char *lv, struct vg_fill *ret, struct err *err);

/*
 * For who has read DEVICE, called NAME, to its end: 0 if it is no snapshot, or still a good one.
 * -EIO: it has overflowed meanwhile, and what was read last may be newer than the snapshot.
 * IS_SNAPSHOT: it was one when the reading began, so anything but a good one is an error, and so is
 * an answer that cannot be had.
 */
int vg_fill_check(dev_t device, const char *name, bool is_snapshot, struct err *err);

/* How often the mapped device DEV is open, by programs and in the kernel; -errno: not known. */
int vg_fill_openers(dev_t device);

/* Parses what the device mapper says of a target "snapshot". Pure. False: not understood. */
bool vg_fill_parse(const char *status, struct vg_fill *ret);

#endif
