/* SPDX-License-Identifier: GPL-2.0-or-later */
/* stonith.conf that is wrong: each mistake is found when it is read, with its line, all at once. */
#include "config.h"

#include "confkit.h"
#include "util.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#define ED25519 "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIAaQy7zQxSkOaGn0OURwtlBWbggSGUKPEJoedjF9tlYM"
#define PDU(name, address)                                                                         \
	"pdu '" name "' { address = '" address "' profile = 'apc-rpdu' version = '1'"              \
	" community-file = '@/community' }\n"
#define PDUS PDU("left", "192.0.2.11") PDU("right", "192.0.2.12")
#define NODE "node 'n1' { outlets = {'left:1', 'right:1'} }\n"

static struct confkit kit;

static int set_up(void **state)
{
	(void)state;
	confkit_init(&kit);
	confkit_file(&kit, "open", "private\n", 0644);
	confkit_file(&kit, "short", "1234567\n", 0600);
	confkit_file(&kit, "empty", "", 0600);
	return 0;
}

static int tear_down(void **state)
{
	(void)state;
	confkit_done(&kit);
	return 0;
}

/* WANT: all lines, without "stonith.conf:". */
static void bad(const char *text, const char *want)
{
	char got[sizeof(kit.faults)];
	size_t len = 0;

	assert_int_equal(confkit_read(&kit, text), -EINVAL);
	for (char *line = strtok(kit.faults, "\n"); line; line = strtok(NULL, "\n")) {
		if (strncmp(line, "stonith.conf:", 13) == 0)
			line += 13;
		len += (size_t)snprintf(
			got + len, sizeof(got) - len, "%s%s", len ? "\n" : "", line);
	}
	assert_string_equal(got, want);
	assert_int_equal(kit.config.node_count, 0);
}

static void bad_pdu(const char *keys, const char *want)
{
	char text[1024];

	snprintf(text, sizeof(text), "pdu 'p' { %s }\nnode 'n1' { outlets = 'p:1' }\n", keys);
	bad(text, want);
}

static void test_addresses(void **state)
{
	(void)state;
	bad(PDU("left", "pdu-left.example") PDU("right", "192.0.2.256") NODE,
		"1: pdu \"left\": address: \"pdu-left.example\": must be an IP address, not a name "
		"(no name server can be asked on the day of the shot)\n"
		"2: pdu \"right\": address: \"192.0.2.256\": is no IPv4 or IPv6 address");
	bad("stonith { ping = {'192.0.2.1', 'router'} }\n" PDUS NODE,
		"1: stonith: ping: \"router\": must be an IP address, not a name (no name server can "
		"be asked on the day of the shot)");
	bad(PDU("left", "192.0.2.11") PDU("right", "::ffff:192.0.2.11") NODE,
		"2: pdu \"right\": address: is that of pdu \"left\" too");
}

static void test_pdu(void **state)
{
	(void)state;
	bad_pdu("",
		"1: pdu \"p\": address is missing\n1: pdu \"p\": profile is missing\n"
		"1: pdu \"p\": user is missing: version 3 needs one");
	bad_pdu("address = '::1' version = '1' community-file = '@/community' profile = 'apc-rpud'",
		"1: pdu \"p\": profile: \"apc-rpud\": there is no such profile; did you mean "
		"\"apc-rpdu\"?");
	bad_pdu("address = '::1' profile = 'apc-rpdu' version = '2c' user = 'u' auth = 'SHA'",
		"1: pdu \"p\": user: belongs to version 3\n1: pdu \"p\": auth: belongs to version 3\n"
		"1: pdu \"p\": community-file is missing");
	bad_pdu("address = '::1' profile = 'apc-rpdu' user = 'u' community-file = '@/community'",
		"1: pdu \"p\": community-file: belongs to version 1 or 2c");
	bad_pdu("address = '::1' profile = 'apc-rpdu' user = 'u' priv = 'AES' auth-file = '@/auth'",
		"1: pdu \"p\": auth-file: has no meaning without auth\n"
		"1: pdu \"p\": priv-file is missing: priv needs a passphrase\n"
		"1: pdu \"p\": priv: needs auth too");
	bad_pdu("address = '::1' profile = 'apc-rpdu' user = 'u' auth = 'SHA256' prt = 1",
		"1: prt: no such key in pdu; did you mean port?\n"
		"1: pdu \"p\": auth: \"SHA256\": must be \"none\", \"MD5\", \"SHA\", \"SHA-224\", "
		"\"SHA-256\", \"SHA-384\" or \"SHA-512\"");
}

