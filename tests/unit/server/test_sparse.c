/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Zeros become holes, everything else stays what it is; reading from storages in pieces. */
#include "sparse.h"

#include "check.h"
#include "file.h"
#include "nbd.h"
#include "rnd.h"
#include "temp.h"
#include "util.h"

#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

enum { SIZE = 20 * SPARSE_RUN + 100 };

static struct {
	struct temp temp;
	struct storage *file;
	uint8_t data[SIZE], got[SIZE];
} t;

static int set_up(void **state)
{
	struct rnd random;
	struct err err;

	(void)state;
	memset(&t, 0, sizeof(t));
	rnd_init(&random, 1);
	for (size_t i = 0; i < SIZE; i++)
		t.data[i] = (uint8_t)(rnd_next(&random) | 1);
	temp_init(&t.temp);
	CHECK(truncate(temp_file(&t.temp, "file", ""), SIZE) == 0);
	t.file = file_open(temp_path(&t.temp, "file"), 0, &err);
	return t.file ? 0 : -1;
}

static int tear_down(void **state)
{
	(void)state;
	t.file->ops->close(t.file);
	temp_done(&t.temp);
	return 0;
}

/* What was in the file before is data everywhere. */
static void write_over(uint64_t offset, size_t len)
{
	static uint8_t old[SIZE];

	memset(old, 0xdd, sizeof(old));
	CHECK(pwrite(file_of(t.file)->fd, old, SIZE, 0) == SIZE);
	assert_int_equal(sparse_write(t.file, offset, t.data + offset, len), 0);
	CHECK(pread(file_of(t.file)->fd, t.got, SIZE, 0) == SIZE);
	assert_memory_equal(t.got, old, offset);
	assert_memory_equal(t.got + offset, t.data + offset, len);
	assert_memory_equal(t.got + offset + len, old + offset + len, SIZE - offset - len);
}

static void test_contents(void **state)
{
	static const size_t lens[] = {1, 2, 511, 4096, SPARSE_RUN - 1, SPARSE_RUN, SPARSE_RUN + 1,
		3 * SPARSE_RUN, 3 * SPARSE_RUN + 7};

	(void)state;
	memset(t.data + SPARSE_RUN, 0, SPARSE_RUN);
	memset(t.data + 3 * SPARSE_RUN + 1, 0, 5 * SPARSE_RUN);
	for (size_t i = 0; i < ARRAY_LEN(lens); i++) {
		for (uint64_t at = 0; at + lens[i] <= 6 * SPARSE_RUN; at += SPARSE_RUN / 2 + 1)
			write_over(at, lens[i]);
	}
	write_over(SIZE - 100, 100);
	write_over(0, SIZE);
}

static void test_zeros_are_holes(void **state)
{
	struct extent runs[8];

	(void)state;
	memset(t.data + 4 * SPARSE_RUN, 0, 8 * SPARSE_RUN);
	memset(t.data + 16 * SPARSE_RUN, 0, SPARSE_RUN / 2); /* too short to be worth it */
	memset(t.data + 19 * SPARSE_RUN, 0, SIZE - 19 * SPARSE_RUN);
	write_over(0, SIZE);
	assert_true(t.file->ops->extents(t.file, 0, 20 * SPARSE_RUN, runs, 8) == 4);
	assert_int_equal(runs[0].length, 4 * SPARSE_RUN);
	assert_int_equal(runs[1].length, 8 * SPARSE_RUN);
	assert_true(runs[1].state & NBD_STATE_HOLE);
	assert_int_equal(runs[2].length, 7 * SPARSE_RUN);
	assert_true(runs[3].state & NBD_STATE_HOLE);
}

static void test_read(void **state)
{
	(void)state;
	write_over(0, SIZE);
	memset(t.got, 0, SIZE);
	assert_int_equal(sparse_read(t.file, 5, t.got, SIZE - 5), 0);
	assert_memory_equal(t.got, t.data + 5, SIZE - 5);
	CHECK(ftruncate(file_of(t.file)->fd, SIZE - 10) == 0);
	assert_int_equal(sparse_read(t.file, SIZE - 20, t.got, 20), -EIO);
}

static void test_errors(void **state)
{
	struct err err;
	struct storage *readonly = file_open(temp_path(&t.temp, "file"), FILE_READONLY, &err);

	(void)state;
	assert_int_equal(sparse_write(readonly, 0, t.data, 100), -EBADF);
	memset(t.data, 0, SPARSE_RUN);
	assert_true(sparse_write(readonly, 0, t.data, SPARSE_RUN) < 0);
	readonly->ops->close(readonly);
}

/* A storage in pieces of 1000 bytes: of the file from its end on, then zeros, in turn. */
static size_t map(struct storage *st, bool for_write, uint64_t offset, uint64_t length,
	struct piece *pieces, size_t max)
{
	uint64_t n = offset / 1000;

	CHECK(st && !for_write && max > 0);
	pieces[0] = (struct piece){.kind = n % 2 ? PIECE_ZERO : PIECE_DATA,
		.fd = file_of(t.file)->fd,
		.offset = SIZE - 1000 - offset / 1000 * 1000 + offset % 1000,
		.length = MIN_OF(length, 1000 - offset % 1000)};
	if (n == 10)
		pieces[0].kind = PIECE_ABSENT;
	return 1;
}

static void test_read_in_pieces(void **state)
{
	static const struct storage_ops ops = {.map = map};
	struct storage st = {.ops = &ops};

	(void)state;
	write_over(0, SIZE);
	memset(t.got, 0xee, SIZE);
	assert_int_equal(sparse_read(&st, 100, t.got, 3000), 0);
	assert_memory_equal(t.got, t.data + SIZE - 900, 900);
	for (size_t i = 900; i < 1900; i++)
		assert_int_equal(t.got[i], 0);
	assert_memory_equal(t.got + 1900, t.data + SIZE - 3000, 1000);
	assert_int_equal(t.got[3000], 0xee);
	assert_int_equal(sparse_read(&st, 9999, t.got, 2), -EIO);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_contents),
		TEST(test_zeros_are_holes),
		TEST(test_read),
		TEST(test_errors),
		TEST(test_read_in_pieces),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
