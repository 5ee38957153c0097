/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Units of a list: one for each mon_name of a peer, the addresses it has and gets, what is looked
 * up for it, and the names it is told, up to the last record.
 */
#include "statedir.h"
#include "unit.h"
#include "util.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#define LINE(mon, my) STATEDIR_LINE(mon, my) "\n"

static struct statedir dir;
static struct monlist list;
static struct self self;
static struct units units;

static int set_up(void **state)
{
	(void)state;
	statedir_init(&dir);
	monlist_init(&list);
	self = (struct self){.count = 0};
	return 0;
}

static int tear_down(void **state)
{
	(void)state;
	units_done(&units);
	monlist_close(&list);
	statedir_done(&dir);
	return 0;
}

static void load(void)
{
	struct err err = {0};

	assert_int_equal(monlist_open(&list, dir.temp.folder, &err), 0);
	assert_int_equal(monlist_load(&list, &err), 0);
	assert_int_equal(units_init(&units, &list, &self), 0);
	assert_int_equal(units.left, units.count);
}

/* The unit of this mon_name. */
static struct unit *unit_of(const char *mon)
{
	for (uint32_t i = 0; i < units.count; i++) {
		if (strcmp(unit_mon(&units, &units.all[i]), mon) == 0)
			return &units.all[i];
	}
	fail();
	return NULL;
}

static const char *name(const struct unit *u)
{
	static char text[1100];
	size_t len;
	const char *start = unit_name(&units, u, &len);

	snprintf(text, sizeof(text), "%.*s", (int)len, start);
	return text;
}

static struct addr addr(const char *text)
{
	struct addr a;

	assert_true(addr_parse(text, &a));
	return a;
}

static void assert_addr(const struct unit *u, uint8_t at, const char *text)
{
	char printed[ADDR_TEXT_MAX];
	struct addr a;

	assert_true(unit_addr(&units, u, at, &a));
	addr_print(&a, printed);
	assert_string_equal(printed, text);
}

static void test_addresses(void **state)
{
	struct unit *u;

	(void)state;
	statedir_put(&dir, "sm.bak/a.lab.test", LINE("10.9.0.2", "me") LINE("fd77::2", "me"));
	statedir_put(&dir, "sm.bak/b.lab.test", LINE("b", "me"));
	statedir_put(&dir, "sm.bak/10.9.0.3", LINE("c", "me"));
	statedir_put(&dir, "sm.bak/d.lab.test", LINE("::ffff:10.9.0.4", "me"));
	statedir_put(&dir, "sm.bak/e.lab.test", LINE("192.168", "me"));
	load();
	assert_int_equal(units.count, 6);
	assert_addr(unit_of("10.9.0.2"), 0, "10.9.0.2");
	assert_false(unit_of("10.9.0.2")->one.v6);
	assert_addr(unit_of("fd77::2"), 0, "fd77::2");
	assert_true(unit_of("fd77::2")->one.v6);
	assert_addr(unit_of("c"), 0, "10.9.0.3"); /* the name of the file is one */
	u = unit_of("::ffff:10.9.0.4");
	assert_addr(u, 0, "10.9.0.4");
	assert_false(u->one.v6);
	assert_int_equal(unit_of("b")->plan.count, 0);
	assert_int_equal(unit_of("192.168")->plan.count, 0); /* neither address nor name */
}

static void assert_lookup(const char *mon, const char *first, const char *second)
{
	const char *a = "-", *b = "-";
	struct unit *u = unit_of(mon);

	assert_int_equal(unit_lookup(&units, u, &a, &b), first != NULL);
	assert_int_equal(u->plan.named, first != NULL);
	if (!first)
		return;
	assert_string_equal(a, first);
	if (second)
		assert_string_equal(b, second);
	else
		assert_null(b);
}

