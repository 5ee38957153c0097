/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef TESTS_LIB_SERVER_URING_H
#define TESTS_LIB_SERVER_URING_H

#include <stdbool.h>

/* Is io_uring allowed here? Without it only the threads are tested. */
bool has_uring(void);

#endif
