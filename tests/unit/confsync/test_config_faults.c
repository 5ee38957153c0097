/* SPDX-License-Identifier: GPL-2.0-or-later */
/* confsync.conf that is not good: what is wrong and what would be right, all at once. */
#include "config.h"

#include "confkit.h"
#include "util.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

/* Exactly these lines. */
static void faulty(const char *text, const char *faults)
{
	assert_int_equal(confkit_read(&kit, text), -EINVAL);
	assert_string_equal(kit.faults, faults);
	assert_int_equal(kit.config.set_count, 0);
}

#define HEAD CONFKIT_GENERAL CONFKIT_PAIR /* three lines */

/* A set with a fault. */
static void faulty_set(const char *set, const char *fault)
{
	char text[4096], line[1024];

	snprintf(text, sizeof(text), HEAD "set 's' { %s }\n", set);
	snprintf(line, sizeof(line), "confsync.conf:4: set \"s\": %s\n", fault);
	faulty(text, line);
}

#define SET "set 's' { paths = {'/etc/s'} }\n"

static void test_nodes(void **state)
{
	(void)state;
	faulty("confsync { self = 'a' }\nnode 'a' { address = '192.0.2.1' host-key = '" CONFKIT_KEY
	       "' }\n" SET,
		"confsync.conf: 1 sections node; a pair has two, this host and its peer\n");
	faulty(HEAD "node 'c' { address = '192.0.2.3' host-key = '" CONFKIT_KEY "' }\n" SET,
		"confsync.conf: 3 sections node; a pair has two, this host and its peer\n");
	faulty("confsync { self = 'c' }\n" CONFKIT_PAIR SET,
		"confsync.conf:1: confsync: self: there is no node \"c\", but \"a\" and \"b\"\n");
	faulty("node 'no.1' { address = '192.0.2.1' host-key = '" CONFKIT_KEY "' }\n"
	       "node 'no.2' { address = '192.0.2.1' host-key = '" CONFKIT_KEY "' }\n" SET,
		"confsync.conf:2: node \"no.2\": address: is that of node \"no.1\" too\n"
		"confsync.conf: neither node \"no.1\" nor \"no.2\" is called like this host; say "
		"which one it is: confsync { self = \"no.1\" }\n");
	faulty("confsync { self = 'a' }\nnode 'a' { }\nnode 'b' { address = 'b.example.org'\n"
	       "host-key = 'ssh-rsa AAAA' source = '1.2.3' }\n" SET,
		"confsync.conf:2: node \"a\": address is missing\n"
		"confsync.conf:2: node \"a\": host-key is missing\n"
		"confsync.conf:3: node \"b\": address: \"b.example.org\": must be an IP address, "
		"not a name\n"
		"confsync.conf:4: node \"b\": source: \"1.2.3\": is no IPv4 or IPv6 address\n"
		"confsync.conf:4: node \"b\": host-key: must begin with ssh-ed25519 or "
		"ecdsa-sha2-nistp256 (384, 521), a space, and the key in base64\n");
	faulty("confsync { self = 'a' }\nnode 'a' { address = '::1' host-key = 'ssh-ed25519 AAAA' }\n"
	       "node 'A' { address = '::2' host-key = '" CONFKIT_KEY "' }\n" SET,
		"confsync.conf:2: node \"a\": host-key: is not whole: copy the line of the host's "
		".pub file as it is\n"
		"confsync.conf:3: node \"A\": is called like \"a\" at FOLDER/confsync.conf:2 but "
		"for its case\n");
	faulty("confsync { self = 'a' }\nnode 'a/b' { address = '::1' host-key = '" CONFKIT_KEY
	       "' }\nnode '..' { address = '::2' host-key = '" CONFKIT_KEY "' }\n" SET,
		"confsync.conf:2: node \"a/b\": a name consists of letters, digits, '.', '_' and "
		"'-', and begins with a letter or digit\n"
		"confsync.conf:3: node \"..\": a name consists of letters, digits, '.', '_' and "
		"'-', and begins with a letter or digit\n"
		"confsync.conf:1: confsync: self: there is no node \"a\", but \"a/b\" and \"..\"\n");
}

static void test_general(void **state)
{
	(void)state;
	faulty(HEAD, "confsync.conf: there is no section set\n");
	faulty("confsync { self = 'a' state-directory = 'state' fence-log = 'log' deadline = 0 }\n" CONFKIT_PAIR
			SET,
		"confsync.conf:1: confsync: state-directory: \"state\": must be an absolute path\n"
		"confsync.conf:1: confsync: deadline: \"0\": must be a number from 1 to 86400\n"
		"confsync.conf:1: confsync: fence-log: must be an absolute path, or \"\" for none\n");
}

