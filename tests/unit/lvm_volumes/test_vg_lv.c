/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Reports of LVM: whole ones, and each field missing, odd or too long. */
#include "vg_lv.h"
#include "vg_run.h"

#include "util.h"

#include <errno.h>
#include <jansson.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

static json_t *row(void)
{
	json_t *r = json_pack("{s:s, s:s, s:s, s:s, s:s, s:s, s:s, s:s}", "vg_name", "vg-0",
		"lv_name", "[lv_snap]", "lv_uuid", "cbupER-eXeV-piyc-imZS-7Pl0-dODL-vipxLY",
		"lv_attr", "swi-a-s---", "lv_size", "13631488", "origin", "lv", "origin_size",
		"67108864", "pool_lv", "");

	json_object_update_new(r,
		json_pack("{s:s, s:s, s:s, s:s, s:s, s:s, s:s, s:s}", "lv_tags", "a,b:c", "lv_time",
			"1795312601", "lv_active_locally", "active locally", "lv_device_open",
			"open", "lv_snapshot_invalid", "unknown", "lv_merging", "",
			"vg_extent_size", "1048576", "vg_free", "0"));
	return r;
}

/* Takes ROW. */
static int parse(json_t *one, struct vg_lvs *ret)
{
	json_t *report = json_pack("{s:[{s:[o]}]}", "report", "lv", one);
	CLEANUP_FREE char *text = json_dumps(report, 0);
	struct err err = {0};
	int r = vg_lvs_parse(text, ret, &err);

	json_decref(report);
	assert_int_equal(r < 0, *err.text != 0);
	return r;
}

static void test_whole(void **state)
{
	struct vg_lvs l;
	char value[8];

	(void)state;
	assert_int_equal(parse(row(), &l), 0);
	assert_int_equal(l.count, 1);
	assert_string_equal(l.all->vg, "vg-0");
	assert_string_equal(l.all->lv, "lv_snap");
	assert_string_equal(l.all->origin, "lv");
	assert_int_equal(l.all->size, 13631488);
	assert_int_equal(l.all->created, 1795312601);
	assert_true(l.all->is_active && l.all->is_open);
	assert_false(l.all->is_invalid || l.all->is_merging);
	assert_true(vg_lv_is_snapshot(l.all));
	assert_true(vg_lv_has_tag(l.all, "a") && vg_lv_has_tag(l.all, "b:c"));
	assert_false(vg_lv_has_tag(l.all, "b") || vg_lv_has_tag(l.all, "") ||
		vg_lv_has_tag(l.all, "a,b:c"));
	assert_true(vg_lv_tag_value(l.all, "b:", value, sizeof(value)));
	assert_string_equal(value, "c");
	assert_false(vg_lv_tag_value(l.all, "b:", value, 1));
	assert_false(vg_lv_tag_value(l.all, "c:", value, sizeof(value)));
	vg_lvs_done(&l);
}

static void test_each_field(void **state)
{
	json_t *whole = row(), *value;
	const char *key;

	(void)state;
	json_object_foreach(whole, key, value)
	{
		json_t *without = json_deep_copy(whole), *number = json_deep_copy(whole);
		struct vg_lvs l;

		json_object_del(without, key);
		assert_int_equal(parse(without, &l), -EPROTO);
		json_object_set_new(number, key, json_integer(1));
		assert_int_equal(parse(number, &l), -EPROTO);
		assert_int_equal(l.count, 0);
		assert_null(l.all);
	}
	json_decref(whole);
}

static void test_odd_values(void **state)
{
	static const char *const odd[][2] = {{"lv_size", ""}, {"lv_size", "0"}, {"lv_size", "-1"},
		{"lv_size", "1.5"}, {"lv_size", "9223372036854775808"}, {"vg_extent_size", "0"},
		{"vg_free", "x"}, {"vg_name", ""}, {"lv_name", ""}, {"lv_uuid", ""},
		{"lv_uuid", "0123456789012345678901234567890123456789"},
		{"lv_attr", "0123456789012345678901234567890123456789"}};
	char name[200];
	struct vg_lvs l;
	json_t *r;

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(odd); i++) {
		r = row();
		json_object_set_new(r, odd[i][0], json_string(odd[i][1]));
		assert_int_equal(parse(r, &l), -EPROTO);
	}
	memset(name, 'n', sizeof(name));
	for (size_t len = SPEC_NAME_MAX - 1; len <= SPEC_NAME_MAX; len++) {
		name[len] = 0;
		r = row();
		json_object_set_new(r, "lv_name", json_string(name));
		assert_int_equal(parse(r, &l), len < SPEC_NAME_MAX ? 0 : -EPROTO);
		vg_lvs_done(&l);
		name[len] = 'n';
	}
}

static void test_no_report(void **state)
{
	static const char *const texts[] = {"", "{", "[]", "{}", "{\"report\":[]}",
		"{\"report\":[{\"lv\":{}}]}", "{\"report\":[{\"lv\":[1]}]}",
		"{\"report\":[{\"vg\":[]}]}"};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(texts); i++) {
		struct vg_lvs l;
		struct err err = {0};

		assert_int_equal(vg_lvs_parse(texts[i], &l, &err), -EPROTO);
	}
}

static void test_complaint(void **state)
{
	static const char *const rows[][2] = {
		{"  Volume group \"vg\" not found\n  Cannot process volume group vg\n",
			"Volume group \"vg\" not found"},
		{"  WARNING: x\n\n  Logical volume vg/a in use.\n", "Logical volume vg/a in use."},
		{"", "it does not say why"}, {"WARNING: only\n", "it does not say why"},
		{"bad \x01 byte", "bad \\x01 byte"}};
	char line[64];

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		vg_complaint(rows[i][0], line, sizeof(line));
		assert_string_equal(line, rows[i][1]);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_whole),
		cmocka_unit_test(test_each_field),
		cmocka_unit_test(test_odd_values),
		cmocka_unit_test(test_no_report),
		cmocka_unit_test(test_complaint),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
