/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Lines of /proc/diskstats (Documentation/admin-guide/iostats.rst of the kernel). Pure. */
#ifndef LVM_IOSTAT_DISK_H
#define LVM_IOSTAT_DISK_H

#include "iostat_item.h"

struct iostat_disk {
	char device[IOSTAT_DEVICE_ROOM];
	unsigned major, minor;
	struct iostat_counts counts;
};

/* The line at *TEXT, which is moved behind it. False: it is not understood, and to be left out. */
bool iostat_disk_parse(const char **text, struct iostat_disk *ret);

#endif
