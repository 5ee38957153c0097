/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Rates: what has changed between two looks. Pure. */
#ifndef LVM_IOSTAT_VIEW_H
#define LVM_IOSTAT_VIEW_H

#include "iostat_item.h"

struct iostat_rates {
	bool is_known;        /* false: there was no such item before, or it was made anew */
	double reads, writes; /* requests a second */
	double read, written; /* bytes a second */
	double queue_ms;      /* ms that requests have waited, in a second, all of them together */
};

/* A rate for each item of NOW; BEFORE may be NULL. free() it; NULL without memory. */
struct iostat_rates *iostat_view(
	const struct iostat_sample *before, const struct iostat_sample *now);

#endif
