/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Lines of monitor records, cut and changed at every place; names of peers and our own names. */
#include "record.h"

#include "util.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define COOKIE "1e4b452a03000000003a8e5766be26ff"
#define HEAD   "0100007f 000186b5 00000003 00000010 " COOKIE " "

static const char good[] = HEAD "10.9.0.2 nfssrv.lab.test";

/* In memory of exactly its size, so that a sanitizer sees every byte read too many. */
static int parse(const char *line, size_t len, struct record *ret)
{
	char *exact = malloc(len ? len : 1);
	const char *why = NULL;
	int r;

	assert_non_null(exact);
	memcpy(exact, line, len);
	r = record_parse(exact, len, ret, &why);
	assert_int_equal(r == 0, why == NULL);
	if (r == 0) { /* as the caller's line, which stays */
		ret->cookie = line + (ret->cookie - exact);
		ret->mon = line + (ret->mon - exact);
		ret->my = line + (ret->my - exact);
	}
	free(exact);
	return r;
}

static bool is_good(const char *line)
{
	struct record r;

	return parse(line, strlen(line), &r) == 0;
}

static void test_a_genuine_line(void **state)
{
	struct record r;

	(void)state;
	assert_int_equal(parse(good, strlen(good), &r), 0);
	assert_int_equal(r.program, 100021);
	assert_int_equal(r.version, 3);
	assert_int_equal(r.procedure, 16);
	assert_memory_equal(r.cookie, COOKIE, RECORD_COOKIE_DIGITS);
	assert_int_equal(r.mon_len, 8);
	assert_memory_equal(r.mon, "10.9.0.2", 8);
	assert_int_equal(r.my_len, 15);
	assert_memory_equal(r.my, "nfssrv.lab.test", 15);
}

static void test_blanks_and_carriage_returns_at_the_end(void **state)
{
	static const char *const ends[] = {"\r", " ", "  ", "\t", " \r", "\t \r"};
	struct record r;

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(ends); i++) {
		char line[200];

		strcpy(line, good);
		strcat(line, ends[i]);
		assert_int_equal(parse(line, strlen(line), &r), 0);
		assert_int_equal(r.my_len, 15);
	}
	assert_true(is_good(HEAD "10.9.0.2   nfssrv"));
	assert_false(is_good(HEAD "10.9.0.2 nfssrv\r\r"));
}

static void test_cut_anywhere(void **state)
{
	struct record r;
	size_t my_at = strlen(HEAD) + strlen("10.9.0.2 ");

	(void)state;
	for (size_t len = 0; len <= strlen(good); len++)
		assert_int_equal(parse(good, len, &r) == 0, len > my_at);
}

/* Every byte of the fixed part, replaced by every value. */
static void test_changed_anywhere(void **state)
{
	char line[sizeof(good)];
	struct record r;

	(void)state;
	for (size_t i = 0; i < RECORD_NAMES_AT; i++) {
		for (int c = 0; c < 256; c++) {
			bool digit = strchr("0123456789abcdefABCDEF", c) && c;

			memcpy(line, good, sizeof(good));
			line[i] = (char)c;
			assert_int_equal(parse(line, strlen(good), &r) == 0,
				good[i] == ' ' ? c == ' ' : digit);
		}
	}
}

static void test_names_that_are_missing_or_odd(void **state)
{
	(void)state;
	assert_false(is_good(HEAD));
	assert_false(is_good(HEAD "10.9.0.2"));
	assert_false(is_good(HEAD "10.9.0.2 "));
	assert_false(is_good(HEAD " nfssrv"));
	assert_false(is_good(HEAD "10.9.0.2 nfssrv more"));
	assert_false(is_good(HEAD "10.9\x01.0.2 nfssrv"));
	assert_false(is_good(HEAD "10.9.0.2 nfs\x7fsrv"));
	assert_true(is_good(HEAD "m\xc3\xbcller nfssrv"));
	assert_true(is_good(HEAD "%s%n %s"));
}

static void test_zero_bytes(void **state)
{
	char line[sizeof(good)];
	struct record r;

	(void)state;
	for (size_t i = 0; i < strlen(good); i++) {
		memcpy(line, good, sizeof(good));
		line[i] = 0;
		assert_int_equal(parse(line, strlen(good), &r), -EINVAL);
	}
}

static void test_lengths_of_names(void **state)
{
	char line[4000];
	struct record r;

	(void)state;
	for (size_t mon = 1022; mon <= 1026; mon++) {
		for (size_t my = 1022; my <= 1026; my++) {
			size_t len = strlen(HEAD);

			memcpy(line, HEAD, len);
			memset(line + len, 'm', mon);
			line[len + mon] = ' ';
			memset(line + len + mon + 1, 'y', my);
			len += mon + 1 + my;
			assert_int_equal(parse(line, len, &r) == 0, mon <= 1024 && my <= 1024);
		}
	}
	assert_true(RECORD_NAMES_AT + 2 * RECORD_TEXT_MAX + 1 < RECORD_LINE_MAX);
}

