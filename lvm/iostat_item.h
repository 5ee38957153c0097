/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What lvm_iostat shows: devices, exports and their clients at one moment. */
#ifndef LVM_IOSTAT_ITEM_H
#define LVM_IOSTAT_ITEM_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { IOSTAT_DEVICE_ROOM = 64, IOSTAT_NAME_ROOM = 512, IOSTAT_ITEMS_MAX = 1000000 };

/* Since the device was made, the server started or the client came. */
struct iostat_counts {
	uint64_t reads, writes; /* requests */
	uint64_t read, written; /* bytes */
	uint64_t in_flight;     /* requests, now */
	uint64_t queue_ms;      /* time that requests have waited, of all of them together */
};

enum iostat_kind { IOSTAT_DEVICE, IOSTAT_EXPORT, IOSTAT_CLIENT };

struct iostat_item {
	enum iostat_kind kind;
	char device[IOSTAT_DEVICE_ROOM]; /* the kernel's name; of exports "" */
	char name[IOSTAT_NAME_ROOM];     /* VG/LV, or whatever it is called */
	char relation[IOSTAT_NAME_ROOM]; /* "snapshot of VG/LV", "2 snapshots", ...; "" = none */
	char identity[256]; /* of two counts only what is alike in this may be compared */
	unsigned major, minor;
	struct iostat_counts counts;
	bool has_queue_ms; /* exports do not know it */
};

/* A look at all of it. */
struct iostat_sample {
	uint64_t ns;      /* clock_ns() */
	uint64_t seconds; /* since 1970 */
	struct iostat_item *items;
	size_t count, room;
};

/* A new item, zeroed, at index AT (at most `count`); NULL without memory or beyond the limit. */
struct iostat_item *iostat_insert(struct iostat_sample *s, size_t at);
void iostat_sample_done(struct iostat_sample *s);

#endif
