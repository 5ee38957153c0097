/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Seven cases in which agents of today say "off" about a node that runs. Each is set up with PDUs
 * in memory (plansim.h); ours must fail, or be right. That success is never said without the
 * readings for it is watched by the judge in all of them.
 */
#include "plansim.h"
#include "util.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

static struct plansim s;

static void is_failure(void)
{
	plansim_run(&s);
	assert_int_equal(s.plan.verdict, FENCE_FAILURE);
	for (size_t i = 0; i < s.outlet_count; i++)
		assert_int_equal(s.outlets[i].ons, 0);
}

static void is_off(void)
{
	plansim_run(&s);
	assert_int_equal(s.plan.verdict, FENCE_SUCCESS);
	for (size_t i = 0; i < s.outlet_count; i++) {
		assert_false(s.outlets[i].on);
		assert_true(s.outlets[i].offs > 0);
		assert_int_equal(s.outlets[i].ons, 0);
	}
}

/* 1: two outlets; the first one is switched twice, the second never. */
static void test_1_second_outlet_never_switched(void **state)
{
	(void)state;
	for (size_t i = 0; i < profile_count; i++) {
		plansim_init(&s, profile_table[i].name, 2);
		plansim_begin(&s, FENCE_OFF, 20000, 4000);
		is_off();
		assert_int_equal(s.outlets[0].offs, 1);
		assert_int_equal(s.outlets[1].offs, 1);
	}
}

/* 2: an outlet that does not exist: an exception is no "off". */
static void test_2_missing_outlet(void **state)
{
	(void)state;
	plansim_init(&s, "apc-rpdu", 2);
	s.outlets[1].odd = true;
	s.outlets[1].odd_as.kind = PROFILE_MISSING;
	plansim_begin(&s, FENCE_OFF, 20000, 1000);
	is_failure();
	assert_int_equal(s.plan.outlets[1].last, OUTLET_MISSING);
	assert_int_equal(s.plan.outlets[0].last, OUTLET_OFF); /* and stays so */
	assert_false(s.outlets[0].on);
}

/* 3: the PDU says that it does not know, 4. A set is sent all the same. */
static void test_3_state_unknown(void **state)
{
	(void)state;
	plansim_init(&s, "apc-masterswitch", 1);
	s.outlets[0].odd = true;
	s.outlets[0].odd_as = (struct profile_reading){.kind = PROFILE_INTEGER, .value = 4};
	plansim_begin(&s, FENCE_OFF, 20000, 1000);
	is_failure();
	assert_int_equal(s.plan.outlets[0].last, OUTLET_ODD);
	assert_int_equal(s.plan.outlets[0].last_value, 4);
	assert_true(s.outlets[0].offs > 0);
}

/* 4: one of two relays is stuck: half off is not off. */
static void test_4_one_relay_stuck(void **state)
{
	(void)state;
	plansim_init(&s, "apc-rpdu apc-rpdu", 1);
	s.outlets[1].stuck = true;
	plansim_begin(&s, FENCE_OFF, 20000, 1000);
	is_failure();
	assert_int_equal(s.plan.outlets[0].last, OUTLET_OFF);
	assert_int_equal(s.plan.outlets[1].last, OUTLET_ON);
	assert_true(s.outlets[1].offs > 2); /* tried again and again */
	assert_int_equal(s.outlets[0].offs, 1);
	assert_int_equal(fence_power(&s.plan), FENCE_POWER_ON);
}

/*
 * 5: somebody pressed "reboot" at the PDU: the outlet is off just now, and comes back in 4 s.
 */
static void reboot_in_progress(const char *profile, enum fence_fault cancel_fault)
{
	plansim_init(&s, profile, 1);
	s.outlets[0].on = false;
	s.outlets[0].later = s.now + 4000;
	s.outlets[0].later_on = true;
	s.outlets[0].cancel_fault = cancel_fault;
	plansim_begin(&s, FENCE_OFF, 20000, 1000);
	plansim_run(&s);
}

