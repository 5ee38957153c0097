/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The staged tree is the set as it will be, and a validator sees exactly that. */
#include "stage.h"

#include "check.h"
#include "need.h"
#include "rig.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

static struct rig r;

static int set_up(void **state)
{
	(void)state;
	rig_init(&r, "symlinks = true validate = \"grep -qx new %r@/a\"");
	rig_generations(&r, "echo old >a; mkdir d; echo f >d/f",
		"echo new >a; chmod 600 a; ln -s a l; mkdir -p d/e; echo x >d/e/x; chmod 711 d; "
		"chown 3:4 d/e/x");
	return 0;
}

static int tear_down(void **state)
{
	(void)state;
	rig_done(&r);
	return 0;
}

/* As commands of the shell: FIRST lists the stage, SECOND the files. */
static void compare_with_files(void)
{
	scans_shell(&r.scans,
		"find . -printf '%%P %%m %%U:%%G %%l %%y\\n' | sort >../files.list; "
		"cd %s%s && find . -printf '%%P %%m %%U:%%G %%l %%y\\n' | sort >%s/../stage.list; "
		"diff %s/../files.list %s/../stage.list && diff -r . %s",
		r.state.stage, r.scans.root, r.scans.root, r.scans.root, r.scans.root,
		r.scans.root);
}

static void test_is_the_set(void **state)
{
	(void)state;
	for (int again = 0; again < 2; again++) {
		assert_int_equal(stage_build(&r.state, &r.one.files, NULL, &r.err), 0);
		compare_with_files();
	}
	assert_int_equal(stage_build(&r.state, &r.two.files, NULL, &r.err), 0);
	assert_int_equal(rig_prepare(&r, APPLY_ALONE), 0);
	assert_int_equal(apply_commit(&r.apply, &r.err), 0);
	assert_int_equal(apply_finish(&r.apply, &r.err), 0);
	compare_with_files();
	stage_drop(&r.state);
	scans_shell(&r.scans, "test ! -e %s", r.state.stage);
}

static void test_contents_of_live_files(void **state)
{
	(void)state;
	scans_shell(&r.scans, "rm -r ../state/t/objects/*");
	assert_int_equal(stage_build(&r.state, &r.one.files, NULL, &r.err), -ENOENT);
	scans_shell(&r.scans, "test ! -e %s", r.state.stage);
	assert_int_equal(stage_build(&r.state, &r.one.files, &r.one.files, &r.err), 0);
	compare_with_files();
}

static void test_validate(void **state)
{
	(void)state;
	assert_int_equal(stage_validate(&r.state, &r.two, NULL, &r.err), 0);
	assert_int_equal(stage_validate(&r.state, &r.one, NULL, &r.err), -EREMOTEIO);
	assert_non_null(strstr(r.err.text, "exit status 1"));
	scans_shell(&r.scans, "test ! -e %s", r.state.stage);
	assert_true(rig_is(&r, &r.one));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
#define T(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
		T(test_is_the_set),
		T(test_contents_of_live_files),
		T(test_validate),
	};

	if (geteuid() != 0)
		return need_all("root, who alone can give owners away");
	return need_status(cmocka_run_group_tests(tests, NULL, NULL));
}
