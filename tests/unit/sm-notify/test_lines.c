/* SPDX-License-Identifier: GPL-2.0-or-later */
/* A file's lines: whatever lengths they have, the pieces make up the file again. */
#include "lines.h"

#include "statedir.h"
#include "util.h"

#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

enum { ROOM = 64 * 1024 };

static struct statedir dir;
static struct lines lines; /* large */

static int set_up(void **state)
{
	(void)state;
	statedir_init(&dir);
	return 0;
}

static int tear_down(void **state)
{
	(void)state;
	statedir_done(&dir);
	return 0;
}

struct counts {
	unsigned pieces, whole, ended;
	int result;
};

/* Reads it all and checks that nothing is lost or added. */
static struct counts read_all(const char *bytes, size_t len, uint64_t max)
{
	static char again[ROOM];
	CLEANUP_FD int fd = -1;
	struct lines_piece piece;
	struct counts c = {0};
	size_t used = 0;

	statedir_put_bytes(&dir, "file", bytes, len);
	fd = open(statedir_path(&dir, "file"), O_RDONLY | O_CLOEXEC);
	assert_true(fd >= 0);
	lines_init(&lines, fd, max);
	while ((c.result = lines_next(&lines, &piece)) > 0) {
		assert_true(piece.len <= RECORD_LINE_MAX && used + piece.len < ROOM);
		assert_true(piece.last || !piece.newline);
		assert_true(piece.last || !piece.whole);
		memcpy(again + used, piece.text, piece.len);
		used += piece.len;
		if (piece.newline)
			again[used++] = '\n';
		c.pieces++;
		c.whole += piece.whole;
		c.ended += piece.last;
	}
	if (c.result == 0) {
		assert_int_equal(used, len);
		assert_memory_equal(again, bytes, len);
		assert_int_equal(lines_next(&lines, &piece), 0);
	}
	return c;
}

static struct counts read_text(const char *text)
{
	return read_all(text, strlen(text), ROOM);
}

static void test_short_lines(void **state)
{
	(void)state;
	assert_int_equal(read_text("").pieces, 0);
	assert_int_equal(read_text("\n").whole, 1);
	assert_int_equal(read_text("a").whole, 1);
	assert_int_equal(read_text("a\nb\n\nc\n").whole, 4);
	assert_int_equal(read_text("a\nb").whole, 2);
	assert_int_equal(read_all("a\0b\nc\n", 6, ROOM).whole, 2);
}

/* One line of each length around the buffer's sizes, between short ones, with and without end. */
static void test_long_lines(void **state)
{
	static const size_t sizes[] = {RECORD_LINE_MAX, 2 * RECORD_LINE_MAX, 3 * RECORD_LINE_MAX};
	static char text[ROOM];

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(sizes); i++) {
		for (size_t len = sizes[i] - 9; len <= sizes[i] + 9; len++) {
			bool fits = len < RECORD_LINE_MAX;
			struct counts c;

			memcpy(text, "ab\n", 3);
			memset(text + 3, 'x', len);
			memcpy(text + 3 + len, "\ncd\n", 4);
			c = read_all(text, 3 + len + 4, ROOM);
			assert_int_equal(c.whole, fits ? 3 : 2);
			assert_int_equal(c.ended, 3);
			c = read_all(text, 3 + len, ROOM);
			assert_int_equal(c.whole, fits ? 2 : 1);
			assert_int_equal(c.ended, 2);
		}
	}
}

static void test_a_file_too_large(void **state)
{
	static const char text[] = "abc\ndef\n";

	(void)state;
	assert_int_equal(read_all(text, 8, 8).result, 0);
	assert_int_equal(read_all(text, 8, 7).result, -EFBIG);
}

static void test_what_cannot_be_read(void **state)
{
	CLEANUP_FD int fd = open(statedir_path(&dir, "sm"), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	struct lines_piece piece;

	(void)state;
	lines_init(&lines, fd, ROOM);
	assert_int_equal(lines_next(&lines, &piece), -EISDIR);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_short_lines),
		cmocka_unit_test(test_long_lines),
		cmocka_unit_test(test_a_file_too_large),
		cmocka_unit_test(test_what_cannot_be_read),
	};

	return cmocka_run_group_tests(tests, set_up, tear_down);
}
