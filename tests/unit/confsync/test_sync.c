/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Two nodes in conversation (tests/lib/confsync/duo_test.h): what each plan does, and what failures
 * leave.
 */
#include "duo_test.h"

#include "need.h"
#include "util.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/wait.h>

#include <cmocka.h>

static void edit(int node)
{
	assert_int_equal(duo_shell(&duo, node,
				 "echo edited >a; rm c; mkdir new; echo n >new/f; chmod 600 sub/b"),
		0);
}

static void test_send(void **state)
{
	struct sync_result r;

	(void)state;
	duo_start();
	edit(1);
	r = duo_good(duo_sync(&duo, 1, &duo_plain, DUO_NEVER), PLAN_PUBLISH);
	assert_int_equal(r.number, 2);
	assert_int_equal(r.changed, 2); /* contents: of a and new/f */
	duo_in_step(1);
	duo_in_step(2);
}

static void test_fetch(void **state)
{
	(void)state;
	duo_start();
	edit(2);
	duo_good(duo_sync(&duo, 1, &duo_plain, DUO_NEVER), PLAN_FETCH_PUBLISH);
	duo_in_step(2);
	duo_in_step(1);
}

static void test_catch_up(void **state)
{
	(void)state;
	duo_start();
	edit(1);
	duo_good(duo_alone(&duo, 1, &duo_plain), PLAN_PUBLISH);
	assert_int_equal(duo_shell(&duo, 1, "echo again >a"), 0);
	duo_good(duo_alone(&duo, 1, &duo_plain), PLAN_PUBLISH);
	duo_good(duo_sync(&duo, 2, &duo_plain, DUO_NEVER), PLAN_FETCH);
	duo_in_step(1);
	edit(2);
	duo_good(duo_alone(&duo, 2, &duo_plain), PLAN_PUBLISH);
	duo_good(duo_sync(&duo, 2, &duo_plain, DUO_NEVER), PLAN_SEND);
	duo_in_step(1);
}

static void test_agree(void **state)
{
	(void)state;
	need_root();
	assert_int_equal(duo_shell(&duo, 1, "cp -a . $D/n2/etc/"), 0);
	duo_good(duo_sync(&duo, 1, &duo_plain, DUO_NEVER), PLAN_AGREE);
	duo_in_step(2);
	edit(1);
	edit(2);
	duo_good(duo_sync(&duo, 2, &duo_plain, DUO_NEVER), PLAN_AGREE);
	duo_in_step(1);
}

static void diverge(void)
{
	struct state_trouble t;

	duo_start();
	assert_int_equal(duo_shell(&duo, 1, "echo mine >a"), 0);
	assert_int_equal(duo_shell(&duo, 2, "echo theirs >a"), 0);
	duo_good(duo_sync(&duo, 1, &duo_plain, DUO_NEVER), PLAN_HOLD);
	assert_true(duo_trouble(&duo, 1, &t));
	assert_true(t.held);
	duo_good(duo_sync(&duo, 2, &duo_plain, DUO_NEVER), PLAN_HOLD);
	assert_int_equal(duo_shell(&duo, 1, "test $(cat a) = mine"), 0);
	assert_int_equal(duo_shell(&duo, 2, "test $(cat a) = theirs"), 0);
}

static void test_keep_mine(void **state)
{
	const struct sync_order o = {.wish = PLAN_KEEP_MINE};
	struct state_trouble t;
	size_t before;

	(void)state;
	diverge();
	before = duo_history(&duo, 2);
	duo_good(duo_sync(&duo, 1, &o, DUO_NEVER), PLAN_PUBLISH);
	assert_int_equal(duo_shell(&duo, 2, "test $(cat a) = mine"), 0);
	assert_int_equal(duo_history(&duo, 2), before + 2); /* generation 1, and what lost */
	duo_in_step(2);
	assert_false(duo_trouble(&duo, 1, &t));
	assert_false(duo_trouble(&duo, 2, &t));
}

static void test_keep_theirs(void **state)
{
	const struct sync_order o = {.wish = PLAN_KEEP_THEIRS};

	(void)state;
	diverge();
	duo_good(duo_sync(&duo, 1, &o, DUO_NEVER), PLAN_FETCH_PUBLISH);
	assert_int_equal(duo_shell(&duo, 1, "test $(cat a) = theirs"), 0);
	duo_in_step(1);
	duo_in_step(2);
}

static void test_rollback(void **state)
{
	const struct sync_order o = {.wish = PLAN_PUSH_HERE, .rollback_to = "1"};
	struct sync_result r;

	(void)state;
	duo_start();
	assert_int_equal(duo_shell(&duo, 1, "cp -a . $D/before"), 0);
	edit(1);
	duo_good(duo_sync(&duo, 1, &duo_plain, DUO_NEVER), PLAN_PUBLISH);
	r = duo_sync(&duo, 2, &o, DUO_NEVER);
	assert_int_equal(r.code, 0);
	assert_int_equal(r.number, 3);
	assert_int_equal(duo_shell(&duo, 1, "diff -r . $D/before"), 0);
	duo_in_step(1);
}

