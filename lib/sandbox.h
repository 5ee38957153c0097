/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Giving up what a process that talks to strangers does not need. */
#ifndef LIB_SANDBOX_H
#define LIB_SANDBOX_H

#include "err.h"

/*
 * For a process that only moves bytes on sockets it has or receives: as root becomes nobody:nogroup
 * (65534) without groups and capabilities, sets no_new_privs, makes the process undumpable, and
 * allows only the system calls an event loop needs; any other call kills it.
 */
int sandbox_network_only(struct err *err);

/* The system call filter alone; sandbox_filter.c, or nothing in sanitizer builds. */
int sandbox_filter_network(struct err *err);

#endif
