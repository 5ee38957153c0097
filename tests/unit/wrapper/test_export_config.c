/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What belongs to an export of which mode, and what does not fit together. */
#include "export_config.h"
#include "util.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#define EXPORT(...)                                                                                \
	{                                                                                          \
		.name = "n", .image = "/i", __VA_ARGS__                                            \
	}
#define PROXY(...)  EXPORT(.kind = EXPORT_PROXY, __VA_ARGS__)
#define TARGET(...) EXPORT(.kind = EXPORT_TARGET, __VA_ARGS__)
#define COW(...)    EXPORT(.kind = EXPORT_COW, __VA_ARGS__)

static const struct export_config good[] = {
	TARGET(.readonly = true),
	TARGET(.block_min = 1, .block_preferred = 512, .block_max = 512),
	TARGET(.block_min = 65536, .block_max = 64 << 20),
	TARGET(.threads = 64, .max_clients = 1, .limit_requests = 1, .limit_bandwidth = 1),
	TARGET(.description = "", .serial = "a", .is_default = true),
	COW(.cow_block = 4096, .cow_dir = "/c"),
	PROXY(.uri = "nbd://h/x"),
	PROXY(.uri = "nbd://h/x", .bitmap = "/b", .control = "/s", .origin_wait = 1),
	PROXY(.host = "h", .port = "1"),
	PROXY(.host = "h", .port = "1", .exportname = ""),
};

static void test_good(void **state)
{
	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(good); i++) {
		const char *key = "x";
		struct err err = {0};

		if (export_config_check(&good[i], &key, &err) < 0)
			fail_msg("%zu: %s", i, err.text);
		assert_null(key);
	}
}

static const struct {
	struct export_config config;
	const char *key, *says;
} bad[] = {
	{{.name = "n"}, "image", "image = \"PATH\" is missing"},
	{{.name = "n", .kind = EXPORT_COW, .image = ""}, "image", "image = \"PATH\" is missing"},
	{{.name = "n", .kind = EXPORT_PROXY, .uri = "nbd://h"}, "cache", "cache = \"PATH\""},
	{TARGET(.cow_dir = "/c"), "cow-dir", "belongs to mode cow-target, this one is a target"},
	{TARGET(.cow_block = 4096), "cow-block", "belongs to mode cow-target"},
	{TARGET(.uri = "nbd://h"), "origin", "belongs to mode proxy, this one is a target"},
	{COW(.bitmap = "/b"), "bitmap", "belongs to mode proxy, this one is a cow-target"},
	{COW(.origin_connections = 4), "origin-connections", "belongs to mode proxy"},
	{PROXY(.readonly = true), "host", "a proxy needs an origin"},
	{PROXY(.host = "h"), "host", "a proxy needs an origin"},
	{PROXY(.uri = "h:1"), "origin", "must be nbd://"},
	{PROXY(.uri = "nbd://h", .host = "h"), "origin", "not both"},
	{PROXY(.uri = "nbd://h", .bitmap = "/i"), "bitmap", "are the same file"},
	{COW(.cow_block = 5000), "cow-block", "5000 is not a power of two"},
	{TARGET(.block_min = 3), "block-min", "3 is not a power of two"},
	{TARGET(.block_min = 4096, .block_preferred = 512), "block-preferred",
		"must not be less than block-min"},
	{TARGET(.block_preferred = 4096, .block_max = 512), "block-max",
		"must not be less than block-preferred"},
	{TARGET(.block_min = 4096, .block_max = 512), "block-max",
		"must not be less than block-min"},
	{TARGET(.block_max = 128 << 20), "block-max", "must be a size"},
	{TARGET(.threads = 65), "threads", "must be a number from 1 to 64"},
	{TARGET(.serial = ""), "serial", "must not be empty"},
	{TARGET(.description = "\xff"), "description", "is not valid UTF-8"},
};

static void test_bad(void **state)
{
	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
		const char *key = "x";
		struct err err = {0};

		assert_int_equal(export_config_check(&bad[i].config, &key, &err), -EINVAL);
		if (!strstr(err.text, bad[i].says))
			fail_msg("'%s' does not say '%s'", err.text, bad[i].says);
		assert_string_equal(key, bad[i].key);
		assert_int_equal(export_config_check(&bad[i].config, NULL, NULL), -EINVAL);
	}
}

static void test_copies(void **state)
{
	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(good); i++) {
		struct export_config copy;

		assert_int_equal(export_config_copy(&copy, &good[i]), 0);
		assert_null(key_difference(&export_keys, &copy, &good[i]));
		assert_string_equal(copy.name, "n");
		assert_true(copy.name != good[i].name && copy.image != good[i].image);
		export_config_free(&copy);
		assert_null(copy.name);
		export_config_free(&copy);
	}
}

static void test_modes(void **state)
{
	enum export_kind kind = EXPORT_KINDS;

	(void)state;
	for (int i = 0; i < EXPORT_KINDS; i++) {
		assert_true(
			export_config_find_mode(export_config_mode((enum export_kind)i), &kind));
		assert_int_equal(kind, i);
	}
	assert_false(export_config_find_mode("", &kind));
	assert_false(export_config_find_mode("cow", &kind));
}

/* All zero is an export without settings: every row agrees to that. */
static void test_table(void **state)
{
	const struct export_config zero = {0};

	(void)state;
	for (size_t i = 0; i < export_keys.count; i++) {
		const struct key *k = &export_keys.keys[i];

		assert_false(key_is_given(k, &zero));
		assert_true(k->where & 7 && k->where & EXPORT_KEY_SECTION);
		assert_ptr_equal(key_find(&export_keys, k->name), k);
		assert_true(strlen(k->help) > 10 && k->help[strlen(k->help) - 1] == '.');
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_good),
		cmocka_unit_test(test_bad),
		cmocka_unit_test(test_copies),
		cmocka_unit_test(test_modes),
		cmocka_unit_test(test_table),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