static void test_lookups(void **state)
{
	(void)state;
	statedir_put(&dir, "sm.bak/a.lab.test", LINE("10.9.0.2", "me") LINE("192.168", "me"));
	statedir_put(&dir, "sm.bak/b.lab.test", LINE("b", "me") LINE("B.lab.TEST", "me"));
	statedir_put(&dir, "sm.bak/10.9.0.3", LINE("10.9.0.3", "me") LINE("c", "me"));
	load();
	assert_lookup("10.9.0.2", "a.lab.test", NULL);
	assert_lookup("192.168", "a.lab.test", NULL);
	assert_lookup("b", "b.lab.test", "b");
	assert_lookup("B.lab.TEST", "b.lab.test", NULL); /* the same name */
	assert_lookup("10.9.0.3", NULL, NULL);
	assert_lookup("c", "c", NULL);
}

/* An interface that is not there yet: no way to send, but not a name either. */
static void test_missing_interface(void **state)
{
	struct addr a;

	(void)state;
	statedir_put(&dir, "sm.bak/fe80::1%nosuch0", LINE("fe80::1%nosuch0", "me"));
	load();
	assert_int_equal(units.count, 1);
	assert_int_equal(units.all[0].plan.count, 1);
	assert_false(unit_addr(&units, &units.all[0], 0, &a));
	assert_lookup("fe80::1%nosuch0", NULL, NULL);
}

static void test_found_addresses(void **state)
{
	struct addr found[20] = {addr("10.9.0.2"), addr("10.9.0.5"), addr("fd77::5")};
	struct unit *u;

	(void)state;
	statedir_put(&dir, "sm.bak/a.lab.test", LINE("10.9.0.2", "me"));
	load();
	u = &units.all[0];
	u->one.ask_xid = 77;
	u->one.busy = true;
	assert_int_equal(unit_set_addrs(&units, u, found, 1), 0); /* known */
	assert_true(u->one.busy);
	assert_int_equal(unit_set_addrs(&units, u, found, 3), 1);
	assert_int_equal(u->plan.count, 3);
	assert_addr(u, 0, "10.9.0.2");
	assert_addr(u, 1, "10.9.0.5");
	assert_addr(u, 2, "fd77::5");
	assert_int_equal(unit_cands(u)[0].ask_xid, 77);
	assert_false(unit_cands(u)[0].busy);
	assert_true(unit_cands(u)[2].v6);
	assert_true(unit_has(&units, u, &found[2]));

	unit_cands(u)[2].port[0] = 4000; /* in another order, one gone */
	found[1] = found[2];
	assert_int_equal(unit_set_addrs(&units, u, found, 2), 1);
	assert_int_equal(u->plan.count, 2);
	assert_addr(u, 1, "fd77::5");
	assert_int_equal(unit_cands(u)[1].port[0], 4000);
	found[0] = addr("10.9.0.5");
	assert_false(unit_has(&units, u, &found[0]));
}

static void test_too_many_addresses(void **state)
{
	struct addr found[40];
	struct unit *u;

	(void)state;
	statedir_put(&dir, "sm.bak/a.lab.test", LINE("a", "me"));
	load();
	u = &units.all[0];
	for (int i = 0; i < 40; i++) {
		found[i] = addr("10.9.1.1");
		found[i].ip[15] = (uint8_t)i;
	}
	assert_int_equal(unit_set_addrs(&units, u, found, 40), 1);
	assert_int_equal(u->plan.count, PLAN_CANDS_MAX);
	assert_addr(u, PLAN_CANDS_MAX - 1, "10.9.1.15");
}

static void test_find(void **state)
{
	struct addr found[] = {addr("10.9.0.5"), addr("10.9.0.6")};
	struct unit *u;
	uint8_t at;
	bool tells;

	(void)state;
	statedir_put(&dir, "sm.bak/a.lab.test", LINE("10.9.0.2", "me"));
	load();
	u = &units.all[0];
	unit_set_addrs(&units, u, found, 2);
	unit_cands(u)[2].ask_xid = 5;
	unit_cands(u)[1].tell_xid = 6;
	assert_true(unit_find(u, 5, &at, &tells));
	assert_int_equal(at, 2);
	assert_false(tells);
	assert_true(unit_find(u, 6, &at, &tells));
	assert_int_equal(at, 1);
	assert_true(tells);
	assert_false(unit_find(u, 7, &at, &tells));
	u->over = true;
	assert_false(unit_find(u, 5, &at, &tells));
}