static void test_blank_lines(void **state)
{
	(void)state;
	assert_true(record_is_blank("", 0));
	assert_true(record_is_blank(" \t \r", 4));
	assert_false(record_is_blank("\0", 1));
	assert_false(record_is_blank(" x", 2));
}

static void test_names_of_files(void **state)
{
	static const char *const valid[] = {"a", "nfscli.lab.test", "NFS_cli-1.lab.test.",
		"10.9.0.2", "fd77::2", "::1", "::ffff:10.0.0.2", "fe80::1%veth0.5",
		"fe80::1%en_p-1", "m\xc3\xbcller.test", "1"};
	static const char *const invalid[] = {"", ".", "..", ".hidden", "a b", "a\nb", "a/b", "-oX",
		"%s%n", "a%n", "a:b", "fe80::1%", "fe80::1%a b", "fe80::1%eth0/x",
		"fe80::1%abcdefghijklmnop", "10.0.0.2%eth0", "a\xff", "\xc3", "a\xc2\x85", "a\x7f",
		"a*", "a\tb", "$(x)"};
	char name[300];

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(valid); i++)
		assert_true(record_name_is_valid(valid[i]));
	for (size_t i = 0; i < ARRAY_LEN(invalid); i++)
		assert_false(record_name_is_valid(invalid[i]));
	memset(name, 'a', sizeof(name));
	name[RECORD_NAME_MAX] = 0;
	assert_true(record_name_is_valid(name));
	name[RECORD_NAME_MAX] = 'a';
	name[RECORD_NAME_MAX + 1] = 0;
	assert_false(record_name_is_valid(name));
}

static void test_addresses(void **state)
{
	static const char *const yes[] = {"10.9.0.2", "192", "192.168", "1.2.3.4.5", "fd77::2",
		"::", "::ffff:10.0.0.2", "fe80::1%veth", "...."};
	static const char *const no[] = {
		"", "a", "10.a", "fe80::1%", "fd77::g", "1.2.3.4:5", "cafe"};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(yes); i++)
		assert_true(record_is_address(yes[i]));
	for (size_t i = 0; i < ARRAY_LEN(no); i++)
		assert_false(record_is_address(no[i]));
}

static void check_names(const char *my, unsigned count, size_t second)
{
	size_t lengths[2] = {0};

	assert_int_equal(record_names(my, lengths), count);
	assert_int_equal(lengths[0], strlen(my));
	if (count == 2)
		assert_int_equal(lengths[1], second);
}

static void test_our_names(void **state)
{
	(void)state;
	check_names("nfssrv.lab.test", 2, 6);
	check_names("nfssrv.", 2, 6);
	check_names("nfssrv", 1, 0);
	check_names("10.9.0.1", 1, 0);
	check_names("192.168.1", 1, 0);
	check_names("fd77::1", 1, 0);
	check_names("::ffff:10.0.0.2", 1, 0);
	check_names("fe80::1%eth0.5", 1, 0);
	check_names(".x", 1, 0); /* never an empty name */
	check_names("1a.test", 2, 2);
}

static void test_leftovers_of_a_crash(void **state)
{
	char base[RECORD_NAME_MAX + 1];

	(void)state;
	assert_true(record_looks_temporary("peer.new"));
	assert_true(record_looks_temporary("10.9.0.2.new"));
	assert_true(record_looks_temporary("fd77::2.new"));
	assert_false(record_looks_temporary("peer.lab.test.new")); /* or a host in .new */
	assert_false(record_looks_temporary("peer.newer"));
	assert_false(record_looks_temporary(".new"));
	assert_false(record_looks_temporary("new"));
	assert_true(record_temporary_of("peer.new", base));
	assert_string_equal(base, "peer");
	assert_true(record_temporary_of("a.b.new", base));
	assert_string_equal(base, "a.b");
	assert_true(record_temporary_of(".a.b.new", base));
	assert_string_equal(base, "a.b");
	assert_true(record_looks_temporary(".a.b.new"));
	assert_false(record_temporary_of(".new", base));
	assert_false(record_temporary_of("..new", base));
	assert_false(record_temporary_of("..a.new", base));
	assert_false(record_temporary_of(".peer", base));
	assert_string_equal(base, "a.b");
	assert_false(record_temporary_of("peer", base));
	assert_false(record_temporary_of("", base));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_a_genuine_line),
		cmocka_unit_test(test_blanks_and_carriage_returns_at_the_end),
		cmocka_unit_test(test_cut_anywhere),
		cmocka_unit_test(test_changed_anywhere),
		cmocka_unit_test(test_names_that_are_missing_or_odd),
		cmocka_unit_test(test_zero_bytes),
		cmocka_unit_test(test_lengths_of_names),
		cmocka_unit_test(test_blank_lines),
		cmocka_unit_test(test_names_of_files),
		cmocka_unit_test(test_addresses),
		cmocka_unit_test(test_our_names),
		cmocka_unit_test(test_leftovers_of_a_crash),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
