/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Giving up what a process that talks to strangers does not need. */
#ifndef LIB_SANDBOX_H
#define LIB_SANDBOX_H

#include "err.h"

#include <stdbool.h>
#include <stddef.h>

/*
 * For a process that only moves bytes on sockets it has or receives: as root becomes nobody:nogroup
 * (65534) without groups and capabilities, sets no_new_privs, makes the process undumpable, and
 * allows only the system calls an event loop needs; any other call kills it.
 */
int sandbox_network_only(struct err *err);

/*
 * From now on only these system calls (SCMP_SYS() of libseccomp) are possible: others end the
 * process if KILL, else they fail with EPERM. Needs no_new_privs, or root. sandbox_filter.c, or
 * nothing in sanitizer builds.
 */
int sandbox_allow_only(const int *calls, size_t count, bool kill, struct err *err);

#endif
