/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Commands of the administrator: validate, reload, role. Run by /bin/sh -c in a process group of
 * their own, stdin empty, with a time limit after which the group is killed, as it is when it
 * prints more than 16 MiB. What they leave in the background goes on; what it prints then is lost.
 * Their environment is small: PATH, LANG=C.UTF-8, CONFSYNC_SET, CONFSYNC_ROOT (validate),
 * CONFSYNC_NODE, CONFSYNC_ROLE
 * ("active", "passive", "unknown"), CONFSYNC_GENERATION. In validate "%r" stands for the staged
 * tree (stage.h), "%%" for '%'.
 */
#ifndef CONFSYNC_HOOK_H
#define CONFSYNC_HOOK_H

#include "config.h"
#include "err.h"

enum { HOOK_OUTPUT_MAX = 800 };

/* 0: exit status 0. -EREMOTEIO: another one, -ETIMEDOUT, -EFBIG: killed; ERR: "validate of set X:
 * exit status 1: " and the last lines of what it printed (printable). */
int hook_validate(const struct config *c, const struct config_set *s, const char *root,
	uint64_t generation, struct err *err);
int hook_reload(const struct config *c, const struct config_set *s, bool active,
	uint64_t generation, struct err *err);
/* 1 active, 0 not, -errno: no role command, or it does not end (10 s). */
int hook_role(const struct config *c, struct err *err);
/* For role_command = NULL: 0. */

#endif
