/* SPDX-License-Identifier: GPL-2.0-or-later */
/* A logical volume as LVM reports it, and the reading of such reports. Pure. */
#ifndef LVM_VG_LV_H
#define LVM_VG_LV_H

#include "err.h"
#include "spec.h"

#include <stdbool.h>
#include <stdint.h>

enum { VG_UUID_ROOM = 40, VG_LVS_MAX = 100000 };

struct vg_lv {
	char vg[SPEC_NAME_MAX], lv[SPEC_NAME_MAX];
	char uuid[VG_UUID_ROOM];
	char origin[SPEC_NAME_MAX]; /* "" = no snapshot */
	char pool[SPEC_NAME_MAX];   /* "" = not thin */
	char *tags;                 /* between commas */
	uint64_t size;              /* bytes; of a snapshot: its own room */
	uint64_t origin_size;       /* bytes */
	uint64_t created;           /* seconds since 1970 */
	uint64_t extent, vg_free;   /* bytes */
	char kind;                  /* first letter of lv_attr(7): 's' snapshot, 'o' origin ... */
	bool is_active, is_open, is_invalid, is_merging;
};

struct vg_lvs {
	struct vg_lv *all;
	size_t count;
};

/* Fields of `lvs -o` that vg_lvs_parse() wants. */
extern const char vg_lvs_fields[];

/* Reads TEXT, a report in JSON. RET is overwritten; vg_lvs_done() it. -EPROTO: not understood. */
int vg_lvs_parse(const char *text, struct vg_lvs *ret, struct err *err);
void vg_lvs_done(struct vg_lvs *l);

/* A snapshot of the kind that has room of its own and can overflow. */
bool vg_lv_is_snapshot(const struct vg_lv *lv);
/* Its tags have TAG. */
bool vg_lv_has_tag(const struct vg_lv *lv, const char *tag);
/* What follows PREFIX in the tag that begins so, into OUT. False: there is none, or it is longer.
 */
bool vg_lv_tag_value(const struct vg_lv *lv, const char *prefix, char *out, size_t room);

#endif
