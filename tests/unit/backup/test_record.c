/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Records: through JSON and back, what is refused, files cut at every place, and the lock. */
#include "catalog.h"
#include "record.h"

#include "fsutil.h"
#include "temp.h"
#include "util.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <sys/wait.h>

#include <cmocka.h>

static void fill(struct records *r)
{
	struct record *one;

	one = records_add(r, "file:/b/a.1", 1, 5);
	one->state = RECORD_GOOD;
	one->verified = true;
	memset(one->digest, 'a', RECORD_DIGEST_ROOM - 1);
	one->bytes = INT64_MAX;
	one = records_add(r, "file:/b/\"\\\n\303\244", 2, 4);
	one->state = RECORD_BAD;
	records_add(r, "x", 0, 0);
	r->last_try = 7;
	assert_int_equal(records_set_text(&r->last_error, "no: \377"), 0);
	assert_int_equal(records_set_text(&r->snapshot, "/srv/x"), 0);
}

static void test_round_trip(void **state)
{
	struct records r = {0}, back;
	struct err err;
	char *text;

	(void)state;
	fill(&r);
	text = records_print(&r);
	assert_int_equal(records_parse(text, &back, &err), 0);
	assert_int_equal(back.count, 3);
	for (size_t i = 0; i < back.count; i++) {
		assert_string_equal(back.items[i].target, r.items[i].target);
		assert_string_equal(back.items[i].digest, r.items[i].digest);
		assert_int_equal(back.items[i].state, r.items[i].state);
		assert_int_equal(back.items[i].number, r.items[i].number);
		assert_int_equal(back.items[i].time, r.items[i].time);
		assert_int_equal(back.items[i].slot, r.items[i].slot);
		assert_int_equal(back.items[i].verified, r.items[i].verified);
		assert_int_equal(back.items[i].bytes, r.items[i].bytes);
	}
	assert_int_equal(back.last_number, 3);
	assert_int_equal(back.last_try, 7);
	assert_string_equal(back.last_error, "not UTF-8");
	assert_string_equal(back.snapshot, "/srv/x");
	assert_null(back.snapshot_of);
	free(text);
	records_done(&r);
	records_done(&back);
}

static void test_find(void **state)
{
	struct records r = {0};

	(void)state;
	assert_null(records_newest(&r));
	fill(&r);
	assert_int_equal(records_newest(&r)->number, 1);
	assert_int_equal(records_at(&r, "x")->number, 3);
	assert_null(records_at(&r, "y"));
	records_drop(&r, 0);
	assert_null(records_newest(&r));
	assert_int_equal(records_add(&r, "z", 0, 1)->number, 4);
	records_done(&r);
}

/* No text that was cut off anywhere is believed. */
static void test_cut(void **state)
{
	struct records r = {0}, back;
	struct err err;
	char *text;

	(void)state;
	fill(&r);
	text = records_print(&r);
	for (size_t len = strlen(text); len-- > 0;) {
		text[len] = 0;
		assert_int_equal(records_parse(text, &back, &err), -EBADMSG);
		records_done(&back);
	}
	free(text);
	records_done(&r);
}

#define FRAME(copies, last)                                                                        \
	"{\"version\":1,\"last_number\":" last ",\"last_try\":0,\"last_error\":null,"              \
	"\"snapshot\":null,\"snapshot_of\":null,\"copies\":" copies "}"
#define COPY(number, state, slot, target, digest)                                                  \
	"{\"number\":" number ",\"time\":0,\"state\":\"" state                                     \
	"\",\"verified\":true,\"slot\":" slot                                                      \
	",\"bytes\":0,\"stored\":0,\"ms\":0,\"target\":\"" target "\",\"digest\":\"" digest "\"}"

static void test_refused(void **state)
{
	static const char *const bad[] = {"", "[]", "{}", "1", FRAME("{}", "1"), FRAME("[1]", "1"),
		FRAME("[]", "-1"), FRAME("[]", "1.5"),
		FRAME("[" COPY("2", "good", "0", "x", "") "]", "1"),
		FRAME("[" COPY("0", "good", "0", "x", "") "]", "1"),
		FRAME("[" COPY("1", "fine", "0", "x", "") "]", "1"),
		FRAME("[" COPY("1", "good", "-1", "x", "") "]", "1"),
		FRAME("[" COPY("1", "good", "99999", "x", "") "]", "1"),
		FRAME("[" COPY("1", "good", "0", "", "") "]", "1"),
		FRAME("[" COPY("1", "good", "0", "x", "abc") "]", "1"),
		FRAME("[" COPY("1", "good", "0", "x", "") "," COPY("1", "good", "0", "x", "") "]",
			"2")};
	struct records r;
	struct err err;

	(void)state;
	assert_int_equal(
		records_parse(FRAME("[" COPY("1", "good", "0", "x", "") "]", "1"), &r, &err), 0);
	records_done(&r);
	for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
		assert_int_equal(records_parse(bad[i], &r, &err), -EBADMSG);
		records_done(&r);
	}
}

static void test_files(void **state)
{
	struct records r = {0}, back;
	struct temp t;
	const char *folder = t.folder;
	struct err err = {0};
	char path[512];

	(void)state;
	temp_init(&t);
	assert_int_equal(catalog_load(folder, "a", &back, &err), 0);
	assert_int_equal(back.count, 0);
	fill(&r);
	assert_int_equal(catalog_save(folder, "a", &r, &err), 0);
	assert_int_equal(catalog_load(folder, "a", &back, &err), 0);
	assert_int_equal(back.count, 3);
	records_done(&back);
	snprintf(path, sizeof(path), "%s/a.json", folder);
	assert_int_equal(fs_replace(path, "{", 1, 0600, &err), 0);
	assert_int_equal(catalog_load(folder, "a", &back, &err), -EBADMSG);
	assert_non_null(strstr(err.text, "a.json"));
	records_done(&back);
	records_done(&r);
	temp_done(&t);
}

static void test_lock(void **state)
{
	struct temp t;
	const char *folder = t.folder;
	struct err err = {0};
	uint64_t pid;
	int status, fd;
	pid_t child;

	(void)state;
	temp_init(&t);
	assert_int_equal(catalog_holder(folder), 0);
	fd = catalog_lock(folder, &pid, &err);
	assert_true(fd >= 0);
	child = fork();
	if (child == 0) {
		int r = catalog_lock(folder, &pid, &err);

		_exit(r == -EBUSY && pid == (uint64_t)getppid() &&
					catalog_holder(folder) == (uint64_t)getppid()
				? 0
				: 1);
	}
	assert_int_equal(waitpid(child, &status, 0), child);
	assert_int_equal(status, 0);
	close(fd);
	assert_int_equal(catalog_holder(folder), 0);
	temp_done(&t);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_round_trip),
		cmocka_unit_test(test_find),
		cmocka_unit_test(test_cut),
		cmocka_unit_test(test_refused),
		cmocka_unit_test(test_files),
		cmocka_unit_test(test_lock),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
