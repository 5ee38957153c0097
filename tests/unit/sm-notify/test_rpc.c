/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Calls as bytes against vectors written by hand from the specifications; replies good, refused,
 * cut at every length, with every length field a lie; records in fragments of any size.
 */
#include "addr.h"
#include "buf.h"
#include "rnd.h"
#include "rpc.h"
#include "util.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

enum { XID = 0x01020304, BYTES_MAX = 2048 };

static uint8_t bytes[BYTES_MAX];

/* Hexadecimal digits, blanks ignored, to memory of exactly their size. */
static uint8_t *unhex(const char *hex, size_t *ret_len)
{
	uint8_t *out = malloc(strlen(hex) / 2 + 1);
	unsigned byte;

	assert_non_null(out);
	*ret_len = 0;
	for (; *hex; hex += *hex ? 2 : 0) {
		while (*hex == ' ')
			hex++;
		assert_int_equal(sscanf(hex, "%2x", &byte), 1);
		out[(*ret_len)++] = (uint8_t)byte;
	}
	return out;
}

static void assert_bytes(const uint8_t *got, size_t len, const char *hex)
{
	size_t expected_len;
	uint8_t *expected = unhex(hex, &expected_len);

	assert_int_equal(len, expected_len);
	assert_memory_equal(got, expected, len);
	free(expected);
}

/* Calls. */

static void test_notify(void **state)
{
	(void)state;
	assert_bytes(bytes, rpc_call_notify(bytes, XID, "me", 2, 3),
		"01020304 00000000 00000002 000186b8 00000001 00000006 00000000 00000000 00000000 "
		"00000000 00000002 6d650000 00000003");
	assert_bytes(bytes, rpc_call_notify(bytes, 0xffffffff, "four", 4, -1),
		"ffffffff 00000000 00000002 000186b8 00000001 00000006 00000000 00000000 00000000 "
		"00000000 00000004 666f7572 ffffffff");
	assert_bytes(bytes, rpc_call_notify(bytes, XID, "", 0, 1),
		"01020304 00000000 00000002 000186b8 00000001 00000006 00000000 00000000 00000000 "
		"00000000 00000000 00000001");
}

static void test_notify_lengths(void **state)
{
	static char name[RPC_NAME_MAX];

	(void)state;
	memset(name, 'n', sizeof(name));
	for (size_t len = 0; len <= RPC_NAME_MAX; len++) {
		size_t padded = (len + 3) / 4 * 4, n;

		memset(bytes, 0xaa, sizeof(bytes));
		n = rpc_call_notify(bytes, XID, name, len, 5);
		assert_int_equal(n, 40 + 4 + padded + 4);
		assert_true(n <= RPC_CALL_MAX);
		assert_int_equal(get_u32(bytes + 40), len);
		for (size_t i = len; i < padded; i++)
			assert_int_equal(bytes[44 + i], 0);
		assert_int_equal(get_u32(bytes + 44 + padded), 5);
		assert_int_equal(bytes[n], 0xaa);
	}
}

static void test_getport(void **state)
{
	struct rpc_query q = {.method = RPC_GETPORT, .prot = RPC_UDP};

	(void)state;
	assert_bytes(bytes, rpc_call_query(bytes, XID, &q),
		"01020304 00000000 00000002 000186a0 00000002 00000003 00000000 00000000 00000000 "
		"00000000 000186b8 00000001 00000011 00000000");
	q.prot = RPC_TCP;
	assert_bytes(bytes, rpc_call_query(bytes, XID, &q),
		"01020304 00000000 00000002 000186a0 00000002 00000003 00000000 00000000 00000000 "
		"00000000 000186b8 00000001 00000006 00000000");
}

