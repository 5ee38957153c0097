/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The negotiator's directory, by the messages the master sends: an export appears with all its
 * rules or not at all, what takes its place keeps nothing of it, and nobody finds what is not for
 * him.
 */
#include "directory.h"

#include "nbd.h"

#include <arpa/inet.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

static struct directory d;

static int tear_down(void **state)
{
	(void)state;
	directory_done(&d);
	return 0;
}

static struct peers_id address(const char *text)
{
	struct peers_id id = {.kind = strchr(text, ':') ? PEERS_IPV6 : PEERS_IPV4};

	assert_int_equal(inet_pton(id.kind == PEERS_IPV6 ? AF_INET6 : AF_INET, text, id.addr), 1);
	return id;
}

static struct peers_id user(uint32_t uid, uint32_t gid)
{
	return (struct peers_id){.kind = PEERS_UNIX, .uid = uid, .gid = gid};
}

static bool learn(uint32_t id, const char *name, uint32_t rules)
{
	uint8_t body[sizeof(struct ipc_export) + 512];
	struct ipc_export head = {.id = id,
		.is_default = strncmp(name, "default", 7) == 0,
		.is_snapshot = strchr(name, '@') != NULL,
		.rules = rules,
		.name_len = (uint16_t)strlen(name),
		.description_len = 4};

	memcpy(body, &head, sizeof(head));
	memcpy(body + sizeof(head), name, head.name_len);
	memcpy(body + sizeof(head) + head.name_len, "desc", 4);
	return directory_learn(&d, body, sizeof(head) + head.name_len + 4);
}

static bool rule(enum ipc_rule_list list, const char *text)
{
	struct ipc_rule msg = {.list = list};

	assert_int_equal(peers_parse(text, &msg.rule, NULL), 0);
	return directory_learn_rule(&d, &msg, sizeof(msg));
}

static bool common(uint32_t rules)
{
	return directory_learn_common(&d, &rules, sizeof(rules));
}

static uint32_t find(struct peers_id who, const char *name)
{
	return directory_find(&d, &who, name, strlen(name));
}

/* What a listing shows: "a b ". */
static const char *listing(struct peers_id who)
{
	static char text[256];
	struct neg_item item;
	size_t len = 0;

	text[0] = 0;
	for (size_t i = 0; directory_at(&d, &who, i, &item); i++) {
		if (item.name)
			len += (size_t)snprintf(text + len, sizeof(text) - len, "%s ", item.name);
	}
	return text;
}

static void test_without_rules(void **state)
{
	struct neg_item item;

	(void)state;
	assert_true(learn(7, "a", 0));
	assert_int_equal(find(address("192.0.2.1"), "a"), 7);
	assert_int_equal(find(user(0, 0), "a"), 7);
	assert_int_equal(find(user(0, 0), "b"), NEG_NO_EXPORT);
	directory_item(directory_by_id(&d, 7), &item);
	assert_string_equal(item.description, "desc");
	directory_forget(&d, 7);
	directory_forget(&d, 7);
	assert_int_equal(find(user(0, 0), "a"), NEG_NO_EXPORT);
	assert_string_equal(listing(user(0, 0)), "");
}

static void test_appears_with_its_last_rule(void **state)
{
	struct peers_id peer = address("192.0.2.1");

	(void)state;
	assert_true(learn(1, "a", 2));
	assert_int_equal(find(peer, "a"), NEG_NO_EXPORT);
	assert_true(rule(IPC_RULE_ALLOW, "192.0.2.0/24"));
	assert_string_equal(listing(peer), "");
	assert_true(rule(IPC_RULE_DENY, "192.0.2.9"));
	assert_int_equal(find(peer, "a"), 1);
	assert_int_equal(find(address("192.0.2.9"), "a"), NEG_NO_EXPORT);
	assert_int_equal(find(address("198.51.100.1"), "a"), NEG_NO_EXPORT);
}

