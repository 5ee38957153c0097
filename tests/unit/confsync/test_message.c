/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Messages: all kinds there and back, their exact form, and all that is refused. */
#include "message.h"
#include "util.h"
#include "wire.h"

#include <errno.h>
#include <jansson.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define HEX  "00ff102030405060708090a0b0c0d0e0f00123456789abcdef0000000000007f"
#define ZERO "0000000000000000000000000000000000000000000000000000000000000000"

/* One of each kind as text. */
static const char *const texts[] = {
	[MESSAGE_HELLO] = "{\"m\":\"hello\",\"version\":1,\"node\":\"n1\"}",
	[MESSAGE_STATE_ASK] = "{\"m\":\"state-ask\",\"set\":\"xnbd\"}",
	[MESSAGE_STATE] =
		"{\"m\":\"state\",\"set\":\"xnbd\",\"definition\":\"" HEX "\",\"number\":7,"
		"\"vector\":{\"n1\":3,\"n2\":9223372036854775807},\"digest\":\"" HEX
		"\",\"live\":\"" ZERO "\",\"empty\":false,\"active\":true,"
		"\"unusable\":false,\"in_doubt\":true,\"fenced\":true,"
		"\"txn\":\"0123456789abcdef\"}",
	[MESSAGE_OFFER] =
		"{\"m\":\"offer\",\"set\":\"xnbd\",\"txn\":\"0123456789abcdef\","
		"\"digest\":\"" HEX "\",\"number\":0,\"set_aside\":true,\"definition\":\"\"}",
	[MESSAGE_FETCH] = "{\"m\":\"fetch\",\"set\":\"xnbd\",\"publish\":true,\"reason\":\"pull\","
			  "\"vector\":{},\"number\":0,\"digest\":\"" ZERO "\",\"set_aside\":false}",
	[MESSAGE_OUTCOME_ASK] =
		"{\"m\":\"outcome-ask\",\"set\":\"xnbd\",\"txn\":\"0123456789abcdef\"}",
	[MESSAGE_OUTCOME] = "{\"m\":\"outcome\",\"set\":\"xnbd\",\"txn\":\"0123456789abcdef\","
			    "\"result\":\"abort\"}",
	[MESSAGE_SHOW] = "{\"m\":\"show\",\"set\":\"xnbd\"}",
	[MESSAGE_GET] = "{\"m\":\"get\",\"set\":\"xnbd\",\"hash\":\"" HEX "\"}",
	[MESSAGE_DATA] = "{\"m\":\"data\",\"hash\":\"" HEX "\",\"size\":1073741824}",
	[MESSAGE_AGREE] =
		"{\"m\":\"agree\",\"set\":\"xnbd\",\"vector\":{\"n2\":1},\"digest\":\"" HEX
		"\",\"number\":8}",
	[MESSAGE_NEED] = "{\"m\":\"need\",\"count\":3,\"bytes\":4}",
	[MESSAGE_HASHES] = "{\"m\":\"hashes\",\"list\":[\"" HEX "\",\"" ZERO "\"]}",
	[MESSAGE_REFUSE] = "{\"m\":\"refuse\",\"why\":\"\xc3\xa4 \\\"b\\\" \\\\ c\"}",
	[MESSAGE_PREPARED] = "{\"m\":\"prepared\"}",
	[MESSAGE_COMMIT] = "{\"m\":\"commit\"}",
	[MESSAGE_ABORT] = "{\"m\":\"abort\",\"why\":\"\"}",
	[MESSAGE_COMMITTED] = "{\"m\":\"committed\",\"reload\":\"ok\"}",
	[MESSAGE_FINISH] = "{\"m\":\"finish\"}",
	[MESSAGE_ROLLBACK] = "{\"m\":\"rollback\",\"why\":\"reload failed\"}",
	[MESSAGE_OK] = "{\"m\":\"ok\"}",
	[MESSAGE_BYE] = "{\"m\":\"bye\"}",
};

static int parse(const char *text, struct message *m, struct err *err)
{
	return message_parse(text, strlen(text), m, err);
}

static void check_printed(const struct message *m, const char *want)
{
	char *text = message_print(m);

	assert_non_null(text);
	assert_string_equal(text, want);
	free(text);
}

static void test_all_kinds(void **state)
{
	(void)state;
	assert_int_equal(ARRAY_LEN(texts), MESSAGE_BYE + 1);
	for (size_t i = 0; i < ARRAY_LEN(texts); i++) {
		struct message m;
		struct err err;

		if (parse(texts[i], &m, &err) < 0)
			fail_msg("%s: %s", texts[i], err.text);
		assert_int_equal(m.kind, i);
		check_printed(&m, texts[i]);
		assert_non_null(strstr(texts[i], message_name(m.kind)));
		message_done(&m);
	}
}

