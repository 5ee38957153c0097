/* SPDX-License-Identifier: GPL-2.0-or-later */
/* reply_build against bytes written by hand, in the three reply formats. */
#include "reply.h"
#include "util.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

#define COOKIE "\x01\x02\x03\x04\x05\x06\x07\x08"
#define OFFSET "\x00\x00\x00\x00\x00\x00\x10\x01"

static const struct features simple = {false, false, false};
static const struct features structured = {true, false, true};
static const struct features extended = {true, true, true};

static struct request request_of(unsigned type, uint64_t length)
{
	return (struct request){.nbd = {.type = (uint16_t)type,
					.cookie = 0x0102030405060708,
					.offset = 0x1001,
					.length = length},
		.data_len = 99};
}

static void check_head(struct request *rq, const struct features *agreed, const void *want,
	size_t want_len, size_t data_len)
{
	reply_build(rq, agreed);
	assert_int_equal(rq->head_len, want_len);
	assert_true(rq->head_len <= sizeof(rq->head));
	assert_memory_equal(rq->head, want, want_len);
	assert_int_equal(rq->data_len, data_len);
}

#define CHECK_HEAD(rq, agreed, text, data_len)                                                     \
	check_head((rq), (agreed), (text), sizeof(text) - 1, (data_len))

static void test_simple(void **state)
{
	struct request rq = request_of(NBD_CMD_READ, 0x200);

	(void)state;
	CHECK_HEAD(&rq, &simple, "\x67\x44\x66\x98\0\0\0\0" COOKIE, 0x200);
	rq.error = EIO;
	CHECK_HEAD(&rq, &simple, "\x67\x44\x66\x98\0\0\0\x05" COOKIE, 0);
	rq = request_of(NBD_CMD_WRITE, 0x200);
	CHECK_HEAD(&rq, &simple, "\x67\x44\x66\x98\0\0\0\0" COOKIE, 0);
	rq.error = EDQUOT;
	CHECK_HEAD(&rq, &simple, "\x67\x44\x66\x98\0\0\0\x1c" COOKIE, 0);
}

static void test_data(void **state)
{
	struct request rq = request_of(NBD_CMD_READ, 0x200);

	(void)state;
	CHECK_HEAD(&rq, &structured, "\x66\x8e\x33\xef\0\x01\0\x01" COOKIE "\0\0\x02\x08" OFFSET,
		0x200);
	CHECK_HEAD(&rq, &extended,
		"\x6e\x8a\x27\x8c\0\x01\0\x01" COOKIE OFFSET "\0\0\0\0\0\0\x02\x08" OFFSET, 0x200);
}

/* Rules 74 and 95: no data chunk without data. */
static void test_none(void **state)
{
	static const unsigned types[] = {NBD_CMD_READ, NBD_CMD_WRITE, NBD_CMD_FLUSH, NBD_CMD_TRIM,
		NBD_CMD_CACHE, NBD_CMD_WRITE_ZEROES};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(types); i++) {
		struct request rq = request_of(types[i], types[i] == NBD_CMD_READ ? 0 : 512);

		CHECK_HEAD(&rq, &structured, "\x66\x8e\x33\xef\0\x01\0\0" COOKIE "\0\0\0\0", 0);
		CHECK_HEAD(&rq, &extended,
			"\x6e\x8a\x27\x8c\0\x01\0\0" COOKIE OFFSET "\0\0\0\0\0\0\0\0", 0);
	}
}

/* Rules 94 and 97, for every command. */
static void test_error(void **state)
{
	(void)state;
	for (unsigned type = 0; type < 10; type++) {
		struct request rq = request_of(type, 0x200);

		rq.error = EINVAL;
		CHECK_HEAD(&rq, &structured,
			"\x66\x8e\x33\xef\0\x01\x80\x01" COOKIE "\0\0\0\x06\0\0\0\x16\0\0", 0);
		rq.text = "why";
		CHECK_HEAD(&rq, &structured,
			"\x66\x8e\x33\xef\0\x01\x80\x01" COOKIE "\0\0\0\x09\0\0\0\x16\0\x03why", 0);
		CHECK_HEAD(&rq, &extended,
			"\x6e\x8a\x27\x8c\0\x01\x80\x01" COOKIE OFFSET
			"\0\0\0\0\0\0\0\x09\0\0\0\x16\0\x03why",
			0);
	}
}

