/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Counting descriptors, so that a test can tell whether one leaked. */
#ifndef TESTS_LIB_FDS_H
#define TESTS_LIB_FDS_H

#include <stdbool.h>

/* How many of this process are open (of the first 1024). */
unsigned fds_open(void);

/* True if both stand for the same file, pipe or socket. */
bool fds_same(int fd, int other);

#endif
