/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Manifests in memory: order, copies, limits, and what differs. */
#include "manifest.h"
#include "sample.h"
#include "util.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static void add_unsorted(struct manifest *m, const char *path)
{
	struct entry e = sample_entry(MANIFEST_FILE, path);

	assert_int_equal(manifest_add(m, &e), 0);
}

static void test_sort(void **state)
{
	static const char *const in[] = {"/b", "/a/x", "/a", "/a.b", "/a\xff", "/a-", "/B"};
	static const char *const out[] = {"/B", "/a", "/a-", "/a.b", "/a/x", "/a\xff", "/b"};
	struct manifest m;

	(void)state;
	manifest_init(&m);
	assert_int_equal(manifest_sort(&m), 0);
	for (size_t i = 0; i < ARRAY_LEN(in); i++)
		add_unsorted(&m, in[i]);
	assert_int_equal(manifest_sort(&m), 0);
	for (size_t i = 0; i < ARRAY_LEN(out); i++) {
		assert_string_equal(m.entries[i].path, out[i]);
		assert_ptr_equal(manifest_find(&m, out[i]), &m.entries[i]);
	}
	assert_null(manifest_find(&m, "/c"));
	assert_null(manifest_find(&m, ""));
	add_unsorted(&m, "/a.b");
	assert_int_equal(manifest_sort(&m), -EEXIST);
	manifest_done(&m);
	assert_null(manifest_find(&m, "/a"));
}

static void test_bytes(void **state)
{
	struct manifest m;

	(void)state;
	manifest_init(&m);
	assert_int_equal(manifest_bytes(&m), 0);
	sample_add(&m, MANIFEST_FILE, "/abc");
	sample_add(&m, MANIFEST_FOLDER, "/d");
	sample_add(&m, MANIFEST_FILE, "/d/x");
	assert_int_equal(manifest_bytes(&m), 8);
	m.entries[0].size = UINT64_MAX;
	assert_true(manifest_bytes(&m) == UINT64_MAX);
	manifest_done(&m);
}

static void test_copy(void **state)
{
	struct manifest m, copy;
	struct changes c;
	struct rnd r;
	char *text, *again;

	(void)state;
	manifest_init(&m);
	assert_int_equal(manifest_copy(&copy, &m), 0);
	assert_int_equal(copy.count, 0);
	rnd_init(&r, 1);
	sample_random(&m, &r, 50);
	assert_int_equal(manifest_copy(&copy, &m), 0);
	text = sample_text(&m);
	assert_int_equal(changes_between(&m, &copy, &c), 0);
	assert_int_equal(c.count, 0);
	changes_done(&c);
	assert_int_equal(copy.attr_count, m.attr_count);
	manifest_done(&m);
	again = sample_text(&copy);
	assert_string_equal(again, text);
	manifest_done(&copy);
	free(text);
	free(again);
}

/* Two alike entries, of which one is changed. */
static struct entry pair[2];

static void renew(enum manifest_type type)
{
	for (size_t i = 0; i < 2; i++) {
		if (pair[i].path)
			entry_done(&pair[i]);
		pair[i] = sample_entry(type, "/etc/a");
		sample_attr(&pair[i], "user.a", "\0b", 2);
	}
	assert_int_equal(entry_difference(&pair[0], &pair[1]), 0);
}

static void check_difference(unsigned what)
{
	assert_int_equal(entry_difference(&pair[0], &pair[1]), what);
	assert_int_equal(entry_difference(&pair[1], &pair[0]), what);
}

static void test_difference(void **state)
{
	struct entry *e = &pair[1];

	(void)state;
	renew(MANIFEST_FILE);
	e->size++;
	check_difference(ENTRY_CONTENT);
	renew(MANIFEST_FILE);
	e->hash[31] ^= 1;
	check_difference(ENTRY_CONTENT);
	e->mode ^= 04000;
	check_difference(ENTRY_CONTENT | ENTRY_MODE);
	renew(MANIFEST_FOLDER);
	strcpy(e->owner, "daemon");
	check_difference(ENTRY_OWNER);
	renew(MANIFEST_FOLDER);
	strcpy(e->group, "daemon");
	check_difference(ENTRY_OWNER);
	renew(MANIFEST_LINK);
	e->target[0] = 'x';
	check_difference(ENTRY_CONTENT);
	renew(MANIFEST_FILE);
	e->type = MANIFEST_FOLDER;
	check_difference(ENTRY_TYPE);
	entry_done(&pair[0]);
	entry_done(&pair[1]);
}