/* Until the new one is complete the one before counts, whole. */
static void test_takes_the_place(void **state)
{
	struct peers_id peer = address("192.0.2.1"), other = address("192.0.2.2");
	struct directory_entry *e;

	(void)state;
	learn(1, "a", 1);
	rule(IPC_RULE_ALLOW, "192.0.2.1");
	e = directory_by_id(&d, 1);
	e->keeps = true;
	e->facts.size = 4711;
	assert_true(learn(1, "renamed", 1));
	assert_int_equal(find(peer, "a"), 1);
	assert_true(directory_by_id(&d, 1)->keeps);
	assert_true(rule(IPC_RULE_ALLOW, "192.0.2.2"));
	assert_int_equal(find(peer, "a"), NEG_NO_EXPORT);
	assert_int_equal(find(other, "renamed"), 1);
	assert_int_equal(find(peer, "renamed"), NEG_NO_EXPORT);
	assert_false(directory_by_id(&d, 1)->keeps);
	assert_int_equal(directory_by_id(&d, 1)->facts.size, 0);
	assert_int_equal(d.count, 1);
}

static void test_many_keep_their_order(void **state)
{
	char name[8], want[256] = "";

	(void)state;
	for (uint32_t i = 1; i <= 40; i++) {
		snprintf(name, sizeof(name), "n%u", i);
		assert_true(learn(i, name, 0));
		if (i != 20)
			sprintf(want + strlen(want), "%s ", name);
	}
	directory_forget(&d, 20);
	assert_string_equal(listing(user(0, 0)), want);
}

static void test_each_kind_of_peer(void **state)
{
	static const struct {
		const char *rule;
		bool v4, v6, root, nobody;
	} rows[] = {
		{"all", true, true, true, true},
		{"unix", false, false, true, true},
		{"192.0.2.0/24", true, false, false, false},
		{"0.0.0.0/0", true, false, false, false},
		{"::/0", false, true, false, false},
		{"2001:db8::/32", false, true, false, false},
		{"2001:db8:1::/48", false, false, false, false},
		{"uid:0", false, false, true, false},
		{"gid:65534", false, false, false, true},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		learn(1, "allowed", 1);
		rule(IPC_RULE_ALLOW, rows[i].rule);
		learn(2, "denied", 1);
		rule(IPC_RULE_DENY, rows[i].rule);
		assert_string_equal(
			listing(address("192.0.2.1")), rows[i].v4 ? "allowed " : "denied ");
		assert_string_equal(
			listing(address("2001:db8::1")), rows[i].v6 ? "allowed " : "denied ");
		assert_string_equal(listing(user(0, 0)), rows[i].root ? "allowed " : "denied ");
		assert_string_equal(
			listing(user(65534, 65534)), rows[i].nobody ? "allowed " : "denied ");
	}
}

/* A peer nobody knows is matched by "all" and by nothing else. */
static void test_unknown_peer(void **state)
{
	struct peers_id who = {.kind = PEERS_ALL};

	(void)state;
	learn(1, "open", 0);
	learn(2, "net", 1);
	rule(IPC_RULE_ALLOW, "0.0.0.0/0");
	assert_string_equal(listing(who), "open ");
}

static void test_default_among_the_visible(void **state)
{
	struct peers_id peer = address("192.0.2.1"), other = address("192.0.2.2");

	(void)state;
	assert_int_equal(find(peer, ""), NEG_NO_EXPORT);
	learn(1, "a", 1);
	rule(IPC_RULE_DENY, "192.0.2.2");
	learn(2, "a@1", 0);
	assert_int_equal(find(peer, ""), 1); /* snapshots do not count */
	assert_int_equal(find(other, ""), NEG_NO_EXPORT);
	learn(3, "b", 0);
	assert_int_equal(find(peer, ""), NEG_NO_EXPORT); /* two */
	assert_int_equal(find(other, ""), 3);            /* the only one it can see */
	learn(4, "default", 1);
	rule(IPC_RULE_ALLOW, "192.0.2.1");
	assert_int_equal(find(peer, ""), 4);
	assert_int_equal(find(other, ""), 3);
}

