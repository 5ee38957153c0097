/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Settings by table: every type from text and back to the same text, and what is refused. */
#include "conf.h"
#include "key.h"
#include "rnd.h"
#include "temp.h"
#include "util.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

struct thing {
	const char *text, *path;
	bool flag, on;
	uint64_t number, size;
	int choice;
	struct key_texts texts;
	struct peers peers;
};

#define AT(field) offsetof(struct thing, field)

static const char *const colours[] = {"red", "green", "blue", NULL};

static const struct key keys[] = {
	{"text", KEY_TEXT, AT(text), 1, 10, 0, NULL, 1, false, ""},
	{"path", KEY_PATH, AT(path), 1, 20, 0, NULL, 1, false, ""},
	{"flag", KEY_FLAG, AT(flag), 0, 0, 0, NULL, 1, false, ""},
	{"on", KEY_FLAG, AT(on), 0, 0, 1, NULL, 1, false, ""},
	{"number", KEY_NUMBER, AT(number), 1, 100, 7, NULL, 1, false, ""},
	{"size", KEY_SIZE, AT(size), 0, 1ULL << 50, 0, NULL, 1, false, ""},
	{"choice", KEY_CHOICE, AT(choice), 0, 0, 1, colours, 1, false, ""},
	{"texts", KEY_TEXTS, AT(texts), 1, 10, 0, NULL, 1, false, ""},
	{"peers", KEY_PEERS, AT(peers), 0, 0, 0, NULL, 1, false, ""},
	{"also-path", KEY_PATH, AT(path), 1, 20, 0, NULL, 2, true, ""},
};
static const struct key_set set = {keys, ARRAY_LEN(keys)};

static struct thing thing;

static int set_up(void **state)
{
	(void)state;
	key_init_all(&set, &thing);
	return 0;
}

static int tear_down(void **state)
{
	(void)state;
	key_free_all(&set, &thing);
	return 0;
}

static int set_one(const char *name, const char *text, struct err *err)
{
	return key_set(key_find(&set, name), &thing, &text, 1, err);
}

/* KEY becomes a list of all of TEXTS, up to NULL. */
static int set_list(const char *name, const char *const *texts, struct err *err)
{
	size_t count = 0;

	while (texts[count])
		count++;
	return key_set(key_find(&set, name), &thing, texts, count, err);
}

static void check_print(const char *name, const char *want)
{
	char got[1024] = "";
	FILE *out = fmemopen(got, sizeof(got), "w");

	assert_non_null(out);
	key_print(key_find(&set, name), &thing, out);
	fclose(out);
	assert_string_equal(got, want);
}

static void test_initial(void **state)
{
	struct key_texts texts;

	(void)state;
	assert_null(key_find(&set, "nothing"));
	for (size_t i = 0; i < set.count; i++)
		assert_false(key_is_given(&keys[i], &thing));
	assert_true(thing.on && thing.number == 7 && thing.choice == 1);
	assert_int_equal(key_get(&keys[0], &thing, &texts), 0);
	assert_int_equal(texts.count, 0);
	assert_int_equal(key_get(key_find(&set, "number"), &thing, &texts), 0);
	assert_int_equal(texts.count, 1);
	assert_string_equal(texts.items[0], "7");
	key_free_texts(&texts);
	key_free_texts(&texts);
}

/* Good values, and how they look afterwards. */
static const struct {
	const char *key, *text, *shown;
} good[] = {
	{"text", "a b", "'a b'"},
	{"text", "it's \\", "'it\\'s \\\\'"},
	{"text", "\xc3\xbc$", "'\xc3\xbc$'"},
	{"text", "a\n\"$\\", "\"a\\x0a\\\"\\$\\\\\""},
	{"text", "0123456789", "'0123456789'"},
	{"path", "/", "'/'"},
	{"path", "/a b/%s", "'/a b/%s'"},
	{"also-path", "/c", "'/c'"},
	{"flag", "true", "true"},
	{"flag", "yes", "true"},
	{"flag", "on", "true"},
	{"on", "off", "false"},
	{"on", "no", "false"},
	{"on", "false", "false"},
	{"number", "1", "1"},
	{"number", "100", "100"},
	{"size", "1", "1"},
	{"size", "1023", "1023"},
	{"size", "1024", "1K"},
	{"size", "64k", "64K"},
	{"size", "1536", "1536"},
	{"size", "3m", "3M"},
	{"size", "2048G", "2T"},
	{"size", "1024T", "1024T"},
	{"choice", "red", "'red'"},
	{"choice", "blue", "'blue'"},
	{"texts", "one", "{'one'}"},
	{"peers", "192.0.2.0/24", "{'192.0.2.0/24'}"},
};

