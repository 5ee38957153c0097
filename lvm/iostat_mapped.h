/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Devices of the device mapper as /sys/block/dm-N tells of them: what they are called, and which of
 * them are snapshots of which.
 *
 * A volume with snapshots has a hidden device, uuid ...-real, which the volume and all its
 * snapshots lie on; a snapshot lies on one of its own as well, ...-cow.
 */
#ifndef LVM_IOSTAT_MAPPED_H
#define LVM_IOSTAT_MAPPED_H

#include "iostat_item.h"

enum { IOSTAT_UUID_ROOM = 160 };

struct iostat_mapped {
	char device[IOSTAT_DEVICE_ROOM]; /* dm-N */
	char uuid[IOSTAT_UUID_ROOM];     /* "" = none */
	char name[IOSTAT_NAME_ROOM];     /* VG/LV; of others what dmsetup calls it */
	char real[IOSTAT_DEVICE_ROOM];   /* the hidden devices it lies on, "" = none */
	char cow[IOSTAT_DEVICE_ROOM];
	bool is_hidden; /* a part of LVM's own */
	bool is_suspended;
};

struct iostat_mapping {
	struct iostat_mapped *all;
	size_t count;
};

/* Reads SYS ("/sys" but in tests). What goes away meanwhile is left out. 0 or -errno. */
int iostat_mapping_read(const char *sys, struct iostat_mapping *ret);
void iostat_mapping_done(struct iostat_mapping *m);

const struct iostat_mapped *iostat_mapping_find(const struct iostat_mapping *m, const char *device);

/* "snapshot of VG/LV", "3 snapshots", "suspended" or "". Pure. */
void iostat_mapping_relation(
	const struct iostat_mapping *m, const struct iostat_mapped *d, char out[IOSTAT_NAME_ROOM]);

/*
 * The name people know: of LVM's devices VG/LV, with what hidden ones have behind that
 * ("vg/lv-real"), of others NAME. *ret_hidden: is it one of those? Pure.
 */
void iostat_mapped_name(
	const char *name, const char *uuid, char out[IOSTAT_NAME_ROOM], bool *ret_hidden);

#endif