static void test_5_reboot_in_progress(void **state)
{
	(void)state;
	reboot_in_progress("apc-rpdu", FENCE_NO_FAULT);
	assert_int_equal(s.plan.verdict, FENCE_SUCCESS);
	assert_int_equal(s.plan.outlets[0].before, OUTLET_PENDING);
	assert_int_equal(s.outlets[0].cancels, 1);
	assert_int_equal(s.outlets[0].offs, 1); /* though it read off */
	assert_false(s.outlets[0].on);
	assert_true(s.outlets[0].later == 0);
	/* It does not take it back: no success while that is so. */
	reboot_in_progress("apc-rpdu", FENCE_REFUSED);
	assert_int_equal(s.plan.verdict, FENCE_FAILURE);
	/* It cannot, but says that there is something pending: off once that has happened. */
	reboot_in_progress("apc-masterswitch", FENCE_NO_FAULT);
	assert_int_equal(s.plan.verdict, FENCE_SUCCESS);
	assert_true(s.outlets[0].offs >= 2);
	assert_false(s.outlets[0].on);
	assert_true(s.plan.off_at > 1000 + 4000);
}

/* 6: numbers above 255 that wrap, names that are a part of another: the outlet is named in full. */
static void test_6_another_outlet(void **state)
{
	struct oid_key k;
	struct err err;

	(void)state;
	for (size_t i = 0; i < profile_count; i++) {
		plansim_init(&s, profile_table[i].name, 2);
		s.outlets[1].key.part[s.outlets[1].key.count - 1] = 257;
		s.outlets[0].stuck = true; /* not ours, if the one is taken for the other */
		plansim_begin(&s, FENCE_OFF, 20000, 1000);
		is_failure();
		assert_false(s.outlets[1].on);
		assert_int_equal(s.plan.outlets[0].last, OUTLET_ON);
	}
	assert_int_equal(profile_key(&profile_table[0], "4294967297", &k, &err), -EINVAL);
	assert_int_equal(profile_key(&profile_table[0], "node1", &k, &err), -EINVAL);
}

/* 7: as 1, with the outlets in one list and on two PDUs: none is forgotten for another. */
static void test_7_outlets_of_a_map(void **state)
{
	(void)state;
	plansim_init(&s, "apc-rpdu apc-rpdu2 sentry4", 8);
	plansim_begin(&s, FENCE_OFF, 20000, 4000);
	is_off();
	for (size_t i = 0; i < s.outlet_count; i++) {
		plansim_init(&s, "apc-rpdu apc-rpdu2 sentry4", 8);
		s.outlets[i].stuck = true;
		plansim_begin(&s, FENCE_OFF, 20000, 4000);
		is_failure();
		for (size_t n = 0; n < s.outlet_count; n++)
			assert_int_equal(s.outlets[n].on, n == i);
	}
}

/* All of it at once: every profile, every integer, every kind of reading, up to the verdict. */
static void test_every_reading(void **state)
{
	(void)state;
	for (size_t i = 0; i < profile_count; i++) {
		for (enum profile_kind kind = PROFILE_UNREAD; kind <= PROFILE_ERROR; kind++) {
			for (int32_t v = -1; v <= 40; v++) {
				bool off =
					kind == PROFILE_INTEGER && v == profile_table[i].state_off;

				plansim_init(&s, profile_table[i].name, 2);
				s.outlets[1].odd = true;
				s.outlets[1].odd_as.kind = kind;
				s.outlets[1].odd_as.value = v;
				plansim_begin(&s, FENCE_OFF, 3000, 0);
				plansim_run(&s);
				assert_int_equal(
					s.plan.verdict, off ? FENCE_SUCCESS : FENCE_FAILURE);
				assert_false(s.outlets[0].on);
			}
		}
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_1_second_outlet_never_switched),
		cmocka_unit_test(test_2_missing_outlet),
		cmocka_unit_test(test_3_state_unknown),
		cmocka_unit_test(test_4_one_relay_stuck),
		cmocka_unit_test(test_5_reboot_in_progress),
		cmocka_unit_test(test_6_another_outlet),
		cmocka_unit_test(test_7_outlets_of_a_map),
		cmocka_unit_test(test_every_reading),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
