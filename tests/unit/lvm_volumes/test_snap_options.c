/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Command lines of the snapshot tools and of lvm_iostat: what they take and what they refuse. */
#include "iostat_options.h"
#include "snap_options.h"

#include "util.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

enum { WORDS = 12 };

/* LINE is cut into words at blanks, to which the options point until the next one. */
static int parse(const struct opt_set *set, const char *line, struct snap_options *o)
{
	static char text[512], *words[WORDS + 1];
	char *rest = NULL;
	struct err err = {0};
	int count = 0, r;

	snprintf(text, sizeof(text), "x %s", line);
	for (char *w = strtok_r(text, " ", &rest); w && count < WORDS;
		w = strtok_r(NULL, " ", &rest))
		words[count++] = w;
	words[count] = NULL;
	r = snap_options_parse(o, set, count, words, &err);
	assert_int_equal(r < 0, *err.text != 0);
	return r;
}

static void test_good(void **state)
{
	static const char *const sources[] = {"-s lvm:/dev/vg/lv", "-s /dev/vg/lv", "-s vg/lv",
		"--source=lvm:vg/lv", "-s /dev/mapper/vg-lv"};
	struct snap_options o;

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(sources); i++) {
		assert_int_equal(parse(&snap_create_set, sources[i], &o), 0);
		assert_string_equal(o.source.vg, "vg");
		assert_string_equal(o.source.lv, "lv");
		assert_int_equal(parse(&snap_remove_set, sources[i], &o), 0);
	}
	assert_int_equal(parse(&snap_create_set, "-s vg/lv -t bk -n 30%", &o), 0);
	assert_string_equal(o.suffix, "bk");
	assert_int_equal(o.want.percent, 30);
	assert_int_equal(parse(&snap_copy_set, "-s vg/lv -t file:/x -z", &o), 0);
	assert_string_equal(o.target, "file:/x");
	assert_true(o.compress);
	assert_null(*o.more);
	assert_int_equal(parse(&snap_copy_set, "-s vg/lv -t file:/x -- --level 3", &o), 0);
	assert_string_equal(o.more[0], "--level");
	assert_string_equal(o.more[1], "3");
	assert_null(o.more[2]);
	assert_int_equal(parse(&snap_remove_set, "--leftovers vg --taken-over", &o), 0);
	assert_int_equal(parse(&snap_create_set, "--help", &o), 0);
}

static void test_bad(void **state)
{
	static const struct {
		const struct opt_set *set;
		const char *line;
	} rows[] = {
		{&snap_create_set, ""},
		{&snap_create_set, "-s"},
		{&snap_create_set, "-s vg"},
		{&snap_create_set, "-s vg/lv/x"},
		{&snap_create_set, "-s vg/-lv"},
		{&snap_create_set, "-s file:/x"},
		{&snap_create_set, "-s dev:/dev/sda"},
		{&snap_create_set, "-s lvm:host:/dev/vg/lv"},
		{&snap_create_set, "-s vg/lv more"},
		{&snap_create_set, "-s vg/lv -n 0"},
		{&snap_create_set, "-s vg/lv -z"},
		{&snap_copy_set, "-s vg/lv"},
		{&snap_copy_set, "-t file:/x"},
		{&snap_copy_set, "-s vg/lv -t file:/x more"},
		{&snap_remove_set, ""},
		{&snap_remove_set, "-s vg/lv --leftovers vg"},
		{&snap_remove_set, "-s vg/lv --taken-over"},
		{&snap_remove_set, "--leftovers -a"},
		{&snap_remove_set, "--leftovers vg/lv"},
	};
	struct snap_options o;

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(rows); i++)
		assert_int_equal(parse(rows[i].set, rows[i].line, &o), -EINVAL);
}

static void test_iostat(void **state)
{
	char x[] = "x", r[] = "-r", d[] = "-d", j[] = "-j", more[] = "more", count[] = "-c5";
	struct iostat_options o;
	struct err err = {0};

	(void)state;
	assert_int_equal(iostat_options_parse(&o, 1, (char *[]){x, NULL}, true, &err), 0);
	assert_true(o.mode == IOSTAT_LIVE && o.looks == 0 && o.interval == 1);
	assert_int_equal(iostat_options_parse(&o, 2, (char *[]){x, r, NULL}, false, &err), 0);
	assert_int_equal(o.looks, 1);
	assert_int_equal(iostat_options_parse(&o, 2, (char *[]){x, d, NULL}, true, &err), 0);
	assert_true(o.mode == IOSTAT_DUMP && o.looks == 1);
	assert_int_equal(iostat_options_parse(&o, 3, (char *[]){x, d, count, NULL}, true, &err), 0);
	assert_int_equal(o.looks, 5);
	assert_int_equal(
		iostat_options_parse(&o, 3, (char *[]){x, r, d, NULL}, true, &err), -EINVAL);
	assert_int_equal(
		iostat_options_parse(&o, 3, (char *[]){x, d, j, NULL}, true, &err), -EINVAL);
	assert_int_equal(
		iostat_options_parse(&o, 2, (char *[]){x, more, NULL}, true, &err), -EINVAL);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_good),
		cmocka_unit_test(test_bad),
		cmocka_unit_test(test_iostat),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