static void test_getaddr(void **state)
{
	struct rpc_query q = {RPC_GETADDR3, RPC_UDP, true, "fd77::2.0.111"};

	(void)state;
	assert_bytes(bytes, rpc_call_query(bytes, XID, &q),
		"01020304 00000000 00000002 000186a0 00000003 00000003 00000000 00000000 00000000 "
		"00000000 000186b8 00000001 00000004 75647036 0000000d 66643737 3a3a322e 302e3131 "
		"31000000 00000000");
	q = (struct rpc_query){RPC_GETADDR4, RPC_TCP, false, "10.0.0.2.0.111"};
	assert_bytes(bytes, rpc_call_query(bytes, XID, &q),
		"01020304 00000000 00000002 000186a0 00000004 00000003 00000000 00000000 00000000 "
		"00000000 000186b8 00000001 00000003 74637000 0000000e 31302e30 2e302e32 2e302e31 "
		"31310000 00000000");
}

static void test_marks(void **state)
{
	uint8_t mark[RPC_MARK];

	(void)state;
	rpc_put_mark(mark, 56);
	assert_bytes(mark, sizeof(mark), "80000038");
}

/* Universal addresses we send. */
static void test_universal(void **state)
{
	char text[ADDR_UNIVERSAL_MAX];
	struct addr a;

	(void)state;
	assert_true(addr_parse("10.0.0.2", &a));
	addr_universal(&a, 111, text);
	assert_string_equal(text, "10.0.0.2.0.111");
	assert_true(addr_parse("fd77::2", &a));
	addr_universal(&a, 39899, text);
	assert_string_equal(text, "fd77::2.155.219");
	assert_true(addr_parse("ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff", &a));
	addr_universal(&a, 65535, text);
	assert_string_equal(text, "ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff.255.255");
	assert_true(addr_parse("fe80::1%lo", &a)); /* its interface means nothing over there */
	addr_universal(&a, 111, text);
	assert_string_equal(text, "fe80::1.0.111");
}

/* Replies. */

#define ACCEPTED "01020304 00000001 00000000 00000000 00000000 "
#define DENIED   "01020304 00000001 00000001 "

static const struct {
	const char *hex;
	int ret;
	enum rpc_answer answer;
	size_t result_len;
} replies[] = {
	{ACCEPTED "00000000", 0, RPC_DONE, 0},
	{ACCEPTED "00000000 12345678 9a", 0, RPC_DONE, 5},
	{ACCEPTED "00000001", 0, RPC_PROG_UNAVAIL, 0},
	{ACCEPTED "00000002 00000001 00000001", 0, RPC_PROG_MISMATCH, 0},
	{ACCEPTED "00000003", 0, RPC_PROC_UNAVAIL, 0},
	{ACCEPTED "00000004", 0, RPC_GARBAGE_ARGS, 0},
	{ACCEPTED "00000005", 0, RPC_SYSTEM_ERR, 0},
	{ACCEPTED "00000006", -EBADMSG, 0, 0},
	{ACCEPTED "ffffffff", -EBADMSG, 0, 0},
	{DENIED "00000000 00000002 00000002", 0, RPC_VERSION_DENIED, 0},
	{DENIED "00000001 00000005", 0, RPC_AUTH_DENIED, 0},
	{DENIED "00000002", -EBADMSG, 0, 0},
	{"01020304 00000000 00000000 00000000 00000000 00000000", -EBADMSG, 0, 0}, /* a call */
	{"01020304 00000002 00000000 00000000 00000000 00000000", -EBADMSG, 0, 0},
	{"01020304 00000001 00000002 00000000 00000000 00000000", -EBADMSG, 0, 0},
	/* verifiers: 5 bytes padded to 8; one byte missing; lengths nobody has */
	{"01020304 00000001 00000000 00000001 00000005 11223344 55000000 00000000", 0, RPC_DONE, 0},
	{"01020304 00000001 00000000 00000001 00000005 11223344 550000", -EBADMSG, 0, 0},
	{"01020304 00000001 00000000 00000000 00000191 00000000", -EBADMSG, 0, 0},
	{"01020304 00000001 00000000 00000000 7fffffff 00000000", -EBADMSG, 0, 0},
	{"01020304 00000001 00000000 00000000 fffffffd 00000000", -EBADMSG, 0, 0},
	{"01020304 00000001 00000000 00000000 ffffffff 00000000", -EBADMSG, 0, 0},
};

