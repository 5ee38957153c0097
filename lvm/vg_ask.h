/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Asks LVM about volumes, and has it make, extend and remove them. */
#ifndef LVM_VG_ASK_H
#define LVM_VG_ASK_H

#include "vg_lv.h"

/* All volumes of VG, hidden ones too. RET: vg_lvs_done() it. */
int vg_list(const char *vg, struct vg_lvs *ret, struct err *err);

/* The one called VG/LV: points into L. NULL: there is none. */
const struct vg_lv *vg_find(const struct vg_lvs *l, const char *lv);

/* To be made of ORIGIN. */
struct vg_snapshot {
	const char *vg, *origin, *name;
	uint64_t size;  /* bytes, whole extents */
	uint64_t chunk; /* bytes */
	bool writable;
	const char *const *tags; /* ends in NULL */
};

int vg_make_snapshot(const struct vg_snapshot *s, struct err *err);

/* Grows VG/LV to SIZE bytes; never shrinks. */
int vg_extend(const char *vg, const char *lv, uint64_t size, struct err *err);

/*
 * Removes a snapshot, and only that: LVM looks again, under its own lock, whether the volume of
 * this UUID still has an origin and TAG. -ENOENT: there is none such.
 */
int vg_remove_snapshot(const struct vg_lv *lv, const char *tag, struct err *err);

#endif
