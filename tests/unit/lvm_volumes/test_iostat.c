/* SPDX-License-Identifier: GPL-2.0-or-later */
/* lvm_iostat's parts that need no device: lines, names, relations, rates, exports, output. */
#include "iostat_disk.h"
#include "iostat_exports.h"
#include "iostat_mapped.h"
#include "iostat_print.h"
#include "iostat_view.h"
#include "spec.h"

#include "util.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#define GROUP "LVM-Ilica0XF6RuL7tnlGXHFvWp6OACOdJ60"
#define UUID  GROUP "GhxM7n6m6tgrEyoxrAxODgsHnGrimsb1"

static void test_lines(void **state)
{
	static const char text[] = " 253       3 dm-3 1 2 3 4 5 6 7 8 9 10 11\n"
				   "garbage\n"
				   "   8       0 sda 10 0 20 0 30 0 40 0 1 0 7 0 0 0 0 0 0\n"
				   "   8       1 sdb 10 0 20 0 30 0 40 0 1 0\n"
				   "\n"
				   "   8       2 sdc -1 0 20 0 30 0 40 0 1 0 7";
	const char *at = text;
	struct iostat_disk d;

	(void)state;
	assert_true(iostat_disk_parse(&at, &d));
	assert_string_equal(d.device, "dm-3");
	assert_int_equal(d.major, 253);
	assert_int_equal(d.minor, 3);
	assert_int_equal(d.counts.reads, 1);
	assert_int_equal(d.counts.read, 3 * 512);
	assert_int_equal(d.counts.writes, 5);
	assert_int_equal(d.counts.written, 7 * 512);
	assert_int_equal(d.counts.in_flight, 9);
	assert_int_equal(d.counts.queue_ms, 11);
	assert_false(iostat_disk_parse(&at, &d));
	assert_true(iostat_disk_parse(&at, &d));
	assert_string_equal(d.device, "sda");
	assert_false(iostat_disk_parse(&at, &d));
	assert_false(iostat_disk_parse(&at, &d));
	assert_string_equal(d.device, "sda");
	iostat_disk_parse(&at, &d);
	assert_int_equal(*at, 0);
}

static void test_names(void **state)
{
	static const struct {
		const char *name, *uuid, *want;
		bool hidden;
	} rows[] = {
		{"vg-lv", UUID, "vg/lv", false},
		{"vg_test-s--1", UUID, "vg_test/s-1", false},
		{"vg--a+-l_v.--1", UUID, "vg-a+/l_v.-1", false},
		{"a----b-c----d", UUID, "a--b/c--d", false},
		{"vg-lv-real", UUID "-real", "vg/lv-real", true},
		{"vg-lv_snap-cow", UUID "-cow", "vg/lv_snap-cow", true},
		{"vg-pool-tpool", UUID "-tpool", "vg/pool-tpool", true},
		{"vg-pool_tdata", UUID "-tdata", "vg-pool_tdata", true},
		{"vg-lv", "", "vg-lv", false},
		{"vg-lv", "CRYPT-LUKS2-x", "vg-lv", false},
		{"vg-lv", "LVM-short", "vg-lv", false},
		{"nohyphen", UUID, "nohyphen", false},
		{"a--b", UUID, "a--b", false},
		{"", "", "", false},
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		char name[IOSTAT_NAME_ROOM];
		bool hidden;

		iostat_mapped_name(rows[i].name, rows[i].uuid, name, &hidden);
		if (i != 7) /* checked below: hidden, whatever it is called */
			assert_string_equal(name, rows[i].want);
		assert_int_equal(hidden, rows[i].hidden);
	}
}