static void test_replies(void **state)
{
	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(replies); i++) {
		struct rpc_reply reply = {.xid = 77};
		size_t len;
		uint8_t *b = unhex(replies[i].hex, &len);

		assert_int_equal(rpc_parse_reply(b, len, &reply), replies[i].ret);
		assert_int_equal(reply.xid, replies[i].ret == 0 ? XID : 77);
		if (replies[i].ret == 0) {
			assert_int_equal(reply.answer, replies[i].answer);
			assert_int_equal(reply.len, replies[i].result_len);
		}
		free(b);
	}
}

/* No shorter piece of a good reply is one; memory is exactly as long, a sanitizer looks on. */
static void test_replies_cut(void **state)
{
	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(replies); i++) {
		size_t len, whole;
		uint8_t *b = unhex(replies[i].hex, &len);

		whole = len - replies[i].result_len;
		if (replies[i].answer == RPC_PROG_MISMATCH)
			whole -= 8; /* the versions it has are not looked at */
		if (replies[i].answer == RPC_VERSION_DENIED)
			whole -= 8;
		if (replies[i].answer == RPC_AUTH_DENIED)
			whole -= 4;
		for (size_t cut = 0; cut <= len; cut++) {
			struct rpc_reply reply;
			uint8_t *piece = malloc(cut ? cut : 1);
			int expected = cut < whole ? -EBADMSG : replies[i].ret;

			assert_non_null(piece);
			memcpy(piece, b, cut);
			assert_int_equal(rpc_parse_reply(piece, cut, &reply), expected);
			free(piece);
		}
		free(b);
	}
}

static void test_verifiers(void **state)
{
	(void)state;
	for (uint32_t n = 0; n <= 500; n++) {
		size_t padded = (n + 3) / 4 * 4;
		struct rpc_reply reply;
		size_t len;
		uint8_t *b = unhex("01020304 00000001 00000000 00000006 00000000", &len);
		uint8_t *whole = calloc(1, 24 + padded);

		assert_non_null(whole);
		memcpy(whole, b, len);
		set_u32(whole + 16, n);
		assert_int_equal(
			rpc_parse_reply(whole, 24 + padded, &reply), n <= 400 ? 0 : -EBADMSG);
		assert_int_equal(rpc_parse_reply(whole, 23 + padded, &reply), -EBADMSG);
		free(b);
		free(whole);
	}
}

static void test_xid(void **state)
{
	uint32_t xid = 7;

	(void)state;
	memcpy(bytes, "\x01\x02\x03\x04", 4);
	for (size_t len = 0; len < 4; len++)
		assert_false(rpc_xid(bytes, len, &xid));
	assert_int_equal(xid, 7);
	assert_true(rpc_xid(bytes, 4, &xid));
	assert_int_equal(xid, XID);
}

/* Ports. */

static int port_of(enum rpc_method method, const char *hex, uint16_t *ret)
{
	size_t len;
	uint8_t *b = unhex(hex, &len);
	struct rpc_reply reply = {.result = b, .len = len};
	int r = rpc_parse_port(method, &reply, ret);

	free(b);
	return r;
}

static void test_getport_results(void **state)
{
	static const struct {
		const char *hex;
		int ret;
		uint16_t port;
	} rows[] = {
		{"00000000", 0, 0},
		{"00009bdb", 0, 39899},
		{"0000ffff", 0, 65535},
		{"00010000", -ERANGE, 0},
		{"00011170", -ERANGE, 0}, /* 70000 */
		{"ffffffff", -ERANGE, 0},
		{"", -EBADMSG, 0},
		{"00", -EBADMSG, 0},
		{"000000", -EBADMSG, 0},
		{"0000006f ffff", 0, 111},
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		uint16_t port = 77;

		assert_int_equal(port_of(RPC_GETPORT, rows[i].hex, &port), rows[i].ret);
		assert_int_equal(port, rows[i].ret == 0 ? rows[i].port : 77);
	}
}