static void test_long_text_is_cut(void **state)
{
	char text[2 * REQUEST_TEXT_MAX];
	struct request rq = request_of(NBD_CMD_READ, 1);

	(void)state;
	memset(text, 't', sizeof(text));
	text[sizeof(text) - 1] = 0;
	rq.error = EINVAL;
	rq.text = text;
	reply_build(&rq, &extended);
	assert_int_equal(rq.head_len, 32 + 6 + REQUEST_TEXT_MAX);
	assert_true(rq.head_len <= sizeof(rq.head));
}

static const struct extent extents[] = {{0x1000, 0}, {0xfffff000, 3}, {7, 1}};

static void test_extents_compact(void **state)
{
	uint8_t data[sizeof(extents)];
	struct request rq = request_of(NBD_CMD_BLOCK_STATUS, 0x200);

	(void)state;
	memcpy(data, extents, sizeof(data));
	rq.data = data;
	rq.extents = ARRAY_LEN(extents);
	CHECK_HEAD(
		&rq, &structured, "\x66\x8e\x33\xef\0\x01\0\x05" COOKIE "\0\0\0\x1c\0\0\0\x01", 24);
	assert_memory_equal(
		data, "\0\0\x10\0\0\0\0\0\xff\xff\xf0\0\0\0\0\x03\0\0\0\x07\0\0\0\x01", 24);
}

static void test_extents_extended(void **state)
{
	uint8_t data[sizeof(extents)];
	struct request rq = request_of(NBD_CMD_BLOCK_STATUS, 0x200);

	(void)state;
	memcpy(data, extents, sizeof(data));
	rq.data = data;
	rq.extents = ARRAY_LEN(extents);
	CHECK_HEAD(&rq, &extended,
		"\x6e\x8a\x27\x8c\0\x01\0\x06" COOKIE OFFSET
		"\0\0\0\0\0\0\0\x38\0\0\0\x01\0\0\0\x03",
		48);
	assert_memory_equal(data,
		"\0\0\0\0\0\0\x10\0\0\0\0\0\0\0\0\0\0\0\0\0\xff\xff\xf0\0\0\0\0\0\0\0\0\x03"
		"\0\0\0\0\0\0\0\x07\0\0\0\0\0\0\0\x01",
		48);
}

/* As many as a reply has room for: packed in place, the last one must still be right. */
static void test_extents_full(void **state)
{
	enum { COUNT = REQUEST_STATUS_BYTES / sizeof(struct extent) };
	static struct extent all[COUNT];

	(void)state;
	for (int wide = 0; wide < 2; wide++) {
		struct request rq = {.data = (uint8_t *)all};
		size_t entry = wide ? 16 : 8;

		for (int i = 0; i < COUNT; i++)
			all[i] = (struct extent){(uint64_t)i + 1, i & 3};
		assert_int_equal(reply_pack_extents(&rq, COUNT, wide), COUNT * entry);
		for (size_t i = 0; i < COUNT; i++) {
			const uint8_t *p = rq.data + i * entry;

			assert_int_equal(p[entry / 2 - 1] + 256 * p[entry / 2 - 2], i + 1);
			assert_int_equal(p[entry - 1], i & 3);
		}
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_simple),
		cmocka_unit_test(test_data),
		cmocka_unit_test(test_none),
		cmocka_unit_test(test_error),
		cmocka_unit_test(test_long_text_is_cut),
		cmocka_unit_test(test_extents_compact),
		cmocka_unit_test(test_extents_extended),
		cmocka_unit_test(test_extents_full),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