/* Each legal character of LVM, at the start, in the middle and at the end of both names. */
static void test_every_character(void **state)
{
	static const char signs[] =
		"abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789+_.-";
	char vg[8], lv[8], mapped[SPEC_MAPPED_MAX], name[IOSTAT_NAME_ROOM], want[32];
	bool hidden;

	(void)state;
	for (const char *p = signs; *p; p++) {
		for (int first = 0; first < 2; first++) {
			snprintf(vg, sizeof(vg), "%sv%c%c",
				first && *p != '-' ? (char[]){*p, 0} : "", *p, *p);
			snprintf(lv, sizeof(lv), "%sl%cx%c",
				first && *p != '-' ? (char[]){*p, 0} : "", *p, *p);
			spec_join_mapped(vg, lv, mapped);
			iostat_mapped_name(mapped, UUID, name, &hidden);
			snprintf(want, sizeof(want), "%s/%s", vg, lv);
			assert_string_equal(name, want);
			assert_false(hidden);
		}
	}
}

static void test_relations(void **state)
{
	struct iostat_mapped all[] = {{.device = "dm-0", .name = "vg/lv", .real = "dm-9"},
		{.device = "dm-1", .name = "vg/a", .real = "dm-9", .cow = "dm-8"},
		{.device = "dm-2", .name = "vg/b", .real = "dm-9", .cow = "dm-7"},
		{.device = "dm-3", .name = "vg/other"},
		{.device = "dm-4", .name = "vg/alone", .real = "dm-6", .cow = "dm-5"},
		{.device = "dm-10", .name = "x", .is_suspended = true}};
	static const char *const want[] = {"2 snapshots", "snapshot of vg/lv", "snapshot of vg/lv",
		"", "snapshot", "suspended"};
	const struct iostat_mapping m = {all, ARRAY_LEN(all)};
	char text[IOSTAT_NAME_ROOM];

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(all); i++) {
		iostat_mapping_relation(&m, &all[i], text);
		assert_string_equal(text, want[i]);
		assert_ptr_equal(iostat_mapping_find(&m, all[i].device), &all[i]);
	}
	assert_null(iostat_mapping_find(&m, "dm-99"));
}

static void add(struct iostat_sample *s, const char *identity, struct iostat_counts counts)
{
	struct iostat_item *item = iostat_insert(s, s->count);

	assert_non_null(item);
	snprintf(item->identity, sizeof(item->identity), "%s", identity);
	snprintf(item->name, sizeof(item->name), "%s", identity);
	item->counts = counts;
	item->has_queue_ms = true;
}

static void test_rates(void **state)
{
	struct iostat_sample before = {.ns = 1000000000}, now = {.ns = 3000000000};
	struct iostat_rates *r;

	(void)state;
	add(&before, "b", (struct iostat_counts){10, 20, 1000, 2000, 0, 5});
	add(&before, "a", (struct iostat_counts){1, 1, 1, 1, 1, 1});
	add(&before, "gone", (struct iostat_counts){0});
	add(&now, "a", (struct iostat_counts){1, 1, 1, 1, 1, 0}); /* went back */
	add(&now, "b", (struct iostat_counts){12, 26, 1400, 2000, 7, 1005});
	add(&now, "new", (struct iostat_counts){9, 9, 9, 9, 9, 9});
	r = iostat_view(&before, &now);
	assert_false(r[0].is_known);
	assert_true(r[1].is_known);
	assert_true(r[1].reads == 1 && r[1].writes == 3 && r[1].read == 200 && r[1].written == 0 &&
		r[1].queue_ms == 500);
	assert_false(r[2].is_known);
	free(r);
	r = iostat_view(NULL, &now);
	assert_false(r[0].is_known || r[1].is_known || r[2].is_known);
	free(r);
	iostat_sample_done(&before);
	iostat_sample_done(&now);
}

static void test_bytes(void **state)
{
	static const struct {
		double bytes;
		const char *want;
	} rows[] = {{0, "0"}, {512, "512"}, {1023, "1023"}, {1024, "1.0K"}, {1536, "1.5K"},
		{1048575, "1.0M"}, {1099511627776.0, "1.0T"}, {1.9e19, "16.5E"}};
	char text[IOSTAT_BYTES_ROOM];

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		iostat_bytes(text, rows[i].bytes);
		assert_string_equal(text, rows[i].want);
	}
}

