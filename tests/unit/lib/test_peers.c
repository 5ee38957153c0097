/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Rules about peers: what they may be, how they print, whom they name. */
#include "peers.h"
#include "util.h"

#include <arpa/inet.h>
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

/* What is printed, if it is not the same. */
static const struct {
	const char *text, *prints;
} good[] = {
	{"all", NULL},
	{"unix", NULL},
	{"192.0.2.7", NULL},
	{"192.0.2.7/32", "192.0.2.7"},
	{"192.0.2.0/24", NULL},
	{"192.0.2.128/25", NULL},
	{"0.0.0.0/0", NULL},
	{"2001:db8::1", NULL},
	{"2001:DB8:0::/32", "2001:db8::/32"},
	{"::/0", NULL},
	{"::1/128", "::1"},
	{"fe80::/10", NULL},
	{"::ffff:192.0.2.7", "192.0.2.7"},
	{"::ffff:192.0.2.0/120", "192.0.2.0/24"},
	{"::ffff:0:0/96", "0.0.0.0/0"},
	{"uid:0", NULL},
	{"uid:4294967294", NULL},
	{"gid:12", NULL},
	{"user:root", "uid:0"},
	{"group:root", "gid:0"},
};

static void test_good(void **state)
{
	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(good); i++) {
		struct peers_rule rule, again;
		char text[PEERS_TEXT_MAX];
		struct err err = {0};

		if (peers_parse(good[i].text, &rule, &err) < 0)
			fail_msg("%s", err.text);
		peers_print(&rule, text);
		assert_string_equal(text, good[i].prints ? good[i].prints : good[i].text);
		assert_int_equal(peers_parse(text, &again, NULL), 0);
		assert_memory_equal(&rule, &again, sizeof(rule));
	}
}

#define USAGE "': must be all, unix, an address, a network (192.0.2.0/24, 2001:db8::/32)"

static const struct {
	const char *text, *says;
} bad[] = {
	{"", USAGE},
	{"All", USAGE},
	{"unix ", USAGE},
	{"192.0.2", USAGE},
	{"192.0.2.256", USAGE},
	{"192.0.2.1.1", USAGE},
	{" 192.0.2.1", USAGE},
	{"host.example", USAGE},
	{"fe80::1%lo", USAGE},
	{"2001:db8::1::", USAGE},
	{"/24", USAGE},
	{"192.0.2.1/24", "'192.0.2.1/24': the address has bits behind the first 24"},
	{"2001:db8::1/64", "has bits behind the first 64"},
	{"::ffff:0:0/95", "has bits behind the first 95"},
	{"192.0.2.0/", "behind / must be a number from 0 to 32"},
	{"192.0.2.0/33", "behind / must be a number from 0 to 32"},
	{"192.0.2.0/-1", "behind / must be a number from 0 to 32"},
	{"192.0.2.0/24/24", "behind / must be a number from 0 to 32"},
	{"::/129", "behind / must be a number from 0 to 128"},
	{"uid:", "'uid:': must be a number"},
	{"uid:root", "must be a number"},
	{"gid:4294967295", "must be a number"},
	{"user:no such user", "'user:no such user': no such user here"},
	{"group:", "no such group here"},
};

static void test_bad(void **state)
{
	char endless[5000];

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
		struct peers_rule rule = {.id = 77};
		struct err err = {0};

		assert_int_equal(peers_parse(bad[i].text, &rule, &err), -EINVAL);
		if (!strstr(err.text, bad[i].says))
			fail_msg("'%s' does not say '%s'", err.text, bad[i].says);
		assert_int_equal(rule.id, 77);
	}
	memset(endless, '1', sizeof(endless) - 1);
	endless[sizeof(endless) - 1] = 0;
	assert_int_equal(peers_parse(endless, &(struct peers_rule){0}, NULL), -EINVAL);
}

static struct peers_id address(const char *text)
{
	struct peers_id id = {.kind = strchr(text, ':') ? PEERS_IPV6 : PEERS_IPV4};

	assert_int_equal(inet_pton(id.kind == PEERS_IPV6 ? AF_INET6 : AF_INET, text, id.addr), 1);
	return id;
}

static bool matches(const char *rule, struct peers_id id)
{
	struct peers list = {0};
	bool ret;

	assert_int_equal(peers_add(&list, rule, NULL), 0);
	ret = peers_match(&list, &id);
	peers_done(&list);
	return ret;
}

