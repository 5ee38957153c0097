/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Users by name, and the way without return, taken by children of this test. */
#include "need.h"
#include "user.h"
#include "util.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

static void test_names(void **state)
{
	struct err err = {0};
	struct user u;
	uid_t uid;
	gid_t gid;

	(void)state;
	assert_true(user_find("root", &uid, &gid));
	assert_true(uid == 0 && gid == 0);
	assert_false(user_find("no such user", &uid, &gid));
	assert_false(user_find("", &uid, &gid));
	assert_true(user_find_group("root", &gid));
	assert_false(user_find_group("no such group", &gid));
	assert_int_equal(user_resolve("root", NULL, &u, &err), 0);
	assert_true(u.uid == 0 && u.gid == 0);
	assert_int_equal(user_resolve("nobody", "root", &u, &err), 0);
	assert_true(u.uid != 0 && u.gid == 0);
	assert_int_equal(user_resolve("nobody!", NULL, &u, &err), -EINVAL);
	assert_string_equal(err.text, "user \"nobody!\": there is no such user");
	assert_int_equal(user_resolve("root", "x!", &u, &err), -EINVAL);
	assert_string_equal(err.text, "group \"x!\": there is no such group");
}

/* What FN returns in a child: 0 good. */
static int in_child(int (*fn)(void))
{
	pid_t pid = fork();
	int status;

	if (pid == 0)
		_exit(fn());
	assert_int_equal(waitpid(pid, &status, 0), pid);
	return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

static int become_nobody_and_try_back(void)
{
	struct user nobody, root;
	gid_t groups[8];

	if (user_resolve("nobody", NULL, &nobody, NULL) < 0 ||
		user_resolve("root", NULL, &root, NULL) < 0)
		return 1;
	if (user_become(&nobody, NULL) < 0 || getuid() != nobody.uid || getegid() != nobody.gid)
		return 2;
	if (setuid(0) == 0 || seteuid(0) == 0 || setgid(0) == 0)
		return 3;
	if (getgroups(ARRAY_LEN(groups), groups) > 1)
		return 4;
	if (user_become(&nobody, NULL) < 0) /* it is that already */
		return 5;
	return user_become(&root, NULL) == -EPERM ? 0 : 6;
}

static void test_no_way_back(void **state)
{
	(void)state;
	need_root();
	assert_int_equal(in_child(become_nobody_and_try_back), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_names),
		cmocka_unit_test(test_no_way_back),
	};

	return need_status(cmocka_run_group_tests(tests, NULL, NULL));
}
