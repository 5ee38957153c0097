/* SPDX-License-Identifier: GPL-2.0-or-later */
/* A part of a test in a process of its own: what it changes (mounts, limits) ends with it. */
#ifndef TESTS_LIB_CHILD_H
#define TESTS_LIB_CHILD_H

enum { CHILD_SKIPPED = 77 };

/* FN there; it may end by _exit(). Its exit status (0 if FN returns), or minus the signal. */
int child_run(void (*fn)(void));

#endif
