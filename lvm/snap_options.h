/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Command lines of lvm_snap_create, lvm_snap_remove and lvm_snap_copy. */
#ifndef LVM_SNAP_OPTIONS_H
#define LVM_SNAP_OPTIONS_H

#include "opt.h"
#include "snap_size.h"
#include "spec.h"

#include <stdbool.h>

struct snap_options {
	const char *source_text, *suffix, *size, *config, *job, *why;
	const char *target, *leftovers;
	char *const *more; /* words behind "--", for lvm_copy; ends in NULL */
	bool compress, json, dry_run, quiet, read_only, taken_over, help, version;
	/* Of those texts: */
	struct spec source;
	struct snap_want want;
};

extern const struct opt_set snap_create_set, snap_remove_set, snap_copy_set;

/* Fills O and checks it against SET. -EINVAL with a line: exit status 2. */
int snap_options_parse(
	struct snap_options *o, const struct opt_set *set, int argc, char **argv, struct err *err);

#endif