static void check_secret(const char *file, const char *want)
{
	char text[256], line[1024];

	snprintf(text, sizeof(text),
		"address = '::1' profile = 'apc-rpdu' user = 'u' auth = 'SHA' auth-file = '@/%s'",
		file);
	snprintf(line, sizeof(line), "1: pdu \"p\": auth-file: FOLDER/%s: %s", file, want);
	bad_pdu(text, line);
}

static void test_secrets(void **state)
{
	(void)state;
	check_secret("open", "mode 0644: must be 0600 or 0400, for its owner alone");
	check_secret("short", "has fewer than 8 bytes");
	check_secret("empty", "is empty");
	check_secret("gone", "No such file or directory");
	check_secret("key", "has more than one line");
}

static void test_outlets(void **state)
{
	(void)state;
	bad(PDUS "node 'n1' { }\n",
		"3: node \"n1\": has no outlets (and no proxy): it could not be shot");
	bad(PDUS "node 'n1' { outlets = {} }\n",
		"3: node \"n1\": has no outlets (and no proxy): it could not be shot");
	bad(PDUS "node 'n1' { outlets = {'left:1', 'rigth:1', 'left', 'right:x'} }\n",
		"3: node \"n1\": outlets: \"rigth:1\": there is no pdu \"rigth\"; did you mean "
		"\"right\"?\n"
		"3: node \"n1\": outlets: \"left\": must be \"PDU:KEY\"\n"
		"3: node \"n1\": outlets: \"right:x\": 'x' is no outlet of apc-rpdu: that is a number");
	bad(PDUS "node 'n1' { outlets = {'left:1', 'right:1', 'LEFT:1'} }\n",
		"3: node \"n1\": outlets: \"LEFT:1\": is given twice");
	bad(PDUS NODE "node 'n2' { outlets = {'left:2', 'right:1'} }\n",
		"4: node \"n2\": outlets: \"right:1\": feeds node \"n1\" too");
	bad(PDUS "node 'n1' { outlets = {'left:1', 'right:1'} names = {'a'} }\n",
		"3: node \"n1\": names: 1 for 2 outlets; give one for each, \"\" if it is not known");
}

static void test_too_many(void **state)
{
	char text[8192] = "", outlets[2048] = "";

	(void)state;
	for (int i = 0; i <= FENCE_LANES_MAX; i++) {
		snprintf(text + strlen(text), sizeof(text) - strlen(text), PDU("p%d", "192.0.2.%d"),
			i, i + 1);
		snprintf(outlets + strlen(outlets), sizeof(outlets) - strlen(outlets), "%s'p%d:1'",
			i ? ", " : "", i);
	}
	snprintf(text + strlen(text), sizeof(text) - strlen(text), "node 'n1' { outlets = {%s} }\n",
		outlets);
	bad(text, "10: node \"n1\": outlets: on 9 PDUs; 8 are possible");
	*outlets = 0;
	for (int i = 0; i <= FENCE_OUTLETS_MAX; i++)
		snprintf(outlets + strlen(outlets), sizeof(outlets) - strlen(outlets),
			"%s'left:%d'", i ? ", " : "", i + 1);
	snprintf(text, sizeof(text), PDUS "node 'n1' { outlets = {%s} }\n", outlets);
	bad(text, "3: node \"n1\": outlets: more than 32");
}

