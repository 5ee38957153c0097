/* SPDX-License-Identifier: GPL-2.0-or-later */
/* stonith.conf that is good: what it becomes, defaults, who is who, what is warned of. */
#include "config.h"

#include "confkit.h"
#include "util.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>

#include <cmocka.h>

#define ED25519 "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIAaQy7zQxSkOaGn0OURwtlBWbggSGUKPEJoedjF9tlYM"
#define ECDSA                                                                                       \
	"ecdsa-sha2-nistp256 AAAAE2VjZHNhLXNoYTItbmlzdHAyNTYAAAAIbmlzdHAyNTYAAABBBCCuiTuPfvZtCpOLg" \
	"DkDsZldYpMsNR2OI74cTJcN1ukbNmfXujO/i0UmrD6sUhbcoHKSMtQzmoxQ7YPUZGm4grM="

#define PDUS                                                                                        \
	"pdu 'left' { address = '192.0.2.11' profile = 'apc-rpdu' version = '3' user = 'shooter'\n" \
	"auth = 'SHA-256' auth-file = '@/auth' priv = 'AES' priv-file = '@/priv' }\n"               \
	"pdu 'right' { address = '2001:db8::12' port = 1161 profile = 'apc-rpdu2'\n"                \
	"version = '2c' community-file = '@/community' timeout = 300 source = '2001:db8::1' }\n"

#define PAIR                                                                                       \
	PDUS "node 'n1' { outlets = {'left:1', 'right:2', 'left:3'}\n"                             \
	     "names = {'n1 A', '', 'n1 C'} shooters = {'N2'} policy = 'cycle' delay = 1500\n"      \
	     "deadline = 30 dwell = 100 accept-confirmation = true }\n"                            \
	     "node 'n2' { outlets = {'left:2', 'right:1'} shooters = 'n1' }\n"

static struct confkit kit;

static int set_up(void **state)
{
	(void)state;
	confkit_init(&kit);
	return 0;
}

static int tear_down(void **state)
{
	(void)state;
	confkit_done(&kit);
	return 0;
}

static void good(const char *text)
{
	int r = confkit_read(&kit, text);

	assert_string_equal(kit.faults, "");
	assert_int_equal(r, 0);
}

static void test_pdus(void **state)
{
	const struct config_pdu *p;

	(void)state;
	good(PAIR);
	assert_int_equal(kit.config.pdu_count, 2);
	p = config_pdu(&kit.config, "LEFT");
	assert_non_null(p);
	assert_string_equal(p->address, "192.0.2.11");
	assert_int_equal(p->port, 161);
	assert_int_equal(p->timeout, 1000);
	assert_ptr_equal(p->profile, profile_find("apc-rpdu"));
	assert_int_equal(p->version, CONFIG_V3);
	assert_int_equal(p->auth, CONFIG_SHA256);
	assert_int_equal(p->priv, CONFIG_AES);
	assert_string_equal(p->auth_secret, "authpass123");
	assert_string_equal(p->priv_secret, "privpass123");
	assert_null(p->community);
	p = config_pdu(&kit.config, "right");
	assert_int_equal(p->version, CONFIG_V2C);
	assert_string_equal(p->community, "private");
	assert_string_equal(p->source, "2001:db8::1");
	assert_int_equal(p->timeout, 300);
	assert_null(config_pdu(&kit.config, "middle"));
}

/* Outlets of one PDU come side by side, each with its own name. */
static void test_node(void **state)
{
	const struct config_node *n;

	(void)state;
	good(PAIR);
	n = config_node(&kit.config, "n1");
	assert_int_equal(n->outlet_count, 3);
	assert_string_equal(n->outlets[0].text, "left:1");
	assert_string_equal(n->outlets[1].text, "left:3");
	assert_string_equal(n->outlets[2].text, "right:2");
	assert_string_equal(n->outlets[0].name, "n1 A");
	assert_string_equal(n->outlets[1].name, "n1 C");
	assert_null(n->outlets[2].name);
	assert_int_equal(n->outlets[1].key.count, 1);
	assert_int_equal(n->outlets[1].key.part[0], 3);
	assert_int_equal(n->policy, CONFIG_CYCLE);
	assert_int_equal(n->delay, 1500);
	assert_int_equal(n->deadline, 30);
	assert_int_equal(n->dwell, 100);
	assert_true(n->accept_confirmation);
	assert_null(n->proxy);
	n = config_node(&kit.config, "N2");
	assert_string_equal(n->name, "n2");
	assert_int_equal(n->policy, CONFIG_OFF);
	assert_int_equal(n->delay, 0);
	assert_false(n->accept_confirmation);
	assert_null(config_node(&kit.config, "n"));
	assert_null(config_node(&kit.config, "n11"));
}