static void refused_by(int node, const char *keys, bool in_force)
{
	const struct sync_order again = {.wish = PLAN_AUTO, .again = true};
	struct state_trouble t;
	struct sync_result r;

	duo_start();
	assert_int_equal(duo_shell(&duo, 1, "cp -a . $D/before"), 0);
	duo_keys(&duo, node, keys);
	edit(1);
	r = duo_sync(&duo, 1, &duo_plain, DUO_NEVER);
	assert_int_equal(r.code, -EREMOTEIO);
	assert_non_null(strstr(r.err.text, "too bad"));
	assert_int_equal(duo_shell(&duo, 2, "diff -r . $D/before"), 0);
	assert_int_equal(duo_shell(&duo, 1, "diff -r . $D/before >/dev/null"), in_force ? 0 : 1);
	assert_true(duo_trouble(&duo, 1, &t));
	assert_true(t.failed);
	assert_non_null(strstr(t.text, "too bad"));
	if (node == 2 || in_force) {
		assert_true(duo_trouble(&duo, 2, &t));
		assert_non_null(strstr(t.text, "too bad"));
	}
	/* Mended. */
	duo_keys(&duo, node, DUO_KEYS);
	edit(1);
	duo_good(duo_sync(&duo, 1, &again, DUO_NEVER), PLAN_PUBLISH);
	duo_in_step(2);
}

static void test_validate_here(void **state)
{
	(void)state;
	refused_by(1, DUO_KEYS "validate = 'echo too bad; exit 1'", false);
}

static void test_validate_there(void **state)
{
	(void)state;
	refused_by(2, DUO_KEYS "validate = 'echo too bad; exit 1'", false);
}

#define RELOAD "reload = 'sleep 0.1; grep -rqs edited %s/files/etc || exit 0; echo too bad; exit 1'"

static void reload_fails(int node)
{
	char keys[DUO_KEYS_MAX];

	need_root();
	snprintf(keys, sizeof(keys), DUO_KEYS RELOAD, duo.temp.folder);
	refused_by(node, keys, true);
}

static void test_reload_here(void **state)
{
	(void)state;
	reload_fails(1);
}

static void test_reload_there(void **state)
{
	(void)state;
	reload_fails(2);
}

/* The daemon does not try it again and again; people may. */
static void test_not_again(void **state)
{
	const struct sync_order again = {.wish = PLAN_AUTO, .again = true};
	struct sync_result r;

	(void)state;
	duo_start();
	edit(1);
	duo_good(duo_alone(&duo, 1, &duo_plain), PLAN_PUBLISH);
	duo_keys(&duo, 2, DUO_KEYS "reload = 'echo too bad; exit 1'");
	r = duo_sync(&duo, 1, &duo_plain, DUO_NEVER);
	assert_int_equal(r.code, -EREMOTEIO);
	duo_keys(&duo, 2, DUO_KEYS);
	for (int node = 1; node <= 2; node++) {
		r = duo_sync(&duo, node, &duo_plain, DUO_NEVER);
		assert_int_equal(r.code, -EREMOTEIO);
		assert_non_null(strstr(r.err.text, "not tried again"));
	}
	duo_good(duo_sync(&duo, 1, &again, DUO_NEVER), PLAN_SEND);
	duo_in_step(1);
}

/* Both call each other at the same time, each with its own lock held. */
static void test_both_call(void **state)
{
	(void)state;
	duo_start();
	for (int i = 0; i < 8; i++) {
		struct sync_result r;
		int status;
		pid_t pid;

		assert_int_equal(duo_shell(&duo, 1 + i % 2, "echo %d >a", i), 0);
		pid = fork();
		assert_true(pid >= 0);
		if (pid == 0) {
			r = duo_sync(&duo, 2, &duo_plain, DUO_NEVER);
			_exit(r.code != 0 && r.code != -EBUSY);
		}
		r = duo_sync(&duo, 1, &duo_plain, DUO_NEVER);
		assert_true(r.code == 0 || r.code == -EBUSY);
		assert_int_equal(waitpid(pid, &status, 0), pid);
		assert_int_equal(status, 0);
		r = duo_sync(&duo, 1, &duo_plain, DUO_NEVER);
		assert_int_equal(r.code, 0);
		duo_in_step(2);
	}
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, duo_set_up, duo_tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_send),
		TEST(test_fetch),
		TEST(test_catch_up),
		TEST(test_agree),
		TEST(test_keep_mine),
		TEST(test_keep_theirs),
		TEST(test_rollback),
		TEST(test_validate_here),
		TEST(test_validate_there),
		TEST(test_reload_here),
		TEST(test_reload_there),
		TEST(test_not_again),
		TEST(test_both_call),
	};

	return need_status(cmocka_run_group_tests(tests, NULL, NULL));
}