static void test_nodes(void **state)
{
	(void)state;
	bad("", " there is no section node");
	bad(PDUS "node 'off' { outlets = 'left:1' }\n",
		"3: node \"off\": a node cannot be called \"on\" or \"off\", nor have \"invalid\" or "
		"\"variable\" in its name: cluster software takes these for something else");
	bad(PDUS "node '../n1' { outlets = 'left:1' }\n",
		"3: node \"../n1\": a name consists of letters, digits, '.', '_' and '-', and begins "
		"with a letter or digit");
	bad(PDUS NODE "node 'N1' { outlets = 'left:2' }\n",
		"4: node \"N1\": is called like \"n1\" at FOLDER/stonith.conf:3 but for its case");
}

static void test_who(void **state)
{
	(void)state;
	bad("stonith { self = 'n3' }\n" PDUS
	    "node 'n1' { outlets = 'left:1' shooters = {'n1', 'n2', 'm2'} }\n"
	    "node 'n2' { outlets = 'left:2' shooters = 'node1' }\n",
		"4: node \"n1\": shooters: no node shoots itself\n"
		"4: node \"n1\": shooters: there is no node \"m2\"\n"
		"5: node \"n2\": shooters: there is no node \"node1\"\n"
		"1: stonith: self: there is no node \"n3\"");
	bad(PDUS "node 'alpha' { outlets = 'left:1' shooters = 'bravo' }\n"
		 "node 'beta' { outlets = 'left:2' shooters = 'alhpa' }\n",
		"3: node \"alpha\": shooters: there is no node \"bravo\"\n"
		"4: node \"beta\": shooters: there is no node \"alhpa\"; did you mean \"alpha\"?");
}

static void test_times(void **state)
{
	(void)state;
	bad(PDUS "node 'n1' { outlets = 'left:1' deadline = 4 }\n",
		"3: node \"n1\": deadline of 4 s: is too short for a delay of 0 ms and a dwell of 4000 ms");
	bad("stonith { dwell = 20000 }\n" PDUS NODE,
		"4: node \"n1\": deadline of 20 s: is too short for a delay of 0 ms and a dwell of 20000 ms");
	bad(PDUS "node 'n1' { outlets = 'left:1' deadline = 6 delay = 1001 }\n",
		"3: node \"n1\": deadline of 6 s: is too short for a delay of 1001 ms and a dwell of "
		"4000 ms");
	bad(PDUS "node 'n1' { outlets = 'left:1' deadline = 0 policy = 'leave' }\n",
		"3: node \"n1\": policy: \"leave\": must be \"off\", \"cycle\" or \"cycle-confirmed\"\n"
		"3: node \"n1\": deadline: \"0\": must be a number from 1 to 600");
}

static void test_proxy(void **state)
{
	(void)state;
	bad("proxy 'g' { }\nnode 'n1' { proxy = 'g' }\n",
		"1: proxy \"g\": address is missing\n1: proxy \"g\": user is missing\n"
		"1: proxy \"g\": key-file is missing\n1: proxy \"g\": host-key is missing\n"
		"1: proxy \"g\": secret-file is missing");
	bad("proxy 'gate' { address = 'gate' user = 'u' key-file = '@/hmac' secret-file = '@/short'\n"
	    "host-key = 'ssh-rsa AAAA' }\nnode 'n1' { proxy = 'gates' outlets = 'p:1' }\n",
		"1: proxy \"gate\": address: \"gate\": must be an IP address, not a name (no name "
		"server can be asked on the day of the shot)\n"
		"1: proxy \"gate\": key-file: FOLDER/hmac: is no private key\n"
		"2: proxy \"gate\": host-key: must begin with ssh-ed25519 or ecdsa-sha2-nistp256 "
		"(384, 521), a space, and the key in base64\n"
		"1: proxy \"gate\": secret-file: FOLDER/short: has fewer than 16 bytes\n"
		"3: node \"n1\": outlets: \"p:1\": there is no pdu \"p\"\n"
		"3: node \"n1\": proxy: does not go with outlets; choose one\n"
		"3: node \"n1\": proxy: there is no proxy \"gates\"; did you mean \"gate\"?");
}

