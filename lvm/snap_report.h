/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What the snapshot tools say on standard output. */
#ifndef LVM_SNAP_REPORT_H
#define LVM_SNAP_REPORT_H

#include "snap_job.h"
#include "snap_options.h"

#include <jansson.h>

/* A run of lvm_snap_copy. */
struct snap_report {
	struct snap_made made;
	uint64_t peak;     /* most of the snapshot's room that was in use, bytes */
	unsigned extended; /* how often */
	int copy_status;   /* lvm_copy's; -1: did not come to that, or ended by a signal */
	int signal;        /* that ended us; 0 = none */
	bool created, removed, overflowed, is_good;
};

void snap_report_made(const struct snap_made *m, const struct snap_options *o);
void snap_report_removed(const char *vg, const char *lv, const struct snap_options *o);
/* What --leftovers has found: to be given to snap_clean_told() and then to be shown. */
struct snap_leftovers {
	json_t *removed, *failed; /* arrays */
};
void snap_leftovers_init(struct snap_leftovers *l);
void snap_leftovers_add(void *owner, const struct vg_lv *lv, const char *fault);
/* Ends L. ERR: code 0 = all went well. */
void snap_report_leftovers(
	struct snap_leftovers *l, const struct snap_options *o, const struct err *err);
void snap_report_copy(const struct snap_report *r, const struct snap_options *o);

#endif
