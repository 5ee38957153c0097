/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Tags: made, read, and whose snapshot is whose. */
#include "snap_job.h"
#include "snap_tag.h"

#include "util.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

static const struct snap_owner self = {"storage1", "boot-1", 4711, 99};

static bool lives(const struct snap_owner *o)
{
	assert_string_equal(o->host, self.host);
	assert_string_equal(o->boot, self.boot);
	return o->pid == 4711;
}

static struct vg_lv snapshot(const char *tags)
{
	struct vg_lv lv = {.vg = "vg", .lv = "lv_snap", .origin = "lv", .kind = 's'};

	lv.tags = (char *)(uintptr_t)tags;
	return lv;
}

static void test_made(void **state)
{
	struct snap_tags t;
	struct err err = {0};
	char job[200];

	(void)state;
	assert_int_equal(snap_tags_make(&t, &self, true, "a job/7", "why, \"now\"?", &err), 0);
	assert_string_equal(t.list[0], "xnbd.snapshot");
	assert_string_equal(t.list[1], "xnbd.temporary");
	assert_string_equal(t.list[2], "xnbd.job:a_job_7");
	assert_string_equal(t.list[3], "xnbd.owner:storage1/boot-1/4711/99");
	assert_string_equal(t.list[4], "xnbd.why:why___now__");
	assert_null(t.list[5]);
	assert_string_equal(snap_tags_job(&t), "a_job_7");

	assert_int_equal(snap_tags_make(&t, &self, false, NULL, NULL, &err), 0);
	assert_string_equal(t.list[0], "xnbd.snapshot");
	assert_null(t.list[3]);
	assert_non_null(strstr(snap_tags_job(&t), "-4711"));

	memset(job, 'x', sizeof(job));
	job[SNAP_JOB_MAX + 1] = 0;
	assert_int_equal(snap_tags_make(&t, &self, false, job, NULL, &err), -EINVAL);
	job[SNAP_JOB_MAX] = 0;
	assert_int_equal(snap_tags_make(&t, &self, false, job, NULL, &err), 0);
	assert_string_equal(snap_tags_job(&t), job);
	assert_int_equal(snap_tags_make(&t, &self, false, "", NULL, &err), -EINVAL);
	memset(job, 'y', sizeof(job) - 1);
	job[sizeof(job) - 1] = 0;
	assert_int_equal(snap_tags_make(&t, &self, false, NULL, job, &err), 0);
	assert_int_equal(strlen(t.why), strlen(SNAP_TAG_WHY) + SNAP_WHY_MAX);
}

static void test_owner(void **state)
{
	static const char *const bad[] = {"", "/", "h", "h/b", "h/b/1", "h/b/1/", "h/b/1/2/3",
		"h/b/0/2", "h/b/1/0", "h/b/-1/2", "h/b/x/2", "/b/1/2", "h//1/2", "h/b/1/2/",
		"h/b/99999999999/1", "h/b/1/99999999999999999999999"};
	struct snap_owner o;
	struct err err = {0};

	(void)state;
	assert_true(snap_owner_parse("storage1/boot-1/4711/99", &o));
	assert_string_equal(o.host, self.host);
	assert_string_equal(o.boot, self.boot);
	assert_true(o.pid == self.pid && o.start == self.start);
	for (size_t i = 0; i < ARRAY_LEN(bad); i++)
		assert_false(snap_owner_parse(bad[i], &o));
	assert_int_equal(snap_owner_self(&o, &err), 0);
	assert_true(snap_owner_lives(&o));
	o.start++;
	assert_false(snap_owner_lives(&o));
}

static void test_judged(void **state)
{
#define OURS "xnbd.snapshot,xnbd.temporary,xnbd.owner:"
	static const struct {
		const char *tags;
		bool active, taken_over;
		enum snap_fate want;
	} rows[] = {
		{"", false, false, SNAP_FOREIGN},
		{"xnbd.temporary", false, true, SNAP_FOREIGN},
		{"xnbd.snapshots,xnbd.temporary", false, true, SNAP_FOREIGN},
		{"xnbd.snapsho", false, true, SNAP_FOREIGN},
		{"xnbd.snapshot", false, true, SNAP_KEPT},
		{"a,xnbd.snapshot,b", true, true, SNAP_KEPT},
		{"xnbd.snapshot,xnbd.temporary", false, false, SNAP_LEFTOVER},
		{OURS "odd", false, false, SNAP_LEFTOVER},
		{OURS "storage1/boot-1/4711/99", true, false, SNAP_RUNNING},
		{OURS "storage1/boot-1/4711/99", true, true, SNAP_RUNNING},
		{OURS "storage1/boot-1/4712/99", true, false, SNAP_LEFTOVER},
		{OURS "storage1/boot-0/4711/99", false, false, SNAP_LEFTOVER},
		{OURS "storage2/boot-1/4711/99", false, false, SNAP_RUNNING},
		{OURS "storage2/boot-1/4711/99", false, true, SNAP_LEFTOVER},
		{OURS "storage2/boot-1/4711/99", true, false, SNAP_LEFTOVER},
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		struct vg_lv lv = snapshot(rows[i].tags);

		lv.is_active = rows[i].active;
		assert_int_equal(
			snap_tag_judge(&lv, &self, rows[i].taken_over, lives), rows[i].want);
		*lv.origin = 0; /* tags alone make no snapshot */
		assert_int_equal(
			snap_tag_judge(&lv, &self, rows[i].taken_over, lives), SNAP_FOREIGN);
	}
}

static void test_may_remove(void **state)
{
	struct vg_lv lv = snapshot("x,xnbd.snapshot,y");
	struct err err = {0};

	(void)state;
	assert_int_equal(snap_may_remove(&lv, &err), 0);
	lv.kind = 'S'; /* invalid: all the more */
	assert_int_equal(snap_may_remove(&lv, &err), 0);
	for (const char *kind = "-oOmMrRtTVvpPlicC"; *kind; kind++) {
		lv.kind = *kind;
		assert_int_equal(snap_may_remove(&lv, &err), -EPERM);
	}
	lv.kind = 's';
	lv.is_open = true;
	assert_int_equal(snap_may_remove(&lv, &err), -EPERM);
	lv.is_open = false;
	lv.is_merging = true;
	assert_int_equal(snap_may_remove(&lv, &err), -EPERM);
	lv.is_merging = false;
	strcpy(lv.pool, "pool");
	assert_int_equal(snap_may_remove(&lv, &err), -EPERM);
	lv = snapshot("xnbd.temporary");
	assert_int_equal(snap_may_remove(&lv, &err), -EPERM);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_made),
		cmocka_unit_test(test_owner),
		cmocka_unit_test(test_judged),
		cmocka_unit_test(test_may_remove),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