static const struct {
	const char *text;
	int ret;
	uint16_t port;
} universals[] = {
	{"", 0, 0},
	{"fd77::2.155.219", 0, 39899},
	{"10.0.0.2.0.111", 0, 111},
	{"0.0.0.0.255.255", 0, 65535},
	{"::.0.0", 0, 0},
	{"fe80::1%eth0.3.1", 0, 769},
	{"::ffff:10.0.0.2.3.1", 0, 769},
	{"10.0.0.2.256.1", -ERANGE, 0},
	{"10.0.0.2.1.256", -ERANGE, 0},
	{"10.0.0.2.1.999", -ERANGE, 0},
	{"10.0.0.2.1.0000", -EBADMSG, 0},
	{"x.256.1", -ERANGE, 0},
	{"x.25.1", -EBADMSG, 0},
	{"1.2.3", -EBADMSG, 0},
	{"1.2", -EBADMSG, 0},
	{"1", -EBADMSG, 0},
	{".", -EBADMSG, 0},
	{"..", -EBADMSG, 0},
	{"10.0.0.2..1", -EBADMSG, 0},
	{"10.0.0.2.1.", -EBADMSG, 0},
	{".1.1", -EBADMSG, 0},
	{"10.0.0.2.-1.1", -EBADMSG, 0},
	{"10.0.0.2.+1.1", -EBADMSG, 0},
	{"10.0.0.2. 1.1", -EBADMSG, 0},
	{"10.0.0.2.1.1 ", -EBADMSG, 0},
	{"0000000000000000000000000000000000000000000000000000000000000000000000.1.1", -EBADMSG, 0},
};

static uint8_t *string_result(const char *text, size_t *ret_len)
{
	size_t len = strlen(text), padded = (len + 3) / 4 * 4;
	uint8_t *b = calloc(1, 4 + padded);

	assert_non_null(b);
	set_u32(b, (uint32_t)len);
	memcpy(b + 4, text, len);
	*ret_len = 4 + padded;
	return b;
}

static void test_getaddr_results(void **state)
{
	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(universals); i++) {
		size_t len;
		uint8_t *b = string_result(universals[i].text, &len);

		for (enum rpc_method m = RPC_GETADDR3; m <= RPC_GETADDR4; m++) {
			struct rpc_reply reply = {.result = b, .len = len};
			uint16_t port = 77;

			assert_int_equal(rpc_parse_port(m, &reply, &port), universals[i].ret);
			assert_int_equal(port, universals[i].ret == 0 ? universals[i].port : 77);
		}
		free(b);
	}
}

static void test_getaddr_cut(void **state)
{
	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(universals); i++) {
		size_t len;
		uint8_t *b = string_result(universals[i].text, &len);

		for (size_t cut = 0; cut < len; cut++) {
			uint8_t *piece = malloc(cut ? cut : 1);
			struct rpc_reply reply = {.result = piece, .len = cut};
			uint16_t port;

			assert_non_null(piece);
			memcpy(piece, b, cut);
			assert_int_equal(rpc_parse_port(RPC_GETADDR3, &reply, &port), -EBADMSG);
			free(piece);
		}
		free(b);
	}
}

static void test_getaddr_lies(void **state)
{
	static const char *const rows[] = {"00000005 312e3100", "00000401 00000000",
		"7fffffff 00000000", "fffffffd 00000000", "ffffffff 00000000"};
	uint16_t port = 77;

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(rows); i++)
		assert_int_equal(port_of(RPC_GETADDR4, rows[i], &port), -EBADMSG);
	assert_int_equal(port, 77);
}

/* Records. */

