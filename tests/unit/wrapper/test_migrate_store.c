/* SPDX-License-Identifier: GPL-2.0-or-later */
/* A migration as data: names of phases, its json, and what a server's answers mean. */
#include "migrate_store.h"
#include "util.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

static void test_names(void **state)
{
	enum migrate_phase phase;

	(void)state;
	for (unsigned i = 0; i < MIGRATE_PHASES; i++) {
		assert_true(migrate_phase_parse(migrate_phase_name((enum migrate_phase)i), &phase));
		assert_int_equal(phase, i);
	}
	assert_false(migrate_phase_parse("nonsense", &phase));
	assert_false(migrate_phase_parse(NULL, &phase));
}

static void test_stored(void **state)
{
	const struct migrate_wish wish = {.hook = "/h", .rate = 5, .verify = true};
	struct export_entry e = {.migration = migrate_stored(&wish, MIGRATE_CONNECTING)};
	CLEANUP_FREE char *text = json_dumps(e.migration, JSON_SORT_KEYS | JSON_COMPACT);

	(void)state;
	assert_string_equal(
		text, "{\"hook\":\"/h\",\"phase\":\"copying\",\"rate\":5,\"verify\":true}");
	assert_int_equal(migrate_stored_phase(&e), MIGRATE_CONNECTING);
	assert_int_equal(migrate_rate(&e), 5);
	json_decref(e.migration);
	assert_null(migrate_stored(&(struct migrate_wish){.hook = "\xff"}, MIGRATE_CONNECTING));
}

static void check_stored(const char *json, enum migrate_phase want, uint64_t rate)
{
	struct export_entry e = {.migration = json_loads(json, 0, NULL)};

	assert_int_equal(migrate_stored_phase(&e), want);
	assert_int_equal(migrate_rate(&e), rate);
	json_decref(e.migration);
}

/* What people wrote into the file by hand is begun again rather than believed. */
static void test_stored_nonsense(void **state)
{
	(void)state;
	check_stored("{}", MIGRATE_CONNECTING, 0);
	check_stored("{\"phase\": 5, \"rate\": \"x\"}", MIGRATE_CONNECTING, 0);
	check_stored("{\"phase\": \"waiting\", \"rate\": -1}", MIGRATE_CONNECTING, 0);
	check_stored("{\"phase\": \"verifying\"}", MIGRATE_VERIFYING, 0);
	check_stored("{\"phase\": \"done\", \"rate\": 7}", MIGRATE_DONE, 7);
}

#define ANSWER(origin, copy, rest)                                                                 \
	"{\"mode\": \"proxy\", \"block\": 4096, \"blocks\": 100, \"origin\": {" origin             \
	"}, \"copy\": {" copy "}" rest "}"
#define CONNECTED "\"state\": \"connected\""
#define LOST      "\"state\": \"lost\", \"error\": \"refused\""
#define RUNNING   "\"state\": \"running\""

static const struct {
	const char *answer;
	enum migrate_phase phase;
	const char *error;
} answers[] = {
	{ANSWER(CONNECTED, RUNNING, ", \"cached\": 7"), MIGRATE_COPYING, ""},
	{ANSWER(CONNECTED, RUNNING, ", \"cached\": 0"), MIGRATE_COPYING, ""},
	{ANSWER(CONNECTED, "\"state\": \"none\"", ", \"cached\": 7"), MIGRATE_COPYING, ""},
	{ANSWER(CONNECTED, "\"state\": \"done\"", ", \"cached\": 100"), MIGRATE_SWITCHING, ""},
	{ANSWER(LOST, RUNNING, ", \"cached\": 100"), MIGRATE_SWITCHING, ""},
	{ANSWER(LOST, RUNNING, ", \"cached\": 0"), MIGRATE_CONNECTING, "refused"},
	{ANSWER(LOST, "\"state\": \"waiting\"", ", \"cached\": 7"), MIGRATE_WAITING, "refused"},
	{ANSWER(CONNECTED, "\"state\": \"waiting\", \"error\": \"e\"", ", \"cached\": 7"),
		MIGRATE_WAITING, "e"},
	{ANSWER(CONNECTED, "\"state\": \"paused\"", ", \"cached\": 7"), MIGRATE_WAITING,
		"paused; --bgctl-resume goes on"},
	{ANSWER(CONNECTED, "\"state\": \"paused\", \"error\": \"disk full\"", ", \"cached\": 7"),
		MIGRATE_WAITING, "disk full"},
	{"{}", MIGRATE_CONNECTING, ""},
	{"{\"mode\": 5, \"blocks\": \"x\", \"origin\": [], \"copy\": 7}", MIGRATE_CONNECTING, ""},
};

static void test_phases(void **state)
{
	struct migrate_progress p;

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(answers); i++) {
		json_t *answer = json_loads(answers[i].answer, 0, NULL);

		assert_non_null(answer);
		migrate_read_progress(answer, &p);
		if (p.phase != answers[i].phase || strcmp(p.error, answers[i].error) != 0)
			fail_msg("%s: %s '%s'", answers[i].answer, migrate_phase_name(p.phase),
				p.error);
		assert_false(p.is_target);
		json_decref(answer);
	}
}

static void test_numbers(void **state)
{
	json_t *answer =
		json_loads(ANSWER(CONNECTED, RUNNING ", \"rate\": 5000, \"seconds_left\": 9",
				   ", \"cached\": 7"),
			0, NULL);
	struct migrate_progress p;

	(void)state;
	migrate_read_progress(answer, &p);
	assert_int_equal(p.blocks, 100);
	assert_int_equal(p.block, 4096);
	assert_int_equal(p.cached, 7);
	assert_int_equal(p.rate, 5000);
	assert_int_equal(p.seconds_left, 9);
	json_object_set_new(json_object_get(answer, "copy"), "seconds_left", json_null());
	json_object_set_new(answer, "mode", json_string("target"));
	migrate_read_progress(answer, &p);
	assert_int_equal(p.seconds_left, -1);
	assert_true(p.is_target);
	json_decref(answer);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_names),
		cmocka_unit_test(test_stored),
		cmocka_unit_test(test_stored_nonsense),
		cmocka_unit_test(test_phases),
		cmocka_unit_test(test_numbers),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
