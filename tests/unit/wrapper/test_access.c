/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Who may use an export: a master of an export table, a worker and a clock moved by hand. Clients
 * are let in as link.c and worker.c do it, without sockets.
 */
#include "access.h"

#include "master.h"
#include "nbd.h"

#include <arpa/inet.h>
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

enum { CLIENTS_MAX = 64, SECOND = 1000 };

static struct master m;
static struct wrapper_options options;
static struct worker w;
static struct client clients[CLIENTS_MAX];
static uint32_t export_id;
static struct err err;

static struct export_entry *entry(void)
{
	return exports_by_id(&m.exports, export_id);
}

static int set_up(void **state)
{
	static char name[] = "x";
	struct export_entry *e;

	(void)state;
	memset(&m, 0, sizeof(m));
	memset(clients, 0, sizeof(clients));
	options = (struct wrapper_options){.max_clients = 1000, .max_clients_per_peer = 1000};
	m.options = &options;
	m.reactor.now = 1000 * SECOND;
	assert_int_equal(exports_add(&m.exports,
				 &(struct export_config){.name = "x", .image = "/x"}, &e, NULL),
		0);
	export_id = e->id;
	w = (struct worker){.master = &m, .export_id = export_id, .export_name = name};
	w.ctl.fd = -1;
	m.workers = &w;
	err = (struct err){0};
	return 0;
}

static int tear_down(void **state)
{
	(void)state;
	exports_done(&m.exports);
	peers_done(&m.deny);
	return 0;
}

static void rule(struct peers *list, const char *text)
{
	assert_int_equal(peers_add(list, text, NULL), 0);
}

static struct sock_peer peer_of(const char *host)
{
	struct sock_peer peer = {.id.kind = PEERS_IPV4};

	assert_int_equal(inet_pton(AF_INET, host, peer.id.addr), 1);
	snprintf(peer.host, sizeof(peer.host), "%s", host);
	snprintf(peer.name, sizeof(peer.name), "%.100s:1", host);
	return peer;
}

enum told { REFUSED, READS, WRITES };

static enum told ask_as(const char *host, bool final)
{
	struct export_facts facts = {.flags = NBD_FLAG_HAS_FLAGS | NBD_FLAG_SEND_TRIM};
	struct ipc_lookup who = {.export_id = export_id, .final = final, .id = peer_of(host).id};

	snprintf(who.host, sizeof(who.host), "%s", host);
	if (access_ask(&m, &who, &facts, &err) < 0)
		return REFUSED;
	assert_int_equal(!(facts.flags & NBD_FLAG_READ_ONLY), !!(facts.flags & NBD_FLAG_SEND_TRIM));
	return facts.flags & NBD_FLAG_READ_ONLY ? READS : WRITES;
}

static enum told go(const char *host)
{
	return ask_as(host, true);
}

static enum told info(const char *host)
{
	return ask_as(host, false);
}

/* Its number, or -1. */
static int enter(const char *host, bool readonly)
{
	struct client c = {.peer = peer_of(host), .readonly = readonly, .since = m.reactor.now};
	int i = 0;

	if (access_enter(&m, entry(), &c, &err) < 0)
		return -1;
	while (clients[i].id)
		i++;
	clients[i] = c;
	clients[i].id = (uint64_t)i + 1;
	clients[i].next = w.clients;
	w.clients = &clients[i];
	m.client_count++;
	return i;
}

static void leave(int i)
{
	struct client **p = &w.clients;

	while (*p != &clients[i])
		p = &(*p)->next;
	*p = clients[i].next;
	access_client_gone(&w, &clients[i]);
	clients[i].id = 0;
	m.client_count--;
}

static void pass(unsigned ms)
{
	m.reactor.now += ms;
}

static void check_holder(const char *host, uint64_t since)
{
	uint64_t got = 1;
	const char *holder = access_holder(&m, entry(), &got);

	if (!host) {
		assert_null(holder);
		return;
	}
	assert_non_null(holder);
	assert_string_equal(holder, host);
	assert_int_equal(got, since);
}

#define A "192.0.2.1"
#define B "192.0.2.2"