static void bad_host_key(const char *key)
{
	char text[1024];

	snprintf(text, sizeof(text),
		"proxy 'g' { address = '::1' user = 'u' key-file = '@/key' secret-file = '@/hmac'\n"
		"host-key = '%s' }\nnode 'n1' { proxy = 'g' }\n",
		key);
	bad(text,
		"2: proxy \"g\": host-key: is not whole: copy the line of the host's .pub file as "
		"it is");
}

static void test_host_keys(void **state)
{
	char key[] = ED25519;

	(void)state;
	bad_host_key("ssh-ed25519 ");
	bad_host_key("ssh-ed25519 AAAA");
	bad_host_key("ssh-ed25519 ****");
	key[strlen(key) - 1] = 0;
	bad_host_key(key);
	/* The type in front is not the type inside. */
	memcpy(strchr(key, ' ') + 1, "AAAAC3NzaC1kc3M1NTE5", 20);
	strcat(key, "M");
	bad_host_key(key);
}

static void bad_key(const char *content, const char *want)
{
	char line[256];

	confkit_file(&kit, "other", content, 0600);
	snprintf(line, sizeof(line), "1: proxy \"g\": key-file: FOLDER/other: %s", want);
	bad("proxy 'g' { address = '::1' user = 'u' key-file = '@/other' secret-file = '@/hmac'\n"
	    "host-key = '" ED25519 "' }\nnode 'n1' { proxy = 'g' }\n",
		line);
}

static void test_keys(void **state)
{
	(void)state;
	bad_key("ssh-ed25519 AAAA x@y\n", "is no private key");
	/* With a cipher, as ssh-keygen writes it: aes256-ctr. */
	bad_key("-----BEGIN OPENSSH PRIVATE KEY-----\n"
		"b3BlbnNzaC1rZXktdjEAAAAACmFlczI1Ni1jdHIAAAAGYmNyeXB0AAAAGAAAABBx\n",
		"has a passphrase, which nobody could type");
	bad_key("-----BEGIN EC PRIVATE KEY-----\nProc-Type: 4,ENCRYPTED\n",
		"has a passphrase, which nobody could type");
	bad_key("-----BEGIN RSA PRIVATE KEY-----\nMIIE\n", "must be of type ed25519 or ECDSA");
}

static void test_callers(void **state)
{
	(void)state;
	bad(PDUS NODE "caller 'x' { actions = {'off', 'shoot'} secret-file = '@/hmac' }\n",
		"4: caller \"x\": victims: must name a node\n"
		"4: caller \"x\": actions: \"shoot\": must be off, on, reboot or status");
	bad(PDUS NODE "caller 'x' { victims = {'n2'} secret-file = '@/open' rate = 0 }\n",
		"4: caller \"x\": rate: \"0\": must be a number from 1 to 64\n"
		"4: caller \"x\": secret-file: FOLDER/open: mode 0644: must be 0600 or 0400, for its "
		"owner alone\n"
		"4: caller \"x\": victims: there is no node \"n2\"");
	bad("proxy 'g' { address = '::1' user = 'u' key-file = '@/key' secret-file = '@/hmac'\n"
	    "host-key = '" ED25519 "' }\nnode 'n1' { proxy = 'g' }\n"
	    "caller 'x' { victims = 'n1' secret-file = '@/hmac' }\n",
		"4: caller \"x\": victims: node \"n1\" is reached by a proxy itself; give it outlets");
}

static void bad_family(const char *keys, const char *want)
{
	char text[1024];

	snprintf(text, sizeof(text), PDUS NODE "profile 'odd' { %s }\n", keys);
	bad(text, want);
}

#define WHOLE                                                                                      \
	"systems = '1.3.6.1.4.1.99999.1' state = '1.3.6.1.4.1.99999.{1}' state-on = 1"             \
	" on = '1.3.6.1.4.1.99999.1.{1}=1' off = '1.3.6.1.4.1.99999.1.{1}=2' "