static void test_readonly(void **state)
{
	const struct export_facts facts = {.size = 1,
		.flags = NBD_FLAG_HAS_FLAGS | NBD_FLAG_SEND_FLUSH | NBD_FLAG_SEND_TRIM |
			NBD_FLAG_SEND_WRITE_ZEROES | NBD_FLAG_SEND_FAST_ZERO};
	struct peers_id peer = address("192.0.2.1"), other = address("192.0.2.2");
	struct directory_entry *e;

	(void)state;
	learn(1, "a", 1);
	rule(IPC_RULE_READONLY, "192.0.2.2");
	e = directory_by_id(&d, 1);
	assert_int_equal(directory_facts(e, &peer, &facts).flags, facts.flags);
	assert_int_equal(directory_facts(e, &other, &facts).flags,
		NBD_FLAG_HAS_FLAGS | NBD_FLAG_SEND_FLUSH | NBD_FLAG_READ_ONLY);
	assert_int_equal(find(other, "a"), 1);
}

static void test_common(void **state)
{
	struct peers_id peer = address("192.0.2.1"), other = address("192.0.2.2");

	(void)state;
	assert_true(directory_admits(&d, &peer));
	assert_true(common(2));
	rule(IPC_RULE_ALLOW, "192.0.2.0/24");
	assert_true(directory_admits(&d, &other)); /* not yet */
	rule(IPC_RULE_DENY, "192.0.2.2");
	assert_true(directory_admits(&d, &peer));
	assert_false(directory_admits(&d, &other));
	learn(1, "a", 0);
	assert_false(directory_admits(&d, &other));
	assert_true(common(0));
	assert_true(directory_admits(&d, &other));
}

/* Another message in between: what was begun is forgotten, what was there stays. */
static void test_broken_off(void **state)
{
	struct peers_id peer = address("192.0.2.1");

	(void)state;
	learn(1, "a", 0);
	learn(1, "a", 2);
	rule(IPC_RULE_DENY, "all");
	assert_true(learn(2, "b", 1));
	assert_true(rule(IPC_RULE_DENY, "192.0.2.9"));
	assert_false(rule(IPC_RULE_DENY, "all"));
	assert_string_equal(listing(peer), "a b ");
	common(1);
	assert_true(learn(3, "c", 0));
	assert_false(rule(IPC_RULE_DENY, "all"));
	assert_true(directory_admits(&d, &peer));
}

static void test_nonsense(void **state)
{
	struct ipc_export head = {.id = 1, .name_len = 1, .description_len = 1};
	struct ipc_rule bad = {.list = IPC_RULE_LISTS};
	uint8_t body[sizeof(head) + 3] = {0};

	(void)state;
	memcpy(body, &head, sizeof(head));
	assert_false(directory_learn(&d, body, sizeof(head) - 1));
	assert_false(directory_learn(&d, body, sizeof(head) + 1));
	assert_false(directory_learn(&d, body, sizeof(head) + 3));
	assert_false(directory_learn_common(&d, body, 3));
	learn(1, "a", 1);
	assert_false(directory_learn_rule(&d, &bad, sizeof(bad)));
	assert_false(rule(IPC_RULE_ALLOW, "all")); /* the export was given up with it */
	learn(1, "a", 1);
	assert_false(directory_learn_rule(&d, &bad, sizeof(bad) - 1));
	assert_int_equal(d.count, 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_teardown(test_without_rules, tear_down),
		cmocka_unit_test_teardown(test_appears_with_its_last_rule, tear_down),
		cmocka_unit_test_teardown(test_takes_the_place, tear_down),
		cmocka_unit_test_teardown(test_many_keep_their_order, tear_down),
		cmocka_unit_test_teardown(test_each_kind_of_peer, tear_down),
		cmocka_unit_test_teardown(test_unknown_peer, tear_down),
		cmocka_unit_test_teardown(test_default_among_the_visible, tear_down),
		cmocka_unit_test_teardown(test_readonly, tear_down),
		cmocka_unit_test_teardown(test_common, tear_down),
		cmocka_unit_test_teardown(test_broken_off, tear_down),
		cmocka_unit_test_teardown(test_nonsense, tear_down),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
