/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Public keys of SSH hosts as text, and their fingerprints. */
#include "ssh_key.h"
#include "util.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

#define ED25519 "AAAAC3NzaC1lZDI1NTE5AAAAIPy8inzG6SlBZ42s98XZ9w3IO1u0nJnQZo+5m8yv890F"
#define ECDSA256                                                                                   \
	"AAAAE2VjZHNhLXNoYTItbmlzdHAyNTYAAAAIbmlzdHAyNTYAAABBBGjekpHe94+7kVFTNVtzjg079nstDpOb"     \
	"7A2yTSrAWcYp4p6XB84OEPK4TH4LwKV7eO784SyUH1nEFVQvmciHCkw="
#define ECDSA521                                                                                   \
	"AAAAE2VjZHNhLXNoYTItbmlzdHA1MjEAAAAIbmlzdHA1MjEAAACFBAHEzdNaxQ9tQpzrxsd+8MIzHMyyqJnA"     \
	"cUlYpmmVyqoch8TgnfVbOpaSZQ8aIabG+PpHo7ytBaT3cRFAw9GXPqcyNgDeYycWMXSKc5LxiA9a56fsedvX"     \
	"CJBet6kNwHhHm5N+pv0HgJG5fz9Zi27+e2ovHulfo43Y4n1WXcR1vyQcnnPfxQ=="
#define PRINT_ED25519  "ssh-ed25519 SHA256:y7tz6WgO9AfochdT131E0OP+PGAeFfriy4A/vGk5k38"
#define PRINT_ECDSA256 "ecdsa-sha2-nistp256 SHA256:dxBn6Esn0BHWkYXq3AjghcpIRmIOThHdjvpqUtHPfR8"
#define PRINT_ECDSA521 "ecdsa-sha2-nistp521 SHA256:kA8QJoCShYN2MMrwciQYz7N7KEwxTSfrH5giQwc0vLU"

static void test_good(void **state)
{
	static const struct {
		const char *text, *print;
	} rows[] = {
		{"ssh-ed25519 " ED25519, PRINT_ED25519},
		{"ssh-ed25519 " ED25519 " root@gate", PRINT_ED25519},
		{"ssh-ed25519 \t" ED25519 "\tcomment", PRINT_ED25519},
		{"ecdsa-sha2-nistp256 " ECDSA256 " x y", PRINT_ECDSA256},
		{"ecdsa-sha2-nistp521 " ECDSA521, PRINT_ECDSA521},
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		char print[SSH_KEY_PRINT_MAX];
		struct ssh_key k;

		assert_int_equal(ssh_key_parse(rows[i].text, &k), 0);
		ssh_key_print(k.blob, k.len, print);
		assert_string_equal(print, rows[i].print);
		assert_ptr_equal(ssh_key_type(k.blob, k.len), k.type);
	}
}

static void test_bad(void **state)
{
	static const char *const rows[] = {
		"",
		" ",
		"ssh-ed25519",
		"ssh-ed25519 ",
		ED25519,
		" ssh-ed25519 " ED25519,
		"ssh-ed25518 " ED25519,
		"ssh-rsa " ED25519,
		"ssh-dss " ED25519,
		"ecdsa-sha2-nistp256 " ED25519,
		"ssh-ed25519 " ECDSA256,
		"ssh-ed25519 A",
		"ssh-ed25519 AAAA",
		"ssh-ed25519 AAAAAAAA",
		"ssh-ed25519 /////w==",
		"ssh-ed25519 ====",
		"ssh-ed25519 !" ED25519,
		"ssh-ed25519 " ED25519 "A",
		"ssh-ed25519 " ECDSA521 ECDSA521 ECDSA521,
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		struct ssh_key k = {.len = 77};

		assert_int_equal(ssh_key_parse(rows[i], &k), -EINVAL);
		assert_int_equal(k.len, 77);
	}
}

static void test_fault(void **state)
{
	static const char *const others[] = {
		"", "ssh-rsa AAAA", "ssh-ed25519", "ssh-ed25519x A", ED25519};
	static const char *const torn[] = {"ssh-ed25519 ", "ssh-ed25519 AAAA",
		"ecdsa-sha2-nistp521 " ED25519, "ssh-ed25519 !" ED25519};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(others); i++)
		assert_string_equal(ssh_key_fault(others[i]),
			"must begin with ssh-ed25519 or ecdsa-sha2-nistp256 (384, 521), a space, "
			"and the key in base64");
	for (size_t i = 0; i < ARRAY_LEN(torn); i++)
		assert_string_equal(ssh_key_fault(torn[i]),
			"is not whole: copy the line of the host's .pub file as it is");
}

/* Of no key at all something is printed as well. */
static void test_print_any(void **state)
{
	static const uint8_t lies[] = {0, 0, 0, 5, 'a', '\n', 0xff};
	char print[SSH_KEY_PRINT_MAX];

	(void)state;
	for (size_t len = 0; len <= sizeof(lies); len++) {
		ssh_key_print(lies, len, print);
		assert_non_null(strstr(print, " SHA256:"));
		assert_null(ssh_key_type(lies, len));
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_good),
		cmocka_unit_test(test_bad),
		cmocka_unit_test(test_fault),
		cmocka_unit_test(test_print_any),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
