/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Which unit is due first, against a model that looks at all of them; moments that wrap around. */
#include "due.h"
#include "rnd.h"
#include "util.h"

#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

enum { UNITS = 200 };

struct model {
	bool set[UNITS];
	uint32_t at[UNITS];
};

static void check(const struct due *d, const struct model *m, uint32_t base)
{
	uint32_t unit, at, count = 0, first = UINT32_MAX;

	for (uint32_t i = 0; i < UNITS; i++) {
		if (!m->set[i])
			continue;
		count++;
		first = MIN_OF(first, m->at[i] - base);
	}
	assert_int_equal(d->count, count);
	assert_int_equal(due_first(d, &unit, &at), count > 0);
	if (count == 0)
		return;
	assert_true(m->set[unit]);
	assert_int_equal(m->at[unit], at);
	assert_int_equal(at - base, first);
}

static void walk(uint32_t base, uint64_t stream)
{
	struct model m = {0};
	struct rnd rnd;
	struct due d;

	rnd_init(&rnd, stream);
	assert_int_equal(due_init(&d, UNITS), 0);
	for (int i = 0; i < 20000; i++) {
		uint32_t unit = (uint32_t)rnd_below(&rnd, UNITS);

		m.set[unit] = !rnd_once_in(&rnd, 3);
		m.at[unit] = base + (uint32_t)rnd_below(&rnd, 5000);
		if (m.set[unit])
			due_set(&d, unit, m.at[unit]);
		else
			due_clear(&d, unit);
		check(&d, &m, base);
	}
	due_done(&d);
}

static void test_against_model(void **state)
{
	(void)state;
	walk(0, 1);
	walk(0x7ffff000, 2);
	walk(UINT32_MAX - 2500, 3); /* over the end */
}

static void test_in_order(void **state)
{
	uint32_t unit, at, last = 0, left = UNITS;
	struct rnd rnd;
	struct due d;

	(void)state;
	rnd_init(&rnd, 4);
	assert_int_equal(due_init(&d, UNITS), 0);
	for (uint32_t i = 0; i < UNITS; i++)
		due_set(&d, i, (uint32_t)rnd_below(&rnd, 100));
	for (; due_first(&d, &unit, &at); left--) {
		assert_true(at >= last);
		last = at;
		due_clear(&d, unit);
		due_clear(&d, unit);
	}
	assert_int_equal(left, 0);
	due_done(&d);
	assert_int_equal(due_init(&d, 0), 0);
	assert_false(due_first(&d, &unit, &at));
	due_done(&d);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_against_model),
		cmocka_unit_test(test_in_order),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
