/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The built-in profiles against what the makers say, written out a second time as plain identifiers
 * of one outlet; and every profile with every integer from -1 to 40 and every kind of reading, in
 * every object: off is what the maker calls off, and nothing else.
 */
#include "profile.h"
#include "util.h"

#include <inttypes.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

enum { LOWEST = -1, HIGHEST = 40 };

/* Integers an object beside the state must have, as bits: value v is bit v + 1. */
#define V(v) (UINT64_C(1) << ((v) + 1))
/* It is bits instead, and this one must be set. */
#define BIT(n) (UINT64_C(1) << 63 | (n))

struct beside {
	const char *oid;
	uint64_t good;
	bool off_only;
};

/* Identifiers are written without 1.3.6.1.4.1 in front; values as "OID=VALUE". */
struct expected {
	const char *name, *systems, *key, *state;
	int32_t on_reads, off_reads;
	const char *off, *on, *cancel;
	struct beside beside[PROFILE_READS];
};

static const struct expected table[] = {
	{"apc-rpdu", "318.1.3.4.5 318.1.3.4.6", "3", "318.1.1.12.3.5.1.1.4.3", 1, 2,
		"318.1.1.12.3.3.1.1.4.3=2", "318.1.1.12.3.3.1.1.4.3=1", "318.1.1.12.3.3.1.1.4.3=7",
		{{"318.1.1.12.3.5.1.1.5.3", V(2), false}}},
	{"apc-rpdu2", "318.1.3.4.6", "3", "318.1.1.26.9.2.3.1.5.3", 2, 1,
		"318.1.1.26.9.2.4.1.5.3=2", "318.1.1.26.9.2.4.1.5.3=1", "318.1.1.26.9.2.4.1.5.3=8",
		{{"318.1.1.26.9.2.3.1.6.3", V(2), false}}},
	{"apc-masterswitch", "318.1.3.4.1 318.1.3.4.2 318.1.3.4.3", "3", "318.1.1.4.4.2.1.3.3", 1,
		2, "318.1.1.4.4.2.1.3.3=2", "318.1.1.4.4.2.1.3.3=1", "",
		{{"318.1.1.4.4.2.1.2.3", V(2), false}}},
	{"apc-msp", "318.1.3.4.4", "2.3", "318.1.1.6.7.1.1.5.2.1.3", 1, 2,
		"318.1.1.6.5.1.1.5.2.1.3=3", "318.1.1.6.5.1.1.5.2.1.3=1",
		"318.1.1.6.5.1.1.5.2.1.3=8", {{0}}},
	{"apc-epdu", "318.1.3.4.9", "3", "318.1.1.30.6.1.1.4.3", 2, 1, "318.1.1.30.6.2.1.4.3=2",
		"318.1.1.30.6.2.1.4.3=1", "", {{0}}},
	{"dell-rpdu", "674.10903.200.2.200", "3", "674.10903.200.2.200.130.1.2.1.4.3", 1, 2,
		"674.10903.200.2.200.130.1.4.1.4.3=2", "674.10903.200.2.200.130.1.4.1.4.3=1", "",
		{{0}}},
	{"eaton-g3", "534.6.6.7", "0.3", "534.6.6.7.6.6.1.2.0.3", 1, 0, "534.6.6.7.6.6.1.3.0.3=0",
		"534.6.6.7.6.6.1.4.0.3=0",
		"534.6.6.7.6.6.1.3.0.3=-1 534.6.6.7.6.6.1.4.0.3=-1 534.6.6.7.6.6.1.5.0.3=-1",
		{{"534.6.6.7.6.6.1.4.0.3", V(-1), false}, {"534.6.6.7.6.6.1.5.0.3", V(-1), false},
			{"534.6.6.7.6.6.1.9.0.3", V(1), false},
			{"534.6.6.7.1.2.1.30.0", V(0), false}}},
	{"eaton-managed", "534.6.6.6", "3", "534.6.6.6.1.2.2.1.3.3", 1, 0,
		"534.6.6.6.1.2.2.1.3.3=0", "534.6.6.6.1.2.2.1.3.3=1", "", {{0}}},
	{"pulizzi-ipv", "20677.1", "3", "20677.2.6.3.3.0", 1, 2, "20677.2.6.2.4.0=2",
		"20677.2.6.2.4.0=1", "", {{0}}},
	{"raritan-px2", "13742.6", "1.3", "13742.6.4.1.2.1.3.1.3", 7, 8, "13742.6.4.1.2.1.2.1.3=0",
		"13742.6.4.1.2.1.2.1.3=1", "", {{"13742.6.3.5.3.1.28.1.3", V(1), false}}},
	{"raritan-px1", "13742.4 13742.1", "3", "13742.4.1.2.2.1.3.3", 1, 0,
		"13742.4.1.2.2.1.3.3=0", "13742.4.1.2.2.1.3.3=1", "", {{0}}},
	{"sentry3", "1718.3", "1.2.8", "1718.3.2.3.1.5.1.2.8", 1, 0, "1718.3.2.3.1.11.1.2.8=2",
		"1718.3.2.3.1.11.1.2.8=1", "",
		{{"1718.3.2.3.1.10.1.2.8", V(0) | V(4) | V(6), true},
			{"1718.3.2.3.1.4.1.2.8", BIT(2), false}}},
	{"sentry4", "1718.4", "1.2.8", "1718.4.1.8.3.1.1.1.2.8", 1, 2, "1718.4.1.8.5.1.2.1.2.8=2",
		"1718.4.1.8.5.1.2.1.2.8=1", "",
		{{"1718.4.1.8.3.1.2.1.2.8",
			V(0) | V(14) | V(15) | V(16) | V(17) | V(18) | V(19) | V(20), false}}},
	{"cyberpower-epdu", "3808.1.1.3", "3", "3808.1.1.3.3.5.1.1.4.3", 1, 2,
		"3808.1.1.3.3.3.1.1.4.3=2", "3808.1.1.3.3.3.1.1.4.3=1", "3808.1.1.3.3.3.1.1.4.3=7",
		{{"3808.1.1.3.3.5.1.1.5.3", V(2), false}}},
	{"cyberpower-epdu2", "3808.1.1.6", "3", "3808.1.1.6.6.1.4.1.5.3", 1, 2,
		"3808.1.1.6.6.1.5.1.5.3=2", "3808.1.1.6.6.1.5.1.5.3=1", "3808.1.1.6.6.1.5.1.5.3=7",
		{{"3808.1.1.6.6.1.4.1.6.3", V(2), false}}},
	{"vertiv-geist", "21239.5", "3", "21239.5.2.3.5.1.4.3", 1, 2, "21239.5.2.3.5.1.6.3=4",
		"21239.5.2.3.5.1.6.3=2", "21239.5.2.3.5.1.6.3=1", {{0}}},
	{"liebert-mph", "476.1.42", "1.2.8", "476.1.42.3.8.50.20.1.95.1.2.8", 2, 1,
		"476.1.42.3.8.50.20.1.100.1.2.8=0", "476.1.42.3.8.50.20.1.100.1.2.8=1", "", {{0}}},
	{"tripplite", "850.10", "3", "850.10.2.3.5.1.2.1.3", 2, 1, "850.10.2.3.5.1.4.1.3=1",
		"850.10.2.3.5.1.4.1.3=2", "", {{0}}},
	{"tripplite-lx", "850.1.1", "3", "850.1.1.3.2.3.3.1.1.4.1.3", 2, 1,
		"850.1.1.3.2.3.3.1.1.6.1.3=1", "850.1.1.3.2.3.3.1.1.6.1.3=2", "", {{0}}},
	{"ibm-ipdu", "2.6.223", "3", "2.6.223.8.2.2.1.11.3", 1, 0, "2.6.223.8.2.2.1.11.3=0",
		"2.6.223.8.2.2.1.11.3=1", "", {{0}}},
};

