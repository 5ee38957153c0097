/* SPDX-License-Identifier: GPL-2.0-or-later */
/* See need.h. */
#include "need.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

enum { SKIPPED = 77 };

static bool lacking; /* something, in a test of this program */

static bool may_skip(void)
{
	const char *ci = getenv("CI");

	return !ci || strcmp(ci, "true") != 0;
}

static void say(const char *what)
{
	if (may_skip())
		print_message("needs %s\n", what);
	else
		print_error("needs %s, and with CI=true nothing may be skipped\n", what);
}

void need_at(bool there, const char *what, const char *file, int line)
{
	if (there)
		return;
	say(what);
	if (!may_skip())
		_fail(file, line);
	lacking = true;
	_skip(file, line);
}

int need_status(int failed)
{
	return failed == 0 && lacking ? SKIPPED : failed;
}

int need_all(const char *what)
{
	say(what);
	return may_skip() ? SKIPPED : EXIT_FAILURE;
}
