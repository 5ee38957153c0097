/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The growing buffer: order of bytes, the limit and its sticky failure, taking from the start,
 * giving memory back, and a long random run against a plain array.
 */
#include "buf.h"
#include "rnd.h"
#include "util.h"

#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

static void test_network_order(void **state)
{
	static const uint8_t want[] = {1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 0, 0, 'x'};
	uint8_t p[8];
	struct buf b;

	(void)state;
	buf_init(&b, 100);
	buf_put_u16(&b, 0x0102);
	buf_put_u32(&b, 0x03040506);
	buf_put_u64(&b, 0x0708090a0b0c0d0e);
	buf_put_zeros(&b, 2);
	buf_put(&b, "x", 1);
	assert_int_equal(buf_len(&b), sizeof(want));
	assert_memory_equal(buf_bytes(&b), want, sizeof(want));
	assert_int_equal(get_u16(want), 0x0102);
	assert_int_equal(get_u32(want + 2), 0x03040506);
	assert_int_equal(get_u64(want + 6), 0x0708090a0b0c0d0e);
	set_u16(p, 0x0102);
	assert_memory_equal(p, want, 2);
	set_u32(p, 0x03040506);
	assert_memory_equal(p, want + 2, 4);
	set_u64(p, 0x0708090a0b0c0d0e);
	assert_memory_equal(p, want + 6, 8);
	buf_done(&b);
}

static void test_limit_is_sticky(void **state)
{
	struct buf b;

	(void)state;
	buf_init(&b, 10);
	buf_put(&b, "0123456789", 10);
	assert_false(buf_failed(&b));
	buf_put(&b, "", 0);
	assert_false(buf_failed(&b));
	buf_put(&b, "x", 1);
	assert_true(buf_failed(&b));
	buf_take(&b, 5);
	buf_put(&b, "y", 1); /* there is room again, but a byte is missing already */
	assert_int_equal(buf_len(&b), 5);
	assert_memory_equal(buf_bytes(&b), "56789", 5);
	assert_null(buf_reserve(&b, 1));
	buf_clear(&b);
	assert_false(buf_failed(&b));
	buf_put_zeros(&b, 11);
	assert_true(buf_failed(&b));
	assert_int_equal(buf_len(&b), 0);
	buf_done(&b);
}

/* The limit counts unread bytes: what was taken makes room, without growing for ever. */
static void test_take_makes_room(void **state)
{
	struct buf b;

	(void)state;
	buf_init(&b, 300);
	for (int i = 0; i < 10000; i++) {
		uint8_t bytes[100];

		memset(bytes, i, sizeof(bytes));
		buf_put(&b, bytes, sizeof(bytes));
		assert_false(buf_failed(&b));
		if (buf_len(&b) < 300)
			continue;
		assert_int_equal(*buf_bytes(&b), (uint8_t)(i - 2));
		buf_take(&b, 100);
	}
	assert_true(b.room <= 1024);
	buf_done(&b);
}

static void test_reserve(void **state)
{
	struct buf b;
	uint8_t *p;

	(void)state;
	buf_init(&b, 1000);
	buf_put(&b, "ab", 2);
	p = buf_reserve(&b, 998);
	assert_non_null(p);
	assert_int_equal(buf_len(&b), 2);
	memcpy(p, "cd", 2);
	buf_added(&b, 2);
	assert_memory_equal(buf_bytes(&b), "abcd", 4);
	assert_null(buf_reserve(&b, 997));
	assert_true(buf_failed(&b));
	buf_done(&b);
	buf_init(&b, 1000);
	assert_null(buf_reserve(&b, SIZE_MAX));
	buf_done(&b);
}

static void test_memory_is_given_back(void **state)
{
	struct buf b;

	(void)state;
	buf_init(&b, 1024 * 1024);
	buf_put_zeros(&b, 64 * 1024);
	buf_take(&b, 64 * 1024);
	assert_int_equal(b.room, 64 * 1024);
	buf_put_zeros(&b, 64 * 1024 + 1);
	buf_take(&b, 64 * 1024);
	assert_true(b.room > 0);
	buf_take(&b, 1);
	assert_int_equal(b.room, 0);
	assert_null(b.data);
	buf_put(&b, "again", 5);
	assert_memory_equal(buf_bytes(&b), "again", 5);
	buf_done(&b);
	buf_done(&b);
}

static void test_random_against_an_array(void **state)
{
	enum { LIMIT = 3000 };
	static uint8_t model[LIMIT];
	size_t len = 0;
	struct rnd rnd;
	struct buf b;

	(void)state;
	rnd_init(&rnd, 2);
	buf_init(&b, LIMIT);
	for (int i = 0; i < 20000; i++) {
		uint8_t bytes[200];
		size_t n = rnd_below(&rnd, sizeof(bytes)), gone = rnd_below(&rnd, len + 1);

		if (len + n <= LIMIT && rnd_once_in(&rnd, 2)) {
			rnd_fill(&rnd, bytes, n);
			buf_put(&b, bytes, n);
			memcpy(model + len, bytes, n);
			len += n;
		} else {
			buf_take(&b, gone);
			memmove(model, model + gone, len - gone);
			len -= gone;
		}
		assert_false(buf_failed(&b));
		assert_int_equal(buf_len(&b), len);
		if (len)
			assert_memory_equal(buf_bytes(&b), model, len);
	}
	buf_done(&b);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_network_order),
		cmocka_unit_test(test_limit_is_sticky),
		cmocka_unit_test(test_take_makes_room),
		cmocka_unit_test(test_reserve),
		cmocka_unit_test(test_memory_is_given_back),
		cmocka_unit_test(test_random_against_an_array),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