/* Names. */

static void advance(struct unit *u)
{
	struct err err = {0};

	assert_int_equal(unit_advance(&units, u, &err), 0);
}

static void test_names(void **state)
{
	struct unit *u;

	(void)state;
	statedir_put(&dir, "sm.bak/a.lab.test",
		LINE("10.9.0.2", "one.lab.test") LINE("10.9.0.3", "two.lab.test")
			LINE("10.9.0.2", "192.168.1.1") LINE("10.9.0.2", "two.lab.test"));
	load();
	assert_int_equal(units.count, 2);
	u = unit_of("10.9.0.2");
	assert_string_equal(name(u), "one.lab.test");
	assert_true(unit_has_more(&units, u));
	advance(u);
	assert_string_equal(name(u), "one");
	assert_int_equal(list.peers[0].left, 4); /* not before both */
	advance(u);
	assert_int_equal(list.peers[0].left, 3);
	assert_string_equal(name(u), "two.lab.test");
	advance(u);
	assert_string_equal(name(u), "two");
	advance(u);
	assert_string_equal(name(u), "192.168.1.1");
	assert_false(unit_has_more(&units, u));
	advance(u);
	assert_int_equal(list.peers[0].left, 1);

	u = unit_of("10.9.0.3");
	assert_string_equal(name(u), "two.lab.test");
	advance(u);
	assert_string_equal(name(u), "two");
	assert_false(unit_has_more(&units, u));
	advance(u);
	assert_int_equal(list.peers[0].left, 0);
	assert_false(statedir_has(&dir, "sm.bak/a.lab.test"));
}

static void test_our_own_name(void **state)
{
	struct unit *u;

	(void)state;
	snprintf(self.name, sizeof(self.name), "float.lab.test");
	statedir_put(&dir, "sm.bak/a.lab.test",
		LINE("10.9.0.2", "one") LINE("10.9.0.2", "two") LINE("10.9.0.3", "one"));
	load();
	u = unit_of("10.9.0.2");
	assert_string_equal(name(u), "float.lab.test");
	advance(u);
	assert_string_equal(name(u), "float");
	assert_false(unit_has_more(&units, u));
	assert_int_equal(list.peers[0].left, 3);
	advance(u);
	assert_int_equal(list.peers[0].left, 1); /* both of this address */
	u = unit_of("10.9.0.3");
	advance(u);
	advance(u);
	assert_int_equal(list.peers[0].left, 0);
}

/* A file with very many lines is not looked at again and again. */
static void test_many_records(void **state)
{
	enum { RECORDS = 20000 };
	char *content = malloc(RECORDS * 128);
	size_t len = 0;
	struct unit *u;

	(void)state;
	assert_non_null(content);
	for (int i = 0; i < RECORDS; i++)
		len += (size_t)snprintf(content + len, 128, STATEDIR_LINE("10.9.%d.%d", "h%d") "\n",
			i / 2 / 250, i / 2 % 250, i);
	statedir_put_bytes(&dir, "sm.bak/a.lab.test", content, len);
	free(content);
	load();
	assert_int_equal(units.count, RECORDS / 2);
	for (uint32_t i = 0; i < units.count; i++) {
		u = &units.all[i];
		assert_true(unit_has_more(&units, u));
		advance(u);
		assert_false(unit_has_more(&units, u));
		advance(u);
	}
	assert_int_equal(list.peers[0].left, 0);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_addresses),
		TEST(test_lookups),
		TEST(test_missing_interface),
		TEST(test_found_addresses),
		TEST(test_too_many_addresses),
		TEST(test_find),
		TEST(test_names),
		TEST(test_our_own_name),
		TEST(test_many_records),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