static const struct profile *begin(const struct expected *e, struct oid_key *k)
{
	const struct profile *p = profile_find(e->name);
	struct err err;

	if (!p)
		fail_msg("no profile %s", e->name);
	assert_int_equal(profile_key(p, e->key, k, &err), 0);
	return p;
}

static struct oid oid_of(const char *text)
{
	char whole[OID_TEXT_MAX];
	struct oid o;

	snprintf(whole, sizeof(whole), "1.3.6.1.4.1.%s", text);
	assert_true(oid_parse(whole, &o));
	return o;
}

static void check_oid(const struct oid *o, const char *text)
{
	struct oid expected = oid_of(text);
	char is[OID_TEXT_MAX];

	oid_print(o, is);
	if (!oid_equal(o, &expected))
		fail_msg("%s instead of %s", is, text);
}

static void check_value(const struct oid *o, int32_t value, const char *expected)
{
	char text[OID_TEXT_MAX], both[OID_TEXT_MAX + 16];

	oid_print(o, text);
	snprintf(both, sizeof(both), "%s=%" PRId32, text + strlen("1.3.6.1.4.1."), value);
	assert_string_equal(both, expected);
}

static void check_cancels(const struct profile *p, const struct oid_key *k, const char *expected)
{
	struct oid oids[PROFILE_CANCELS];
	int32_t values[PROFILE_CANCELS];
	char list[512], *at = NULL;
	size_t count = profile_cancels(p, k, oids, values), n = 0;

	snprintf(list, sizeof(list), "%s", expected);
	for (char *one = strtok_r(list, " ", &at); one; one = strtok_r(NULL, " ", &at)) {
		assert_true(n < count);
		check_value(&oids[n], values[n], one);
		n++;
	}
	assert_int_equal(n, count);
	assert_int_equal(profile_has_cancel(p), count > 0);
}

