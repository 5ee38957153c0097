/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What makes one manifest of another, against a slow way to find it out. */
#include "manifest.h"
#include "sample.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

static void test_kinds(void **state)
{
	struct manifest a, b;
	struct changes c;

	(void)state;
	manifest_init(&a);
	manifest_init(&b);
	sample_add(&a, MANIFEST_FILE, "/gone");
	sample_add(&a, MANIFEST_FILE, "/same");
	sample_add(&a, MANIFEST_FILE, "/edited");
	sample_add(&b, MANIFEST_FILE, "/same");
	sample_add(&b, MANIFEST_FILE, "/edited");
	sample_add(&b, MANIFEST_FOLDER, "/new");
	b.entries[0].mode = 0600;
	assert_int_equal(changes_between(&a, &b, &c), 0);
	assert_int_equal(c.count, 3);
	assert_int_equal(c.items[0].kind, CHANGE_EDIT);
	assert_int_equal(c.items[0].what, ENTRY_MODE);
	assert_int_equal(c.items[1].kind, CHANGE_DELETE);
	assert_string_equal(c.items[1].old->path, "/gone");
	assert_null(c.items[1].new);
	assert_int_equal(c.items[2].kind, CHANGE_ADD);
	assert_null(c.items[2].old);
	changes_done(&c);
	assert_int_equal(c.count, 0);
	manifest_done(&a);
	manifest_done(&b);
}

static void test_within(void **state)
{
	struct manifest a, b, none;

	(void)state;
	manifest_init(&a);
	manifest_init(&b);
	manifest_init(&none);
	sample_add(&a, MANIFEST_FILE, "/b");
	sample_add(&b, MANIFEST_FILE, "/a");
	sample_add(&b, MANIFEST_FILE, "/b");
	sample_add(&b, MANIFEST_FILE, "/c");
	assert_true(manifest_within(&a, &b));
	assert_false(manifest_within(&b, &a));
	assert_true(manifest_within(&none, &a));
	assert_false(manifest_within(&a, &none));
	assert_true(manifest_within(&none, &none));
	b.entries[1].mode ^= 1;
	assert_false(manifest_within(&a, &b));
	manifest_done(&a);
	manifest_done(&b);
}

/* B: A with some entries left out, changed and added. */
static void vary(struct rnd *r, const struct manifest *a, struct manifest *b)
{
	char path[64];

	manifest_init(b);
	for (size_t i = 0; i < a->count; i++) {
		struct entry e;

		if (rnd_once_in(r, 4))
			continue;
		assert_int_equal(entry_copy(&e, &a->entries[i]), 0);
		if (rnd_once_in(r, 4))
			e.size ^= e.type == MANIFEST_FILE;
		assert_int_equal(manifest_add(b, &e), 0);
	}
	for (size_t i = rnd_below(r, 5); i > 0; i--) {
		snprintf(path, sizeof(path), "/%zu/%llu", i, (unsigned long long)rnd_next(r));
		sample_add(b, MANIFEST_FILE, path);
	}
	assert_int_equal(manifest_sort(b), 0);
}

static const struct change *find(const struct changes *c, const char *path)
{
	for (size_t i = 0; i < c->count; i++) {
		const struct entry *e = c->items[i].old ? c->items[i].old : c->items[i].new;

		if (strcmp(e->path, path) == 0)
			return &c->items[i];
	}
	return NULL;
}

static void check_changes(const struct manifest *a, const struct manifest *b)
{
	struct changes c;
	size_t seen = 0, same = 0;

	assert_int_equal(changes_between(a, b, &c), 0);
	for (size_t i = 0; i < a->count; i++) {
		const struct entry *e = &a->entries[i], *f = manifest_find(b, e->path);
		const struct change *is = find(&c, e->path);

		if (f && entry_difference(e, f) == 0) {
			assert_null(is);
			same++;
			continue;
		}
		assert_non_null(is);
		assert_ptr_equal(is->old, e);
		assert_ptr_equal(is->new, f);
		seen++;
	}
	for (size_t i = 0; i < b->count; i++)
		seen += manifest_find(a, b->entries[i].path) == NULL;
	assert_int_equal(c.count, seen);
	assert_int_equal(manifest_within(a, b), same == a->count);
	changes_done(&c);
}

static void test_random(void **state)
{
	struct manifest a, b;
	struct rnd r;

	(void)state;
	for (uint64_t i = 0; i < 100; i++) {
		rnd_init(&r, i);
		manifest_init(&a);
		sample_random(&a, &r, rnd_below(&r, 20));
		vary(&r, &a, &b);
		check_changes(&a, &b);
		check_changes(&b, &a);
		check_changes(&a, &a);
		manifest_done(&a);
		manifest_done(&b);
	}
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_kinds),
		cmocka_unit_test(test_within),
		cmocka_unit_test(test_random),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
