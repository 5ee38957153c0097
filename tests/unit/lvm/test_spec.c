/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Sources and targets as people write them: every legal character, and what is refused. */
#include "spec.h"
#include "util.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

static void check(const char *text, enum spec_kind kind, const char *host, const char *path)
{
	char again[SPEC_TEXT_MAX];
	struct err err;
	struct spec s, t;

	if (spec_parse(&s, text, &err) < 0)
		fail_msg("%s: %s", text, err.text);
	assert_int_equal(s.kind, kind);
	assert_string_equal(s.host, host);
	assert_string_equal(s.path, path);
	spec_print(&s, false, again);
	assert_int_equal(spec_parse(&t, again, &err), 0);
	assert_memory_equal(&s, &t, sizeof(s));
	spec_print(&s, true, again);
	assert_int_equal(spec_parse(&t, again, &err), 0);
	assert_string_equal(t.host, "");
	assert_string_equal(t.path, path);
}

static void test_good(void **state)
{
	(void)state;
	check("file:/tmp/a", SPEC_FILE, "", "/tmp/a");
	check("file:/tmp/a:b@c d", SPEC_FILE, "", "/tmp/a:b@c d");
	check("file:host:/tmp/a", SPEC_FILE, "host", "/tmp/a");
	check("file:me@host:/a:b", SPEC_FILE, "me@host", "/a:b");
	check("file:[2001:db8::1]:/a", SPEC_FILE, "[2001:db8::1]", "/a");
	check("file:me@[::1]:/a", SPEC_FILE, "me@[::1]", "/a");
	check("dev:/dev/sdb", SPEC_DEV, "", "/dev/sdb");
	check("dev:h:/dev/disk/by-id/a-b", SPEC_DEV, "h", "/dev/disk/by-id/a-b");
	check("lvm:/dev/vg/lv", SPEC_LVM, "", "/dev/vg/lv");
	check("lvm:vg/lv", SPEC_LVM, "", "/dev/vg/lv");
	check("lvm://dev/vg//lv", SPEC_LVM, "", "/dev/vg/lv");
	check("lvm:h:vg/lv", SPEC_LVM, "h", "/dev/vg/lv");
	check("lvm:///dev//mapper/a-f", SPEC_LVM, "", "/dev/a/f");
	check("lvm:/dev/mapper/a--b-c--d", SPEC_LVM, "", "/dev/a-b/c-d");
	check("lvm:/dev/v+G_.-9/l-V+.", SPEC_LVM, "", "/dev/v+G_.-9/l-V+.");
	check("nbd:nbd://h:1/name", SPEC_NBD, "", "nbd://h:1/name");
	check("nbd+unix:///x?socket=/a", SPEC_NBD, "", "nbd+unix:///x?socket=/a");
}

static void test_bad(void **state)
{
	static const char *const bad[] = {"", "x", "/tmp/a", "file:", "file:a", "file:a/b",
		"file:/a/", "file::/a", "file:-oProxyCommand=x:/a", "file:me@-h:/a", "file:a b:/c",
		"file:$(x):/c", "file:`x`:/c", "file:[::1:/a", "file:[::1]/a", "file:h:a",
		"dev:sda", "lvm:", "lvm:/dev/vg", "lvm:vg", "lvm:/dev/vg/lv/x", "lvm:/dev/../lv",
		"lvm:vg/..", "lvm:vg/.", "lvm:-vg/lv", "lvm:vg/-lv", "lvm:vg/l v", "lvm:vg/lv;x",
		"lvm:vg/l\303\244", "lvm:/dev/mapper/vg", "lvm:/dev/mapper/vg-",
		"lvm:/dev/mapper/-lv", "lvm:/dev/mapper/a-b-c", "lvm:/dev/mapper/vg-lv-",
		"lvm:/dev/mapper/vg--lv", "lvm:/dev/mapper/mapper-b", "lvm:/sys/vg/lv",
		"lvm:mapper/a", "lvm:///dev/mapper/a_f", "nbd:", "nbd:host", "nbd:http://x",
		"FILE:/a"};
	struct spec s = {.kind = SPEC_DEV};
	struct err err;

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
		if (spec_parse(&s, bad[i], &err) != -EINVAL)
			fail_msg("'%s' was taken", bad[i]);
		assert_int_not_equal(err.text[0], 0);
	}
	assert_int_equal(s.kind, SPEC_DEV); /* untouched */
}

