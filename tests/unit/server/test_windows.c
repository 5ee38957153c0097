/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Windows: when one is opened, what is seen through it, when it is not to be trusted any more.
 * Looked through by write(2) to a pipe, as the server does with sendmsg(2).
 */
#include "temp.h"
#include "util.h"
#include "windows.h"

#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

enum { PAGE = 4096, SIZE = 3 * WINDOWS_BYTES };

static struct windows ws;
static int fd; /* memory, filled: each page with its number */
static uint64_t now;
static struct window *held;

static void fill(uint64_t page)
{
	uint8_t bytes[PAGE];

	memset(bytes, (int)(page % 251), PAGE);
	assert_int_equal(pwrite(fd, bytes, PAGE, (off_t)(page * PAGE)), PAGE);
}

static int set_up(void **state)
{
	(void)state;
	fd = memfd_create("image", MFD_CLOEXEC);
	if (fd < 0)
		return -1;
	for (uint64_t i = 0; i < SIZE / PAGE; i++)
		fill(i);
	now = 5000;
	windows_init(&ws, 4);
	return 0;
}

static int tear_down(void **state)
{
	(void)state;
	windows_done(&ws);
	close(fd);
	return 0;
}

/* Asks and, if the answer is a window, gives it back at once. */
static const uint8_t *ask(uint64_t offset, size_t length, unsigned generation)
{
	struct window_range range = {
		.fd = fd, .offset = offset, .length = length, .generation = generation};
	const uint8_t *at = windows_find(&ws, &range, now, &held);

	if (at)
		windows_put(held);
	return at;
}

static const uint8_t *ask_often(uint64_t offset, size_t length, unsigned generation)
{
	for (int i = 1; i < WINDOWS_WORTH; i++)
		ask(offset, length, generation);
	return ask(offset, length, generation);
}

/* What a system call sees at AT: the first byte, or -errno. */
static int seen(const uint8_t *at, size_t length)
{
	int ends[2], ret;
	uint8_t bytes[2 * PAGE];

	assert_int_equal(pipe(ends), 0);
	ret = write(ends[1], at, length) < 0 ? -errno : 0;
	if (ret == 0)
		ret = read(ends[0], bytes, length) == (ssize_t)length ? bytes[0] : -EIO;
	close(ends[0]);
	close(ends[1]);
	return ret;
}

/* Mappings of the image in this process. */
static int mappings(void)
{
	FILE *f = fopen("/proc/self/maps", "re");
	char line[512];
	int n = 0;

	assert_non_null(f);
	while (fgets(line, sizeof(line), f))
		n += strstr(line, "memfd:image") != NULL;
	fclose(f);
	return n;
}

static void opened_when_worth_it(void **state)
{
	(void)state;
	for (int i = 1; i < WINDOWS_WORTH; i++)
		assert_null(ask(7 * PAGE, PAGE, 0));
	assert_int_equal(mappings(), 0);
	assert_int_equal(seen(ask(7 * PAGE, PAGE, 0), PAGE), 7);
	assert_int_equal(seen(ask(9 * PAGE + 100, 200, 0), 200), 9);
	assert_int_equal(seen(ask(20 * PAGE, 2 * PAGE, 0), 2 * PAGE), 20);
	assert_int_equal(seen(ask(WINDOWS_BYTES - PAGE, PAGE, 0), PAGE), WINDOWS_PAGES % 251 - 1);
	assert_int_equal(mappings(), 1);
}

static void can_be_copied(void **state)
{
	const uint8_t *at = ask_often(7 * PAGE, PAGE, 0);
	uint8_t bytes[PAGE + 1] = {0};

	(void)state;
	assert_true(windows_copy(bytes, at, PAGE));
	assert_true(bytes[0] == 7 && bytes[PAGE - 1] == 7 && bytes[PAGE] == 0);
	assert_int_equal(ftruncate(fd, 7 * PAGE), 0);
	assert_false(windows_copy(bytes, at, PAGE));
}

static void writes_are_seen_at_once(void **state)
{
	const uint8_t *at = ask_often(0, PAGE, 0);

	(void)state;
	assert_int_equal(seen(at, PAGE), 0);
	assert_int_equal(pwrite(fd, "x", 1, 0), 1);
	assert_int_equal(seen(at, PAGE), 'x');
}

static void not_across_two_windows(void **state)
{
	(void)state;
	assert_non_null(ask_often(0, PAGE, 0));
	assert_non_null(ask_often(WINDOWS_BYTES, PAGE, 0));
	assert_null(ask_often(WINDOWS_BYTES - PAGE, 2 * PAGE, 0));
	assert_null(ask_often(0, 0, 0));
}

/* Reading a hole of tmpfs through a mapping would give it a block. */
static void holes_are_not_looked_at(void **state)
{
	struct stat before, after;

	(void)state;
	assert_int_equal(
		fallocate(fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, 4 * PAGE, PAGE), 0);
	fstat(fd, &before);
	assert_null(ask_often(4 * PAGE, PAGE, 0));
	assert_null(ask_often(3 * PAGE, 2 * PAGE, 0));
	assert_non_null(ask_often(3 * PAGE, PAGE, 0));
	fstat(fd, &after);
	assert_int_equal(before.st_blocks, after.st_blocks);
}

static void punch(uint64_t page)
{
	assert_int_equal(fallocate(fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE,
				 (off_t)(page * PAGE), PAGE),
		0);
}

