/* SPDX-License-Identifier: GPL-2.0-or-later */
/* When looking for events pays: begins after a few short waits, ends at the first long one. */
#include "spin.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

enum { US = 1000, BUDGET = 50 * US };

static void learn(struct spin *s, uint64_t ns, int times)
{
	while (times-- > 0)
		spin_learn(s, ns);
}

static void starts_without_looking(void **state)
{
	struct spin s;

	(void)state;
	spin_init(&s, BUDGET);
	assert_false(spin_is_worth(&s));
	spin_learn(&s, 10 * US);
	assert_false(spin_is_worth(&s));
}

static void looks_after_some_short_waits(void **state)
{
	struct spin s;

	(void)state;
	spin_init(&s, BUDGET);
	learn(&s, 40 * US, 10);
	assert_true(spin_is_worth(&s));
}

static void one_long_wait_stops_it(void **state)
{
	struct spin s;

	(void)state;
	spin_init(&s, BUDGET);
	learn(&s, 20 * US, 20);
	spin_learn(&s, 3600ULL * 1000 * 1000 * US);
	assert_false(spin_is_worth(&s));
	learn(&s, 20 * US, 8);
	assert_true(spin_is_worth(&s));
}

static void never_looks_for_rare_events(void **state)
{
	struct spin s;
	int looked = 0;

	(void)state;
	spin_init(&s, BUDGET);
	for (int i = 0; i < 1000; i++) {
		looked += spin_is_worth(&s);
		spin_learn(&s, 300 * US);
	}
	assert_int_equal(looked, 0);
}

/* Events a little too late to be met: most of the waits are slept through. */
static void rarely_looks_in_vain(void **state)
{
	struct spin s;
	int looked = 0;

	(void)state;
	spin_init(&s, BUDGET);
	for (int i = 0; i < 1000; i++) {
		bool look = spin_is_worth(&s);

		looked += look;
		spin_learn(&s, look ? SPIN_MISSED : 90 * US);
	}
	assert_in_range(looked, 1, 150);
}

static void budget_of_zero_never_looks(void **state)
{
	struct spin s;

	(void)state;
	spin_init(&s, 0);
	for (int i = 0; i < 100; i++) {
		spin_learn(&s, 0);
		assert_false(spin_is_worth(&s));
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(starts_without_looking),
		cmocka_unit_test(looks_after_some_short_waits),
		cmocka_unit_test(one_long_wait_stops_it),
		cmocka_unit_test(never_looks_for_rare_events),
		cmocka_unit_test(rarely_looks_in_vain),
		cmocka_unit_test(budget_of_zero_never_looks),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
