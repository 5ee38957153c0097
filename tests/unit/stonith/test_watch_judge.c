/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What is found in what an audit saw: each kind with each fault and each state. */
#include "util.h"
#include "watch_judge.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

enum { U = WATCH_UNKNOWN, N = WATCH_NO, Y = WATCH_YES };

static char pdu_name[] = "left";
static struct config_pdu pdu = {.name = pdu_name, .address = "192.0.2.1"};
static const struct config_outlet outlet = {.pdu = &pdu, .text = "left:1"};
static const struct config_outlet named = {.pdu = &pdu, .text = "left:2", .name = "psu A"};

static void use_profile(const char *name)
{
	pdu.profile = profile_find(name);
	assert_non_null(pdu.profile);
}

static void test_pdu(void **state)
{
	static const int want[FENCE_FAULTS][3] = {/* lost, login, system */
		[FENCE_NO_FAULT] = {N, N, N},
		[FENCE_SILENT] = {Y, U, U},
		[FENCE_UNREACHABLE] = {Y, U, U},
		[FENCE_AUTH] = {N, Y, U},
		[FENCE_READ_ONLY] = {Y, U, U},
		[FENCE_REFUSED] = {Y, U, U},
		[FENCE_BROKEN] = {Y, U, U},
		[FENCE_WRONG_SYSTEM] = {N, U, Y}};
	char text[WATCH_FIND_TEXT_MAX];

	(void)state;
	use_profile("apc-rpdu");
	for (enum fence_fault f = FENCE_NO_FAULT; f < FENCE_FAULTS; f++) {
		const struct watch_judge_pdu p = {.config = &pdu, .fault = f, .why = "because"};

		for (int k = 0; k < 3; k++) {
			enum watch_find_kind kind = (enum watch_find_kind)(WATCH_LOST + k);

			assert_int_equal((int)watch_judge_pdu(kind, &p, text), want[f][k]);
			if (want[f][k] == Y)
				assert_non_null(strstr(text, "PDU left (192.0.2.1): "));
		}
	}
	assert_int_equal((int)watch_judge_pdu(WATCH_LOST,
				 &(struct watch_judge_pdu){
					 .config = &pdu, .fault = FENCE_SILENT, .why = "no answer"},
				 text),
		Y);
	assert_string_equal(
		text, "PDU left (192.0.2.1): no answer: a shot that needs it would fail");
}

static void test_read_only(void **state)
{
	struct watch_judge_pdu p = {.config = &pdu};
	char text[WATCH_FIND_TEXT_MAX];

	(void)state;
	use_profile("apc-rpdu");
	assert_int_equal(watch_judge_pdu(WATCH_READ_ONLY, &p, text), WATCH_UNKNOWN);
	p.writes = true;
	assert_int_equal(watch_judge_pdu(WATCH_READ_ONLY, &p, text), WATCH_NO);
	p.read_only = true; /* of one outlet, not of the other */
	assert_int_equal(watch_judge_pdu(WATCH_READ_ONLY, &p, text), WATCH_YES);
	/* Nothing can be tried there. */
	use_profile("dell-rpdu");
	assert_false(profile_has_cancel(pdu.profile));
	assert_int_equal(
		watch_judge_pdu(WATCH_READ_ONLY, &(struct watch_judge_pdu){.config = &pdu}, text),
		WATCH_NO);
}

static void test_states(void **state)
{
	static const int want[OUTLET_STATES][2] = {/* unreadable, pending */
		[OUTLET_UNKNOWN] = {U, U},
		[OUTLET_OFF] = {N, N},
		[OUTLET_ON] = {N, N},
		[OUTLET_PENDING] = {N, Y},
		[OUTLET_ODD] = {Y, U},
		[OUTLET_TYPE] = {Y, U},
		[OUTLET_MISSING] = {Y, U},
		[OUTLET_UNUSABLE] = {Y, U},
		[OUTLET_FAULT] = {Y, U}};
	char text[WATCH_FIND_TEXT_MAX];

	(void)state;
	for (enum outlet_state s = OUTLET_UNKNOWN; s < OUTLET_STATES; s++) {
		struct watch_judge_outlet o = {.config = &outlet, .tested = true, .state = s};

		for (int k = 0; k < 2; k++) {
			enum watch_find_kind kind = (enum watch_find_kind)(WATCH_UNREADABLE + k);

			o.tested = true;
			assert_int_equal(
				(int)watch_judge_outlet(kind, &o, 1, 0, "n1", text), want[s][k]);
			o.tested = false;
			assert_int_equal(
				watch_judge_outlet(kind, &o, 1, 0, "n1", text), WATCH_UNKNOWN);
		}
	}
}

