/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What a test of cmocka needs of the machine it runs on. Without it the test is skipped and says
 * so; with CI=true that is a failure.
 */
#ifndef TESTS_LIB_NEED_H
#define TESTS_LIB_NEED_H

#include <stdbool.h>
#include <unistd.h>

#define need(there, what) need_at(there, what, __FILE__, __LINE__)
#define need_root()       need(geteuid() == 0, "root")
void need_at(bool there, const char *what, const char *file, int line);

/* What main() returns. FAILED: what cmocka_run_group_tests() did. If nothing has failed, but
 * something was skipped for want of something: 77, which is "skipped" for ctest. */
int need_status(int failed);
/* The same of a program that can do nothing at all without it. */
int need_all(const char *what);

#endif