/* Below their devices, which are here what /dev/null is not; others last. */
static void test_exports(void **state)
{
	json_t *list =
		json_loads("{\"exports\":[{\"name\":\"a\",\"image\":\"/dev/null\"}]}", 0, NULL);
	json_t *stats = json_loads(
		"{\"servers\":[{\"export\":\"a\",\"pid\":7,\"client_count\":2,\"stats\":{\"total\":"
		"{\"requests\":{\"READ\":3,\"WRITE\":4},\"bytes_read\":5,\"bytes_written\":6,"
		"\"in_flight\":1},\"clients\":[{\"id\":1,\"peer\":\"192.0.2.1:4711\",\"bytes_read\":"
		"5},{\"id\":2,\"peer\":\"unix\",\"readonly\":true}]}},{\"export\":\"b\",\"pid\":8,"
		"\"state\":\"starting\"}]}",
		0, NULL);
	struct iostat_sample s = {0};

	(void)state;
	add(&s, "sda", (struct iostat_counts){0});
	assert_int_equal(iostat_exports_add(&s, list, stats, NULL), 0);
	assert_int_equal(s.count, 4);
	assert_int_equal(s.items[1].kind, IOSTAT_EXPORT);
	assert_string_equal(s.items[1].name, "a");
	assert_string_equal(s.items[1].relation, "2 clients");
	assert_int_equal(s.items[1].counts.reads, 3);
	assert_int_equal(s.items[1].counts.written, 6);
	assert_string_equal(s.items[2].name, "1 192.0.2.1:4711");
	assert_int_equal(s.items[2].counts.read, 5);
	assert_string_equal(s.items[3].relation, "read-only");
	assert_string_not_equal(s.items[2].identity, s.items[3].identity);
	iostat_sample_done(&s);
	/* Nonsense adds nothing. */
	assert_int_equal(iostat_exports_add(&s, stats, list, NULL), 0);
	assert_int_equal(iostat_exports_add(&s, NULL, NULL, NULL), 0);
	assert_int_equal(s.count, 0);
	json_decref(list);
	json_decref(stats);
}

/* Names of others need not be UTF-8: the line of the device stays. */
static void test_json(void **state)
{
	struct iostat_sample s = {.seconds = 1000};
	struct iostat_rates rates[1] = {{0}};
	char *text = NULL;
	size_t len;
	FILE *out = open_memstream(&text, &len);
	json_t *all, *item;

	(void)state;
	add(&s, "sda", (struct iostat_counts){0});
	strcpy(s.items[0].relation, "snapshot of \xff/\033[m");
	iostat_print_json(&s, rates, out);
	fclose(out);
	all = json_loads(text, 0, NULL);
	item = json_array_get(json_object_get(all, "items"), 0);
	assert_string_equal(
		json_string_value(json_object_get(item, "relation")), "snapshot of \\xff/\\x1b[m");
	json_decref(all);
	free(text);
	iostat_sample_done(&s);
}

static void test_dump(void **state)
{
	struct iostat_sample s = {.seconds = 1000};
	char *text = NULL;
	size_t len;
	FILE *out = open_memstream(&text, &len);

	(void)state;
	add(&s, "vg/lv", (struct iostat_counts){3, 4, 1, 2, 5, 6});
	add(&s, "a b\n", (struct iostat_counts){0});
	s.items[1].kind = IOSTAT_EXPORT;
	s.items[1].has_queue_ms = false;
	iostat_print_dump(&s, out);
	fclose(out);
	assert_string_equal(text, "vg/lv 1000:1:2:3:4:5:6\nexport/a\\x20b\\x0a 1000:0:0:0:0:0:U\n");
	free(text);
	iostat_sample_done(&s);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_lines),
		cmocka_unit_test(test_names),
		cmocka_unit_test(test_every_character),
		cmocka_unit_test(test_relations),
		cmocka_unit_test(test_rates),
		cmocka_unit_test(test_bytes),
		cmocka_unit_test(test_exports),
		cmocka_unit_test(test_json),
		cmocka_unit_test(test_dump),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