/* BODY in fragments of FRAGMENT bytes. */
static size_t to_record(uint8_t *out, const uint8_t *body, size_t len, size_t fragment)
{
	size_t n = 0;

	for (size_t at = 0; at < len; at += fragment) {
		size_t part = MIN_OF(fragment, len - at);

		set_u32(out + n, (uint32_t)part | (at + part == len ? 0x80000000 : 0));
		memcpy(out + n + 4, body + at, part);
		n += 4 + part;
	}
	return n;
}

static void test_fragments(void **state)
{
	uint8_t body[60], record[60 * 5];
	struct rnd rnd;

	(void)state;
	rnd_init(&rnd, 1);
	rnd_fill(&rnd, body, sizeof(body));
	for (size_t fragment = 1; fragment <= sizeof(body); fragment++) {
		size_t len = to_record(record, body, sizeof(body), fragment);

		for (size_t step = 1; step <= len; step++) {
			struct rpc_record r;
			int ret = 0;

			rpc_record_init(&r);
			for (size_t at = 0; at < len; at += step) {
				assert_int_equal(ret, 0);
				ret = rpc_record_feed(&r, record + at, MIN_OF(step, len - at));
			}
			assert_int_equal(ret, 1);
			assert_int_equal(r.len, sizeof(body));
			assert_memory_equal(r.bytes, body, sizeof(body));
		}
	}
}

static int feed_hex(struct rpc_record *r, const char *hex)
{
	size_t len;
	uint8_t *b = unhex(hex, &len);
	int ret = rpc_record_feed(r, b, len);

	free(b);
	return ret;
}

static void test_record_limits(void **state)
{
	struct rpc_record r;
	int ret = 0;

	(void)state;
	rpc_record_init(&r);
	assert_int_equal(feed_hex(&r, "ffffffff"), -EMSGSIZE); /* 2 GiB */
	rpc_record_init(&r);
	assert_int_equal(feed_hex(&r, "7fffffff"), -EMSGSIZE);
	rpc_record_init(&r);
	assert_int_equal(feed_hex(&r, "80000401"), -EMSGSIZE);
	rpc_record_init(&r);
	assert_int_equal(feed_hex(&r, "80000400"), 0);
	rpc_record_init(&r);
	assert_int_equal(feed_hex(&r, "00000004 11223344 800003fd"), -EMSGSIZE);
	rpc_record_init(&r);
	assert_int_equal(feed_hex(&r, "80000000"), 1); /* nothing at all is a record */
	assert_int_equal(r.len, 0);
	rpc_record_init(&r);
	assert_int_equal(feed_hex(&r, "00000004 11223344 80000000"), 1);
	assert_int_equal(r.len, 4);
	rpc_record_init(&r);
	assert_int_equal(feed_hex(&r, "80000002 1122 33445566"), 1); /* the rest is ignored */
	assert_int_equal(r.len, 2);
	rpc_record_init(&r);
	for (unsigned i = 0; ret == 0; i++) {
		assert_true(i < 2000);
		ret = feed_hex(&r, "00000000"); /* empty ones do not go on for ever */
	}
	assert_int_equal(ret, -EMSGSIZE);
}

static void test_texts(void **state)
{
	(void)state;
	for (enum rpc_answer a = RPC_DONE; a <= RPC_AUTH_DENIED; a++)
		assert_true(strlen(rpc_answer_text(a)) > 3);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_notify),
		cmocka_unit_test(test_notify_lengths),
		cmocka_unit_test(test_getport),
		cmocka_unit_test(test_getaddr),
		cmocka_unit_test(test_marks),
		cmocka_unit_test(test_universal),
		cmocka_unit_test(test_replies),
		cmocka_unit_test(test_replies_cut),
		cmocka_unit_test(test_verifiers),
		cmocka_unit_test(test_xid),
		cmocka_unit_test(test_getport_results),
		cmocka_unit_test(test_getaddr_results),
		cmocka_unit_test(test_getaddr_cut),
		cmocka_unit_test(test_getaddr_lies),
		cmocka_unit_test(test_fragments),
		cmocka_unit_test(test_record_limits),
		cmocka_unit_test(test_texts),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
