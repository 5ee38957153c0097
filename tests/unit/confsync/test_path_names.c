/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Names: which are temporary, and escapes of every byte. */
#include "path.h"
#include "rnd.h"
#include "util.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

static void test_temporary(void **state)
{
	static const char *const yes[] = {"/etc/.a.swp", "/etc/.a.conf.swo", "/etc/.a.swx",
		"/etc/.a.swpx", "/etc/4913", "/etc/a~", "/etc/a.conf~", "/etc/#a#", "/etc/.#a",
		"/etc/a.dpkg-new", "/etc/a.dpkg-old", "/etc/a.dpkg-dist", "/etc/a.dpkg-tmp",
		"/etc/a.dpkg-bak", "/etc/a.ucf-dist", "/etc/a.rpmnew", "/etc/a.rpmsave",
		"/etc/a.rpmorig", "/etc/a;5f3759df", "/etc/" PATH_OWN_PREFIX "0.1.new"};
	static const char *const no[] = {"/etc/a", "/etc/a.swp", "/etc/.swp", "/etc/.a", "/etc/~",
		"/etc/~a", "/etc/#a", "/etc/a#", "/etc/##", "/etc/.#", "/etc/.dpkg-new",
		"/etc/a.dpkg-divert", "/etc/4913a", "/etc/14913", "/etc/a;5f3759dg",
		"/etc/a;5f3759d", "/etc/;5f3759df", "/etc/a.rpm", "/etc/.a.sw1", "/etc/.a.swpy",
		"/etc/a~/b", "/etc/xnbd-confsync.a", "/etc/.xnbd-confsync"};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(yes); i++) {
		if (!path_is_temporary(yes[i]))
			fail_msg("%s", yes[i]);
		assert_int_equal(path_is_ours(yes[i]), i == ARRAY_LEN(yes) - 1);
	}
	for (size_t i = 0; i < ARRAY_LEN(no); i++) {
		if (path_is_temporary(no[i]) || path_is_ours(no[i]))
			fail_msg("%s", no[i]);
	}
}

static bool is_plain(int c)
{
	return c > 0x20 && c < 0x7f && c != '%';
}

static void test_every_byte(void **state)
{
	char path[3] = "/", out[8], want[8], back[8];

	(void)state;
	for (int c = 1; c < 256; c++) {
		path[1] = (char)c;
		assert_true(path_escape(path, out, sizeof(out)));
		snprintf(want, sizeof(want), is_plain(c) ? "/%c" : "/%%%02X", c);
		assert_string_equal(out, want);
		assert_true(path_unescape(out, strlen(out), back, sizeof(back)));
		assert_string_equal(back, path);
		/* There is one form only. */
		assert_int_equal(path_unescape(path, 2, back, sizeof(back)), is_plain(c));
		snprintf(want, sizeof(want), "%%%02X", c);
		assert_int_equal(path_unescape(want, 3, back, sizeof(back)), !is_plain(c));
	}
}

static void test_not_escapes(void **state)
{
	static const char *const bad[] = {"%", "%2", "a%", "a%2", "%00", "a%00b", "%2f", "%0a",
		"%20%2", "%G0", "%%", "%+1", "% 1", "%0", "a b", "\n", "%7e", "%41", "%c3"};
	char out[16];

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(bad); i++)
		assert_false(path_unescape(bad[i], strlen(bad[i]), out, sizeof(out)));
	assert_false(path_unescape("a\0b", 3, out, sizeof(out)));
	assert_true(path_unescape("", 0, out, sizeof(out)));
	assert_string_equal(out, "");
	assert_false(path_unescape("", 0, out, 0));
}

static void test_room(void **state)
{
	char out[16];

	(void)state;
	assert_true(path_escape("/a b", out, 7));
	assert_string_equal(out, "/a%20b");
	assert_false(path_escape("/a b", out, 6));
	assert_true(path_unescape("/a%20b", 6, out, 5));
	assert_string_equal(out, "/a b");
	assert_false(path_unescape("/a%20b", 6, out, 4));
	assert_false(path_escape("", out, 0));
}

static void test_random(void **state)
{
	char text[64], out[3 * 64], back[64];
	struct rnd r;

	(void)state;
	rnd_init(&r, 1);
	for (int i = 0; i < 5000; i++) {
		size_t len = rnd_below(&r, sizeof(text));

		rnd_fill(&r, text, len);
		text[len] = 0;
		assert_true(path_escape(text, out, sizeof(out)));
		assert_true(path_unescape(out, strlen(out), back, sizeof(back)));
		assert_string_equal(back, text);
	}
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_temporary),
		cmocka_unit_test(test_every_byte),
		cmocka_unit_test(test_not_escapes),
		cmocka_unit_test(test_room),
		cmocka_unit_test(test_random),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