static void test_attr_difference(void **state)
{
	struct entry *e = &pair[1];

	(void)state;
	renew(MANIFEST_FILE);
	sample_attr(e, "user.b", "", 0);
	check_difference(ENTRY_ATTRS);
	renew(MANIFEST_FILE);
	e->attrs[0].name[5] = 'b';
	check_difference(ENTRY_ATTRS);
	renew(MANIFEST_FILE);
	e->attrs[0].value[1] = 'c';
	check_difference(ENTRY_ATTRS);
	renew(MANIFEST_FILE);
	e->attrs[0].len = 1;
	check_difference(ENTRY_ATTRS);
	entry_done(&pair[0]);
	entry_done(&pair[1]);
}

static void test_too_many_entries(void **state)
{
	struct manifest m;
	struct entry e;
	char path[16];

	(void)state;
	manifest_init(&m);
	for (int i = 0; i < MANIFEST_ENTRIES_MAX; i++) {
		snprintf(path, sizeof(path), "/%06d", i);
		add_unsorted(&m, path);
	}
	assert_int_equal(manifest_sort(&m), 0);
	e = sample_entry(MANIFEST_FILE, "/x");
	assert_int_equal(manifest_add(&m, &e), -E2BIG); /* and frees it */
	assert_null(e.path);
	assert_int_equal(m.count, MANIFEST_ENTRIES_MAX);
	manifest_done(&m);
}

static void test_too_many_attrs(void **state)
{
	struct manifest m;
	struct entry e = sample_entry(MANIFEST_FILE, "/a");

	(void)state;
	manifest_init(&m);
	m.attr_count = MANIFEST_ATTRS_ALL_MAX - 1;
	sample_attr(&e, "user.a", "", 0);
	assert_int_equal(manifest_add(&m, &e), 0);
	e = sample_entry(MANIFEST_FILE, "/b");
	sample_attr(&e, "user.a", "", 0);
	assert_int_equal(manifest_add(&m, &e), -E2BIG);
	add_unsorted(&m, "/c");
	manifest_done(&m);
}

static void test_hashes(void **state)
{
	static const char hex[] =
		"00ff102030405060708090a0b0c0d0e0f00123456789abcdef0000000000007f";
	static const char *const bad[] = {"", "00",
		"00FF102030405060708090a0b0c0d0e0f00123456789abcdef0000000000007f",
		"0gff102030405060708090a0b0c0d0e0f00123456789abcdef0000000000007f",
		"00ff102030405060708090a0b0c0d0e0f00123456789abcdef0000000000007",
		"00ff102030405060708090a0b0c0d0e0f00123456789abcdef0000000000007f0"};
	uint8_t hash[MANIFEST_HASH];
	char out[MANIFEST_HEX];

	(void)state;
	assert_int_equal(hash_from_hex(hex, 64, hash), 0);
	hash_to_hex(hash, out);
	assert_string_equal(out, hex);
	for (size_t i = 0; i < ARRAY_LEN(bad); i++)
		assert_int_equal(hash_from_hex(bad[i], strlen(bad[i]), hash), -EINVAL);
	assert_false(hash_is_zero(hash));
	memset(hash, 0, sizeof(hash));
	assert_true(hash_is_zero(hash));
	hash[31] = 1;
	assert_false(hash_is_zero(hash));
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_sort),
		cmocka_unit_test(test_bytes),
		cmocka_unit_test(test_copy),
		cmocka_unit_test(test_difference),
		cmocka_unit_test(test_attr_difference),
		cmocka_unit_test(test_too_many_entries),
		cmocka_unit_test(test_too_many_attrs),
		cmocka_unit_test(test_hashes),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
