/* SPDX-License-Identifier: GPL-2.0-or-later */
/* When our own outlets are switched on again, and when not. */
#include "util.h"
#include "watch_repair.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

static enum watch_repair_step decide(struct watch_repair_view v, uint64_t now, uint64_t at)
{
	uint64_t found = 0;
	enum watch_repair_step ret = watch_repair_decide(&v, now, &found);

	if (ret != WATCH_REPAIR_REST)
		assert_int_equal(found, at);
	return ret;
}

static void test_lease(void **state)
{
	struct watch_repair_view v = {.on = 2, .looked = 1000};

	(void)state;
	assert_int_equal(decide(v, 1000, 0), WATCH_REPAIR_REST);
	v.off = 1;
	v.on = 1;
	v.off_since = 1000;
	v.lease = 60000;
	assert_int_equal(decide(v, 1000, 61000), WATCH_REPAIR_WAIT);
	assert_int_equal(decide(v, 60999, 61000), WATCH_REPAIR_WAIT);
	/* It must be seen off then, not before. */
	assert_int_equal(decide(v, 61000, 61000), WATCH_REPAIR_WAIT);
	v.looked = 60999;
	assert_int_equal(decide(v, 70000, 61000), WATCH_REPAIR_WAIT);
	v.looked = 61000;
	assert_int_equal(decide(v, 61000, 61000), WATCH_REPAIR_ACT);
	/* After a try that failed. */
	v.not_before = 90000;
	assert_int_equal(decide(v, 61000, 90000), WATCH_REPAIR_WAIT);
	v.looked = 90001;
	assert_int_equal(decide(v, 90001, 90000), WATCH_REPAIR_ACT);
}

static void test_no_lease(void **state)
{
	struct watch_repair_view v = {.off = 1, .on = 1, .off_since = 5};

	(void)state;
	assert_int_equal(decide(v, 5, 5), WATCH_REPAIR_WAIT); /* another PDU was not looked at */
	v.looked = 5;
	assert_int_equal(decide(v, 5, 5), WATCH_REPAIR_ACT);
}

/* If all are off they are not ours; if one is not known, it may be what we run on. */
static void test_all_off(void **state)
{
	struct watch_repair_view v = {.off = 2, .off_since = 5, .looked = 5};

	(void)state;
	assert_int_equal(decide(v, 5, 5), WATCH_REPAIR_WRONG);
	v.unknown = 1;
	assert_int_equal(decide(v, 5, 5), WATCH_REPAIR_ACT);
	v.off = 0;
	assert_int_equal(decide(v, 5, 0), WATCH_REPAIR_REST);
}

static void test_gap(void **state)
{
	(void)state;
	assert_int_equal(watch_repair_gap(1, 300000), 300000);
	assert_int_equal(watch_repair_gap(2, 300000), 600000);
	assert_int_equal(watch_repair_gap(9, 300000), WATCH_REPAIR_GAP_MAX);
	assert_int_equal(watch_repair_gap(1, 86400000), WATCH_REPAIR_GAP_MAX);
	assert_int_equal(watch_repair_gap(4000000000U, 1000), WATCH_REPAIR_GAP_MAX);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_lease),
		cmocka_unit_test(test_no_lease),
		cmocka_unit_test(test_all_off),
		cmocka_unit_test(test_gap),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