static void test_values(void **state)
{
	struct message m;

	(void)state;
	assert_int_equal(parse(texts[MESSAGE_STATE], &m, NULL), 0);
	assert_int_equal(m.side.number, 7);
	assert_string_equal(m.side.vector.at[1].node, "n2");
	assert_true(m.side.vector.at[1].count == INT64_MAX);
	assert_int_equal(m.side.digest[31], 0x7f);
	assert_true(hash_is_zero(m.side.live));
	assert_true(m.side.active && m.side.in_doubt && m.fenced);
	assert_false(m.side.empty || m.side.unusable);
	assert_string_equal(m.definition, HEX);
	assert_string_equal(m.transaction, "0123456789abcdef");
	assert_int_equal(parse(texts[MESSAGE_NEED], &m, NULL), 0);
	assert_int_equal(m.count, 3);
	assert_int_equal(m.size, 4);
	assert_int_equal(parse(texts[MESSAGE_OUTCOME], &m, NULL), 0);
	assert_int_equal(m.result, MESSAGE_RESULT_ABORT);
	assert_int_equal(parse(texts[MESSAGE_HASHES], &m, NULL), 0);
	assert_int_equal(m.count, 2);
	assert_int_equal(m.hashes[0][1], 0xff);
	message_done(&m);
	assert_null(m.hashes);
}

/* Each field left out, and with each wrong value in its place. */
static void check_fields(const char *text)
{
	static const char *const wrong[] = {
		"null", "-1", "\"\\u001b[1m\"", "[[]]", "1.5", "{\"\":1}"};
	json_t *whole = json_loads(text, 0, NULL), *v;
	const char *key;

	json_object_foreach(whole, key, v)
	{
		for (size_t i = 0; i <= ARRAY_LEN(wrong); i++) {
			json_t *copy = json_copy(whole);
			struct message m;
			char *other;

			json_object_del(copy, key);
			if (i < ARRAY_LEN(wrong))
				json_object_set_new(
					copy, key, json_loads(wrong[i], JSON_DECODE_ANY, NULL));
			other = json_dumps(copy, JSON_COMPACT);
			if (strcmp(key, "txn") != 0 || strstr(text, "\"state\"") == NULL ||
				i < ARRAY_LEN(wrong))
				assert_true(parse(other, &m, NULL) < 0);
			else
				assert_int_equal(parse(other, &m, NULL), 0);
			free(other);
			json_decref(copy);
		}
	}
	json_decref(whole);
}

static void test_each_field(void **state)
{
	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(texts); i++)
		check_fields(texts[i]);
}

static void test_refused(void **state)
{
	static const struct {
		const char *text;
		int code;
	} cases[] = {
		{"", -EPROTO},
		{"x", -EPROTO},
		{"[]", -EPROTO},
		{"\"hello\"", -EPROTO},
		{"{}", -EPROTO},
		{"{\"m\":1}", -EPROTO},
		{"{\"m\":\"ok\"} x", -EPROTO},
		{"{\"m\":\"ok\",\"m\":\"bye\"}", -EPROTO},
		{"{\"m\":\"OK\"}", -EOPNOTSUPP},
		{"{\"m\":\"\"}", -EOPNOTSUPP},
		{"{\"m\":\"hello\",\"version\":1,\"node\":\"..\"}", -EPROTO},
		{"{\"m\":\"hello\",\"version\":1,\"node\":\"\"}", -EPROTO},
		{"{\"m\":\"hello\",\"version\":1e0,\"node\":\"a\"}", -EPROTO},
		{"{\"m\":\"hello\",\"version\":9223372036854775808,\"node\":\"a\"}", -EPROTO},
		{"{\"m\":\"hello\",\"version\":1,\"node\":\"a\\u0000b\"}", -EPROTO},
		{"{\"m\":\"abort\",\"why\":\"a\\nb\"}", -EPROTO},
		{"{\"m\":\"abort\",\"why\":\"\\u009b\"}", -EPROTO},
		{"{\"m\":\"abort\",\"why\":\"\xff\"}", -EPROTO},
		{"{\"m\":\"get\",\"set\":\"a\",\"hash\":\"" ZERO "0\"}", -EPROTO},
		{"{\"m\":\"outcome-ask\",\"set\":\"a\",\"txn\":\"\"}", -EPROTO},
		{"{\"m\":\"outcome-ask\",\"set\":\"a\",\"txn\":\"0123456789abcdeg\"}", -EPROTO},
		{"{\"m\":\"agree\",\"set\":\"a\",\"vector\":{\"a\":1,\"b\":1,\"c\":1},\"digest\":"
		 "\"" ZERO "\",\"number\":1}",
			-EPROTO},
		{"{\"m\":\"agree\",\"set\":\"a\",\"vector\":{\"a\":1,\"a\":1},\"digest\":"
		 "\"" ZERO "\",\"number\":1}",
			-EPROTO},
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		struct message m;
		struct err err = {0};

		if (parse(cases[i].text, &m, &err) != cases[i].code)
			fail_msg("%s: %d %s", cases[i].text, err.code, err.text);
		assert_true(err.text[0]);
	}
}

