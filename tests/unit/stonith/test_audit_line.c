/* SPDX-License-Identifier: GPL-2.0-or-later */
/* One line of the audit log: made, understood, and told from its own beginnings. */
#include "audit_line.h"

#include "util.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#define HASH  "00112233445566778899aabbccddeeff00112233445566778899aabbccddeeff"
#define HASH2 "ff112233445566778899aabbccddeeff00112233445566778899aabbccddee00"

static char line[AUDIT_LINE_MAX];

static size_t make(const struct audit_fields *f, const char *entry)
{
	const struct audit_stamp stamp = {1700000000123, 42, "n2"};
	json_t *j = json_loads(entry, 0, NULL);
	size_t len;

	assert_non_null(j);
	len = audit_line_put(line, sizeof(line), f, &stamp, j);
	json_decref(j);
	return len;
}

static void made(const struct audit_fields *f, const char *entry, const char *want)
{
	struct audit_fields got;
	size_t len = make(f, entry);

	assert_int_equal(len, strlen(want));
	assert_memory_equal(line, want, len);
	assert_true(audit_line_parse(line, len, &got));
	assert_int_equal(got.seq, f->seq);
	assert_string_equal(got.prev, f->prev);
	assert_int_equal(got.torn, f->torn);
	assert_string_equal(got.torn_sha256, f->torn_sha256);
	assert_int_equal(got.lost, f->lost);
	assert_int_equal(got.continues, f->continues);
}

static void test_made(void **state)
{
	struct audit_fields f = {.seq = 7, .prev = HASH};

	(void)state;
	made(&f, "{}",
		"{\"seq\":7,\"prev\":\"" HASH "\",\"time\":\"2023-11-14T22:13:20.123Z\","
		"\"boot-ms\":42,\"host\":\"n2\"}");
	f = (struct audit_fields){9999999999999999999ULL, HASH, 3, HASH2, 5, true};
	f.seq = 999999999999999999ULL;
	made(&f, "{\"a\": [true, false, null, -1, \"}\", {}], \"b\": {\"c\": {}}}",
		"{\"seq\":999999999999999999,\"prev\":\"" HASH "\",\"torn\":3,\"torn-sha256\":"
		"\"" HASH2 "\",\"lost\":5,\"continues\":true,\"time\":"
		"\"2023-11-14T22:13:20.123Z\",\"boot-ms\":42,\"host\":\"n2\","
		"\"a\":[true,false,null,-1,\"}\",{}],\"b\":{\"c\":{}}}");
}

/* As jansson sees it: each line is JSON, with what was put in. */
static void test_json(void **state)
{
	const char *entry =
		"{\"t\": \"\\u0001\\\\\\\"/\\n\\u007f\\u20ac\", \"n\": [[1, 2], {\"x\": 3}]}";
	struct audit_fields f = {.seq = 1, .prev = HASH};
	size_t len = make(&f, entry);
	json_t *got = json_loadb(line, len, JSON_REJECT_DUPLICATES, NULL);
	json_t *want = json_loads(entry, 0, NULL);

	(void)state;
	assert_non_null(got);
	assert_true(json_equal(json_object_get(got, "t"), json_object_get(want, "t")));
	assert_true(json_equal(json_object_get(got, "n"), json_object_get(want, "n")));
	json_decref(got);
	json_decref(want);
}

/* No beginning of a line is a line, nor is one with something behind it. */
static void test_pieces(void **state)
{
	struct audit_fields f = {.seq = 12, .prev = HASH, .lost = 3}, got;
	size_t len = make(&f, "{\"a\": [{\"b\": \"}\"}, {}], \"c\": {\"d\": {}}}");

	(void)state;
	for (size_t i = 0; i < len; i++)
		assert_false(audit_line_parse(line, i, &got));
	assert_true(audit_line_parse(line, len, &got));
	line[len] = '}';
	assert_false(audit_line_parse(line, len + 1, &got));
}

static void test_room(void **state)
{
	const struct audit_stamp stamp = {0, 1, "n2"};
	struct audit_fields f = {.seq = 1, .prev = HASH};
	size_t len = make(&f, "{\"a\": \"text\"}");
	json_t *j = json_loads("{\"a\": \"text\"}", 0, NULL);

	(void)state;
	for (size_t room = 0; room < len - 1; room++)
		assert_int_equal(audit_line_put(line, room, &f, &stamp, j), 0);
	json_decref(j);
}

/* What lies too deep is left out, and it stays a line. */
static void test_depth(void **state)
{
	struct audit_fields f = {.seq = 1, .prev = HASH}, got;
	char entry[256] = "{\"a\":";
	json_t *j;
	size_t len;

	(void)state;
	for (int i = 0; i < 40; i++)
		strcat(entry, "[");
	strcat(entry, "1");
	for (int i = 0; i < 40; i++)
		strcat(entry, "]");
	strcat(entry, "}");
	len = make(&f, entry);
	assert_true(audit_line_parse(line, len, &got));
	j = json_loadb(line, len, 0, NULL);
	assert_non_null(j);
	json_decref(j);
}

static void refuse(const char *text)
{
	struct audit_fields got;

	assert_false(audit_line_parse(text, strlen(text), &got));
}

static void test_no_lines(void **state)
{
	(void)state;
	refuse("");
	refuse("{}");
	refuse("{\"seq\":0,\"prev\":\"" HASH "\",\"time\":\"\"}");
	refuse("{\"seq\":01,\"prev\":\"" HASH "\",\"time\":\"\"}");
	refuse("{\"seq\":-1,\"prev\":\"" HASH "\",\"time\":\"\"}");
	refuse("{\"seq\":99999999999999999999,\"prev\":\"" HASH "\",\"time\":\"\"}");
	refuse("{\"seq\": 1,\"prev\":\"" HASH "\",\"time\":\"\"}");
	refuse("{\"seq\":1,\"prev\":\"X" HASH "\",\"time\":\"\"}");
	refuse("{\"seq\":1,\"prev\":\"" HASH "\",\"lost\":0,\"time\":\"\"}");
	refuse("{\"seq\":1,\"prev\":\"" HASH "\",\"continues\":false,\"time\":\"\"}");
	refuse("{\"seq\":1,\"prev\":\"" HASH "\",\"torn\":5,\"time\":\"\"}");
	refuse("{\"seq\":1,\"prev\":\"" HASH "\",\"time\":\"\\\"}");
	refuse("{\"seq\":1,\"prev\":\"" HASH "\",\"time\":\"\"]");
	refuse("{\"seq\":1,\"prev\":\"" HASH "\",\"time\":\"\t\"}");
}

static void test_reserved(void **state)
{
	json_t *j = json_pack("{s:i, s:i}", "victim", 1, "host", 2);

	(void)state;
	assert_string_equal(audit_line_reserved(j), "host");
	json_object_del(j, "host");
	assert_string_equal(audit_line_reserved(j), "");
	json_decref(j);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_made),
		cmocka_unit_test(test_json),
		cmocka_unit_test(test_pieces),
		cmocka_unit_test(test_room),
		cmocka_unit_test(test_depth),
		cmocka_unit_test(test_no_lines),
		cmocka_unit_test(test_reserved),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
