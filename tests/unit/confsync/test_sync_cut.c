/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The connection of two nodes (tests/lib/confsync/duo_test.h) is cut after every frame of either
 * side: then each node has one whole generation, and when they meet again both have the newer one.
 */
#include "duo_test.h"

#include "need.h"
#include "util.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

/* Whose folder is neither the one before nor the one after? */
static void check_whole(int node, int cut)
{
	const char *diff = "diff -r -x '.xnbd-confsync.*' .";

	if (duo_shell(&duo, node, "%s $D/before >/dev/null || %s $D/after >/dev/null", diff,
		    diff) == 0)
		return;
	print_error("cut after %d frames: node %d has neither\n", cut, node);
	duo_shell(&duo, node, "%s $D/before; %s $D/after; ls -laR", diff, diff);
	fail();
}

/* NODE calls; n1 has the edit. Cut after each frame; then they meet again. */
static void cut_everywhere(int node)
{
	bool through = false;

	duo_start();
	for (int cut = 1; !through; cut++) {
		struct sync_result r;

		assert_int_equal(duo_shell(&duo, 1, "rm -rf $D/before; cp -a . $D/before"), 0);
		assert_int_equal(duo_shell(&duo, 1,
					 "echo %d >a; echo %d >sub/b; mkdir n%d; date >n%d/x; "
					 "rm -rf n%d c; rm -rf $D/after; cp -a . $D/after",
					 cut, 2 * cut, cut, cut, cut - 1),
			0);
		r = duo_sync(&duo, node, &duo_plain, cut);
		through = duo.frames < cut;
		check_whole(1, cut);
		check_whole(2, cut);
		if (!through && r.code != 0 && cut > 3)
			assert_int_equal(r.code, -ECONNRESET);
		r = duo_sync(&duo, cut % 4 < 2 ? 1 : 2, &duo_plain, DUO_NEVER);
		if (r.code != 0)
			print_error("cut after %d frames: then %s\n", cut, r.err.text);
		assert_int_equal(r.code, 0);
		duo_in_step(1 + cut % 2);
		assert_int_equal(duo_shell(&duo, 2, "diff -r . $D/after"), 0);
		assert_int_not_equal(duo_shell(&duo, 2, "ls -A . sub | grep -q xnbd-confsync"), 0);
	}
}

static void test_cut_sender_calls(void **state)
{
	(void)state;
	cut_everywhere(1);
}

static void test_cut_receiver_calls(void **state)
{
	(void)state;
	cut_everywhere(2);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, duo_set_up, duo_tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_cut_sender_calls),
		TEST(test_cut_receiver_calls),
	};

	return need_status(cmocka_run_group_tests(tests, NULL, NULL));
}
