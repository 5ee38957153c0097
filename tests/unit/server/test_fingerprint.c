/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What a fingerprint notices, and what it does not. */
#include "fingerprint.h"

#include "check.h"
#include "rnd.h"
#include "temp.h"

#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

enum { SIZE = 3 * 1024 * 1024 + 17 };

static struct {
	struct temp temp;
	char path[TEMP_PATH_MAX], copy[TEMP_PATH_MAX];
	uint8_t data[SIZE];
} t;

static void put(const char *path, size_t size)
{
	int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);

	CHECK(fd >= 0 && write(fd, t.data, size) == (ssize_t)size);
	close(fd);
}

static void set_time(const char *path, long ns)
{
	const struct timespec times[2] = {{1700000000, 0}, {1700000000, ns}};

	CHECK(utimensat(AT_FDCWD, path, times, 0) == 0);
}

/* One byte is another one, the time is the same. */
static void change(uint64_t at)
{
	int fd = open(t.path, O_WRONLY | O_CLOEXEC);
	uint8_t byte = (uint8_t)~t.data[at];

	CHECK(fd >= 0 && pwrite(fd, &byte, 1, (off_t)at) == 1);
	close(fd);
	set_time(t.path, 5);
}

static int set_up(void **state)
{
	struct rnd random;

	(void)state;
	rnd_init(&random, 1);
	rnd_fill(&random, t.data, SIZE);
	temp_init(&t.temp);
	strcpy(t.path, temp_path(&t.temp, "a"));
	strcpy(t.copy, temp_path(&t.temp, "b"));
	put(t.path, SIZE);
	put(t.copy, SIZE);
	set_time(t.path, 5);
	set_time(t.copy, 5);
	return 0;
}

static int tear_down(void **state)
{
	(void)state;
	temp_done(&t.temp);
	return 0;
}

static bool same_of(uint64_t size)
{
	struct err err;
	json_t *a = fingerprint(t.path, size, &err), *b = fingerprint(t.copy, size, &err);
	bool same;

	assert_true(a && b);
	same = json_equal(a, b);
	json_decref(a);
	json_decref(b);
	return same;
}

static void test_copy_is_the_same(void **state)
{
	(void)state;
	assert_true(same_of(SIZE));
}

static void test_shape(void **state)
{
	struct err err;
	json_t *p = fingerprint(t.path, SIZE, &err);

	(void)state;
	assert_int_equal(json_object_size(p), 3);
	assert_int_equal(json_integer_value(json_object_get(p, "size")), SIZE);
	assert_string_equal(
		json_string_value(json_object_get(p, "changed")), "1700000000.000000005");
	assert_int_equal(json_string_length(json_object_get(p, "samples")), 16);
	json_decref(p);
}

static void test_time(void **state)
{
	(void)state;
	set_time(t.path, 6);
	assert_false(same_of(SIZE));
}

static void test_first_and_last_bytes(void **state)
{
	static const uint64_t places[] = {0, 4095, SIZE - 1, SIZE - 4096};

	(void)state;
	for (size_t i = 0; i < sizeof(places) / sizeof(places[0]); i++) {
		change(places[i]);
		assert_false(same_of(SIZE));
		put(t.path, SIZE);
		set_time(t.path, 5);
		assert_true(same_of(SIZE));
	}
}

/* A stretch that is longer than what lies between two samples cannot hide. */
static void test_long_changes(void **state)
{
	uint64_t stretch = SIZE / 63 + 1;

	(void)state;
	for (uint64_t at = 0; at + stretch < SIZE; at += 3 * stretch) {
		int fd = open(t.path, O_WRONLY | O_CLOEXEC);

		CHECK(fd >= 0 && pwrite(fd, t.data + 1, stretch, (off_t)at) == (ssize_t)stretch);
		close(fd);
		set_time(t.path, 5);
		assert_false(same_of(SIZE));
		put(t.path, SIZE);
	}
}

static void test_size(void **state)
{
	struct err err;
	json_t *a = fingerprint(t.path, SIZE, &err), *b = fingerprint(t.path, SIZE - 1, &err);

	(void)state;
	assert_false(json_equal(a, b));
	json_decref(a);
	json_decref(b);
}

static void test_short_files(void **state)
{
	static const size_t sizes[] = {1, 511, 4095, 4096, 4097, 8192};

	(void)state;
	for (size_t i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
		put(t.path, sizes[i]);
		put(t.copy, sizes[i]);
		set_time(t.path, 5);
		set_time(t.copy, 5);
		assert_true(same_of(sizes[i]));
		change(sizes[i] - 1);
		assert_false(same_of(sizes[i]));
	}
}

static void test_errors(void **state)
{
	struct err err = {0};

	(void)state;
	assert_null(fingerprint(temp_path(&t.temp, "none"), 1, &err));
	assert_int_equal(err.code, ENOENT);
	assert_non_null(strstr(err.text, "none"));
	assert_null(fingerprint(t.temp.folder, 1, &err));
	assert_int_equal(err.code, EISDIR);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_copy_is_the_same),
		TEST(test_shape),
		TEST(test_time),
		TEST(test_first_and_last_bytes),
		TEST(test_long_changes),
		TEST(test_size),
		TEST(test_short_files),
		TEST(test_errors),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
