/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Serials: where they come from, in which order, that they stay, and how clients are told. Devices
 * are folders of this test that look like sysfs.
 */
#include "serial.h"

#include "fsutil.h"
#include "state.h"
#include "str.h"
#include "temp.h"
#include "util.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>

#include <cmocka.h>

static struct temp temp;
static struct exports t;

static int set_up(void **state)
{
	(void)state;
	temp_init(&temp);
	t = (struct exports){0};
	return 0;
}

static int tear_down(void **state)
{
	(void)state;
	exports_done(&t);
	temp_done(&temp);
	return 0;
}

/* A file of the folder of a device, or of the disk a partition lies in ("../"). */
static void attribute(const char *name, const char *content)
{
	char path[512];
	FILE *f;

	for (const char *p = name; (p = strchr(p, '/')); p++) {
		snprintf(path, sizeof(path), "%s/%.*s", temp.folder, (int)(p - name), name);
		mkdir(path, 0700);
	}
	snprintf(path, sizeof(path), "%s/%s", temp.folder, name);
	f = fopen(path, "w");
	assert_non_null(f);
	fputs(content, f);
	fclose(f);
}

static const char *device(void)
{
	static char out[EXPORT_SERIAL_MAX + 1];

	strcpy(out, "untouched");
	return serial_of_device(temp.folder, makedev(253, 7), out) == 0 ? out : NULL;
}

static void test_device_mapper(void **state)
{
	(void)state;
	attribute("dev/block/253:7/dm/uuid",
		"LVM-0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef\n");
	attribute("dev/block/253:7/wwid", "other\n");
	assert_string_equal(
		device(), "LVM-0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef");
}

static void test_disks(void **state)
{
	(void)state;
	assert_null(device());
	attribute("dev/block/253:7/dm/uuid", "\n"); /* made without one */
	assert_null(device());
	attribute("dev/block/253:7/device/wwid", "t10.ATA     DISK  x\x01\xff 12   \n");
	assert_string_equal(device(), "t10.ATA_DISK_x_12");
	attribute("dev/block/253:7/wwid", "eui.0123456789\n");
	assert_string_equal(device(), "eui.0123456789");
	attribute("dev/block/253:7/md/uuid", "a:b:c:d\n");
	assert_string_equal(device(), "a:b:c:d");
}

static void test_partition(void **state)
{
	(void)state;
	attribute("dev/block/253:7/partition", "3\n");
	assert_null(device());
	attribute("dev/block/wwid", "naa.5000\n"); /* the folder above */
	assert_string_equal(device(), "naa.5000-part3");
}

static void test_too_long(void **state)
{
	char text[EXPORT_SERIAL_MAX + 2];

	(void)state;
	memset(text, 'x', sizeof(text));
	text[EXPORT_SERIAL_MAX + 1] = 0;
	attribute("dev/block/253:7/wwid", text);
	assert_null(device());
	text[EXPORT_SERIAL_MAX] = 0;
	attribute("dev/block/253:7/wwid", text);
	assert_string_equal(device(), text);
}

static struct export_entry *add(const char *name, const char *image, const char *serial)
{
	const struct export_config config = {
		.name = name, .image = image, .serial = serial, .source = EXPORT_FROM_STATE};
	struct export_entry *e;

	assert_int_equal(exports_add(&t, &config, &e, NULL), 0);
	return e;
}

static void test_made_up_once(void **state)
{
	struct export_entry *e = add("a", "/srv/a", NULL);
	char first[EXPORT_SERIAL_MAX + 1];
	bool made = false;

	(void)state;
	assert_true(serial_settle(&t, e, &made));
	assert_true(made);
	assert_int_equal(strlen(e->serial), 32);
	assert_int_equal(strspn(e->serial, "0123456789abcdef"), 32);
	strcpy(first, e->serial);
	made = false;
	assert_false(serial_settle(&t, e, &made));
	assert_false(made);
	exports_remove(&t, e->id);
	e = add("renamed", "/srv/a", NULL);
	assert_true(serial_settle(&t, e, &made));
	assert_false(made);
	assert_string_equal(e->serial, first);
	e = add("another", "/srv/b", NULL);
	serial_settle(&t, e, &made);
	assert_true(made);
	assert_string_not_equal(e->serial, first);
}

static void test_configured_wins(void **state)
{
	struct export_entry *e = add("a", "/srv/a", "MY-DISK");
	bool made = false;

	(void)state;
	assert_true(serial_settle(&t, e, &made));
	assert_string_equal(e->serial, "MY-DISK");
	assert_false(made);
	assert_null(t.serials);
}

static void test_snapshots_have_none(void **state)
{
	struct export_entry *e = add("a@1", "/srv/a", NULL);
	bool made = false;

	(void)state;
	e->parent = 9;
	assert_false(serial_settle(&t, e, &made));
	assert_string_equal(e->serial, "");
}

static void test_device_that_is_not_there_yet(void **state)
{
	struct export_entry *e = add("a", "/dev/xnbd-test-nothing", NULL);
	bool made = false;

	(void)state;
	assert_false(serial_settle(&t, e, &made));
	assert_false(made);
	assert_string_equal(e->serial, "");
}

