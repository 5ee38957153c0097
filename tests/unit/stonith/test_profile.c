/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Which profiles are refused, which keys, which systems; and how one outlet's answer is judged.
 * What the built-in ones say is in test_profiles.c.
 */
#include "profile.h"
#include "util.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

#define BASE "1.3.6.1.4.1.99999."

static struct profile good(void)
{
	return (struct profile){
		.name = "own",
		.systems = {BASE "1"},
		.key_parts = 2,
		.key_default = "1",
		.state = BASE "2.{1}.{2}",
		.state_on = 1,
		.state_off = 2,
		.off = {BASE "3.{1}.{2}", 2},
		.on = {BASE "3.{1}.{2}", 1},
		.cancel = {{BASE "3.{1}.{2}", 7}},
		.idle = {{BASE "4.{1}.{2}", 2}},
		.usable = {{BASE "5.{1}", 3, .bit = true}},
		.count = BASE "6.0",
	};
}

static void refused(const struct profile *p, const char *word)
{
	struct err err = {0};

	assert_int_equal(profile_check(p, &err), -EINVAL);
	if (!strstr(err.text, word))
		fail_msg("'%s' is not in: %s", word, err.text);
}

static void test_check(void **state)
{
	struct profile p = good();
	struct err err;

	(void)state;
	assert_int_equal(profile_check(&p, &err), 0);
	p.on.oid = BASE "8.{1}.{2}", p.on.value = 2; /* another object, the same value */
	assert_int_equal(profile_check(&p, &err), 0);
	p.key_default = NULL, p.count = NULL, p.cancel[0].oid = NULL;
	assert_int_equal(profile_check(&p, &err), 0);
}

static void test_check_names(void **state)
{
	struct profile p = good();

	(void)state;
	p.name = "";
	refused(&p, "name");
	p = good(), p.key_parts = 0;
	refused(&p, "key");
	p.key_parts = OID_KEY_MAX + 1;
	refused(&p, "key");
	p = good(), p.key_default = "1.1";
	refused(&p, "but its last");
	p.key_default = "x";
	refused(&p, "not a key");
}

static void test_check_systems(void **state)
{
	static const char *const bad[] = {"", "x", "1.3.6.1.4.1", "1.3.6.1.4.1.*", "1.3.*", "*",
		".*", BASE "*1", "1.3.6.1.4.1.99999.x"};
	struct profile p = good();

	(void)state;
	p.systems[0] = NULL;
	refused(&p, "sysObjectID");
	for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
		p.systems[0] = bad[i];
		refused(&p, "profile own");
	}
	p = good(), p.systems[1] = "1.3";
	refused(&p, "many makers");
}

/* An object without an outlet's number would be all outlets'. */
static void test_check_patterns(void **state)
{
	struct profile p = good();

	(void)state;
	p.state = NULL;
	refused(&p, "state: missing");
	p.state = BASE "2.{2}";
	refused(&p, "no place for each number");
	p.state = BASE "2.{1}.{2}.{3}";
	refused(&p, "more numbers");
	p.state = BASE "2.{1}.{2";
	refused(&p, "not a pattern");
	p = good(), p.off.oid = BASE "3.{2}.0";
	refused(&p, "no place for each number");
	p = good(), p.on.oid = NULL;
	refused(&p, "on: missing");
	p = good(), p.cancel[0].oid = BASE "3";
	refused(&p, "no place for each number");
	p = good(), p.watts = "x";
	refused(&p, "not a pattern");
	p = good(), p.count = BASE "6.{1}";
	refused(&p, "number of outlets");
}

static void test_check_values(void **state)
{
	struct profile p = good();

	(void)state;
	p.state_on = p.state_off;
	refused(&p, "same value");
	p = good(), p.on.value = p.off.value;
	refused(&p, "same object and value");
	p = good(), p.cancel[0].value = p.on.value;
	refused(&p, "switch the outlet");
	p = good(), p.cancel[0].value = p.off.value;
	refused(&p, "switch the outlet");
	p = good(), p.cancel[2] = p.cancel[0];
	refused(&p, "gap");
	p = good(), p.idle[2] = p.idle[0];
	refused(&p, "gap");
	p = good(), p.usable[0].value = 64;
	refused(&p, "0 to 63");
	p = good(), p.usable[0].value = -1;
	refused(&p, "0 to 63");
}

static bool has(const struct profile *p, const char *text)
{
	struct oid o;

	assert_true(oid_parse(text, &o));
	return profile_has_system(p, &o);
}

static void test_systems(void **state)
{
	struct profile p = good();

	(void)state;
	p.systems[1] = BASE "7.*";
	assert_true(has(&p, BASE "1"));
	assert_false(has(&p, BASE "1.0"));
	assert_false(has(&p, BASE "11"));
	assert_false(has(&p, "1.3.6.1.4.1.99999"));
	assert_true(has(&p, BASE "7"));
	assert_true(has(&p, BASE "7.3.2"));
	assert_false(has(&p, BASE "77"));
	assert_false(has(&p, "1.3.6.1.4.1.8072.3.2.10")); /* a Linux host */
}

static void check_key(const struct profile *p, const char *text, const char *expected)
{
	struct oid_key k;
	char out[OID_TEXT_MAX];
	struct err err;
	int r = profile_key(p, text, &k, &err);

	assert_int_equal(r, expected ? 0 : -EINVAL);
	if (!expected)
		return;
	oid_key_print(&k, out);
	assert_string_equal(out, expected);
}