static void check_reads(const struct profile *p, const struct oid_key *k, const struct expected *e)
{
	struct oid oids[PROFILE_READS];
	size_t n = profile_reads(p, k, oids);

	check_oid(&oids[0], e->state);
	for (size_t i = 1; i < n; i++) {
		assert_non_null(e->beside[i - 1].oid);
		check_oid(&oids[i], e->beside[i - 1].oid);
	}
	assert_null(e->beside[n - 1].oid);
}

static void test_objects(void **state)
{
	(void)state;
	assert_int_equal(ARRAY_LEN(table), profile_count);
	for (size_t i = 0; i < ARRAY_LEN(table); i++) {
		struct oid_key k;
		const struct profile *p = begin(&table[i], &k);
		struct oid o;
		int32_t value;

		check_reads(p, &k, &table[i]);
		assert_true(profile_switch(p, &k, false, &o, &value));
		check_value(&o, value, table[i].off);
		assert_true(profile_switch(p, &k, true, &o, &value));
		check_value(&o, value, table[i].on);
		check_cancels(p, &k, table[i].cancel);
	}
}

static void test_whole(void **state)
{
	struct err err;

	(void)state;
	for (size_t i = 0; i < profile_count; i++) {
		if (profile_check(&profile_table[i], &err) < 0)
			fail_msg("%s", err.text);
		assert_ptr_equal(profile_find(profile_table[i].name), &profile_table[i]);
		assert_true(strlen(profile_table[i].about) > 5);
	}
	assert_null(profile_find("apc"));
	assert_null(profile_find(""));
}

static void check_systems(const struct profile *p, const struct expected *own)
{
	char list[256], *at = NULL;

	snprintf(list, sizeof(list), "%s", own->systems);
	for (char *one = strtok_r(list, " ", &at); one; one = strtok_r(NULL, " ", &at)) {
		struct oid o = oid_of(one);

		assert_true(profile_has_system(p, &o));
	}
}

/* A PDU of another maker is refused; and of another family, where families can be told apart. */
static void test_systems(void **state)
{
	static const char *const nobody[] = {
		"318", "318.1.3.4.7", "318.1.3.27", "8072.3.2.10", "9.1.1"};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(table); i++) {
		const struct profile *p = profile_find(table[i].name);

		check_systems(p, &table[i]);
		for (size_t n = 0; n < ARRAY_LEN(nobody); n++) {
			struct oid o = oid_of(nobody[n]);

			assert_false(profile_has_system(p, &o));
		}
		for (size_t n = 0; n < ARRAY_LEN(table); n++) {
			char first[64];
			struct oid o;

			snprintf(first, sizeof(first), "%.*s", (int)strcspn(table[n].systems, " "),
				table[n].systems);
			o = oid_of(first);
			/* Makers differ in their first number. */
			if (strtoul(first, NULL, 10) != strtoul(table[i].systems, NULL, 10))
				assert_false(profile_has_system(p, &o));
		}
	}
}

/* Exhaustive judging. */

static bool is_good(const struct beside *b, const struct profile_reading *r)
{
	if (b->good >> 63)
		return r->kind == PROFILE_BITS && r->bits_len > 0 &&
			(r->bits[0] >> (7 - (b->good & 7)) & 1);
	if (r->kind != PROFILE_INTEGER || r->value < LOWEST || r->value > HIGHEST)
		return false;
	return (b->good >> (r->value + 1) & 1) != 0;
}

static size_t all_good(const struct expected *e, struct profile_reading r[PROFILE_READS])
{
	size_t n = 1;

	memset(r, 0, PROFILE_READS * sizeof(*r));
	r[0].kind = PROFILE_INTEGER;
	r[0].value = e->off_reads;
	for (; e->beside[n - 1].oid; n++) {
		const struct beside *b = &e->beside[n - 1];

		r[n].kind = b->good >> 63 ? PROFILE_BITS : PROFILE_INTEGER;
		r[n].bits[0] = 0xff;
		r[n].bits_len = 1;
		while (r[n].kind == PROFILE_INTEGER && !is_good(b, &r[n]))
			r[n].value = r[n].value == 0 ? LOWEST : MAX_OF(r[n].value, 0) + 1;
	}
	return n;
}

