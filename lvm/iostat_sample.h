/* SPDX-License-Identifier: GPL-2.0-or-later */
/* A look at the kernel's counters: which devices, under which names, in which order. */
#ifndef LVM_IOSTAT_SAMPLE_H
#define LVM_IOSTAT_SAMPLE_H

#include "err.h"
#include "iostat_item.h"

#include <regex.h>

/* Disks and mapped devices. */
#define IOSTAT_USUAL "^(hd|sd|vd|xvd|nvme|mmcblk|md|dm-)"

struct iostat_source {
	const char *proc, *sys; /* "/proc" and "/sys" but in tests */
	const regex_t *filter;  /* of the kernel's name or the other; NULL = all */
	bool all;               /* LVM's hidden devices and partitions, too */
};

/* Fills RET: disks by number, then mapped devices by name. */
int iostat_sample_take(
	const struct iostat_source *source, struct iostat_sample *ret, struct err *err);

/* Compiles an extended regular expression; regfree() it. -EINVAL with a line. */
int iostat_filter_compile(const char *text, regex_t *ret, struct err *err);

#endif