static void test_general(void **state)
{
	const struct config_general *g = &kit.config.general;

	(void)state;
	good(PAIR);
	assert_null(g->self);
	assert_string_equal(g->audit_log, CONFIG_AUDIT_LOG);
	assert_string_equal(g->run_directory, CONFIG_RUN_DIRECTORY);
	assert_string_equal(g->control, CONFIG_RUN_DIRECTORY "/control");
	assert_int_equal(g->deadline, 20);
	assert_int_equal(g->off_lease, 60);
	assert_int_equal(config_node(&kit.config, "n2")->deadline, 20);
	assert_int_equal(config_node(&kit.config, "n2")->dwell, 4000);
	good("stonith { run-directory = '@/run' deadline = 7 dwell = 0 on-pause = 5 repair-own = on\n"
	     "ping = {'192.0.2.254', '2001:db8::fe'} self = 'N2' audit-log = '@/log' }\n" PAIR);
	assert_int_equal(g->dwell, 0);
	assert_true(g->repair_own);
	assert_int_equal(g->ping.count, 2);
	assert_string_equal(strrchr(g->control, '/'), "/control");
	assert_non_null(strstr(g->control, "/run/"));
	assert_int_equal(config_node(&kit.config, "n2")->deadline, 7);
	assert_int_equal(config_node(&kit.config, "n2")->dwell, 0);
	assert_string_equal(config_self(&kit.config)->name, "n2");
}

/* This host by its name, with and without a domain, in any case. */
static void test_self_by_host(void **state)
{
	char host[256] = "", text[1024];

	(void)state;
	good(PAIR);
	assert_null(config_self(&kit.config));
	assert_int_equal(gethostname(host, sizeof(host) - 1), 0);
	host[strcspn(host, ".")] = 0;
	if (strlen(host) > CONFIG_NAME_MAX)
		skip();
	snprintf(text, sizeof(text), PDUS "node '%s' { outlets = 'left:1' }", host);
	good(text);
	assert_string_equal(config_self(&kit.config)->name, host);
}

static void test_shooters(void **state)
{
	const struct config_node *n1, *n2;

	(void)state;
	good(PAIR "node 'n3' { outlets = 'left:9' }\n");
	n1 = config_node(&kit.config, "n1");
	n2 = config_node(&kit.config, "n2");
	assert_true(config_may_shoot(n2, n1));
	assert_true(config_may_shoot(n1, n2));
	assert_false(config_may_shoot(n1, n1));
	assert_false(config_may_shoot(config_node(&kit.config, "n3"), n1));
	assert_false(config_may_shoot(n1, config_node(&kit.config, "n3")));
}

static void test_proxy(void **state)
{
	static const char both[] = "proxy 'gate' { address = '192.0.2.9' user = 'stonith'\n"
				   "key-file = '@/key' host-key = '" ED25519 "'\n"
				   "secret-file = '@/hmac' }\n"
				   "proxy 'gate2' { address = '192.0.2.10' port = 2222 user = 'x'\n"
				   "key-file = '@/key' host-key = '" ECDSA " root@gate2'\n"
				   "secret-file = '@/hmac' }\n"
				   "node 'n1' { proxy = 'GATE' shooters = 'n2' }\n"
				   "node 'n2' { proxy = 'gate2' shooters = 'n1' }\n";
	const struct config_proxy *p;

	(void)state;
	good(both);
	p = config_node(&kit.config, "n1")->proxy;
	assert_ptr_equal(p, &kit.config.proxies[0]);
	assert_int_equal(p->port, 22);
	assert_int_equal(p->host_key_len, 51);
	assert_memory_equal(p->host_key_bytes, "\0\0\0\013ssh-ed25519\0\0\0 \006\220", 21);
	assert_string_equal(p->secret, "0123456789abcdef0123456789abcdef");
	assert_non_null(strstr(p->key, "-----END"));
	p = config_node(&kit.config, "n2")->proxy;
	assert_int_equal(p->port, 2222);
	assert_int_equal(p->host_key_len, 104);
	assert_int_equal(config_node(&kit.config, "n2")->outlet_count, 0);
}

static void test_callers(void **state)
{
	const struct config_caller *c;

	(void)state;
	good(PAIR "caller 'n2' { victims = {'n1', 'n2'} actions = {'off', 'status'}\n"
		  "secret-file = '@/hmac' rate = 5 }\n"
		  "caller 'n1' { victims = 'n2' secret-file = '@/hmac' }\n");
	c = config_caller(&kit.config, "N2");
	assert_int_equal(c->actions, CONFIG_ACT_OFF | CONFIG_ACT_STATUS);
	assert_int_equal(c->rate, 5);
	assert_int_equal(c->victims.count, 2);
	c = config_caller(&kit.config, "n1");
	assert_int_equal(c->actions, CONFIG_ACT_OFF | CONFIG_ACT_REBOOT | CONFIG_ACT_STATUS);
	assert_int_equal(c->rate, 3);
	assert_null(config_caller(&kit.config, "n3"));
}

