/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Tags of our snapshots: whose they are, and for how long. They are set by the command that makes
 * the snapshot, so that there is none without.
 *
 *	xnbd.snapshot			ours: what lvm_snap_remove may remove
 *	xnbd.temporary			of use to a job only that is running: removed when it is
 *over xnbd.job:ID			which job
 *	xnbd.owner:HOST/BOOT/PID/START	the process it belongs to; START as in /proc/PID/stat
 *	xnbd.why:WORDS			for people
 */
#ifndef LVM_SNAP_TAG_H
#define LVM_SNAP_TAG_H

#include "err.h"
#include "vg_lv.h"

#include <stdbool.h>
#include <stdint.h>

#define SNAP_TAG           "xnbd.snapshot"
#define SNAP_TAG_TEMPORARY "xnbd.temporary"
#define SNAP_TAG_JOB       "xnbd.job:"
#define SNAP_TAG_OWNER     "xnbd.owner:"
#define SNAP_TAG_WHY       "xnbd.why:"

enum { SNAP_JOB_MAX = 64, SNAP_WHY_MAX = 128, SNAP_HOST_ROOM = 65, SNAP_BOOT_ROOM = 40 };

struct snap_owner {
	char host[SNAP_HOST_ROOM];
	char boot[SNAP_BOOT_ROOM];
	uint64_t pid, start;
};

/* This process. -ENODATA: /proc does not say. */
int snap_owner_self(struct snap_owner *ret, struct err *err);
/* Does its process live? Only to be asked of our own host and boot. */
bool snap_owner_lives(const struct snap_owner *o);
/* Of the tag's value. Pure. */
bool snap_owner_parse(const char *text, struct snap_owner *ret);

struct snap_tags {
	char job[SNAP_JOB_MAX + 16], owner[256], why[SNAP_WHY_MAX + 16];
	const char *list[6]; /* ends in NULL; points into the struct */
};

/*
 * JOB NULL: one is made of time and process. WHY may be NULL; what a tag cannot hold becomes '_'.
 * -EINVAL: JOB is empty or too long.
 */
int snap_tags_make(struct snap_tags *t, const struct snap_owner *o, bool is_temporary,
	const char *job, const char *why, struct err *err);
/* The job's name alone. */
const char *snap_tags_job(const struct snap_tags *t);

enum snap_fate {
	SNAP_FOREIGN,  /* no snapshot, or not ours */
	SNAP_KEPT,     /* somebody wanted it to stay */
	SNAP_RUNNING,  /* its job goes on */
	SNAP_LEFTOVER, /* its job is over */
};

/*
 * What LV is, seen by SELF. LIVES tells whether a process of our host and boot lives. A job of
 * another host is over if its snapshot is active here, as a volume group is active on one host
 * only; or if TAKEN_OVER: the caller knows. Pure but for LIVES.
 */
enum snap_fate snap_tag_judge(const struct vg_lv *lv, const struct snap_owner *self,
	bool taken_over, bool (*lives)(const struct snap_owner *o));

#endif
