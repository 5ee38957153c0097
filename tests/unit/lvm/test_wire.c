/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Payloads between two lvm_copy: there and back; cut at every place; whatever comes is bounded. */
#include "wire.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

static const struct wire_open open_message = {.flags = WIRE_RESUME | WIRE_READBACK,
	.number = 4,
	.spec = "file:/srv/a",
	.source = "file:/srv/b",
	.head = {.size = 1000000, .chunk_size = 65536, .identity = "id", .source = "dev:/dev/x"}};

static void test_open(void **state)
{
	struct wire_open o;
	struct buf b;

	(void)state;
	for (int with_head = 0; with_head < 2; with_head++) {
		buf_init(&b, 10000);
		wire_put_open(&b, &open_message, with_head);
		assert_false(buf_failed(&b));
		assert_int_equal(wire_get_open(buf_bytes(&b), buf_len(&b), with_head, &o), 0);
		assert_int_equal(o.flags, open_message.flags);
		assert_string_equal(o.spec, open_message.spec);
		assert_string_equal(o.source, with_head ? open_message.source : "");
		for (size_t i = 0; i < buf_len(&b); i++)
			assert_int_equal(wire_get_open(buf_bytes(&b), i, with_head, &o), -EBADMSG);
		buf_put(&b, "x", 1);
		assert_int_equal(
			wire_get_open(buf_bytes(&b), buf_len(&b), with_head, &o), -EBADMSG);
		buf_done(&b);
	}
}

static void test_piece(void **state)
{
	struct wire_piece p = {.index = 7, .len = 65536, .flags = WIRE_PACKED, .hash = {1, 2, 3}};
	struct wire_piece q;
	struct buf b;

	(void)state;
	buf_init(&b, 10000);
	wire_put_piece(&b, &p);
	assert_int_equal(buf_len(&b), WIRE_PIECE);
	buf_put(&b, "bytes", 5);
	assert_int_equal(wire_get_piece(buf_bytes(&b), buf_len(&b), &q), 0);
	assert_int_equal(q.index, 7);
	assert_int_equal(q.bytes_len, 5);
	assert_memory_equal(q.bytes, "bytes", 5);
	assert_memory_equal(q.hash, p.hash, CODEC_HASH);
	for (size_t i = 0; i < WIRE_PIECE; i++)
		assert_int_equal(wire_get_piece(buf_bytes(&b), i, &q), -EBADMSG);
	p.len = MANIFEST_CHUNK_MAX + 1;
	buf_clear(&b);
	wire_put_piece(&b, &p);
	assert_int_equal(wire_get_piece(buf_bytes(&b), buf_len(&b), &q), -EBADMSG);
	buf_done(&b);
}

static void test_result(void **state)
{
	struct target_result r = {.totals = {.chunks = 3, .stored = 9, .readback = true}}, s;
	struct buf b;

	(void)state;
	strcpy(r.manifest, "/srv/a.manifest");
	buf_init(&b, 10000);
	wire_put_result(&b, &r);
	assert_int_equal(wire_get_result(buf_bytes(&b), buf_len(&b), &s), 0);
	assert_memory_equal(&r, &s, sizeof(r));
	assert_int_equal(wire_get_result(buf_bytes(&b), 20, &s), -EBADMSG);
	buf_done(&b);
}

static void test_error(void **state)
{
	struct err e = {.code = ENOSPC, .text = "no\033[1m\nspace"}, f;
	struct buf b;

	(void)state;
	buf_init(&b, 10000);
	wire_put_error(&b, &e);
	wire_get_error(buf_bytes(&b), buf_len(&b), &f);
	assert_int_equal(f.code, ENOSPC);
	assert_null(strchr(f.text, '\n'));
	assert_null(strchr(f.text, 033));
	wire_get_error(buf_bytes(&b), 3, &f);
	assert_int_equal(f.code, EPROTO);
	buf_clear(&b);
	buf_put_u32(&b, 0);
	wire_get_error(buf_bytes(&b), buf_len(&b), &f);
	assert_int_equal(f.code, EPROTO); /* 0 would say that all is well */
	buf_done(&b);
}

int main(void)
{
	const struct CMUnitTest tests[] = {cmocka_unit_test(test_open),
		cmocka_unit_test(test_piece), cmocka_unit_test(test_result),
		cmocka_unit_test(test_error)};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