/* Own families: whole ones, and ones like a built-in one. */
static void test_families(void **state)
{
	const struct profile *p;

	(void)state;
	good("profile 'odd' { systems = {'1.3.6.1.4.1.99999.1', '1.3.6.1.4.1.99999.2.*'}\n"
	     "key-parts = 2 key-default = '1' state = '1.3.6.1.4.1.99999.9.1.{1}.{2}'\n"
	     "state-on = 1 state-off = -1 on = '1.3.6.1.4.1.99999.9.2.{1}.{2}=0'\n"
	     "off = '1.3.6.1.4.1.99999.9.3.{1}.{2}=0' cancel = '1.3.6.1.4.1.99999.9.3.{1}.{2}=-1'\n"
	     "idle = {'1.3.6.1.4.1.99999.9.4.{1}.{2}=2|3|5', '1.3.6.1.4.1.99999.9.6.{1}=1 if off'}\n"
	     "usable = '1.3.6.1.4.1.99999.9.5.{1}.{2}/2' }\n"
	     "profile 'newer' { like = 'apc-rpdu' systems = '1.3.6.1.4.1.318.1.3.4.77' cancel = {} }\n"
	     "pdu 'left' { address = '192.0.2.11' profile = 'odd' version = '1'\n"
	     "community-file = '@/community' }\n"
	     "pdu 'right' { address = '192.0.2.12' profile = 'newer' version = '1'\n"
	     "community-file = '@/community' }\n"
	     "node 'n1' { outlets = {'left:7', 'left:2.7', 'right:1'} }\n");
	p = config_pdu(&kit.config, "left")->profile;
	assert_string_equal(p->name, "odd");
	assert_int_equal(p->state_off, -1);
	assert_int_equal(p->cancel[0].value, -1);
	assert_int_equal(p->idle[0].value, 2);
	assert_int_equal(p->idle[0].among, 1 << 3 | 1 << 5);
	assert_false(p->idle[0].off_only);
	assert_true(p->idle[1].off_only);
	assert_int_equal(p->idle[1].value, 1);
	assert_true(p->usable[0].bit);
	assert_int_equal(p->usable[0].value, 2);
	assert_int_equal(config_node(&kit.config, "n1")->outlets[0].key.part[0], 1);
	assert_int_equal(config_node(&kit.config, "n1")->outlets[0].key.part[1], 7);
	p = config_pdu(&kit.config, "right")->profile;
	assert_string_equal(p->name, "newer");
	assert_string_equal(p->systems[0], "1.3.6.1.4.1.318.1.3.4.77");
	assert_null(p->systems[1]);
	assert_string_equal(p->state, profile_find("apc-rpdu")->state);
	assert_null(p->cancel[0].oid);
}

static void warned(const char *text, const char *want)
{
	good(text);
	confkit_warn(&kit);
	assert_string_equal(kit.faults, want);
}

static void test_warnings(void **state)
{
	(void)state;
	warned(PAIR, "");
	warned(PDUS "node 'n1' { outlets = {'left:1', 'right:1'} }\n",
		"stonith.conf:5: node \"n1\": no node may shoot it (key shooters), only people\n");
	warned(PDUS "node 'n1' { outlets = {'left:1', 'right:1'} }\n"
		    "caller 'x' { victims = 'n1' secret-file = '@/hmac' }\n",
		"");
	warned(PDUS "node 'n1' { outlets = {'left:1', 'left:2'} shooters = 'n2' delay = 9 }\n"
		    "node 'n2' { outlets = {'right:1'} shooters = 'n1' }\n",
		"stonith.conf:5: node \"n1\": outlets: are all on pdu \"left\"; if that dies, so does "
		"the node, and nobody can tell\n");
	warned(PDUS "node 'n1' { outlets = {'left:1', 'right:1'} shooters = 'n2' delay = 9 }\n"
		    "node 'n2' { outlets = {'left:2', 'right:2'} shooters = 'n1' delay = 9 }\n",
		"stonith.conf:6: node \"n2\": has the same delay as node \"n1\": cut off from each "
		"other, both may be shot\n");
	warned("pdu 'a' { address = '192.0.2.1' profile = 'apc-rpdu' user = 'u' }\n"
	       "pdu 'b' { address = '192.0.2.2' profile = 'apc-rpdu' user = 'u' auth = 'MD5'\n"
	       "auth-file = '@/auth' }\n"
	       "node 'n1' { outlets = {'a:1', 'b:1'} shooters = 'n2' delay = 9 }\n"
	       "node 'n2' { outlets = {'a:2', 'b:2'} shooters = 'n1' }\n",
		"stonith.conf:1: pdu \"a\": version 3 without auth: anybody who reaches it can "
		"switch\n"
		"stonith.conf:2: pdu \"b\": MD5 and DES are weak; use SHA-256 and AES if it can\n");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_pdus),
		cmocka_unit_test(test_node),
		cmocka_unit_test(test_general),
		cmocka_unit_test(test_self_by_host),
		cmocka_unit_test(test_shooters),
		cmocka_unit_test(test_proxy),
		cmocka_unit_test(test_callers),
		cmocka_unit_test(test_families),
		cmocka_unit_test(test_warnings),
	};

	return cmocka_run_group_tests(tests, set_up, tear_down);
}