static void test_long(void **state)
{
	char text[PATH_MAX + 600];
	struct err err;
	struct spec s;

	(void)state;
	memset(text, 'x', sizeof(text));
	memcpy(text, "file:/", 6);
	text[sizeof(text) - 1] = 0;
	assert_int_equal(spec_parse(&s, text, &err), -EINVAL);
	text[5 + PATH_MAX] = 0;
	assert_int_equal(spec_parse(&s, text, &err), -EINVAL);
	text[5 + PATH_MAX - 1] = 0;
	assert_int_equal(spec_parse(&s, text, &err), 0);
	snprintf(text, sizeof(text), "lvm:v/%0127d", 0);
	assert_int_equal(spec_parse(&s, text, &err), 0);
	snprintf(text, sizeof(text), "lvm:v/%0128d", 0);
	assert_int_equal(spec_parse(&s, text, &err), -EINVAL);
	snprintf(text, sizeof(text), "file:%0255d:/a", 0);
	assert_int_equal(spec_parse(&s, text, &err), 0);
	snprintf(text, sizeof(text), "file:%0256d:/a", 0);
	assert_int_equal(spec_parse(&s, text, &err), -EINVAL);
}

/* Every byte in the name of a volume: it is taken if and only if LVM takes it. */
static void test_every_character(void **state)
{
	static const char good[] = "+_.-";
	struct err err;
	struct spec s;

	(void)state;
	for (int c = 1; c < 256; c++) {
		char text[] = {'l', 'v', 'm', ':', 'v', '/', 'a', (char)c, 'b', 0};
		bool wanted = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') ||
			(c >= '0' && c <= '9') || strchr(good, c);

		if (c == ':')
			continue; /* then there is a host */
		assert_int_equal(spec_parse(&s, text, &err) == 0, wanted);
	}
}

/* A name of legal characters, hyphens often; NUMBER decides which. */
static void make_name(char out[SPEC_NAME_MAX], unsigned *number, size_t len)
{
	static const char signs[] = "abzABZ019+_.----";
	size_t used = 0;

	do {
		for (used = 0; used < len; used++) {
			*number = *number * 1103515245U + 12345;
			out[used] = signs[*number / 65536 % (sizeof(signs) - 1)];
		}
		out[used] = 0;
	} while (!spec_is_lvm_name(out));
}

/* VG-LV with doubled hyphens: whatever LVM allows comes back as it was. */
static void test_mapped(void **state)
{
	char vg[SPEC_NAME_MAX], lv[SPEC_NAME_MAX], mapped[SPEC_MAPPED_MAX];
	char vg_again[SPEC_NAME_MAX], lv_again[SPEC_NAME_MAX], text[SPEC_TEXT_MAX];
	unsigned number = 1;
	struct spec s;
	struct err err;

	(void)state;
	for (size_t i = 0; i < 20000; i++) {
		make_name(vg, &number, i % 127 + 1);
		make_name(lv, &number, i / 127 % 127 + 1);
		spec_join_mapped(vg, lv, mapped);
		assert_true(spec_split_mapped(mapped, vg_again, lv_again));
		assert_string_equal(vg, vg_again);
		assert_string_equal(lv, lv_again);
		snprintf(text, sizeof(text), "lvm:/dev/mapper/%s", mapped);
		assert_int_equal(spec_parse(&s, text, &err), 0);
		assert_string_equal(s.vg, vg);
		assert_string_equal(s.lv, lv);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {cmocka_unit_test(test_good), cmocka_unit_test(test_bad),
		cmocka_unit_test(test_long), cmocka_unit_test(test_every_character),
		cmocka_unit_test(test_mapped)};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