/* A page that goes between two looks: seen by whoever has reason to doubt. */
static void in_doubt_each_page_is_asked_for(void **state)
{
	(void)state;
	assert_non_null(ask_often(4 * PAGE, PAGE, 0));
	punch(4);
	assert_non_null(ask(4 * PAGE, PAGE, 0)); /* trusted; a look would bring the page back */
	windows_cold(&ws, fd, 2 * WINDOWS_BYTES, now);
	assert_null(ask(4 * PAGE, PAGE, 0));
	assert_null(ask(3 * PAGE, 2 * PAGE, 0));
	now += WINDOWS_LIFE_MS;
	punch(5);
	assert_null(ask_often(5 * PAGE, PAGE, 0));
	now += WINDOWS_COLD_MS;
	assert_non_null(ask_often(6 * PAGE, PAGE, 0));
	punch(6);
	assert_non_null(ask(6 * PAGE, PAGE, 0));
}

static void a_window_with_a_cold_read_is_looked_at_again(void **state)
{
	(void)state;
	assert_non_null(ask_often(4 * PAGE, PAGE, 0));
	windows_cold(&ws, fd, 9 * PAGE, now);
	assert_null(ask(4 * PAGE, PAGE, 0));
	assert_non_null(ask_often(4 * PAGE, PAGE, 0));
}

static void discarding_makes_it_look_again(void **state)
{
	(void)state;
	assert_non_null(ask_often(4 * PAGE, PAGE, 0));
	assert_int_equal(
		fallocate(fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, 4 * PAGE, PAGE), 0);
	assert_null(ask_often(4 * PAGE, PAGE, 1));
	assert_non_null(ask(5 * PAGE, PAGE, 1));
}

static void looks_again_after_a_while(void **state)
{
	(void)state;
	assert_int_equal(
		fallocate(fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, 4 * PAGE, PAGE), 0);
	assert_null(ask_often(4 * PAGE, PAGE, 0));
	fill(4);
	now += WINDOWS_LIFE_MS - 1;
	assert_null(ask_often(4 * PAGE, PAGE, 0));
	now++;
	assert_int_equal(seen(ask_often(4 * PAGE, PAGE, 0), PAGE), 4);
}

/* Windows 0 and 4 have the same place; so have all when there is but one. */
static void the_one_asked_for_more_stays(void **state)
{
	(void)state;
	windows_init(&ws, 1);
	assert_non_null(ask_often(0, PAGE, 0));
	assert_null(ask(WINDOWS_BYTES, PAGE, 0));
	assert_non_null(ask(0, PAGE, 0));
	for (int i = 0; i < 100; i++)
		ask(WINDOWS_BYTES, PAGE, 0);
	assert_non_null(ask(WINDOWS_BYTES + PAGE, PAGE, 0));
	assert_null(ask(0, PAGE, 0));
	assert_int_equal(mappings(), 1);
}

static void one_in_use_is_not_taken_away(void **state)
{
	struct window_range range = {.fd = fd, .offset = PAGE, .length = PAGE};
	struct window *used;
	const uint8_t *at;

	(void)state;
	windows_init(&ws, 1);
	ask_often(0, PAGE, 0);
	at = windows_find(&ws, &range, now, &used);
	assert_non_null(at);
	for (int i = 0; i < 1000; i++)
		assert_null(ask(WINDOWS_BYTES, PAGE, 0));
	windows_trim(&ws);
	assert_int_equal(seen(at, PAGE), 1);
	windows_put(used);
	windows_trim(&ws);
	assert_int_equal(mappings(), 0);
	assert_non_null(ask_often(0, PAGE, 0));
}

static void a_shrunken_file_is_an_error_not_a_signal(void **state)
{
	const uint8_t *at = ask_often(8 * PAGE, PAGE, 0);

	(void)state;
	assert_true(windows_readable(at, PAGE));
	assert_int_equal(ftruncate(fd, 8 * PAGE), 0);
	assert_int_equal(seen(at, PAGE), -EFAULT);
	assert_false(windows_readable(at, PAGE));
	assert_true(windows_readable(at - PAGE, PAGE));
	assert_false(windows_readable(at - 1, 2));
	assert_int_equal(windows_beyond(held, at, PAGE), PAGE);
	assert_int_equal(windows_beyond(held, at - PAGE, 2 * PAGE), PAGE);
	assert_int_equal(windows_beyond(held, at - PAGE, PAGE), 0);
	assert_int_equal(ftruncate(fd, 8 * PAGE - 1), 0);
	assert_int_equal(windows_beyond(held, at - PAGE, PAGE), 1);
	assert_int_equal(windows_beyond(held, at - PAGE, PAGE - 1), 0);
}

static void none_if_there_may_be_none(void **state)
{
	(void)state;
	windows_init(&ws, 0);
	assert_null(ask_often(0, PAGE, 0));
}

/* The kernel tells owners and writers which pages are in memory; to others it says "all". */
static void strangers_may_not_ask(void **state)
{
	struct temp t;
	int status, own;
	pid_t pid;

	(void)state;
	temp_init(&t);
	own = open(temp_path(&t, "image"), O_RDWR | O_CREAT | O_CLOEXEC, 0600);
	assert_true(own >= 0 && windows_allowed(own));
	pid = fork();
	if (pid == 0)
		_exit(geteuid() == 0 && (seteuid(65534) < 0 || windows_allowed(own)));
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_int_equal(status, 0);
	close(own);
	temp_done(&t);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(opened_when_worth_it),
		TEST(can_be_copied),
		TEST(writes_are_seen_at_once),
		TEST(not_across_two_windows),
		TEST(holes_are_not_looked_at),
		TEST(in_doubt_each_page_is_asked_for),
		TEST(a_window_with_a_cold_read_is_looked_at_again),
		TEST(discarding_makes_it_look_again),
		TEST(looks_again_after_a_while),
		TEST(the_one_asked_for_more_stays),
		TEST(one_in_use_is_not_taken_away),
		TEST(a_shrunken_file_is_an_error_not_a_signal),
		TEST(none_if_there_may_be_none),
		TEST(strangers_may_not_ask),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
