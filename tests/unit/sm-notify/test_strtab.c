/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Texts by offset: each once, found again after any growth; limits. */
#include "strtab.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

static uint32_t put(struct strtab *t, const char *text)
{
	uint32_t offset = 0;

	assert_int_equal(strtab_put(t, text, strlen(text), &offset), 0);
	assert_string_equal(strtab_text(t, offset), text);
	return offset;
}

static void test_each_once(void **state)
{
	struct strtab t;
	uint32_t a, b;

	(void)state;
	strtab_init(&t, 10000);
	assert_int_equal(strtab_find(&t, "a", 1), 0);
	a = put(&t, "abc");
	b = put(&t, "ab");
	assert_int_not_equal(a, b);
	assert_int_equal(put(&t, "abc"), a);
	assert_int_equal(put(&t, "ab"), b);
	assert_int_equal(put(&t, ""), 0);
	assert_int_equal(strtab_find(&t, "abcd", 3), a);
	assert_int_equal(strtab_find(&t, "abcd", 4), 0);
	assert_int_equal(strtab_find(&t, "", 0), 0);
	strtab_done(&t);
}

static void test_many(void **state)
{
	enum { COUNT = 20000 };
	static uint32_t offsets[COUNT];
	struct strtab t;
	char text[32];

	(void)state;
	strtab_init(&t, 10000000);
	for (int i = 0; i < COUNT; i++) {
		snprintf(text, sizeof(text), "peer%d.lab.test", i);
		offsets[i] = put(&t, text);
	}
	assert_int_equal(t.count, COUNT);
	for (int i = 0; i < COUNT; i++) {
		snprintf(text, sizeof(text), "peer%d.lab.test", i);
		assert_int_equal(put(&t, text), offsets[i]);
		assert_int_equal(strtab_find(&t, text, strlen(text)), offsets[i]);
	}
	assert_int_equal(t.count, COUNT);
	strtab_seal(&t);
	for (int i = 0; i < COUNT; i++) {
		snprintf(text, sizeof(text), "peer%d.lab.test", i);
		assert_string_equal(strtab_text(&t, offsets[i]), text);
	}
	assert_int_equal(strtab_find(&t, "peer1.lab.test", 14), 0);
	strtab_done(&t);
}

static void test_limit(void **state)
{
	static char large[20000];
	struct strtab t;
	uint32_t offset = 77;

	(void)state;
	memset(large, 'x', sizeof(large));
	strtab_init(&t, 100);
	assert_int_equal(strtab_put(&t, large, sizeof(large), &offset), -ENOSPC);
	assert_int_equal(offset, 77);
	assert_int_equal(strtab_put(&t, large, 98, &offset), 0); /* and two zero bytes */
	assert_int_equal(strtab_put(&t, large, 97, &offset), -ENOSPC);
	assert_int_equal(strtab_put(&t, large, 98, &offset), 0);
	assert_int_equal(strtab_put(&t, "", 0, &offset), 0);
	strtab_done(&t);
}

static void test_a_long_text_beside_the_end(void **state)
{
	static char large[4094];
	struct strtab t;
	uint32_t offset;

	(void)state;
	memset(large, 'x', sizeof(large));
	strtab_init(&t, 1 << 22);
	for (size_t len = 1; len <= sizeof(large); len += 7) { /* each a beginning of the next */
		assert_int_equal(strtab_put(&t, large, len, &offset), 0);
		assert_int_equal(strtab_find(&t, large, len), offset);
	}
	strtab_done(&t);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_each_once),
		cmocka_unit_test(test_many),
		cmocka_unit_test(test_limit),
		cmocka_unit_test(test_a_long_text_beside_the_end),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
