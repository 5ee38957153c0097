/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Runs LVM's own commands: argument vectors, never a shell. A command is not bothered by signals of
 * our terminal, as one that ends half-way leaves a volume group that has to be repaired.
 */
#ifndef LVM_VG_RUN_H
#define LVM_VG_RUN_H

#include "err.h"

#include <stddef.h>

enum { VG_ARGS_MAX = 32, VG_OUTPUT_MAX = 64 * 1024 * 1024 };

/* Words of a command: {"lvcreate", ...}. One too many is a fault that vg_run() tells. */
struct vg_args {
	const char *words[VG_ARGS_MAX + 1]; /* not copied; ends in NULL */
	size_t count;
};

void vg_args_add(struct vg_args *a, const char *word);

/*
 * Runs it to its end. *ret_out, unless NULL, is what it printed; free() it. -EIO with its own first
 * line of complaint if it fails, -ENOENT if LVM is not installed.
 */
int vg_run(const struct vg_args *args, char **ret_out, struct err *err);

/* The first line of TEXT that says what is wrong: no warning, no space around it. */
void vg_complaint(const char *text, char *out, size_t room);

#endif
