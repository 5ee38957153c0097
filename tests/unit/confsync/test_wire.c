/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Headers of frames: all kinds at their limits, and no other kind. */
#include "util.h"
#include "wire.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

static const struct {
	enum wire_kind kind;
	uint32_t max;
} kinds[] = {
	{WIRE_TEXT, WIRE_TEXT_MAX},
	{WIRE_GENERATION, WIRE_GENERATION_MAX},
	{WIRE_DATA, WIRE_DATA_MAX},
};

static void test_bytes(void **state)
{
	uint8_t h[WIRE_HEADER];

	(void)state;
	wire_header(WIRE_DATA, 0x012345, h);
	assert_memory_equal(h,
		"\0\x01\x23\x45"
		"D",
		WIRE_HEADER);
}

static void test_limits(void **state)
{
	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(kinds); i++) {
		const uint32_t good[] = {1, 256, kinds[i].max - 1, kinds[i].max};
		const uint32_t bad[] = {0, kinds[i].max + 1, 0x80000000, UINT32_MAX};
		uint8_t h[WIRE_HEADER];
		enum wire_kind kind;
		uint32_t len;

		for (size_t j = 0; j < ARRAY_LEN(good); j++) {
			wire_header(kinds[i].kind, good[j], h);
			assert_int_equal(wire_parse(h, &kind, &len), 0);
			assert_int_equal(kind, kinds[i].kind);
			assert_int_equal(len, good[j]);
		}
		for (size_t j = 0; j < ARRAY_LEN(bad); j++) {
			wire_header(kinds[i].kind, bad[j], h);
			assert_int_equal(wire_parse(h, &kind, &len), -EPROTO);
		}
		assert_int_equal(len, kinds[i].max); /* untouched */
	}
}

static void test_kinds(void **state)
{
	(void)state;
	for (unsigned c = 0; c < 256; c++) {
		uint8_t h[WIRE_HEADER] = {0, 0, 0, 1, (uint8_t)c};
		enum wire_kind kind;
		uint32_t len;

		assert_int_equal(
			wire_parse(h, &kind, &len), c == 'T' || c == 'G' || c == 'D' ? 0 : -EPROTO);
	}
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_bytes),
		cmocka_unit_test(test_limits),
		cmocka_unit_test(test_kinds),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