static void test_paths(void **state)
{
	(void)state;
	faulty_set("", "paths: must name a file, a folder or a pattern");
	faulty_set("paths = {}", "paths: must name a file, a folder or a pattern");
	faulty_set("paths = {'etc/s'}", "paths: \"etc/s\": does not begin with '/'");
	faulty_set(
		"paths = {'/etc/../s'}", "paths: \"/etc/../s\": has a component \".\" or \"..\"");
	faulty_set("paths = {'/etc/s', '/etc/s/'}", "paths: \"/etc/s\": is given twice");
	faulty_set("paths = {'/etc/*.c', '/etc/*.c'}", "paths: \"/etc/*.c\": is given twice");
	faulty_set("paths = {'/etc/s'} exclude = {'a/b'}",
		"exclude: \"a/b\": has a '/' but does not begin with one");
	faulty(HEAD "set 's' { paths = {'/etc/s', '/etc/*.x'} }\n"
		    "set 't' { paths = {'/etc/t', '/etc/*.x', '/etc/s/'} kind = 'local' }\n",
		"confsync.conf:5: set \"t\": paths: \"/etc/s\": is in set \"s\" too\n"
		"confsync.conf:5: set \"t\": paths: \"/etc/*.x\": is in set \"s\" too\n");
}

static void test_own_files(void **state)
{
	(void)state;
	faulty_set("paths = {'@/confsync.conf'}",
		"paths: \"FOLDER/confsync.conf\": is a file of xnbd-confsync itself, never taken "
		"from a peer without follow-peer = true");
	faulty_set("paths = {'/etc/xnbd/secret/confsync.key'}",
		"paths: \"/etc/xnbd/secret/confsync.key\": is a file of xnbd-confsync itself, never "
		"taken from a peer without follow-peer = true");
	faulty_set("paths = {'@/state/'}",
		"paths: \"FOLDER/state\": is a file of xnbd-confsync itself, never taken from a "
		"peer without follow-peer = true");
}

static void test_rules(void **state)
{
	(void)state;
	faulty_set("paths = {'/s'} mode = '0849'",
		"mode: \"0849\": must be three or four octal digits that let the owner read, as "
		"0640");
	faulty_set("paths = {'/s'} mode = '0044'",
		"mode: \"0044\": must be three or four octal digits that let the owner read, as "
		"0640");
	faulty_set("paths = {'/s'} kind = 'secret' mode = '0640'",
		"mode: \"0640\": of a secret set it must be 0600 or less");
	faulty_set("paths = {'/s'} kind = 'secret' folder-mode = '0755'",
		"folder-mode: \"0755\": of a secret set it must be 0700 or less");
	faulty_set("paths = {'/s'} writer = 'active'",
		"writer: active needs a role-command in section confsync, to know which node is "
		"active");
	faulty_set("paths = {'/s'} kind = 'local' reload = 'true'",
		"reload: has no meaning for a local set, which is never sent");
	faulty_set("paths = {'/s'} kind = 'other'",
		"kind: \"other\": must be \"config\", \"secret\" or \"local\"");
	faulty_set("paths = {'/s'} validate = 'x --root=%R'",
		"validate: \"%R\": is not known; there are %r, the folder with the new files, and "
		"%%, a percent sign");
	faulty_set("paths = {'/s'} validate = 'x 100%'",
		"validate: \"%\": is not known; there are %r, the folder with the new files, and "
		"%%, a percent sign");
}

/* Nothing hides what comes after it. */
static void test_all_at_once(void **state)
{
	(void)state;
	faulty("node 'a' { address = 'x' }\nset 's' { paths = {'s'} mode = 'x' }\n"
	       "set 't' { validate = '%x' }\nset '../t' { paths = {'/t'} }\n",
		"confsync.conf:1: node \"a\": address: \"x\": must be an IP address, not a name\n"
		"confsync.conf:1: node \"a\": host-key is missing\n"
		"confsync.conf:2: set \"s\": paths: \"s\": does not begin with '/'\n"
		"confsync.conf:2: set \"s\": mode: \"x\": must be three or four octal digits that "
		"let the owner read, as 0640\n"
		"confsync.conf:3: set \"t\": paths: must name a file, a folder or a pattern\n"
		"confsync.conf:3: set \"t\": validate: \"%x\": is not known; there are %r, the "
		"folder with the new files, and %%, a percent sign\n"
		"confsync.conf:4: set \"../t\": a name consists of letters, digits, '.', '_' and "
		"'-', and begins with a letter or digit\n");
}

static void test_too_many_sets(void **state)
{
	char text[16384];
	size_t len = (size_t)snprintf(text, sizeof(text), "%s", HEAD);

	(void)state;
	for (int i = 0; i <= CONFIG_SETS_MAX; i++)
		len += (size_t)snprintf(
			text + len, sizeof(text) - len, "set 's%d' { paths = {'/s%d'} }\n", i, i);
	faulty(text, "confsync.conf: 65 sections set; 64 are possible\n");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_nodes, kit_set_up, kit_tear_down),
		cmocka_unit_test_setup_teardown(test_general, kit_set_up, kit_tear_down),
		cmocka_unit_test_setup_teardown(test_paths, kit_set_up, kit_tear_down),
		cmocka_unit_test_setup_teardown(test_own_files, kit_set_up, kit_tear_down),
		cmocka_unit_test_setup_teardown(test_rules, kit_set_up, kit_tear_down),
		cmocka_unit_test_setup_teardown(test_all_at_once, kit_set_up, kit_tear_down),
		cmocka_unit_test_setup_teardown(test_too_many_sets, kit_set_up, kit_tear_down),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
