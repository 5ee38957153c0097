/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Chunks in and out of their stored form: exactly, or an error; and zeros, whole blocks of them. */
#include "codec.h"
#include "util.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

enum { LEN = 200000 };

static void fill(uint8_t *bytes, bool noise)
{
	uint32_t x = 1;

	for (size_t i = 0; i < LEN; i++) {
		x = x * 1664525 + 1013904223;
		bytes[i] = noise ? (uint8_t)(x >> 24) : (uint8_t)(i / 100);
	}
}

static void check(enum codec_kind kind, bool noise, size_t len)
{
	size_t room = codec_room(kind, len), used, most = codec_room_most(len);
	CLEANUP_FREE uint8_t *in = malloc(LEN), *packed = malloc(most + 8), *out = malloc(LEN + 1);

	fill(in, noise);
	assert_true(room <= most);
	assert_int_equal(codec_pack(kind, 0, in, len, packed, room, &used), 0);
	assert_true(used <= room && used > 0);
	assert_int_equal(codec_unpack(kind, packed, used, out, len), 0);
	assert_memory_equal(in, out, len);
	assert_int_equal(codec_unpack(kind, packed, used, out, len + 1), -EBADMSG);
	if (len > 0)
		assert_int_equal(codec_unpack(kind, packed, used, out, len - 1), -EBADMSG);
	assert_int_equal(codec_unpack(kind, packed, used - 1, out, len), -EBADMSG);
	packed[used] = 0;
	assert_int_equal(codec_unpack(kind, packed, used + 1, out, len), -EBADMSG);
}

static void test_pack(void **state)
{
	(void)state;
	for (int kind = CODEC_ZSTD; kind < CODEC_KINDS; kind++) {
		check((enum codec_kind)kind, true, LEN);
		check((enum codec_kind)kind, false, LEN);
		check((enum codec_kind)kind, true, 1);
	}
}

/* Two frames are not one, even if their sum has the right length. */
static void test_two_frames(void **state)
{
	uint8_t in[64] = {1}, packed[1024], out[64];
	size_t a, b;

	(void)state;
	for (int kind = CODEC_ZSTD; kind < CODEC_KINDS; kind++) {
		assert_int_equal(codec_pack((enum codec_kind)kind, 0, in, 32, packed, 512, &a), 0);
		assert_int_equal(
			codec_pack((enum codec_kind)kind, 0, in, 32, packed + a, 512, &b), 0);
		assert_int_equal(
			codec_unpack((enum codec_kind)kind, packed, a + b, out, 64), -EBADMSG);
	}
}

static void test_noise_in(void **state)
{
	CLEANUP_FREE uint8_t *noise = malloc(LEN), *out = malloc(LEN);

	(void)state;
	fill(noise, true);
	for (int kind = CODEC_NONE; kind < CODEC_KINDS; kind++) {
		for (size_t len = 0; len < 100; len++)
			assert_true(codec_unpack(
					    (enum codec_kind)kind, noise + len, len, out, LEN) < 0);
	}
}

static void test_zero(void **state)
{
	uint8_t bytes[4096] = {0};

	(void)state;
	assert_true(codec_is_zero(bytes, sizeof(bytes)));
	assert_true(codec_is_zero(bytes, 0));
	for (size_t i = 0; i < sizeof(bytes); i++) {
		bytes[i] = 1;
		assert_false(codec_is_zero(bytes, sizeof(bytes)));
		assert_true(codec_is_zero(bytes, i));
		bytes[i] = 0;
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {cmocka_unit_test(test_pack),
		cmocka_unit_test(test_two_frames), cmocka_unit_test(test_noise_in),
		cmocka_unit_test(test_zero)};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
