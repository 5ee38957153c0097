/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Reserved ports: each once, none of a service, none that the administrator has listed. */
#include "reserved.h"
#include "temp.h"
#include "util.h"

#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

static struct temp temp;

static int set_up(void **state)
{
	(void)state;
	temp_init(&temp);
	return 0;
}

static int tear_down(void **state)
{
	(void)state;
	temp_done(&temp);
	return 0;
}

static unsigned collect(const struct reserved *r, bool seen[RESERVED_LAST + 1])
{
	unsigned n = 0;

	memset(seen, 0, RESERVED_LAST + 1);
	for (uint32_t i = 0; i < RESERVED_COUNT; i++) {
		uint16_t port = reserved_port(r, i);

		if (!port)
			continue;
		assert_in_range(port, RESERVED_FIRST, RESERVED_LAST);
		assert_false(seen[port]);
		seen[port] = true;
		n++;
	}
	return n;
}

static void test_all_ports(void **state)
{
	bool seen[RESERVED_LAST + 1], again[RESERVED_LAST + 1];
	struct reserved r;
	unsigned n;

	(void)state;
	reserved_init(&r, "/nonexistent", 0);
	n = collect(&r, seen);
	assert_true(n > 300);
	reserved_init(&r, "/nonexistent", 4000000000); /* from elsewhere, the same ones */
	assert_int_equal(collect(&r, again), n);
	assert_memory_equal(seen, again, sizeof(seen));
}

static void test_listed(void **state)
{
	const char *path = temp_file(&temp, "list",
		"# ports\n\n700 # ours\n  701\n599\n1024\n99999999999999999999\nx\n1023\n702");
	bool seen[RESERVED_LAST + 1];
	struct reserved r;

	(void)state;
	reserved_init(&r, path, 100);
	collect(&r, seen);
	assert_false(seen[700] || seen[701] || seen[702] || seen[1023]);
	assert_true(seen[703]);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_all_ports, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_listed, set_up, tear_down),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
