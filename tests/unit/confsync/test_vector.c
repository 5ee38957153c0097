/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Vectors: all small ones against the definition. */
#include "generation.h"
#include "util.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

static struct vector of(uint64_t a, uint64_t b)
{
	struct vector v = {0};
	size_t i = 0;

	if (a)
		v.at[i++] = (struct vector_count){"n1", a};
	if (b)
		v.at[i] = (struct vector_count){"n2", b};
	return v;
}

static enum vector_order defined(uint64_t a1, uint64_t b1, uint64_t a2, uint64_t b2)
{
	bool first = a1 >= a2 && b1 >= b2, second = a2 >= a1 && b2 >= b1;

	if (first)
		return second ? VECTOR_EQUAL : VECTOR_AHEAD;
	return second ? VECTOR_BEHIND : VECTOR_APART;
}

static void check_pair(uint64_t a1, uint64_t b1, uint64_t a2, uint64_t b2)
{
	struct vector v = of(a1, b1), w = of(a2, b2), sum = v, right;

	assert_int_equal(vector_compare(&v, &w), defined(a1, b1, a2, b2));
	assert_int_equal(vector_join(&sum, &w), 0);
	right = of(MAX_OF(a1, a2), MAX_OF(b1, b2));
	assert_memory_equal(&sum, &right, sizeof(sum));
	assert_int_equal(vector_bump(&sum, "n2"), 0);
	assert_int_equal(vector_compare(&sum, &v), VECTOR_AHEAD);
	assert_int_equal(vector_compare(&w, &sum), VECTOR_BEHIND);
}

static void test_all_small(void **state)
{
	(void)state;
	for (unsigned i = 0; i < 81; i++)
		check_pair(i % 3, i / 3 % 3, i / 9 % 3, i / 27);
}

static void test_order_of_nodes(void **state)
{
	struct vector v = {0};

	(void)state;
	assert_int_equal(vector_bump(&v, "n2"), 0);
	assert_string_equal(v.at[0].node, "n2");
	assert_int_equal(vector_bump(&v, "n1"), 0);
	assert_int_equal(vector_bump(&v, "n2"), 0);
	assert_string_equal(v.at[0].node, "n1");
	assert_int_equal(v.at[0].count, 1);
	assert_string_equal(v.at[1].node, "n2");
	assert_int_equal(v.at[1].count, 2);
}

static void test_third_node(void **state)
{
	struct vector v = of(1, 1), was = v, other = {{{"n1", 5}, {"n3", 1}}};

	(void)state;
	assert_int_equal(vector_bump(&v, "n3"), -E2BIG);
	assert_int_equal(vector_join(&v, &other), -E2BIG);
	assert_memory_equal(&v, &was, sizeof(v));
	assert_int_equal(vector_compare(&v, &other), VECTOR_APART);
	v = of(9, 0);
	assert_int_equal(vector_compare(&v, &other), VECTOR_APART);
	assert_int_equal(vector_join(&v, &other), 0);
	assert_int_equal(v.at[0].count, 9);
	assert_string_equal(v.at[1].node, "n3");
}

static void test_edges(void **state)
{
	struct vector v = of(VECTOR_COUNT_MAX - 1, 0), gap = {{{"", 0}, {"n2", 3}}};

	(void)state;
	assert_int_equal(vector_bump(&v, "n1"), 0);
	assert_int_equal(vector_bump(&v, "n1"), -E2BIG);
	assert_int_equal(vector_bump(&v, ""), -E2BIG);
	assert_int_equal(vector_bump(&v, "a b"), -E2BIG);
	assert_true(v.at[0].count == VECTOR_COUNT_MAX);
	/* Not as it should be, but nothing is lost. */
	assert_int_equal(vector_bump(&gap, "n1"), 0);
	assert_string_equal(gap.at[0].node, "n1");
	assert_int_equal(gap.at[1].count, 3);
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_all_small),
		cmocka_unit_test(test_order_of_nodes),
		cmocka_unit_test(test_third_node),
		cmocka_unit_test(test_edges),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