static void test_good(void **state)
{
	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(good); i++) {
		struct err err = {0};

		if (set_one(good[i].key, good[i].text, &err) < 0)
			fail_msg("%s = %s: %s", good[i].key, good[i].text, err.text);
		check_print(good[i].key, good[i].shown);
		assert_true(key_is_given(key_find(&set, good[i].key), &thing));
	}
}

static const struct {
	const char *key, *text, *says;
} bad[] = {
	{"text", "", "must not be empty"},
	{"text", "01234567890", "11 bytes: at most 10 are possible"},
	{"text", "\xff", "is not valid UTF-8"},
	{"path", "a", "\"a\": must be an absolute path"},
	{"path", "", "must not be empty"},
	{"flag", "TRUE", "\"TRUE\": must be true or false"},
	{"flag", "1", "\"1\": must be true or false"},
	{"number", "0", "\"0\": must be a number from 1 to 100"},
	{"number", "101", "\"101\": must be a number from 1 to 100"},
	{"number", "-1", "must be a number"},
	{"number", "1K", "must be a number"},
	{"number", "", "must be a number"},
	{"number", "99999999999999999999", "must be a number"},
	{"size", "1P", "\"1P\": must be a size (units K, M, G, T) from 0 to 1125899906842624"},
	{"size", "1025T", "must be a size"},
	{"choice", "pink", "\"pink\": must be \"red\", \"green\" or \"blue\""},
	{"choice", "", "must be \"red\""},
	{"texts", "", "must not be empty"},
	{"peers", "here", "'here': must be all, unix, an address"},
};

/* What was there stays. */
static void test_bad(void **state)
{
	struct thing before;

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(good); i++)
		assert_int_equal(set_one(good[i].key, good[i].text, NULL), 0);
	memcpy(&before, &thing, sizeof(thing));
	for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
		struct err err = {0};

		assert_int_equal(set_one(bad[i].key, bad[i].text, &err), -EINVAL);
		if (!strstr(err.text, bad[i].says))
			fail_msg("'%s' does not say '%s'", err.text, bad[i].says);
		assert_memory_equal(&before, &thing, sizeof(thing));
	}
}

static void test_lists(void **state)
{
	struct err err = {0};

	(void)state;
	assert_int_equal(set_list("texts", (const char *const[]){"a", "b", NULL}, &err), 0);
	check_print("texts", "{'a', 'b'}");
	assert_int_equal(set_list("texts", (const char *const[]){"c", "", NULL}, &err), -EINVAL);
	check_print("texts", "{'a', 'b'}");
	assert_int_equal(set_list("peers", (const char *const[]){"all", "unix", NULL}, &err), 0);
	check_print("peers", "{'all', 'unix'}");
	assert_int_equal(set_list("peers", (const char *const[]){"all", "x", NULL}, &err), -EINVAL);
	check_print("peers", "{'all', 'unix'}");
	assert_int_equal(set_list("texts", (const char *const[]){NULL}, &err), 0);
	assert_int_equal(set_list("peers", (const char *const[]){NULL}, &err), 0);
	check_print("texts", "{}");
	assert_false(key_is_given(key_find(&set, "texts"), &thing));
	for (size_t i = 0; i < set.count; i++) {
		if (keys[i].type == KEY_TEXTS || keys[i].type == KEY_PEERS)
			continue;
		assert_int_equal(
			set_list(keys[i].name, (const char *const[]){"1", "1", NULL}, &err),
			-EINVAL);
		assert_string_equal(err.text, "must be one value, not a list of 2");
		assert_int_equal(
			set_list(keys[i].name, (const char *const[]){NULL}, &err), -EINVAL);
	}
}

/* Values that were put there by other ways. */
static void test_check(void **state)
{
	const struct thing odd = {.text = "01234567890", .path = "a", .number = 101};
	struct err err = {0};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(good); i++)
		assert_int_equal(set_one(good[i].key, good[i].text, NULL), 0);
	for (size_t i = 0; i < set.count; i++)
		assert_int_equal(key_check(&keys[i], &thing, &err), 0);
	assert_int_equal(key_check(key_find(&set, "text"), &odd, &err), -EINVAL);
	assert_string_equal(err.text, "11 bytes: at most 10 are possible");
	assert_int_equal(key_check(key_find(&set, "path"), &odd, &err), -EINVAL);
	assert_int_equal(key_check(key_find(&set, "number"), &odd, &err), -EINVAL);
	assert_int_equal(key_check(key_find(&set, "texts"), &odd, &err), 0);
}

