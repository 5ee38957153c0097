/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Exports that become volumes, and the lines of reports. Configurations are in files, as they are
 * read from files; what a volume may be is in tests/func/test_backup.py. */
#include "config.h"
#include "exports.h"
#include "report.h"

#include "temp.h"
#include "util.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

static void test_names(void **state)
{
	char out[CONFIG_NAME_MAX + 1], *name = calloc(1, 300);

	(void)state;
	exports_name("vm1", out);
	assert_string_equal(out, "vm1");
	exports_name("a b/\303\244\"$", out);
	assert_string_equal(out, "a_b_____");
	exports_name("-x", out);
	assert_string_equal(out, "x-x");
	exports_name("", out);
	assert_string_equal(out, "x");
	memset(name, '.', 299);
	exports_name(name, out);
	assert_int_equal(strlen(out), CONFIG_NAME_MAX);
	free(name);
}

static void test_images(void **state)
{
	static const struct {
		const char *image, *want;
	} all[] = {
		{"/dev/vg-none/lv", "lvm:/dev/vg-none/lv"},
		{"/dev/mapper/vg--none-l--v", "lvm:/dev/vg-none/l-v"},
		{"/dev/disk/by-id", NULL},
		{"/dev/disk/x", NULL},
		{"/dev/none", NULL},
		{"/srv/vg/lv", NULL},
		{"/dev/a/b/c", NULL},
		{"/dev/null", NULL},
		{"", NULL},
	};
	char out[256];

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(all); i++) {
		assert_int_equal(
			exports_volume_of(all[i].image, out, sizeof(out)), all[i].want != NULL);
		if (all[i].want)
			assert_string_equal(out, all[i].want);
	}
	assert_false(exports_volume_of("/dev/vg-none/lv", out, 5));
}

static json_t *export(const char *name, const char *image)
{
	return json_pack("{s:s, s:s, s:s}", "name", name, "mode", "target", "image", image);
}

static json_t *table(void)
{
	json_t *all = json_array();

	json_array_append_new(all, export("one", "/dev/vg-none/one"));
	json_array_append_new(all, export("again", "/dev/mapper/vg--none-one"));
	json_array_append_new(all, export("two", "/dev/vg-none/two"));
	json_array_append_new(all, export("test1", "/dev/vg-none/three"));
	json_array_append_new(all, export("file", "/srv/x.img"));
	json_array_append_new(all, json_pack("{s:s}", "name", "odd"));
	json_array_append_new(all, json_integer(3));
	return json_pack("{s:o}", "exports", all);
}

static void read_text(struct temp *t, const char *text, struct config *c)
{
	struct conf files;

	assert_int_equal(config_read(temp_file(t, "backup.conf", text), c, &files), 0);
	conf_done(&files);
}

static void test_add(void **state)
{
	struct temp t;
	struct config c;
	struct err err = {0};
	json_t *list = table();

	(void)state;
	temp_init(&t);
	read_text(&t,
		"backup { exports = true exclude = {\"test*\"} }\n"
		"defaults { target = \"lvm:/dev/bk/%l.%n\" keep-daily = 2 }\n"
		"volume \"mine\" { source = \"lvm:vg-none/two\" }\n",
		&c);
	assert_int_equal(exports_add(&c, list, &err), 0);
	assert_int_equal(c.count, 2);
	assert_string_equal(c.volumes[1].name, "one");
	assert_string_equal(c.volumes[1].source, "lvm:/dev/vg-none/one");
	assert_int_equal(c.volumes[1].keep_daily, 2);
	assert_int_equal(c.volumes[1].naming, NAMING_TURNED);
	config_free(&c);
	json_decref(list);
	temp_done(&t);
}

/* One that cannot be is told, and the others are there. */
static void test_add_faults(void **state)
{
	struct temp t;
	struct config c;
	struct err err = {0};
	json_t *list = table();

	(void)state;
	temp_init(&t);
	read_text(&t,
		"backup { exports = true }\n"
		"defaults { target = \"lvm:/dev/bk/%l.%n\" }\n"
		"volume \"mine\" { source = \"lvm:vg/x\" target = \"lvm:bk/two.%n\" }\n",
		&c);
	assert_int_equal(exports_add(&c, list, &err), -EEXIST);
	assert_non_null(strstr(err.text, "export two: target: that of 'mine' "));
	assert_int_equal(c.count, 3);
	config_free(&c);
	json_decref(list);
	temp_done(&t);
}

static void test_lines(void **state)
{
	struct report r = {
		.volume = "vm1", .result = REPORT_FAILED, .text = "why", .missed = UINT64_MAX};
	char out[2048];

	(void)state;
	report_line(&r, 1000000, out, sizeof(out));
	assert_string_equal(out, "vm1: FAILED: why; there is NO good copy");
	r.missed = 0;
	report_line(&r, 1000000, out, sizeof(out));
	assert_string_equal(out, "vm1: FAILED: why");
	r.last_good = 1000000 - 7200;
	r.missed = 300;
	report_line(&r, 1000000, out, sizeof(out));
	assert_string_equal(
		out, "vm1: FAILED: why; last good copy 2 h old, deadline MISSED by 5 min");
	r = (struct report){.volume = "vm1",
		.result = REPORT_GOOD,
		.target = "file:/x",
		.bytes = 3 << 20,
		.ms = 2000,
		.verified = true,
		.kept = 2,
		.removed = 1,
		.warning = "left"};
	report_line(&r, 1000000, out, sizeof(out));
	assert_string_equal(out,
		"vm1: good, 3 MiB to file:/x in 2.0 s (1.6 MB/s), verified, 2 copies kept, "
		"1 removed; WARNING: left");
	report_line(&r, 1000000, out, 20);
	assert_int_equal(strlen(out), 19);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_names),
		cmocka_unit_test(test_images),
		cmocka_unit_test(test_add),
		cmocka_unit_test(test_add_faults),
		cmocka_unit_test(test_lines),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
