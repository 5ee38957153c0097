/* SPDX-License-Identifier: GPL-2.0-or-later */
/* confsync.conf that is good: what it becomes, defaults, who is who, the definition of a set. */
#include "config.h"

#include "confkit.h"
#include "util.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#define ECDSA                                                                                       \
	"ecdsa-sha2-nistp256 AAAAE2VjZHNhLXNoYTItbmlzdHAyNTYAAAAIbmlzdHAyNTYAAABBBCCuiTuPfvZtCpOLg" \
	"DkDsZldYpMsNR2OI74cTJcN1ukbNmfXujO/i0UmrD6sUhbcoHKSMtQzmoxQ7YPUZGm4grM="

#define SET "set 's' { paths = {'/etc/s/'} }\n"

static void test_defaults(void **state)
{
	const struct config_general *g = &kit.config.general;
	const struct config_set *s;

	(void)state;
	kit_good("confsync { self = 'b' }\n" CONFKIT_PAIR SET);
	assert_string_equal(g->state_directory, "/var/lib/xnbd/confsync");
	assert_string_equal(g->control, "/run/xnbd-confsync.sock");
	assert_string_equal(g->user, "root");
	assert_string_equal(g->key_file, "/etc/xnbd/secret/confsync.key");
	assert_string_equal(g->fence_log, "/var/lib/xnbd/stonith.audit");
	assert_null(g->role_command);
	assert_int_equal(g->deadline, 300);
	assert_int_equal(g->connect_timeout, 10);
	assert_int_equal(g->settle, 2000);
	assert_int_equal(g->interval, 60);
	assert_int_equal(g->scan_interval, 3600);
	assert_false(g->follow_peer);
	s = config_set(&kit.config, "s");
	assert_non_null(s);
	assert_null(config_set(&kit.config, "t"));
	assert_int_equal(s->kind, CONFIG_CONFIG);
	assert_int_equal(s->writer, PLAN_MANUAL);
	assert_false(s->writer_given);
	assert_int_equal(s->mode_bits, 0);
	assert_int_equal(s->reload_on, CONFIG_BOTH);
	assert_int_equal(s->validate_timeout, 60);
	assert_int_equal(s->reload_timeout, 60);
	assert_int_equal(s->order, 100);
	assert_int_equal(s->keep, 20);
	assert_false(s->symlinks);
}

static void test_general(void **state)
{
	const struct config_general *g = &kit.config.general;

	(void)state;
	kit_good(
		"confsync { self = 'A' state-directory = '@/state' control = '@/control' user = 'sync'\n"
		"key-file = '@/key' role-command = 'true' fence-log = '' deadline = 7\n"
		"connect-timeout = 3 settle = 0 interval = 5 scan-interval = 9 follow-peer = yes }\n"
		"node 'a' { address = '192.0.2.1' host-key = '" ECDSA "' source = '192.0.2.1' }\n"
		"node 'b' { address = '2001:db8::2' port = 2222 host-key = '" CONFKIT_KEY
		" root@b' }\n" SET);
	assert_string_equal(g->user, "sync");
	assert_string_equal(g->fence_log, "");
	assert_int_equal(g->settle, 0);
	assert_true(g->follow_peer);
	assert_string_equal(kit.config.self->name, "a");
	assert_string_equal(kit.config.self->source, "192.0.2.1");
	assert_int_equal(kit.config.self->host_key_len, 104);
	assert_string_equal(kit.config.peer->name, "b");
	assert_int_equal(kit.config.peer->port, 2222);
	assert_int_equal(kit.config.peer->host_key_len, 51);
	assert_int_equal(config_set(&kit.config, "s")->writer, PLAN_ACTIVE);
}

/* This host by its name, with and without a domain. */
static void test_self_by_host(void **state)
{
	char host[256] = "", text[2048];

	(void)state;
	assert_int_equal(gethostname(host, sizeof(host) - 1), 0);
	host[strcspn(host, ".")] = 0;
	snprintf(text, sizeof(text),
		"node 'other' { address = '192.0.2.1' host-key = '%s' }\n"
		"node '%s' { address = '192.0.2.2' host-key = '%s' }\n" SET,
		CONFKIT_KEY, host, CONFKIT_KEY);
	kit_good(text);
	assert_string_equal(kit.config.self->name, host);
	assert_string_equal(kit.config.peer->name, "other");
}

