/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The logical volume that is to take a copy: made, or made larger, by LVM's own commands. */
#ifndef LVM_TARGET_LV_H
#define LVM_TARGET_LV_H

#include "err.h"
#include "spec.h"

#include <stdbool.h>
#include <stdint.h>

enum target_lv_found {
	TARGET_LV_GOOD,  /* is large enough */
	TARGET_LV_NONE,  /* was made, or would be */
	TARGET_LV_SMALL, /* was made larger, or would be */
};

/*
 * Afterwards it has SIZE bytes at least; it never shrinks. One that is open, a snapshot, hidden, or
 * SOURCE (a path, NULL = none) itself is refused before anything is changed. DRY_RUN: nothing is.
 */
int target_lv_prepare(const struct spec *spec, uint64_t size, const char *source, bool dry_run,
	enum target_lv_found *ret_found, struct err *err);

#endif
