/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Numbers for people and the progress line: rounding, extremes, width, what waits. */
#include "progress.h"
#include "units.h"
#include "util.h"

#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

#define GIB (1ULL << 30)

static char line[PROGRESS_LINE_MAX];

static void test_sizes(void **state)
{
	static const struct {
		uint64_t bytes;
		const char *text;
	} rows[] = {
		{0, "0 B"},
		{1023, "1023 B"},
		{1024, "1.0 KiB"},
		{1024 * 1024 - 1, "1023.9 KiB"},
		{1024 * 1024, "1.0 MiB"},
		{10 * GIB + GIB / 2, "10.5 GiB"},
		{1ULL << 50, "1.0 PiB"},
		{UINT64_MAX, "15.9 EiB"},
	};
	char text[UNITS_MAX];

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		units_size(text, rows[i].bytes);
		assert_string_equal(text, rows[i].text);
	}
}

static void test_times(void **state)
{
	static const struct {
		uint64_t seconds;
		const char *text;
	} rows[] = {
		{0, "0 s"},
		{59, "59 s"},
		{60, "1 min 00 s"},
		{3599, "59 min 59 s"},
		{3600, "1 h 00 min"},
		{48 * 3600 - 1, "47 h 59 min"},
		{48 * 3600, "2 d 0 h"},
		{UINT64_MAX, "213503982334601 d 7 h"},
	};
	char text[UNITS_MAX];

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		units_time(text, rows[i].seconds);
		assert_string_equal(text, rows[i].text);
	}
}

static void test_shares(void **state)
{
	char text[UNITS_MAX];

	(void)state;
	assert_int_equal(units_share(0, 0), 1000);
	assert_int_equal(units_share(0, 1), 0);
	assert_int_equal(units_share(1, 3), 333);
	assert_int_equal(units_share(99999, 100000), 999);
	assert_int_equal(units_share(7, 7), 1000);
	assert_int_equal(units_share(8, 7), 1000);
	assert_int_equal(units_share(UINT64_MAX - 1, UINT64_MAX), 999);
	units_percent(text, 7);
	assert_string_equal(text, "0.7 %");
	units_percent(text, 1000);
	assert_string_equal(text, "100.0 %");
}

static struct progress half(void)
{
	return (struct progress){
		.blocks = 1000,
		.cached = 423,
		.size = 10 * GIB,
		.cached_bytes = 10 * GIB / 1000 * 423,
		.rate = 85 << 20,
		.seconds_left = 72,
		.waiting = "",
	};
}

static void test_bar(void **state)
{
	struct progress p = half();

	(void)state;
	progress_bar(&p, 100, line);
	assert_string_equal(line,
		"[########------------]  42.3 %  4.2 GiB of 10.0 GiB  85.0 MiB/s  1 min 12 s left");
	p.seconds_left = -1;
	progress_bar(&p, 59, line);
	assert_string_equal(line, " 42.3 %  4.2 GiB of 10.0 GiB  85.0 MiB/s");
	p.waiting = "waiting: origin lost: refused";
	progress_bar(&p, 100, line);
	assert_string_equal(line,
		"[########------------]  42.3 %  4.2 GiB of 10.0 GiB  waiting: origin lost: refused");
}

static void test_plain(void **state)
{
	struct progress p = half();

	(void)state;
	progress_plain(&p, line);
	assert_string_equal(line, "copy: 42.3 %, 4.2 GiB of 10.0 GiB, 85.0 MiB/s, 1 min 12 s left");
	p.waiting = "paused";
	progress_plain(&p, line);
	assert_string_equal(line, "copy: 42.3 %, 4.2 GiB of 10.0 GiB, paused");
}

/* All blocks are there, but not yet durable: not 100 %. */
static void test_complete_when_done(void **state)
{
	struct progress p = half();

	(void)state;
	p.cached = p.blocks;
	p.cached_bytes = p.size;
	progress_plain(&p, line);
	assert_non_null(strstr(line, " 99.9 %"));
	progress_bar(&p, 100, line);
	assert_non_null(strstr(line, "[###################-]  99.9 %"));
	p.done = true;
	progress_plain(&p, line);
	assert_string_equal(line, "copy: 100.0 %, 10.0 GiB of 10.0 GiB, done");
	progress_bar(&p, 100, line);
	assert_string_equal(line, "[####################] 100.0 %  10.0 GiB of 10.0 GiB  done");
}

/* A server that has switched tells no blocks. */
static void test_no_blocks(void **state)
{
	struct progress p = {.size = GIB, .done = true, .waiting = ""};

	(void)state;
	progress_plain(&p, line);
	assert_string_equal(line, "copy: 100.0 %, 1.0 GiB of 1.0 GiB, done");
}

static void test_every_width(void **state)
{
	struct progress p = half();
	char error[256] = "waiting: ";

	(void)state;
	for (size_t i = strlen(error); i + 2 < sizeof(error); i += 2)
		memcpy(error + i, "\xc3\xbc", 3); /* two bytes, one column */
	p.waiting = error;
	p.size = p.cached_bytes = p.rate = UINT64_MAX;
	for (unsigned columns = 0; columns < 1000; columns++) {
		size_t used;

		progress_bar(&p, columns, line);
		used = progress_columns(line);
		assert_true(used < columns || (columns == 0 && used == 0));
		if (used > 0) /* no character is cut in two */
			assert_int_not_equal((unsigned char)line[strlen(line) - 1], 0xc3);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_sizes),
		cmocka_unit_test(test_times),
		cmocka_unit_test(test_shares),
		cmocka_unit_test(test_bar),
		cmocka_unit_test(test_plain),
		cmocka_unit_test(test_complete_when_done),
		cmocka_unit_test(test_no_blocks),
		cmocka_unit_test(test_every_width),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