static void test_unknown_fields(void **state)
{
	struct message m;

	(void)state;
	assert_int_equal(
		parse("{\"new\":[1,{}],\"m\":\"show\",\"set\":\"a\",\"x\":null}", &m, NULL), 0);
	assert_string_equal(m.set, "a");
	message_done(&m);
}

/* {"m":"hashes","list":[...]} of COUNT. */
static char *list_text(size_t count)
{
	json_t *list = json_array(), *o;
	char *ret;

	for (size_t i = 0; i < count; i++)
		json_array_append_new(list, json_string(HEX));
	o = json_pack("{s:s,s:o}", "m", "hashes", "list", list);
	ret = json_dumps(o, JSON_COMPACT);
	json_decref(o);
	return ret;
}

static void test_list_limits(void **state)
{
	static const size_t good[] = {0, 1, MESSAGE_HASHES_MAX};
	struct message m;
	char *text;

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(good); i++) {
		text = list_text(good[i]);
		assert_true(strlen(text) <= WIRE_TEXT_MAX);
		assert_int_equal(parse(text, &m, NULL), 0);
		assert_int_equal(m.count, good[i]);
		check_printed(&m, text);
		message_done(&m);
		free(text);
	}
	text = list_text(MESSAGE_HASHES_MAX + 1);
	assert_int_equal(parse(text, &m, NULL), -EPROTO);
	free(text);
}

static void test_text_limits(void **state)
{
	struct message m = {.kind = MESSAGE_REFUSE}, back;
	char *text, *huge;

	(void)state;
	memset(m.text, '"', sizeof(m.text) - 1);
	text = message_print(&m);
	assert_int_equal(parse(text, &back, NULL), 0);
	assert_string_equal(back.text, m.text);
	free(text);
	memset(m.text, 1, sizeof(m.text) - 1); /* as \x01, as much as fits in */
	text = message_print(&m);
	assert_int_equal(parse(text, &back, NULL), 0);
	assert_memory_equal(back.text, "\\x01\\x01", 8);
	free(text);
	assert_true(
		asprintf(&huge, "{\"m\":\"refuse\",\"why\":\"%*s\"}", MESSAGE_TEXT_MAX, "") > 0);
	assert_int_equal(parse(huge, &back, NULL), -EPROTO);
	free(huge);
	assert_true(asprintf(&huge, "{\"m\":\"ok\"%*s}", WIRE_TEXT_MAX, "") > 0);
	assert_int_equal(parse(huge, &back, NULL), -EPROTO);
	free(huge);
}

/* Deep nesting ends before the stack does. */
static void test_depth(void **state)
{
	static char text[WIRE_TEXT_MAX];
	struct message m;

	(void)state;
	memset(text, '[', sizeof(text));
	assert_int_equal(message_parse(text, sizeof(text), &m, NULL), -EPROTO);
	memset(text, 0, sizeof(text));
	assert_int_equal(message_parse(text, sizeof(text), &m, NULL), -EPROTO);
}

static void test_damage(void **state)
{
	char text[1024];

	(void)state;
	for (size_t k = 0; k < ARRAY_LEN(texts); k++) {
		size_t len = strlen(texts[k]);

		memcpy(text, texts[k], len + 1);
		for (size_t i = 0; i < len; i++) {
			struct message m, back;

			text[i] = (char)(text[i] ^ 1 << (i % 8));
			if (message_parse(text, len, &m, NULL) == 0) {
				char *again = message_print(&m);

				assert_int_equal(parse(again, &back, NULL), 0);
				message_done(&back);
				message_done(&m);
				free(again);
			}
			text[i] = texts[k][i];
			assert_int_equal(message_parse(text, i, &m, NULL), -EPROTO);
		}
	}
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_all_kinds),
		cmocka_unit_test(test_values),
		cmocka_unit_test(test_each_field),
		cmocka_unit_test(test_refused),
		cmocka_unit_test(test_unknown_fields),
		cmocka_unit_test(test_list_limits),
		cmocka_unit_test(test_text_limits),
		cmocka_unit_test(test_depth),
		cmocka_unit_test(test_damage),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
