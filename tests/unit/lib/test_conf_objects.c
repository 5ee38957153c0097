/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Sections of a kind as named objects: names, what is missing, addresses, faults at the end. */
#include "conf_objects.h"

#include "conftext.h"
#include "util.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

enum { NAME_MAX_BYTES = 8 };

struct host {
	const char *address;
};

static const struct key keys[] = {
	{.name = "address",
		.type = KEY_TEXT,
		.offset = offsetof(struct host, address),
		.where = 1,
		.min = 1,
		.max = 100},
};
static const struct key_set set = {keys, ARRAY_LEN(keys)};
static const struct conf_kind kinds[] = {{"host", true, &set, 1}, {"disk", true, &set, 1}};

static struct temp temp;
static struct conf conf;
static char faults[4096];

static int set_up(void **state)
{
	(void)state;
	temp_init(&temp);
	return 0;
}

static int tear_down(void **state)
{
	(void)state;
	conf_done(&conf);
	temp_done(&temp);
	return 0;
}

static void read_text(const char *text)
{
	conf_done(&conf);
	assert_int_equal(conf_read(conftext_write(&temp, "f", text), kinds, 2, &conf), 0);
}

/* All names of hosts, each with a space behind it. */
static const char *names(void)
{
	static char ret[256];
	size_t at = 0, len = 0;
	char *name;

	*ret = 0;
	while (conf_next_named(&conf, &kinds[0], NAME_MAX_BYTES, &at, &name)) {
		len += (size_t)snprintf(ret + len, sizeof(ret) - len, "%s ", name);
		assert_true(len < sizeof(ret));
		free(name);
	}
	return ret;
}

static void check_faults(const char *want)
{
	conftext_faults(&temp, &conf, faults, sizeof(faults));
	assert_string_equal(faults, want);
}

static void test_next(void **state)
{
	size_t at = 0;

	(void)state;
	read_text("host a { }\ndisk b { }\nhost c { }\n");
	assert_ptr_equal(conf_next(&conf, &kinds[0], &at), &conf.sections[0]);
	assert_ptr_equal(conf_next(&conf, &kinds[0], &at), &conf.sections[2]);
	assert_null(conf_next(&conf, &kinds[0], &at));
	assert_null(conf_next(&conf, &kinds[0], &at));
	at = 0;
	assert_string_equal(conf_next(&conf, &kinds[1], &at)->title, "b");
	assert_null(conf_next(&conf, &kinds[1], &at));
}

static void test_names(void **state)
{
	(void)state;
	read_text("host 'a.b_c-1' { }\nhost 12345678 { }\ndisk '/' { }\ndisk A { }\nhost a { }\n");
	assert_string_equal(names(), "a.b_c-1 12345678 a ");
	check_faults("");
}

static void test_bad_names(void **state)
{
	static const char rule[] = "a name consists of letters, digits, '.', '_' and '-', and "
				   "begins with a letter or digit";
	char want[1024];

	(void)state;
	read_text("host '' { }\nhost 123456789 { }\nhost 'a/b' { }\nhost '.a' { }\nhost Ab { }\n"
		  "host aB { }\n");
	assert_string_equal(names(), " 123456789 a/b .a Ab aB ");
	snprintf(want, sizeof(want),
		"f:1: host \"\": the name must not be empty\n"
		"f:2: host \"123456789\": the name has more than 8 characters\n"
		"f:3: host \"a/b\": %s\n"
		"f:4: host \".a\": %s\n"
		"f:6: host \"aB\": is called like \"Ab\" at FOLDER/f:5 but for its case\n",
		rule, rule);
	check_faults(want);
}

static void test_require(void **state)
{
	(void)state;
	read_text("host a { }\nhost b {\naddress = x }\n");
	assert_false(conf_require(&conf, &conf.sections[0], "address", NULL, NULL));
	assert_false(conf_require(&conf, &conf.sections[0], "address", NULL, "it is far"));
	assert_true(conf_require(&conf, &conf.sections[1], "address", "x", NULL));
	/* Given, and refused for another reason; or something else was wrong. */
	assert_false(conf_require(&conf, &conf.sections[1], "address", NULL, NULL));
	conf.sections[0].torn = true;
	assert_false(conf_require(&conf, &conf.sections[0], "address", NULL, NULL));
	check_faults("f:1: host \"a\": address is missing\n"
		     "f:1: host \"a\": address is missing: it is far\n");
}

static void test_address(void **state)
{
	static const char *const good[] = {NULL, "192.0.2.1", "2001:db8::1", "::ffff:192.0.2.1"};
	struct conf_section *s;

	(void)state;
	read_text("host a {\naddress = x }\n");
	s = &conf.sections[0];
	for (size_t i = 0; i < ARRAY_LEN(good); i++)
		assert_true(conf_check_address(&conf, s, "address", good[i], NULL));
	assert_false(conf_check_address(&conf, s, "address", "peer", NULL));
	assert_false(conf_check_address(&conf, s, "address", "peer", "it may be down"));
	assert_false(conf_check_address(&conf, s, "address", "192.0.2.256", "it may be down"));
	check_faults("f:2: host \"a\": address: \"peer\": must be an IP address, not a name\n"
		     "f:2: host \"a\": address: \"peer\": must be an IP address, not a name (it "
		     "may be down)\n"
		     "f:2: host \"a\": address: \"192.0.2.256\": is no IPv4 or IPv6 address\n");
}

static void test_fill_in(void **state)
{
	const char *empty = NULL, *full = "there";

	(void)state;
	assert_true(conf_fill_in(&conf, "f", &full, "x"));
	assert_string_equal(full, "there");
	assert_true(conf_fill_in(&conf, "f", &empty, "x"));
	assert_string_equal(empty, "x");
	free((char *)(uintptr_t)empty);
}

static void test_this_host(void **state)
{
	char host[256] = "", name[300];
	size_t label;

	(void)state;
	assert_int_equal(gethostname(host, sizeof(host) - 1), 0);
	label = strcspn(host, ".");
	assert_true(conf_is_this_host(host));
	snprintf(name, sizeof(name), "%.*s", (int)label, host);
	assert_true(conf_is_this_host(name));
	assert_false(conf_is_this_host(""));
	snprintf(name, sizeof(name), "%sx", host);
	assert_false(conf_is_this_host(name));
	snprintf(name, sizeof(name), "%.*s", (int)label - 1, host);
	assert_false(conf_is_this_host(name));
}

static void test_end(void **state)
{
	char fault[32] = "as it was";

	(void)state;
	conf_end(&conf, 0, fault, sizeof(fault));
	assert_string_equal(fault, "as it was");
	conf_end(&conf, -ENOMEM, fault, sizeof(fault));
	assert_string_equal(fault, strerror(ENOMEM));
	read_text("host a { }\n");
	conf_fault_at(&conf, "f", 3, "first");
	conf_fault_at(&conf, "f", 4, "second");
	conf_end(&conf, -EINVAL, fault, sizeof(fault));
	assert_string_equal(fault, "f:3: first");
	assert_int_equal(conf.count, 0);
	assert_int_equal(conf.fault_count, 0);
}

#define T(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		T(test_next),
		T(test_names),
		T(test_bad_names),
		T(test_require),
		T(test_address),
		T(test_fill_in),
		T(test_this_host),
		T(test_end),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
