/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Who sshd says is there, and with which key. */
#include "proxy_origin.h"
#include "util.h"

#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

#define ED25519 "AAAAC3NzaC1lZDI1NTE5AAAAIPy8inzG6SlBZ42s98XZ9w3IO1u0nJnQZo+5m8yv890F"
#define ECDSA256                                                                                   \
	"AAAAE2VjZHNhLXNoYTItbmlzdHAyNTYAAAAIbmlzdHAyNTYAAABBBGjekpHe94+7kVFTNVtzjg079nstDpOb"     \
	"7A2yTSrAWcYp4p6XB84OEPK4TH4LwKV7eO784SyUH1nEFVQvmciHCkw="
#define PRINT_ED25519  "ssh-ed25519 SHA256:y7tz6WgO9AfochdT131E0OP+PGAeFfriy4A/vGk5k38"
#define PRINT_ECDSA256 "ecdsa-sha2-nistp256 SHA256:dxBn6Esn0BHWkYXq3AjghcpIRmIOThHdjvpqUtHPfR8"

static void test_origin(void **state)
{
	static const struct {
		const char *connection, *auth, *address, *key;
	} rows[] = {
		{NULL, NULL, "?", ""},
		{"", "", "?", ""},
		{"192.0.2.7 40000 192.0.2.1 22", NULL, "192.0.2.7", ""},
		{"fd77::1 40000 fd77::2 22", NULL, "fd77::1", ""},
		{"gate 40000 192.0.2.1 22", NULL, "?", ""},
		{"192.0.2.7\n 1 2 3", NULL, "?", ""},
		{"1111111111111111111111111111111111111111111111111111111 1 2 3", NULL, "?", ""},
		{NULL, "publickey ssh-ed25519 " ED25519 "\n", "?", PRINT_ED25519},
		{NULL, "password\npublickey ssh-ed25519 " ED25519 "\n", "?", PRINT_ED25519},
		{NULL, "publickey ssh-ed25519 " ED25519 "\npublickey ecdsa-sha2-nistp256 " ECDSA256,
			"?", PRINT_ECDSA256},
		{NULL, "publickey ssh-ed25519 x\n\n\npublickey", "?", ""},
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		struct proxy_origin o;

		proxy_origin_parse(&o, rows[i].connection, rows[i].auth);
		assert_string_equal(o.address, rows[i].address);
		assert_string_equal(o.key, rows[i].key);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_origin),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
