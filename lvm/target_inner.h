/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What the files of a target on this host share. */
#ifndef LVM_TARGET_INNER_H
#define LVM_TARGET_INNER_H

#include "manifest_file.h"
#include "medium.h"
#include "target.h"
#include "util.h"

struct target_local {
	struct target target;
	const struct spec *spec;
	struct target_plan plan;
	bool in_place;           /* a device or an export */
	char data[PATH_MAX];     /* what is written: PATH.partial, or the device itself */
	char manifest[PATH_MAX]; /* of the last copy */
	char manifest_partial[PATH_MAX];
	struct medium *medium;
	int fd;                    /* of a file or device, a second one; -1 = an export */
	uint64_t at;               /* compressed: where the next chunk goes */
	struct medium *old_medium; /* last copy, of a file; NULL = none to be used */
	int old_fd;
	struct manifest old; /* of the last copy; count 0 = none to be used */
	struct manifest_log log;
	bool locked; /* a file: .partial is ours */
	bool begun;  /* something may have been written */
	bool forgot; /* in place: the last copy's manifest is gone */
	bool committed;
	bool keep_partial;
};

static inline struct target_local *target_local_of(struct target *t)
{
	return container_of(t, struct target_local, target);
}

/* target_check.c, target_begin.c, target_finish.c */
/* Before anything is opened: the files beside the target, too, must be ours to be written. */
int target_check_names(const struct target_local *l, struct err *err);
/* Is the open device FD the source? Notes in the head which one it is. */
int target_check_device(struct target_local *l, int fd, struct err *err);
/* With the target open: is its content one that must stay? */
int target_check_content(const struct target_local *l, struct err *err);
int target_begin(
	struct target *t, const struct target_plan *plan, uint64_t *ret_first, struct err *err);
int target_commit(struct target *t, struct target_result *ret, struct err *err);
/* In place, before the first write: the device is not the last copy any more. */
int target_forget(struct target_local *l, struct err *err);
/* A rename that a crash kept from following the other. */
int target_recover(const struct target_local *l, struct err *err);
int target_sync_folder(const char *path, struct err *err);

#endif
