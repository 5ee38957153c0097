/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Snapshots on real volumes: made, removed if they are ours, cleaned up after jobs that died. */
#ifndef LVM_SNAP_JOB_H
#define LVM_SNAP_JOB_H

#include "snap_size.h"
#include "snap_tag.h"
#include "spec.h"
#include "toolsconf.h"
#include "vg_ask.h"

#include <stdbool.h>

struct snap_request {
	const struct spec *source; /* the volume */
	const char *suffix;        /* NULL = by configuration */
	const struct snap_want *want;
	const struct toolsconf *conf;
	const char *job, *why; /* may be NULL */
	bool is_temporary, writable;
	bool dry_run; /* find out what would be done, and change nothing */
};

struct snap_made {
	char vg[SPEC_NAME_MAX], lv[SPEC_NAME_MAX], origin[SPEC_NAME_MAX];
	char job[SNAP_JOB_MAX + 1];
	struct snap_size size;
	uint64_t origin_size, extent; /* bytes */
};

/*
 * Removes leftovers of the volume group first, then makes a snapshot. -ENOENT: no such volume,
 * -EEXIST: there is one of this name, -EINVAL: of this volume there can be none, -ENOSPC.
 */
int snap_create(const struct snap_request *q, struct snap_made *ret, struct err *err);

/* May LV be removed as a snapshot of ours? -EPERM with the reason. Pure. */
int snap_may_remove(const struct vg_lv *lv, struct err *err);

/*
 * Removes the snapshot VG/LV. Who looks at new devices (udev) may have it open for a moment, so
 * that is waited for. Everything else that is not as it should be is refused: also what another
 * host has made and may have active, as long as it is not active here.
 */
int snap_remove(const char *vg, const char *lv, bool dry_run, struct err *err);

/*
 * Removes what jobs that are over have left in VG, and logs that; VG need not be active.
 * TAKEN_OVER: all jobs of other hosts are over, too. -EBUSY if one could not be removed.
 */
int snap_clean(const char *vg, bool taken_over, bool dry_run, struct err *err);

/* Told of each leftover, behind the try; FAULT: why it is still there, NULL = it is gone. */
struct snap_listener {
	void (*cleaned)(void *owner, const struct vg_lv *lv, const char *fault);
	void *owner;
};
/* The same, with a listener; NULL = none. */
int snap_clean_told(const char *vg, bool taken_over, bool dry_run,
	const struct snap_listener *listener, struct err *err);

#endif