static void check_judged(const struct expected *e, const struct profile_reading *r, size_t n)
{
	bool integer = r[0].kind == PROFILE_INTEGER;
	bool off = integer && r[0].value == e->off_reads;
	bool on = integer && r[0].value == e->on_reads;
	enum outlet_state is;
	int32_t value;

	for (size_t i = 1; i < n; i++) {
		if (e->beside[i - 1].off_only && !off)
			continue;
		off = off && is_good(&e->beside[i - 1], &r[i]);
		on = on && is_good(&e->beside[i - 1], &r[i]);
	}
	is = profile_judge(profile_find(e->name), r, n, &value);
	if ((is == OUTLET_OFF) != off || (is == OUTLET_ON) != on)
		fail_msg("%s: kind %d, value %d: %s", e->name, (int)r[0].kind, (int)r[0].value,
			profile_state_text(is));
}

/* Every integer and every kind in object AT; the state being off or on, the others good. */
static void vary(const struct expected *e, size_t at, int32_t state)
{
	struct profile_reading r[PROFILE_READS];
	size_t n = all_good(e, r);

	r[0].value = state;
	check_judged(e, r, n);
	r[at].kind = PROFILE_INTEGER;
	for (int32_t v = LOWEST; v <= HIGHEST; v++) {
		r[at].value = v;
		check_judged(e, r, n);
	}
	for (enum profile_kind kind = PROFILE_UNREAD; kind <= PROFILE_ERROR; kind++) {
		if (kind == PROFILE_INTEGER)
			continue;
		for (unsigned bits = 0; bits < 256; bits++) {
			r[at].kind = kind;
			r[at].value = (int32_t)bits - 1;
			r[at].bits[0] = (uint8_t)bits;
			check_judged(e, r, n);
		}
	}
}

static void test_every_value(void **state)
{
	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(table); i++) {
		const struct expected *e = &table[i];

		for (size_t at = 0; at == 0 || e->beside[at - 1].oid; at++) {
			vary(e, at, e->off_reads);
			vary(e, at, e->on_reads);
		}
	}
}

/* The kind alone: a state that is missing while the rest of the answer is fine. */
static void test_exceptions(void **state)
{
	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(table); i++) {
		struct profile_reading r[PROFILE_READS];
		size_t n = all_good(&table[i], r);
		const struct profile *p = profile_find(table[i].name);
		int32_t value;

		assert_int_equal(profile_judge(p, r, n, &value), OUTLET_OFF);
		assert_int_equal(value, table[i].off_reads);
		r[0].kind = PROFILE_MISSING;
		assert_int_equal(profile_judge(p, r, n, &value), OUTLET_MISSING);
		r[0].kind = PROFILE_BITS;
		assert_int_equal(profile_judge(p, r, n, &value), OUTLET_TYPE);
		r[0].kind = PROFILE_OTHER;
		assert_int_equal(profile_judge(p, r, n, &value), OUTLET_TYPE);
		r[0].kind = PROFILE_ERROR;
		assert_int_equal(profile_judge(p, r, n, &value), OUTLET_FAULT);
		r[0].kind = PROFILE_INTEGER;
		assert_int_equal(profile_judge(p, r, n - 1, &value), OUTLET_FAULT);
	}
}

/* No two outlets share an object that is set or that says the state. */
static void test_outlets_apart(void **state)
{
	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(table); i++) {
		struct oid_key a, b;
		const struct profile *p = begin(&table[i], &a);

		begin(&table[i], &b);
		for (uint32_t n = 0; n < 300; n++) {
			struct oid x[PROFILE_READS], y[PROFILE_READS], s, t;
			int32_t value;

			b.part[b.count - 1] = n;
			if (oid_key_equal(&a, &b))
				continue;
			profile_reads(p, &a, x);
			profile_reads(p, &b, y);
			assert_false(oid_equal(&x[0], &y[0]));
			profile_switch(p, &a, false, &s, &value);
			profile_switch(p, &b, false, &t, &value);
			assert_false(oid_equal(&s, &t));
		}
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_objects),
		cmocka_unit_test(test_whole),
		cmocka_unit_test(test_systems),
		cmocka_unit_test(test_every_value),
		cmocka_unit_test(test_exceptions),
		cmocka_unit_test(test_outlets_apart),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