static void test_networks(void **state)
{
	(void)state;
	assert_true(matches("192.0.2.7", address("192.0.2.7")));
	assert_false(matches("192.0.2.7", address("192.0.2.6")));
	assert_true(matches("192.0.2.0/25", address("192.0.2.127")));
	assert_false(matches("192.0.2.0/25", address("192.0.2.128")));
	assert_true(matches("192.0.2.0/23", address("192.0.3.255")));
	assert_true(matches("0.0.0.0/0", address("203.0.113.9")));
	assert_false(matches("0.0.0.0/0", address("::1")));
	assert_false(matches("::/0", address("127.0.0.1")));
	assert_true(matches("2001:db8::/33", address("2001:db8:7fff::1")));
	assert_false(matches("2001:db8::/33", address("2001:db8:8000::1")));
	assert_true(matches("2001:db8::1", address("2001:db8::1")));
	assert_true(matches("::ffff:192.0.2.7", address("192.0.2.7")));
	assert_true(matches("all", address("::1")));
	assert_false(matches("unix", address("127.0.0.1")));
}

static void test_users(void **state)
{
	const struct peers_id id = {.kind = PEERS_UNIX, .uid = 5, .gid = 6}, unknown = {0};

	(void)state;
	assert_true(matches("unix", id) && matches("all", id));
	assert_true(matches("uid:5", id) && matches("gid:6", id));
	assert_false(matches("uid:6", id) || matches("gid:5", id) || matches("0.0.0.0/0", id));
	assert_true(matches("all", unknown));
	assert_false(matches("unix", unknown) || matches("uid:0", unknown) ||
		matches("0.0.0.0/0", unknown) || matches("::/0", unknown));
}

/* Every prefix of an address, against each single bit that differs. */
static void test_every_bit(void **state)
{
	const struct peers_id zero = {.kind = PEERS_IPV6};

	(void)state;
	for (unsigned prefix = 0; prefix <= 128; prefix++) {
		char rule[16];

		snprintf(rule, sizeof(rule), "::/%u", prefix);
		assert_true(matches(rule, zero));
		for (unsigned bit = 0; bit < 128; bit++) {
			struct peers_id id = zero;

			id.addr[bit / 8] = (uint8_t)(0x80 >> bit % 8);
			assert_int_equal(matches(rule, id), bit >= prefix);
		}
	}
}

static void test_admit(void **state)
{
	struct peers allow = {0}, deny = {0};
	const struct peers_id here = address("192.0.2.7"), there = address("192.0.2.200");

	(void)state;
	assert_true(peers_admit(&allow, &deny, &here));
	peers_add(&deny, "192.0.2.128/25", NULL);
	assert_true(peers_admit(&allow, &deny, &here));
	assert_false(peers_admit(&allow, &deny, &there));
	peers_add(&allow, "192.0.2.0/24", NULL);
	assert_true(peers_admit(&allow, &deny, &here));
	assert_false(peers_admit(&allow, &deny, &there));
	assert_false(peers_admit(&allow, &deny, &(struct peers_id){.kind = PEERS_UNIX}));
	peers_add(&deny, "all", NULL);
	assert_false(peers_admit(&allow, &deny, &here));
	peers_done(&allow);
	peers_done(&deny);
}

static void test_lists(void **state)
{
	struct peers a = {0}, b;
	struct err err = {0};

	(void)state;
	assert_int_equal(peers_copy(&b, &a), 0);
	assert_true(peers_equal(&a, &b));
	for (int i = 0; i < PEERS_MAX; i++)
		assert_int_equal(peers_add(&a, "::1", &err), 0);
	assert_int_equal(peers_add(&a, "::1", &err), -E2BIG);
	assert_string_equal(err.text, "more than 1024 entries");
	assert_int_equal(peers_add(&a, "x", &err), -EINVAL);
	assert_int_equal(a.count, PEERS_MAX);
	assert_false(peers_equal(&a, &b));
	assert_int_equal(peers_copy(&b, &a), 0);
	assert_true(peers_equal(&a, &b) && a.rules != b.rules);
	b.rules[7].prefix = 127;
	assert_false(peers_equal(&a, &b));
	peers_done(&a);
	peers_done(&a);
	peers_done(&b);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_good),
		cmocka_unit_test(test_bad),
		cmocka_unit_test(test_networks),
		cmocka_unit_test(test_users),
		cmocka_unit_test(test_every_bit),
		cmocka_unit_test(test_admit),
		cmocka_unit_test(test_lists),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
