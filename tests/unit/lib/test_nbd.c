/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The wire codec against bytes written by hand, and every errno against the protocol's eight. */
#include "nbd.h"
#include "rnd.h"
#include "util.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

static const struct nbd_request request = {NBD_CMD_FLAG_FUA | NBD_CMD_FLAG_FAST_ZERO,
	NBD_CMD_WRITE_ZEROES, 0x0102030405060708, 0x1112131415161718, 0xa1a2a3a4};

static const uint8_t compact[] = "\x25\x60\x95\x13\x00\x11\x00\x06\x01\x02\x03\x04\x05\x06\x07\x08"
				 "\x11\x12\x13\x14\x15\x16\x17\x18\xa1\xa2\xa3\xa4";
static const uint8_t extended[] =
	"\x21\xe4\x1c\x71\x00\x11\x00\x06\x01\x02\x03\x04\x05\x06\x07\x08"
	"\x11\x12\x13\x14\x15\x16\x17\x18\x00\x00\x00\x00\xa1\xa2\xa3\xa4";

static void check_request(const struct nbd_request *got, const struct nbd_request *want)
{
	assert_int_equal(got->flags, want->flags);
	assert_int_equal(got->type, want->type);
	assert_true(got->cookie == want->cookie && got->offset == want->offset);
	assert_true(got->length == want->length);
}

static void test_request(void **state)
{
	uint8_t p[NBD_REQUEST_EXT_BYTES];
	struct nbd_request got;

	(void)state;
	assert_int_equal(nbd_request_encode(p, false, &request), 28);
	assert_memory_equal(p, compact, 28);
	assert_int_equal(nbd_request_decode(compact, false, &got), 0);
	check_request(&got, &request);
	assert_int_equal(nbd_request_encode(p, true, &request), 32);
	assert_memory_equal(p, extended, 32);
	assert_int_equal(nbd_request_decode(extended, true, &got), 0);
	check_request(&got, &request);
}

/* Each form takes its own magic number only, and no other one. */
static void test_request_magic(void **state)
{
	uint8_t p[NBD_REQUEST_EXT_BYTES] = {0};
	struct nbd_request got = {.type = 77};

	(void)state;
	assert_int_equal(nbd_request_decode(compact, true, &got), -EPROTO);
	assert_int_equal(nbd_request_decode(extended, false, &got), -EPROTO);
	for (int bit = 0; bit < 32; bit++) {
		memcpy(p, compact, sizeof(compact) - 1);
		p[bit / 8] ^= (uint8_t)(1u << bit % 8);
		assert_int_equal(nbd_request_decode(p, false, &got), -EPROTO);
	}
	assert_int_equal(got.type, 77);
}

static void test_request_random(void **state)
{
	uint8_t p[NBD_REQUEST_EXT_BYTES];
	struct rnd rnd;

	(void)state;
	rnd_init(&rnd, 3);
	for (int i = 0; i < 1000; i++) {
		struct nbd_request in = {(uint16_t)rnd_next(&rnd), (uint16_t)rnd_next(&rnd),
			rnd_next(&rnd), rnd_next(&rnd), rnd_next(&rnd)};
		struct nbd_request out;

		nbd_request_encode(p, true, &in);
		assert_int_equal(nbd_request_decode(p, true, &out), 0);
		check_request(&out, &in);
		in.length &= UINT32_MAX;
		nbd_request_encode(p, false, &in);
		assert_int_equal(nbd_request_decode(p, false, &out), 0);
		check_request(&out, &in);
	}
}

static void test_replies(void **state)
{
	uint8_t p[NBD_REPLY_HEADER_MAX];

	(void)state;
	assert_int_equal(nbd_simple_reply_encode(p, 0x0102030405060708, NBD_EINVAL), 16);
	assert_memory_equal(
		p, "\x67\x44\x66\x98\x00\x00\x00\x16\x01\x02\x03\x04\x05\x06\x07\x08", 16);
	assert_int_equal(nbd_chunk_encode(p, false, NBD_CHUNK_FLAG_DONE, NBD_CHUNK_ERROR,
				 0x0102030405060708, 0x1112131415161718, 0xa1a2a3a4),
		20);
	assert_memory_equal(p,
		"\x66\x8e\x33\xef\x00\x01\x80\x01\x01\x02\x03\x04\x05\x06\x07\x08\xa1\xa2\xa3\xa4",
		20);
	assert_int_equal(nbd_chunk_encode(p, true, 0, NBD_CHUNK_BLOCK_STATUS_EXT,
				 0x0102030405060708, 0x1112131415161718, 0xb1b2b3b4b5b6b7b8),
		32);
	assert_memory_equal(p,
		"\x6e\x8a\x27\x8c\x00\x00\x00\x06\x01\x02\x03\x04\x05\x06\x07\x08"
		"\x11\x12\x13\x14\x15\x16\x17\x18\xb1\xb2\xb3\xb4\xb5\xb6\xb7\xb8",
		32);
}

/* Rule 88: what is not in this list travels as EIO. */
static void test_every_errno(void **state)
{
	static const struct {
		int error;
		uint32_t wire;
	} known[] = {{0, 0}, {EPERM, 1}, {EACCES, 1}, {EROFS, 1}, {EIO, 5}, {ENOMEM, 12},
		{EINVAL, 22}, {ENOSPC, 28}, {EDQUOT, 28}, {EFBIG, 28}, {EOVERFLOW, 75},
		{ENOTSUP, 95}, {EOPNOTSUPP, 95}, {ESHUTDOWN, 108}};

	(void)state;
	for (int error = 0; error < 200; error++) {
		uint32_t want = NBD_EIO;

		for (size_t i = 0; i < ARRAY_LEN(known); i++) {
			if (known[i].error == error)
				want = known[i].wire;
		}
		assert_int_equal(nbd_error(error), want);
	}
	assert_int_equal(nbd_error(-1), NBD_EIO);
}

static void test_names(void **state)
{
	(void)state;
	assert_string_equal(nbd_cmd_name(NBD_CMD_READ), "READ");
	assert_string_equal(nbd_cmd_name(NBD_CMD_BLOCK_STATUS), "BLOCK_STATUS");
	assert_string_equal(nbd_cmd_name(NBD_CMD_COUNT), "?");
	assert_string_equal(nbd_cmd_name(UINT32_MAX), "?");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_request),
		cmocka_unit_test(test_request_magic),
		cmocka_unit_test(test_request_random),
		cmocka_unit_test(test_replies),
		cmocka_unit_test(test_every_errno),
		cmocka_unit_test(test_names),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
