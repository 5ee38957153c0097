/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Addresses: what is a literal and what is not, one form for each, there and back. */
#include "addr.h"
#include "util.h"

#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

static void test_literals(void **state)
{
	static const struct {
		const char *text, *printed;
		bool v4;
		uint32_t scope;
	} rows[] = {
		{"10.9.0.2", "10.9.0.2", true, 0},
		{"::ffff:10.0.0.2", "10.0.0.2", true, 0},
		{"::FFFF:0a00:0002", "10.0.0.2", true, 0},
		{"0.0.0.0", "0.0.0.0", true, 0},
		{"::", "::", false, 0},
		{"::1", "::1", false, 0},
		{"FD77:0:0::2", "fd77::2", false, 0},
		{"fe80::1%lo", "fe80::1%lo", false, 1},
		{"fe80::1%1", "fe80::1%lo", false, 1},
		{"fe80::1%4000000000", "fe80::1%4000000000", false, 4000000000},
		{"fe80::1", "fe80::1", false, 0},
		{"fd77::2%lo", "fd77::2", false, 0}, /* belongs to no interface */
		{"::10.0.0.2", "::10.0.0.2", false, 0},
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		char text[ADDR_TEXT_MAX];
		struct addr a;

		assert_true(addr_parse(rows[i].text, &a));
		assert_int_equal(addr_is_v4(&a), rows[i].v4);
		assert_int_equal(a.scope, rows[i].scope);
		addr_print(&a, text);
		assert_string_equal(text, rows[i].printed);
	}
}

static void test_no_literals(void **state)
{
	static const char *const rows[] = {"", "localhost", "192", "192.168", "1.2.3", "1.2.3.4.5",
		"256.1.1.1", "01.2.3.4x", "0x7f000001", "127.1", " 1.2.3.4", "1.2.3.4 ",
		"1.2.3.4%lo", "fe80::1%", "fe80::1%nosuchif", "fe80::1%0", "fe80::1%4294967296",
		"fe80::1%lo%lo", "%lo", ":::", "12345::", "g::1", "fd77::2/64", "[::1]",
		"1111:2222:3333:4444:5555:6666:7777:8888:9999:aaaa:bbbb"};
	struct addr a = {.scope = 77};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(rows); i++)
		assert_false(addr_parse(rows[i], &a));
	assert_int_equal(a.scope, 77);
}

static void test_sockaddrs(void **state)
{
	static const char *const rows[] = {"10.9.0.2", "fd77::2", "fe80::1%lo", "fe80::1"};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		struct addr a, b;
		union addr_sock sock;
		uint16_t port = 0;

		assert_true(addr_parse(rows[i], &a));
		assert_int_equal(addr_to_sock(&a, 40111, &sock),
			i == 0 ? sizeof(struct sockaddr_in) : sizeof(struct sockaddr_in6));
		assert_int_equal(sock.any.sa_family, i == 0 ? AF_INET : AF_INET6);
		assert_true(addr_from_sock(&sock.any, &b, &port));
		assert_true(addr_equal(&a, &b));
		assert_int_equal(port, 40111);
	}
}

/* What came in on an IPv6 socket is the same address, whatever else the kernel fills in. */
static void test_forms_from_sockets(void **state)
{
	union addr_sock sock = {0};
	struct addr a, b;

	(void)state;
	assert_true(addr_parse("fd77::2", &a));
	addr_to_sock(&a, 1, &sock);
	sock.v6.sin6_scope_id = 3;
	sock.v6.sin6_flowinfo = 9;
	assert_true(addr_from_sock(&sock.any, &b, NULL));
	assert_true(addr_equal(&a, &b));

	assert_true(addr_parse("fe80::1%lo", &a));
	addr_to_sock(&a, 1, &sock);
	sock.v6.sin6_scope_id = 3; /* another interface is another host */
	assert_true(addr_from_sock(&sock.any, &b, NULL));
	assert_false(addr_equal(&a, &b));

	sock = (union addr_sock){.any.sa_family = AF_UNIX};
	assert_false(addr_from_sock(&sock.any, &b, NULL));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_literals),
		cmocka_unit_test(test_no_literals),
		cmocka_unit_test(test_sockaddrs),
		cmocka_unit_test(test_forms_from_sockets),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