static void exclusive(enum export_exclusive how)
{
	entry()->config.exclusive = (int)how;
}

/* Rules. */

static void test_everybody(void **state)
{
	(void)state;
	assert_int_equal(go(A), WRITES);
	assert_true(enter(A, false) >= 0);
	assert_true(enter(B, false) >= 0);
	check_holder(NULL, 0);
}

static void test_rules_decide_at_the_door(void **state)
{
	(void)state;
	rule(&entry()->config.allow, "192.0.2.0/30");
	rule(&entry()->config.deny, B);
	assert_true(enter(A, false) >= 0);
	assert_int_equal(enter(B, false), -1);
	assert_int_equal(err.code, EACCES);
	assert_int_equal(enter(B, true), -1);
	assert_int_equal(enter("198.51.100.1", false), -1);
	rule(&m.deny, A);
	assert_int_equal(enter(A, false), -1);
}

static void test_readers(void **state)
{
	(void)state;
	rule(&entry()->config.readonly_for, B);
	assert_int_equal(go(A), WRITES);
	assert_int_equal(go(B), READS);
	assert_int_equal(info(B), READS);
	assert_true(enter(B, true) >= 0);
	assert_int_equal(enter(B, false), -1); /* says it was told otherwise */
	assert_int_equal(err.code, EROFS);
}

static void test_removed(void **state)
{
	(void)state;
	exports_remove(&m.exports, export_id);
	assert_int_equal(go(A), REFUSED);
	assert_int_equal(err.code, ENOENT);
}

/* Limits. */

static void test_room(void **state)
{
	(void)state;
	assert_true(access_may_keep(&m, entry()));
	entry()->config.max_clients = 2;
	assert_false(access_may_keep(&m, entry()));
	assert_true(access_may_keep(&m, NULL));
	enter(A, false);
	assert_int_equal(access_check_room(&m, entry(), A, &err), 0);
	enter(B, false);
	assert_int_equal(access_check_room(&m, entry(), A, &err), -EUSERS);
	assert_string_equal(err.text, "2 clients of this export are connected, that is the limit");
	clients[0].snapshot = 1; /* is the client of another export then */
	assert_int_equal(access_check_room(&m, entry(), A, &err), 0);
	options.max_clients_per_peer = 1;
	assert_int_equal(access_check_room(&m, entry(), A, &err), -EUSERS);
	assert_string_equal(err.text, "1 clients of this address are connected, that is the limit");
	assert_int_equal(access_check_room(&m, entry(), "192.0.2.3", &err), 0);
	options.max_clients = 2;
	assert_int_equal(access_check_room(&m, entry(), "192.0.2.3", &err), -EUSERS);
	assert_string_equal(err.text, "2 clients are connected, that is the limit");
}

static void test_keeping(void **state)
{
	(void)state;
	entry()->config.max_clients = 100;
	for (int i = 0; i < 49; i++)
		enter(A, false);
	assert_true(access_may_keep(&m, entry()));
	enter(A, false);
	assert_false(access_may_keep(&m, entry()));
	entry()->config.max_clients = 0;
	assert_true(access_may_keep(&m, entry()));
	exclusive(EXCLUSIVE_WRITER);
	assert_false(access_may_keep(&m, entry()));
	assert_true(access_may_keep(&m, NULL));
	options.max_clients = 100;
	assert_false(access_may_keep(&m, NULL));
}

/* One writer. */

static void test_one_writer(void **state)
{
	int first, second;

	(void)state;
	exclusive(EXCLUSIVE_WRITER);
	assert_int_equal(go(A), WRITES);
	first = enter(A, false);
	check_holder(A, m.reactor.now);
	assert_int_equal(go(B), REFUSED);
	assert_int_equal(err.code, EBUSY);
	assert_memory_equal(err.text, "exclusive: 192.0.2.1 writes to it since 2", 41);
	assert_non_null(strstr(err.text, " UTC"));
	assert_int_equal(info(B), READS);
	assert_int_equal(info(A), WRITES);
	assert_int_equal(enter(B, false), -1);
	pass(SECOND);
	assert_int_equal(go(A), WRITES); /* another connection of the same */
	second = enter(A, false);
	leave(first);
	check_holder(A, 1000 * SECOND);
	leave(second);
	check_holder(NULL, 0); /* at once */
	assert_int_equal(go(B), WRITES);
	enter(B, false);
	check_holder(B, m.reactor.now);
	assert_int_equal(go(A), REFUSED);
}