static void test_long_lists(void **state)
{
	static const char *texts[1100];
	struct err err = {0};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(texts); i++)
		texts[i] = "unix";
	assert_int_equal(key_set(key_find(&set, "texts"), &thing, texts, 1024, &err), 0);
	assert_int_equal(key_set(key_find(&set, "texts"), &thing, texts, 1025, &err), -EINVAL);
	assert_string_equal(err.text, "more than 1024 entries");
	assert_int_equal(key_set(key_find(&set, "peers"), &thing, texts, 1024, &err), 0);
	assert_true(key_set(key_find(&set, "peers"), &thing, texts, 1025, &err) < 0);
	assert_string_equal(err.text, "more than 1024 entries");
	assert_int_equal(thing.peers.count, 1024);
}

static void test_copies(void **state)
{
	struct thing copy, bare;

	(void)state;
	key_init_all(&set, &bare);
	assert_int_equal(key_copy_all(&set, &copy, &thing), 0);
	assert_null(key_difference(&set, &copy, &thing));
	for (size_t i = 0; i < ARRAY_LEN(good); i++)
		assert_int_equal(set_one(good[i].key, good[i].text, NULL), 0);
	assert_ptr_equal(key_difference(&set, &copy, &thing), &keys[0]);
	key_free_all(&set, &copy);
	assert_int_equal(key_copy_all(&set, &copy, &thing), 0);
	assert_null(key_difference(&set, &copy, &thing));
	for (size_t i = 0; i < set.count; i++)
		assert_false(key_equal(&keys[i], &copy, &bare));
	assert_true(copy.text != thing.text && copy.texts.items[0] != thing.texts.items[0]);
	key_free_all(&set, &thing);
	assert_string_equal(copy.path, "/c");
	key_free_all(&set, &copy);
	key_free_all(&set, &bare);
}

/* Key by key, over what is there and over nothing. */
static void test_copies_of_one(void **state)
{
	struct thing copy;

	(void)state;
	key_init_all(&set, &copy);
	for (int round = 0; round < 2; round++) {
		for (size_t i = 0; i < ARRAY_LEN(good); i++)
			assert_int_equal(set_one(good[i].key, good[i].text, NULL), 0);
		for (size_t i = 0; i < set.count; i++) {
			assert_int_equal(key_copy(&keys[i], &copy, &thing), 0);
			assert_true(key_equal(&keys[i], &copy, &thing));
		}
	}
	assert_null(key_difference(&set, &copy, &thing));
	assert_true(copy.text != thing.text);
	key_free_all(&set, &thing);
	key_init_all(&set, &thing);
	for (size_t i = 0; i < set.count; i++) {
		assert_int_equal(key_copy(&keys[i], &copy, &thing), 0);
		assert_false(key_is_given(&keys[i], &copy));
	}
	key_free_all(&set, &copy);
}

/* Any text that can be a value is printed so that the file reads it back. */
static void test_quotes_survive_files(void **state)
{
	static const struct conf_kind kind = {"thing", false, &set, 1};
	static const char alphabet[] = "ab'\"\\$ {}#/*\n\t\001\x7f%0x";
	struct temp temp;
	struct rnd r;

	(void)state;
	temp_init(&temp);
	rnd_init(&r, 5);
	for (int i = 0; i < 500; i++) {
		char text[11] = "a", was[11];
		size_t len = 1 + rnd_below(&r, 10);
		FILE *out = fopen(temp_path(&temp, "conf"), "we");
		struct conf c;

		for (size_t k = 0; k < len; k++)
			text[k] = alphabet[rnd_below(&r, sizeof(alphabet) - 1)];
		strcpy(was, text);
		assert_int_equal(set_one("text", text, NULL), 0);
		fputs("thing { text = ", out);
		key_print(&keys[0], &thing, out);
		fputs(" }\n", out);
		fclose(out);
		if (conf_read(temp.path, &kind, 1, &c) < 0)
			fail_msg("%s", c.faults[0]);
		conf_apply(&c, &c.sections[0], &thing);
		assert_string_equal(thing.text, was);
		conf_done(&c);
	}
	temp_done(&temp);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_initial, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_good, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_bad, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_lists, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_check, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_long_lists, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_copies, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_copies_of_one, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_quotes_survive_files, set_up, tear_down),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