static void test_a_path_that_cannot_be_kept(void **state)
{
	struct export_entry *e = add("a", "/srv/\xff", NULL);
	bool made = false;

	(void)state;
	assert_false(serial_settle(&t, e, &made));
	assert_false(made);
	assert_string_equal(e->serial, "");
}

static void test_state_file(void **state)
{
	struct export_entry *e = add("a", "/srv/a", NULL);
	char first[EXPORT_SERIAL_MAX + 1];
	bool made = false;
	struct err err = {0};

	(void)state;
	serial_settle(&t, e, &made);
	strcpy(first, e->serial);
	assert_int_equal(state_save(temp_path(&temp, "state"), &t, NULL), 0);
	exports_done(&t);
	if (state_load(temp_path(&temp, "state"), &t, &err) < 0)
		fail_msg("%s", err.text);
	made = false;
	serial_settle(&t, exports_by_name(&t, "a"), &made);
	assert_false(made);
	assert_string_equal(exports_by_name(&t, "a")->serial, first);
}

static void check_bad_state(const char *serials, const char *want)
{
	struct err err = {0};
	char text[512];

	snprintf(text, sizeof(text), "{\"version\": 2, \"images\": {}, \"serials\": %s}", serials);
	assert_int_equal(state_load(temp_file(&temp, "bad", text), &t, &err), -EINVAL);
	assert_non_null(strstr(err.text, want));
	assert_null(t.serials);
}

static void test_bad_state(void **state)
{
	(void)state;
	check_bad_state("[]", "\"serials\" must be an object");
	check_bad_state("{\"/a\": 7}", "'/a': must be a text of 1 to 128 printable");
	check_bad_state("{\"/a\": \"\"}", "'/a': must be");
	check_bad_state("{\"/a\": \"x y\"}", "'/a': must be");
}

/* Serials of removed exports stay, up to a limit. */
static void test_not_for_ever(void **state)
{
	struct export_entry *e;
	bool made;
	char image[32];

	(void)state;
	e = add("a", "/srv/a", NULL);
	serial_settle(&t, e, &made);
	for (int i = 0; i < SERIALS_UNUSED_MAX; i++) {
		snprintf(image, sizeof(image), "/old/%d", i);
		json_object_set_new(t.serials, image, json_string("x"));
	}
	e = add("b", "/srv/b", NULL);
	serial_settle(&t, e, &made);
	assert_int_equal(json_object_size(t.serials), SERIALS_UNUSED_MAX + 2);
	e = add("c", "/srv/c", NULL);
	json_object_set_new(t.serials, "/old/x", json_string("x"));
	serial_settle(&t, e, &made);
	assert_int_equal(json_object_size(t.serials), 3);
}

static const char *told(const char *description, const char *serial)
{
	static char out[NBD_STRING_MAX + 1];
	struct export_entry e = {.config.description = description};

	strcpy(e.serial, serial);
	memset(out, 'z', sizeof(out));
	serial_describe(&e, out);
	return out;
}

static void test_description(void **state)
{
	(void)state;
	assert_string_equal(told(NULL, ""), "");
	assert_string_equal(told("root disk", ""), "root disk");
	assert_string_equal(told(NULL, "12"), "[serial 12]");
	assert_string_equal(told("root disk", "12"), "root disk [serial 12]");
}

/* The serial is there in any case, and no character is cut in two. */
static void test_long_description(void **state)
{
	char text[NBD_STRING_MAX + 1], serial[EXPORT_SERIAL_MAX + 1];
	const char *out;

	(void)state;
	memset(text, 'd', sizeof(text) - 1);
	text[NBD_STRING_MAX] = 0;
	assert_string_equal(told(text, ""), text);
	out = told(text, "12");
	assert_int_equal(strlen(out), NBD_STRING_MAX);
	assert_string_equal(out + NBD_STRING_MAX - 13, "d [serial 12]");
	for (size_t i = 0; i < NBD_STRING_MAX; i += 4)
		memcpy(text + i, "\xf0\x9f\x92\xbe", 4);
	memset(serial, 's', EXPORT_SERIAL_MAX);
	for (size_t len = 1; len <= EXPORT_SERIAL_MAX; len++) {
		serial[len] = 0;
		out = told(text, serial);
		assert_true(str_is_utf8(out, strlen(out)));
		assert_in_range(strlen(out), NBD_STRING_MAX - 3, NBD_STRING_MAX);
		assert_non_null(strstr(out, " [serial s"));
		serial[len] = 's';
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_device_mapper, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_disks, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_partition, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_too_long, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_made_up_once, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_configured_wins, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_snapshots_have_none, set_up, tear_down),
		cmocka_unit_test_setup_teardown(
			test_device_that_is_not_there_yet, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_a_path_that_cannot_be_kept, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_state_file, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_bad_state, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_not_for_ever, set_up, tear_down),
		cmocka_unit_test(test_description),
		cmocka_unit_test(test_long_description),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
