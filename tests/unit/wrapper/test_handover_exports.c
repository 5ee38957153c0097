/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What an upgrade hands on of an export: a row of the old program, and an entry that the new one
 * has read. What was known only in memory comes back; what files say by now wins.
 */
#include "handover_inner.h"

#include "master.h"

#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

static const struct export_config proxy = {.name = "x",
	.kind = EXPORT_PROXY,
	.image = "/c",
	.uri = "nbd://a/x",
	.source = EXPORT_FROM_CONFIG};

static struct master m;
static struct settings settings;
static struct export_config sections[1];
static struct exports after; /* of the new program */

static int set_up(void **state)
{
	(void)state;
	memset(&m, 0, sizeof(m));
	memset(&after, 0, sizeof(after));
	sections[0] = proxy;
	settings.config = (struct config){.exports = sections, .count = 1};
	m.settings = &settings;
	return 0;
}

static int tear_down(void **state)
{
	(void)state;
	exports_done(&m.exports);
	exports_done(&after);
	return 0;
}

static struct export_entry *add(struct exports *t, const struct export_config *c)
{
	struct export_entry *e;

	assert_int_equal(exports_add(t, c, &e, NULL), 0);
	return e;
}

/* OLD as it comes back in what the files have NOW. */
static struct export_entry *hand_over(
	const struct export_entry *old, const struct export_config *now)
{
	struct export_entry *e = add(&after, now);
	json_t *row = handover_export(&m, old);

	assert_int_equal(json_integer_value(json_object_get(row, "id")), old->id);
	handover_export_restore(e, row);
	json_decref(row);
	return e;
}

static void test_memory(void **state)
{
	struct export_config c = {.name = "x", .image = "/x", .source = EXPORT_FROM_STATE};
	struct export_entry *old = add(&m.exports, &c), *e;

	(void)state;
	old->hold = (struct export_hold){.host = "192.0.2.1", .since = 7, .promised = 9};
	old->backoff = (struct backoff){.failures = 3, .until = 1ULL << 40};
	old->image_failed = true;
	strcpy(old->trouble, "cut in \xc3"); /* a text may end in the middle of a letter */
	e = hand_over(old, &c);
	assert_string_equal(e->hold.host, "192.0.2.1");
	assert_int_equal(e->hold.since, 7);
	assert_int_equal(e->hold.promised, 9);
	assert_int_equal(e->backoff.failures, 3);
	assert_true(e->backoff.until == 1ULL << 40 && e->image_failed);
	assert_int_equal(strncmp(e->trouble, "cut in ", 7), 0);
}

static void test_another_disk(void **state)
{
	struct export_config c = {.name = "x", .image = "/x"}, now = {.name = "x", .image = "/y"};
	struct export_entry *old = add(&m.exports, &c), *e;

	(void)state;
	old->backoff.failures = 3;
	old->migration = json_object();
	strcpy(old->hold.host, "192.0.2.1");
	e = hand_over(old, &now);
	assert_int_equal(e->backoff.failures, 0);
	assert_null(e->migration);
	assert_string_equal(e->hold.host, "192.0.2.1");
}

static void test_draining(void **state)
{
	static const enum export_source sources[] = {
		EXPORT_FROM_OPTION, EXPORT_FROM_CONFIG, EXPORT_FROM_STATE};

	(void)state;
	for (size_t i = 0; i < 3; i++) {
		char name[] = {(char)('a' + i), 0};
		struct export_config c = {.name = name, .image = "/x", .source = sources[i]};
		struct export_entry *old = add(&m.exports, &c);

		old->draining = true;
		assert_int_equal(hand_over(old, &c)->draining, i == 0);
	}
}

static void test_copy(void **state)
{
	struct export_entry *old = add(&m.exports, &proxy), *e;

	(void)state;
	old->copy = EXPORT_COPY_PAUSED;
	old->copy_rate = 1ULL << 33;
	old->migration = json_pack("{s:s}", "phase", "copying");
	e = hand_over(old, &proxy);
	assert_int_equal(e->copy, EXPORT_COPY_PAUSED);
	assert_true(e->copy_rate == 1ULL << 33);
	assert_true(json_equal(e->migration, old->migration));
}

static void test_switched(void **state)
{
	struct export_entry *old = add(&m.exports, &proxy), *e;

	(void)state;
	exports_become_target(old);
	e = hand_over(old, &proxy);
	assert_int_equal(e->config.kind, EXPORT_TARGET);
	assert_null(e->config.uri);
	assert_string_equal(e->config.image, "/c");
}

static void test_another_origin(void **state)
{
	const struct export_config other = {.host = "h", .port = "1"};
	struct export_entry *old = add(&m.exports, &proxy);
	struct export_config now = proxy;
	struct err err;

	(void)state;
	assert_int_equal(exports_set_origin(old, &other, &err), 0);
	assert_true(exports_same_origin(hand_over(old, &proxy), &other));
	now.name = "y"; /* the file has another one, too */
	now.uri = "nbd://b/x";
	assert_true(exports_same_origin(hand_over(old, &now), &now));
}

/* Rows that another version wrote, or nobody in his senses. */
static void test_strange_rows(void **state)
{
	static const char *const rows[] = {"{}",
		"{\"hold\": 7, \"failures\": [], \"image\": \"/c\"}",
		"{\"image\": \"/c\", \"copy\": 99, \"copy_rate\": -1, \"origin\": {\"uri\": 5}}",
		"{\"image\": \"/c\", \"origin\": {}, \"origin_before\": {\"uri\": \"nbd://a/x\"}}",
		"{\"image\": \"/c\", \"hold\": {\"host\": null, \"since\": -4}, \"draining\": 1}"};

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct export_entry *e = add(&after, &proxy);
		json_t *row = json_loads(rows[i], 0, NULL);

		assert_non_null(row);
		handover_export_restore(e, row);
		assert_true(e->copy <= EXPORT_COPY_PAUSED && e->copy_rate == 0);
		assert_true(exports_same_origin(e, &proxy) && !e->draining && !e->hold.since);
		json_decref(row);
		exports_remove(&after, e->id);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_memory, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_another_disk, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_draining, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_copy, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_switched, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_another_origin, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_strange_rows, set_up, tear_down),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