static void test_set(void **state)
{
	const struct config_set *s;

	(void)state;
	kit_good(
		"confsync { self = 'a' role-command = 'role' }\n" CONFKIT_PAIR
		"set 'a' { paths = {'/etc/a', '/etc/a.d/*.conf', '/etc/**/x'} exclude = {'*.orig',\n"
		"'/etc/a.d/local'} kind = 'secret' writer = 'any' owner = 'root' group = 'adm'\n"
		"mode = '0600' folder-mode = '700' symlinks = true validate = 'x %r/etc/a 100%%'\n"
		"reload = 'kill -HUP %1' reload-on = 'active' validate-timeout = 1 reload-timeout = 2\n"
		"order = 5 keep = 3 }\n");
	s = config_set(&kit.config, "a");
	assert_int_equal(s->paths.count, 3);
	assert_int_equal(s->exclude.count, 2);
	assert_int_equal(s->kind, CONFIG_SECRET);
	assert_int_equal(s->writer, PLAN_ANY);
	assert_true(s->writer_given);
	assert_int_equal(s->mode_bits, 0600);
	assert_int_equal(s->folder_mode_bits, 0700);
	assert_true(s->symlinks);
	assert_string_equal(s->validate, "x %r/etc/a 100%%");
	assert_int_equal(s->reload_on, CONFIG_ON_ACTIVE);
	assert_int_equal(s->order, 5);
	assert_int_equal(s->keep, 3);
}

static void test_order(void **state)
{
	static const char *const names[] = {"first", "b", "a", "last"};

	(void)state;
	kit_good(CONFKIT_GENERAL CONFKIT_PAIR
		"set 'b' { paths = {'/b'} }\nset 'a' { paths = {'/a'} }\n"
		"set 'last' { paths = {'/l'} order = 101 }\n"
		"set 'first' { paths = {'/f'} order = 0 }\n");
	assert_int_equal(kit.config.set_count, ARRAY_LEN(names));
	for (size_t i = 0; i < ARRAY_LEN(names); i++)
		assert_string_equal(kit.config.sets[i].name, names[i]);
}

/* The definition. */

static void define(const char *set, uint8_t ret[MANIFEST_HASH])
{
	char text[4096];

	snprintf(text, sizeof(text),
		"confsync { self = 'a' role-command = 'true' }\n" CONFKIT_PAIR "set 's' { %s }\n",
		set);
	kit_good(text);
	assert_int_equal(config_definition(&kit.config.sets[0], ret), 0);
}

static void test_definition(void **state)
{
	static const char *const same[] = {"paths = {'/b', '/a'} exclude = {'x'}",
		"paths = {'/a', '/b'} exclude = {'x'} validate = 'true' reload = 'true' order = 9",
		"paths = {'/a', '/b'} exclude = {'x'} keep = 2 writer = 'active' kind = 'config'"};
	static const char *const other[] = {"paths = {'/a'} exclude = {'/b', 'x'}",
		"paths = {'/a', '/b', '/x'}", "paths = {'/a', '/b'} exclude = {'y'}",
		"paths = {'/a', '/b'} exclude = {'x'} owner = 'root'",
		"paths = {'/a', '/b'} exclude = {'x'} group = 'root'",
		"paths = {'/a', '/b'} exclude = {'x'} mode = '0600'",
		"paths = {'/a', '/b'} exclude = {'x'} folder-mode = '0600'",
		"paths = {'/a', '/b'} exclude = {'x'} symlinks = yes",
		"paths = {'/a', '/b'} exclude = {'x'} writer = 'any'",
		"paths = {'/a', '/b'} exclude = {'x'} kind = 'secret'"};
	uint8_t first[MANIFEST_HASH], hash[MANIFEST_HASH];

	(void)state;
	define("paths = {'/a', '/b'} exclude = {'x'}", first);
	for (size_t i = 0; i < ARRAY_LEN(same); i++) {
		define(same[i], hash);
		assert_memory_equal(hash, first, sizeof(hash));
	}
	for (size_t i = 0; i < ARRAY_LEN(other); i++) {
		define(other[i], hash);
		assert_memory_not_equal(hash, first, sizeof(hash));
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_defaults, kit_set_up, kit_tear_down),
		cmocka_unit_test_setup_teardown(test_general, kit_set_up, kit_tear_down),
		cmocka_unit_test_setup_teardown(test_self_by_host, kit_set_up, kit_tear_down),
		cmocka_unit_test_setup_teardown(test_set, kit_set_up, kit_tear_down),
		cmocka_unit_test_setup_teardown(test_order, kit_set_up, kit_tear_down),
		cmocka_unit_test_setup_teardown(test_definition, kit_set_up, kit_tear_down),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