static void test_key(void **state)
{
	struct profile p = good();

	(void)state;
	check_key(&p, "3", "1.3");
	check_key(&p, "2.3", "2.3");
	check_key(&p, "1.2.3", NULL);
	check_key(&p, "", NULL);
	check_key(&p, "node1", NULL);
	check_key(&p, "1,5", NULL);
	check_key(&p, "4294967297", NULL);
	p.key_default = NULL;
	check_key(&p, "3", NULL);
	p.off.oid = BASE "3.{1}.{2-1}";
	check_key(&p, "1.0", NULL);
	check_key(&p, "1.1", "1.1");
}

/* The answer of a good() outlet. */
static const struct profile_reading off_read[] = {
	{PROFILE_INTEGER, 2, {0}, 0},
	{PROFILE_INTEGER, 2, {0}, 0},
	{PROFILE_BITS, 0, {0x10}, 1},
};

static enum outlet_state judge(const struct profile_reading r[3], size_t count)
{
	struct profile p = good();
	int32_t value = 99;
	enum outlet_state s = profile_judge(&p, r, count, &value);

	assert_int_equal(value, count == 3 && r[0].kind == PROFILE_INTEGER ? r[0].value : 0);
	return s;
}

static void test_judge(void **state)
{
	struct profile_reading r[3];

	(void)state;
	memcpy(r, off_read, sizeof(r));
	assert_int_equal(judge(r, 3), OUTLET_OFF);
	assert_int_equal(judge(r, 2), OUTLET_FAULT);
	assert_int_equal(judge(r, 0), OUTLET_FAULT);
	r[0].value = 1;
	assert_int_equal(judge(r, 3), OUTLET_ON);
	r[1].value = 1;
	assert_int_equal(judge(r, 3), OUTLET_PENDING);
	r[0].value = 2;
	assert_int_equal(judge(r, 3), OUTLET_PENDING);
	r[1].value = 2, r[2].bits[0] = 0xef;
	assert_int_equal(judge(r, 3), OUTLET_UNUSABLE);
	r[2].bits[0] = 0x10, r[2].bits_len = 0;
	assert_int_equal(judge(r, 3), OUTLET_UNUSABLE);
	r[0].value = 4;
	assert_int_equal(judge(r, 3), OUTLET_ODD);
}

static void test_judge_kinds(void **state)
{
	static const enum outlet_state as_state[] = {
		[PROFILE_UNREAD] = OUTLET_FAULT,
		[PROFILE_INTEGER] = OUTLET_OFF,
		[PROFILE_BITS] = OUTLET_TYPE,
		[PROFILE_OTHER] = OUTLET_TYPE,
		[PROFILE_MISSING] = OUTLET_MISSING,
		[PROFILE_ERROR] = OUTLET_FAULT,
	};
	struct profile_reading r[3];

	(void)state;
	for (enum profile_kind kind = PROFILE_UNREAD; kind <= PROFILE_ERROR; kind++) {
		memcpy(r, off_read, sizeof(r));
		r[0].kind = kind;
		assert_int_equal(judge(r, 3), as_state[kind]);
		r[0].kind = PROFILE_INTEGER, r[1].kind = kind;
		assert_int_equal(
			judge(r, 3), kind == PROFILE_INTEGER ? OUTLET_OFF : OUTLET_PENDING);
		r[1].kind = PROFILE_INTEGER, r[2].kind = kind;
		assert_int_equal(judge(r, 3), kind == PROFILE_BITS ? OUTLET_OFF : OUTLET_UNUSABLE);
	}
}

/* An answer nobody has filled in. */
static void test_judge_nothing(void **state)
{
	static const struct profile_reading nothing[PROFILE_READS];
	struct profile p = good();
	int32_t value;

	(void)state;
	p.state_off = 0;
	assert_int_equal(profile_judge(&p, nothing, 3, &value), OUTLET_FAULT);
	for (size_t i = 0; i < profile_count; i++) {
		for (size_t n = 0; n <= PROFILE_READS; n++)
			assert_int_equal(
				profile_judge(&profile_table[i], nothing, n, &value), OUTLET_FAULT);
	}
}

static void test_among(void **state)
{
	struct profile p = good();
	struct profile_reading r[3];
	int32_t value;

	(void)state;
	memcpy(r, off_read, sizeof(r));
	p.idle[0].among = 1U << 0 | 1U << 31;
	p.idle[0].off_only = true;
	for (int32_t v = -40; v < 80; v++) {
		bool fine = v == 2 || v == 0 || v == 31;

		r[0].value = 2, r[1].value = v;
		assert_int_equal(
			profile_judge(&p, r, 3, &value), fine ? OUTLET_OFF : OUTLET_PENDING);
		r[0].value = 1;
		assert_int_equal(profile_judge(&p, r, 3, &value), OUTLET_ON);
	}
}

static void test_texts(void **state)
{
	(void)state;
	for (enum outlet_state s = OUTLET_UNKNOWN; s < OUTLET_STATES; s++)
		assert_true(strlen(profile_state_text(s)) > 1);
	assert_string_equal(profile_state_text(OUTLET_OFF), "off");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_check),
		cmocka_unit_test(test_check_names),
		cmocka_unit_test(test_check_systems),
		cmocka_unit_test(test_check_patterns),
		cmocka_unit_test(test_check_values),
		cmocka_unit_test(test_systems),
		cmocka_unit_test(test_key),
		cmocka_unit_test(test_judge),
		cmocka_unit_test(test_judge_kinds),
		cmocka_unit_test(test_judge_nothing),
		cmocka_unit_test(test_among),
		cmocka_unit_test(test_texts),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