static void test_others_read(void **state)
{
	int writer;

	(void)state;
	exclusive(EXCLUSIVE_WRITER_OTHERS_READ);
	go(A);
	writer = enter(A, false);
	assert_int_equal(go(B), READS);
	assert_true(enter(B, true) >= 0);
	assert_int_equal(enter(B, false), -1);
	check_holder(A, m.reactor.now);
	leave(writer);
	check_holder(NULL, 0); /* readers hold nothing */
	assert_int_equal(go(A), WRITES);
}

static void test_readers_do_not_count(void **state)
{
	(void)state;
	exclusive(EXCLUSIVE_WRITER);
	rule(&entry()->config.readonly_for, B);
	assert_true(enter(B, true) >= 0);
	check_holder(NULL, 0);
	assert_int_equal(go(A), WRITES);
	enter(A, false);
	assert_int_equal(go(B), READS);
	assert_true(enter(B, true) >= 0);
	check_holder(A, m.reactor.now);
}

/* Two that ask at once: the first one has a promise, for a while. */
static void test_promise(void **state)
{
	(void)state;
	exclusive(EXCLUSIVE_WRITER);
	assert_int_equal(info(B), WRITES); /* promises nothing */
	assert_int_equal(go(A), WRITES);
	check_holder(A, 0);
	assert_int_equal(go(B), REFUSED);
	assert_string_equal(err.text, "exclusive, and promised to 192.0.2.1");
	assert_int_equal(enter(B, false), -1);
	pass(ACCESS_PROMISE_MS - 1);
	assert_int_equal(go(B), REFUSED);
	pass(1);
	assert_int_equal(go(B), WRITES);
	assert_int_equal(enter(A, false), -1); /* comes too late */
	assert_true(enter(B, false) >= 0);
}

/* It is over with the entrance, or who leaves soon would keep it. */
static void test_promise_is_kept_once(void **state)
{
	int a;

	(void)state;
	exclusive(EXCLUSIVE_WRITER);
	go(A);
	go(A);
	a = enter(A, false);
	leave(a);
	check_holder(NULL, 0);
}

/* The export was removed and added again; its server still has a writer. */
static void test_writer_of_before(void **state)
{
	(void)state;
	exclusive(EXCLUSIVE_WRITER);
	go(A);
	enter(A, false);
	pass(SECOND);
	w.export_id = export_id + 1;
	entry()->hold = (struct export_hold){0};
	check_holder(A, 1000 * SECOND);
	assert_int_equal(go(B), REFUSED);
	enter(A, false);
	check_holder(A, 1000 * SECOND);
}

/* Servers of before this wrapper; adopt.h. */
static void test_servers_of_before(void **state)
{
	static char image[] = "/x", other[] = "other";

	(void)state;
	exclusive(EXCLUSIVE_WRITER);
	go(A);
	enter(A, false);
	w.export_id = 1U << 31;
	w.export_name = other;
	check_holder(NULL, 0);
	w.image = image; /* apart, and of the same image */
	check_holder(A, m.reactor.now);
	assert_int_equal(go(B), REFUSED);
	leave(0);
	assert_int_equal(info(B), WRITES);
	w.foreign_clients = 2;
	w.pid = 17;
	assert_int_equal(go(B), REFUSED);
	assert_string_equal(err.text,
		"exclusive, and a server of before (pid 17) has 2 clients that may write");
	w.foreign_clients = 0;
	w.adopting = true;
	assert_int_equal(go(B), REFUSED);
	w.adopting = false;
	assert_int_equal(go(B), WRITES);
}

static void test_became_exclusive(void **state)
{
	int a, b;

	(void)state;
	a = enter(A, false);
	pass(SECOND);
	b = enter(B, false);
	exclusive(EXCLUSIVE_WRITER);
	check_holder(A, 1000 * SECOND); /* came first */
	assert_int_equal(go(B), REFUSED);
	leave(a);
	check_holder(B, 1001 * SECOND);
	leave(b);
	check_holder(NULL, 0);
}