static void test_refuses(void **state)
{
	char text[WATCH_FIND_TEXT_MAX];

	(void)state;
	for (enum fence_fault f = FENCE_NO_FAULT; f < FENCE_FAULTS; f++) {
		const struct watch_judge_outlet o = {
			.config = &outlet, .tested = true, .state = OUTLET_ON, .fault = f};
		bool fine = f == FENCE_NO_FAULT || f == FENCE_READ_ONLY;

		assert_int_equal(watch_judge_outlet(WATCH_REFUSES, &o, 1, 0, "n1", text),
			fine ? WATCH_NO : WATCH_YES);
	}
}

/* The first of two outlets, by what both are. */
static void test_off(void **state)
{
	static const struct {
		enum outlet_state mine, other;
		bool other_tested;
		int own, peer;
	} rows[] = {
		{OUTLET_ON, OUTLET_ON, true, N, N},
		{OUTLET_ON, OUTLET_OFF, true, N, N},
		{OUTLET_ON, OUTLET_ON, false, N, N},
		{OUTLET_OFF, OUTLET_ON, true, Y, Y},
		{OUTLET_OFF, OUTLET_OFF, true, Y, N},
		{OUTLET_OFF, OUTLET_PENDING, true, Y, U},
		{OUTLET_OFF, OUTLET_ODD, true, Y, U},
		{OUTLET_OFF, OUTLET_ON, false, Y, U},
		{OUTLET_PENDING, OUTLET_ON, true, U, U},
		{OUTLET_ODD, OUTLET_ON, true, U, U},
		{OUTLET_UNKNOWN, OUTLET_ON, true, U, U},
	};
	char text[WATCH_FIND_TEXT_MAX];

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		for (int own = 0; own < 2; own++) {
			const struct watch_judge_outlet o[] = {
				{.config = &outlet,
					.tested = true,
					.state = rows[i].mine,
					.own = own},
				{.config = &named,
					.tested = rows[i].other_tested,
					.state = rows[i].other,
					.own = own},
			};

			assert_int_equal((int)watch_judge_outlet(WATCH_OFF, o, 2, 0, "n1", text),
				own ? rows[i].own : rows[i].peer);
		}
	}
	/* The only one: of a peer it is off, of ours somebody else's. */
	assert_int_equal(watch_judge_outlet(WATCH_OFF,
				 &(struct watch_judge_outlet){.config = &outlet,
					 .tested = true,
					 .state = OUTLET_OFF,
					 .own = true},
				 1, 0, "n1", text),
		WATCH_YES);
	assert_non_null(strstr(text, "they are not its outlets"));
}

static enum watch_find_verdict judge_name(
	const struct config_outlet *c, const char *name, char *text)
{
	struct watch_judge_outlet o = {.config = c, .has_name = name};

	if (name)
		snprintf(o.name, sizeof(o.name), "%s", name);
	return watch_judge_outlet(WATCH_NAME, &o, 1, 0, "n1", text);
}

static void test_names(void **state)
{
	char text[WATCH_FIND_TEXT_MAX];

	(void)state;
	use_profile("apc-rpdu");
	assert_int_equal(judge_name(&outlet, "anything", text), WATCH_NO);
	assert_int_equal(judge_name(&named, NULL, text), WATCH_UNKNOWN);
	assert_int_equal(judge_name(&named, "psu A", text), WATCH_NO);
	assert_int_equal(judge_name(&named, "PSU A", text), WATCH_YES);
	assert_int_equal(judge_name(&named, "", text), WATCH_YES);
	/* A family without names. */
	use_profile("dell-rpdu");
	assert_int_equal(judge_name(&named, NULL, text), WATCH_NO);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_pdu),
		cmocka_unit_test(test_read_only),
		cmocka_unit_test(test_states),
		cmocka_unit_test(test_refuses),
		cmocka_unit_test(test_off),
		cmocka_unit_test(test_names),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