static void test_families(void **state)
{
	(void)state;
	bad_family("",
		"4: profile \"odd\": state is missing\n4: profile \"odd\": state-on is missing\n"
		"4: profile \"odd\": state-off is missing\n4: profile \"odd\": on is missing\n"
		"4: profile \"odd\": off is missing\n4: profile \"odd\": systems is missing");
	bad_family("systems = '1.3.6.1.4.1.318.1' like = 'apc-rpdx'",
		"4: profile \"odd\": like: \"apc-rpdx\": there is no such built-in profile; did you "
		"mean \"apc-rpdu\"?");
	bad_family(
		WHOLE "state-off = 1", "4: profile \"odd\": state: the same value for on and off");
	bad_family(WHOLE "state-off = '2x'",
		"4: profile \"odd\": state-off: \"2x\": must be a number of 32 bits");
	bad_family(WHOLE "state-off = 2147483648",
		"4: profile \"odd\": state-off: \"2147483648\": must be a number of 32 bits");
	bad_family(WHOLE "state-off = 2 cancel = '1.3.6' idle = {'1.3=1|x', '=1', '1.3/-1', '1.3'}",
		"4: profile \"odd\": cancel: \"1.3.6\": must be \"OBJECT=NUMBER\"\n"
		"4: profile \"odd\": idle: more than 3 values");
}

static void bad_check(const char *check)
{
	char keys[512], want[512];

	snprintf(keys, sizeof(keys), WHOLE "state-off = 2 usable = '%s'", check);
	snprintf(want, sizeof(want),
		"4: profile \"odd\": usable: \"%s\": must be \"OBJECT=NUMBER\", "
		"\"OBJECT=NUMBER|NUMBER\" or \"OBJECT/BIT\"",
		check);
	bad_family(keys, want);
}

static void test_checks(void **state)
{
	(void)state;
	bad_check("1.3=1|x");
	bad_check("1.3=1|32");
	bad_check("1.3=1|");
	bad_check("1.3=");
	bad_check("=1");
	bad_check("1.3/-1");
	bad_check("1.3/1|2");
	bad_check("1.3");
	bad_check("1.3=1 if on");
	bad_check(" if off");
}

/* One fault of each kind of section, all told. */
static void test_all_at_once(void **state)
{
	(void)state;
	bad("stonith { ping = 'x' }\nprofile 'apc-rpdu' { like = 'apc-rpdu' systems = '1.3.6.1.4.1.9' }\n"
	    "pdu 'p' { address = 'x' profile = 'ibm-ipdu' version = '1' community-file = '@/gone' }\n"
	    "node 'n1' { outlets = 'q:1' }\nnod 'n2' { }\n",
		"5: nod: no such section; there are stonith { }, profile \"NAME\" { }, pdu \"NAME\" { }, "
		"proxy \"NAME\" { }, caller \"NAME\" { }, node \"NAME\" { }, include(\"FILE\")\n"
		"1: stonith: ping: \"x\": must be an IP address, not a name (no name server can be "
		"asked on the day of the shot)\n"
		"2: profile \"apc-rpdu\": there is a built-in profile of this name\n"
		"3: pdu \"p\": address: \"x\": must be an IP address, not a name (no name server can "
		"be asked on the day of the shot)\n"
		"3: pdu \"p\": community-file: FOLDER/gone: No such file or directory\n"
		"4: node \"n1\": outlets: \"q:1\": there is no pdu \"q\"");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_addresses),
		cmocka_unit_test(test_pdu),
		cmocka_unit_test(test_secrets),
		cmocka_unit_test(test_outlets),
		cmocka_unit_test(test_too_many),
		cmocka_unit_test(test_nodes),
		cmocka_unit_test(test_who),
		cmocka_unit_test(test_times),
		cmocka_unit_test(test_proxy),
		cmocka_unit_test(test_host_keys),
		cmocka_unit_test(test_keys),
		cmocka_unit_test(test_callers),
		cmocka_unit_test(test_families),
		cmocka_unit_test(test_checks),
		cmocka_unit_test(test_all_at_once),
	};

	return cmocka_run_group_tests(tests, set_up, tear_down);
}