/* Eviction. */

static void test_evicted(void **state)
{
	int a, b;

	(void)state;
	exclusive(EXCLUSIVE_WRITER);
	go(A);
	a = enter(A, false);
	access_evict(&w, &clients[a], false);
	check_holder(A, m.reactor.now); /* its requests are still under way */
	assert_int_equal(go(B), REFUSED);
	pass(60 * SECOND);
	leave(a);
	check_holder(NULL, 0);
	assert_int_equal(go(A), REFUSED);
	assert_string_equal(err.text, "this peer was evicted, and may come back in 10 s");
	assert_int_equal(info(A), READS);
	assert_int_equal(enter(A, false), -1);
	pass(ACCESS_EVICTED_MS - 1);
	assert_int_equal(go(A), REFUSED);
	assert_string_equal(err.text, "this peer was evicted, and may come back in 1 s");
	assert_int_equal(go(B), WRITES);
	b = enter(B, false);
	leave(b);
	pass(1);
	assert_int_equal(go(A), WRITES);
}

/* Nor as a reader: what it did not finish must not find the disk changed under it. */
static void test_evicted_does_not_read_either(void **state)
{
	int a;

	(void)state;
	exclusive(EXCLUSIVE_WRITER_OTHERS_READ);
	go(A);
	a = enter(A, false);
	access_evict(&w, &clients[a], true);
	leave(a);
	assert_int_equal(go(A), REFUSED);
	pass(ACCESS_EVICTED_MS);
	assert_int_equal(go(A), WRITES);
}

static void test_evicted_before_it_came(void **state)
{
	(void)state;
	exclusive(EXCLUSIVE_WRITER);
	go(A);
	access_keep_out(&m, entry(), A);
	check_holder(NULL, 0);
	assert_int_equal(enter(A, false), -1);
	assert_int_equal(go(B), WRITES);
}

static void test_evicted_readers_may_come_back(void **state)
{
	int b;

	(void)state;
	b = enter(B, false);
	access_evict(&w, &clients[b], false);
	leave(b);
	assert_int_equal(go(B), WRITES);
	exclusive(EXCLUSIVE_WRITER_OTHERS_READ);
	b = enter(B, true);
	access_evict(&w, &clients[b], false);
	leave(b);
	assert_int_equal(go(B), WRITES);
}

static void test_many_evicted(void **state)
{
	char host[16];

	(void)state;
	exclusive(EXCLUSIVE_WRITER);
	for (int i = 0; i <= ACCESS_EVICTED_MAX; i++) {
		snprintf(host, sizeof(host), "198.51.100.%d", i);
		access_keep_out(&m, entry(), host);
		pass(10);
	}
	assert_int_equal(go("198.51.100.1"), REFUSED);
	assert_int_equal(go(host), REFUSED);
	assert_int_equal(go("198.51.100.0"), WRITES);
}

/* The clock of the wall, for people. */
static void test_time(void **state)
{
	char text[ACCESS_TIME_MAX];

	(void)state;
	access_print_time(0, text);
	assert_string_equal(text, "1970-01-01 00:00:00 UTC");
	access_print_time(1795241411, text);
	assert_string_equal(text, "2026-11-21 06:10:11 UTC");
	assert_in_range(
		access_time(&m, m.reactor.now) - access_time(&m, m.reactor.now - 7 * SECOND), 7, 8);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_everybody, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_rules_decide_at_the_door, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_readers, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_removed, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_room, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_keeping, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_one_writer, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_others_read, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_readers_do_not_count, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_promise, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_promise_is_kept_once, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_writer_of_before, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_servers_of_before, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_became_exclusive, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_evicted, set_up, tear_down),
		cmocka_unit_test_setup_teardown(
			test_evicted_does_not_read_either, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_evicted_before_it_came, set_up, tear_down),
		cmocka_unit_test_setup_teardown(
			test_evicted_readers_may_come_back, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_many_evicted, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_time, set_up, tear_down),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
