/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What an index believes, and what it makes of damaged bytes: nothing. */
#include "index.h"

#include "fsutil.h"
#include "rnd.h"
#include "sample.h"
#include "temp.h"
#include "util.h"

#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <time.h>

#include <cmocka.h>

static struct temp temp;
static char path[TEMP_PATH_MAX];
static struct entry sample;
static const struct timespec now = {.tv_sec = 1000, .tv_nsec = 500};

static int set_up(void **state)
{
	(void)state;
	temp_init(&temp);
	snprintf(path, sizeof(path), "%s", temp_path(&temp, "index"));
	sample = sample_entry(MANIFEST_FILE, "/etc/f");
	sample_attr(&sample, "security.capability", "\0\1", 2);
	sample_attr(&sample, "user.a", "", 0);
	return 0;
}

static int tear_down(void **state)
{
	(void)state;
	entry_done(&sample);
	temp_done(&temp);
	return 0;
}

/* Changed at SECONDS. */
static struct stat stat_of(time_t seconds)
{
	return (struct stat){.st_dev = 3,
		.st_ino = 4,
		.st_size = 5,
		.st_mtim = {.tv_sec = seconds - 1, .tv_nsec = 8},
		.st_ctim = {.tv_sec = seconds, .tv_nsec = 9}};
}

static void save(const char *const *paths, size_t count, const struct stat *st)
{
	struct index_writer *w = index_writer_new();

	for (size_t i = 0; i < count; i++)
		assert_int_equal(index_writer_add(w, paths[i], st, &sample), 0);
	assert_int_equal(index_writer_save(w, path, &now), 0);
	index_writer_free(w);
}

static void save_one(const struct stat *st)
{
	const char *const f[] = {"/etc/f"};

	save(f, 1, st);
}

static bool knows(const char *name, const struct stat *st)
{
	struct index *i = index_open(path);
	struct entry e = {0};
	bool found = index_find(i, name, st, &e);

	if (found) {
		assert_memory_equal(e.hash, sample.hash, MANIFEST_HASH);
		assert_int_equal(e.attr_count, sample.attr_count);
		for (size_t k = 0; k < e.attr_count; k++) {
			assert_string_equal(e.attrs[k].name, sample.attrs[k].name);
			assert_int_equal(e.attrs[k].len, sample.attrs[k].len);
			assert_memory_equal(
				e.attrs[k].value, sample.attrs[k].value, sample.attrs[k].len + 1);
		}
	}
	assert_true(found || !e.attrs);
	entry_done(&e);
	index_close(i);
	return found;
}

static void test_find(void **state)
{
	static const char *const paths[] = {
		"/etc/f", "/etc", "/a/\xff\n", "/etc/f/g", "/etc.", "/z", "/etc/"};
	struct stat st = stat_of(900);

	(void)state;
	assert_false(knows("/etc/f", &st));
	save(paths, ARRAY_LEN(paths), &st);
	for (size_t i = 0; i < ARRAY_LEN(paths); i++)
		assert_true(knows(paths[i], &st));
	assert_false(knows("/etc/", &(struct stat){0}));
	assert_false(knows("/", &st));
	assert_false(knows("/zz", &st));
	assert_false(knows("", &st));
	save(paths, 0, &st);
	assert_false(knows("/etc/f", &st));
}

/* Each field of the stat counts. */
static void test_changed(void **state)
{
	const struct stat st = stat_of(900);
	struct stat other[7];

	(void)state;
	save_one(&st);
	assert_true(knows("/etc/f", &st));
	for (size_t i = 0; i < ARRAY_LEN(other); i++)
		other[i] = st;
	other[0].st_dev++;
	other[1].st_ino++;
	other[2].st_size++;
	other[3].st_mtim.tv_sec++;
	other[4].st_mtim.tv_nsec++;
	other[5].st_ctim.tv_sec++;
	other[6].st_ctim.tv_nsec++;
	for (size_t i = 0; i < ARRAY_LEN(other); i++)
		assert_false(knows("/etc/f", &other[i]));
}

static void test_racy(void **state)
{
	static const struct {
		time_t seconds;
		long ns;
		bool believed;
	} cases[] = {
		{1000, 500, false},
		{999, 0, false},
		{998, 501, false},
		{998, 500, false}, /* exactly INDEX_RACY_NS */
		{998, 499, true},
		{997, 999999999, true},
		{0, 0, true},
		{-5, 0, true},
		{INT64_MIN, 0, false},
		{1001, 0, false}, /* the clock was set back */
		{99999999, 0, false},
		{INT64_MAX, 999999999, false},
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		struct stat st = stat_of(900);

		st.st_ctim.tv_sec = cases[i].seconds;
		st.st_ctim.tv_nsec = cases[i].ns;
		save_one(&st);
		assert_int_equal(knows("/etc/f", &st), cases[i].believed);
	}
}

static void test_damaged(void **state)
{
	const struct stat st = stat_of(900);
	char *bytes;
	size_t len;
	struct entry e = {0};

	(void)state;
	save_one(&st);
	assert_int_equal(fs_read(path, 1 << 20, &bytes, &len, NULL), 0);
	for (size_t i = 0; i < len; i++) {
		struct index *x;

		bytes[i] ^= 1;
		x = index_of((uint8_t *)bytes, len);
		assert_false(index_find(x, "/etc/f", &st, &e));
		index_close(x);
		x = index_of((uint8_t *)bytes, i);
		assert_false(index_find(x, "/etc/f", &st, &e));
		index_close(x);
		bytes[i] ^= 1;
	}
	free(bytes);
}

static void test_no_file(void **state)
{
	const struct stat st = stat_of(900);

	(void)state;
	assert_int_equal(mkdir(path, 0755), 0);
	assert_false(knows("/etc/f", &st));
	assert_int_equal(rmdir(path), 0);
	assert_int_equal(mkfifo(path, 0600), 0);
	assert_false(knows("/etc/f", &st));
}

static void test_saved_by_another(void **state)
{
	const struct stat st = stat_of(900);
	struct index_writer *w = index_writer_new();
	int fd = open(temp_file(&temp, "index.new", "left by a crash"), O_RDWR | O_CLOEXEC);

	(void)state;
	assert_int_equal(index_writer_add(w, "/etc/f", &st, &sample), 0);
	assert_int_equal(flock(fd, LOCK_EX), 0);
	assert_int_equal(index_writer_save(w, path, &now), -EBUSY);
	close(fd);
	assert_int_equal(index_writer_save(w, path, &now), 0);
	assert_true(knows("/etc/f", &st));
	index_writer_free(w);
	w = index_writer_new();
	assert_int_equal(index_writer_save(w, temp_path(&temp, "none/index"), &now), -ENOENT);
	index_writer_free(w);
}

#define T(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		T(test_find),
		T(test_changed),
		T(test_racy),
		T(test_damaged),
		T(test_no_file),
		T(test_saved_by_another),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
