/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The copier with its own thread over a layer whose fills end in threads, late, with errors or not
 * at all, as the test wants. What is below is half data, half zeros.
 */
#include "copier.h"

#include "check.h"
#include "clock.h"
#include "file.h"
#include "nbd.h"
#include "temp.h"
#include "util.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

enum {
	BLOCK = 4096,
	BLOCKS = 1000,
	LAST = 100,
	SIZE = (BLOCKS - 1) * BLOCK + LAST,
	ZEROS = 400, /* blocks from here on to 600 are zeros, and so is the last one */
	ZEROS_END = 600,
	PATIENCE_MS = 20 * 1000,
};

struct filling {
	struct fill fill;
	struct io io;
};

static struct {
	struct temp temp;
	struct io_threads *threads;
	struct layer layer;
	struct layer_ops layer_ops;
	struct copier copier;
	pthread_mutex_t lock; /* guards the rest */
	unsigned fills, calls_below, completed, changes;
	unsigned fetched[BLOCKS];
	uint64_t longest; /* blocks */
	int fill_error, below_error, result;
	unsigned delay_us;
	bool busy;
} t;

static bool is_zero_block(uint64_t b)
{
	return (b >= ZEROS && b < ZEROS_END) || b == BLOCKS - 1;
}

static int content(uint64_t b)
{
	return is_zero_block(b) ? 0 : (int)(1 + b % 255);
}

static int fetch(struct io *io)
{
	struct fill *f = &container_of(io, struct filling, io)->fill;
	uint8_t bytes[BLOCK];
	unsigned delay;
	int error;

	pthread_mutex_lock(&t.lock);
	error = t.fill_error;
	delay = t.delay_us;
	for (uint64_t b = f->claim.first; b < f->claim.first + f->claim.count; b++)
		t.fetched[b]++;
	pthread_mutex_unlock(&t.lock);
	usleep(delay);
	for (uint64_t b = 0; b < f->claim.count && !error; b++) {
		uint64_t at = (f->claim.first + b) * BLOCK;

		memset(bytes, content(f->claim.first + b), BLOCK);
		CHECK(pwrite(file_of(t.layer.top)->fd, bytes, MIN_OF((uint64_t)BLOCK, SIZE - at),
			      (off_t)at) > 0);
	}
	return -error;
}

static void fetched(struct io *io)
{
	layer_filled(&container_of(io, struct filling, io)->fill, io->result);
}

static void fill(struct layer *l, struct fill *f)
{
	struct filling *own = container_of(f, struct filling, fill);

	pthread_mutex_lock(&t.lock);
	t.fills++;
	t.longest = MAX_OF(t.longest, f->claim.count);
	pthread_mutex_unlock(&t.lock);
	CHECK(l == &t.layer && !f->urgent);
	own->io = (struct io){.op = IO_CALL, .call = fetch, .done = fetched};
	io_threads_queue(t.threads, NULL, &own->io);
}

/* Runs end in the midst of blocks: only those that are zeros as a whole may be taken for that. */
static int below(void *owner, uint64_t offset, uint64_t length, struct extent *out, size_t max)
{
	const uint64_t ends[] = {
		ZEROS * BLOCK - 10, ZEROS_END * BLOCK + 10, (BLOCKS - 1) * BLOCK, SIZE};
	int n = 0, error;

	CHECK(owner == &t && offset + length <= SIZE && max >= 4);
	pthread_mutex_lock(&t.lock);
	error = t.below_error;
	t.calls_below++;
	pthread_mutex_unlock(&t.lock);
	for (size_t i = 0; i < ARRAY_LEN(ends) && !error; i++) {
		if (ends[i] <= offset)
			continue;
		out[n++] = (struct extent){ends[i] - offset, i % 2 ? NBD_STATE_ZERO : 0};
		offset = ends[i];
	}
	return error ? -error : n;
}

static bool busy(void *owner)
{
	bool is;

	CHECK(owner == &t);
	pthread_mutex_lock(&t.lock);
	is = t.busy;
	pthread_mutex_unlock(&t.lock);
	return is;
}

static void complete(void *owner, int result)
{
	CHECK(owner == &t);
	pthread_mutex_lock(&t.lock);
	t.completed++;
	t.result = result;
	pthread_mutex_unlock(&t.lock);
}

static void changed(void *owner)
{
	struct copier_progress p;

	CHECK(owner == &t);
	copier_progress(&t.copier, &p); /* no lock is held */
	pthread_mutex_lock(&t.lock);
	t.changes++;
	pthread_mutex_unlock(&t.lock);
}

static const struct copier_ops ops = {below, busy, complete, changed};

static int set_up(void **state)
{
	struct storage *top;
	struct err err;

	(void)state;
	memset(&t, 0, sizeof(t));
	pthread_mutex_init(&t.lock, NULL);
	temp_init(&t.temp);
	CHECK(truncate(temp_file(&t.temp, "top", ""), SIZE) == 0);
	top = file_open(temp_path(&t.temp, "top"), 0, &err);
	t.threads = io_threads_new(4);
	t.layer_ops = (struct layer_ops){
		.fill = fill, .fill_size = sizeof(struct filling), .fill_bytes = 8 * BLOCK};
	CHECK(top && layer_init(&t.layer, &t.layer_ops, top, NULL) == 0);
	CHECK(blockmap_init(&t.layer.map, SIZE, BLOCK) == 0);
	copier_init(&t.copier, &t.layer, &ops, &t);
	return 0;
}

static int tear_down(void **state)
{
	(void)state;
	copier_done(&t.copier);
	copier_done(&t.copier); /* harmless */
	layer_done(&t.layer, false);
	io_threads_free(t.threads);
	temp_done(&t.temp);
	pthread_mutex_destroy(&t.lock);
	return 0;
}

static void set(int fill_error, int below_error, unsigned delay_us)
{
	pthread_mutex_lock(&t.lock);
	t.fill_error = fill_error;
	t.below_error = below_error;
	t.delay_us = delay_us;
	pthread_mutex_unlock(&t.lock);
}

static unsigned number(const unsigned *of)
{
	unsigned n;

	pthread_mutex_lock(&t.lock);
	n = *of;
	pthread_mutex_unlock(&t.lock);
	return n;
}

static void start(uint64_t rate, uint64_t unit, bool idle)
{
	const struct copier_settings settings = {rate, unit, idle};

	assert_int_equal(copier_start(&t.copier, &settings), 0);
}

static struct copier_progress progress(void)
{
	struct copier_progress p;

	copier_progress(&t.copier, &p);
	return p;
}

static void wait_state(enum copier_state want)
{
	for (int ms = 0; progress().state != want; ms++) {
		CHECK(ms < PATIENCE_MS);
		usleep(1000);
	}
}

static void check_complete(void)
{
	static uint8_t got[SIZE];

	wait_state(COPIER_DONE);
	assert_int_equal(number(&t.completed), 1);
	assert_int_equal(t.result, 0);
	assert_int_equal(t.layer.map.count, BLOCKS);
	assert_int_equal(progress().seconds_left, -1);
	CHECK(pread(file_of(t.layer.top)->fd, got, SIZE, 0) == SIZE);
	for (uint64_t b = 0; b < BLOCKS; b++)
		assert_int_equal(got[b * BLOCK], content(b));
}

static void check_fetched_once(void)
{
	for (uint64_t b = 0; b < BLOCKS; b++)
		assert_int_equal(t.fetched[b], !is_zero_block(b));
}

static void present(uint64_t first, uint64_t count)
{
	struct fill *f = layer_take_ahead(&t.layer, first, first + count);
	struct filling *own = container_of(f, struct filling, fill);

	assert_true(f && f->claim.count == count);
	layer_filled(f, fetch(&own->io));
}

static void test_all_is_fetched_once(void **state)
{
	(void)state;
	assert_int_equal(progress().state, COPIER_NONE);
	start(0, 0, false);
	check_complete();
	check_fetched_once();
	assert_int_equal(t.longest, 8);
	assert_true(t.calls_below <= 3);
	assert_int_equal(t.copier.moved, (BLOCKS - (ZEROS_END - ZEROS) - 1) * BLOCK);
	assert_true(t.changes >= 1);
	start(0, 0, false); /* nothing left to do */
	assert_int_equal(progress().state, COPIER_DONE);
}

static void test_units(void **state)
{
	(void)state;
	start(0, 3, false);
	check_complete();
	assert_int_equal(t.longest, 3);
}

static void test_rest_of_a_layer(void **state)
{
	(void)state;
	present(0, 100);
	present(150, 300); /* some of the zeros, too */
	present(700, 299);
	start(0, 0, false);
	check_complete();
	for (uint64_t b = 0; b < BLOCKS; b++)
		assert_true(t.fetched[b] <= 1);
}

/* A limit of a megabyte in a third of a second. */
static void test_rate(void **state)
{
	uint64_t begun = clock_ns(), took;

	(void)state;
	start(3 * 1024 * 1024, 0, false);
	check_complete();
	took = (clock_ns() - begun) / (1000 * 1000);
	assert_true(took > 700);
	assert_int_equal(progress().limit, 3 * 1024 * 1024);
}

/* What is here already costs nothing, however much it is. */
static void test_rate_counts_what_is_fetched(void **state)
{
	uint64_t begun = clock_ns();

	(void)state;
	present(0, 990);
	start(100 * 1024, 0, false);
	check_complete();
	assert_true((clock_ns() - begun) / (1000 * 1000) < 5000);
}

/* What was fetched without a limit is no debt when there is one. */
static void test_limit_after_none(void **state)
{
	uint64_t begun;

	(void)state;
	set(0, 0, 2000);
	start(0, 1, false);
	while (t.layer.map.count < 300)
		usleep(1000);
	copier_pause(&t.copier, true);
	usleep(200 * 1000);
	for (struct fill *f; (f = layer_take_ahead(&t.layer, 0, 990));) {
		struct filling *own = container_of(f, struct filling, fill);

		layer_filled(f, fetch(&own->io));
	}
	begun = clock_ns();
	start(100 * 1024, 0, false);
	check_complete();
	assert_true((clock_ns() - begun) / (1000 * 1000) < 5000);
}

static void test_new_limit(void **state)
{
	(void)state;
	start(10, 0, false); /* would take days */
	usleep(100 * 1000);
	assert_true(number(&t.fills) <= 2);
	start(0, 0, false);
	check_complete();
}

static void test_pause(void **state)
{
	unsigned fills;

	(void)state;
	set(0, 0, 20 * 1000);
	start(0, 1, false);
	for (unsigned i = 0; number(&t.fills) == 0 && i < PATIENCE_MS; i++)
		usleep(1000);
	copier_pause(&t.copier, true);
	assert_int_equal(progress().state, COPIER_PAUSED);
	usleep(300 * 1000);
	fills = number(&t.fills);
	usleep(100 * 1000);
	assert_int_equal(number(&t.fills), fills);
	assert_true(fills > 0 && fills < BLOCKS / 2);
	set(0, 0, 0);
	copier_pause(&t.copier, false);
	check_complete();
	check_fetched_once();
}

static void test_paused_before_it_began(void **state)
{
	(void)state;
	copier_pause(&t.copier, true);
	start(0, 0, false); /* asking to go on ends a pause */
	check_complete();
}

/* While everything fails it tries again now and then, not as fast as it can. */
static void test_errors(void **state)
{
	unsigned fills;

	(void)state;
	set(EIO, 0, 1000);
	start(0, 0, false);
	wait_state(COPIER_WAITING);
	usleep(500 * 1000);
	fills = number(&t.fills);
	assert_true(fills <= COPIER_DEPTH);
	assert_string_equal(progress().error, strerror(EIO));
	set(0, 0, 0);
	check_complete();
	assert_string_equal(progress().error, "");
	assert_true(number(&t.fills) >= fills);
}

static void test_below_fails(void **state)
{
	(void)state;
	set(0, ENOTCONN, 0);
	start(0, 0, false);
	wait_state(COPIER_WAITING);
	assert_int_equal(number(&t.fills), 0);
	assert_string_equal(progress().error, strerror(ENOTCONN));
	set(0, 0, 0);
	check_complete();
	check_fetched_once();
}

/* Blocks of others are left to them, the rest is fetched, and theirs if they give up. */
static void test_claims_of_others(void **state)
{
	struct fill *a = layer_take_ahead(&t.layer, 10, 20);
	struct fill *b = layer_take_ahead(&t.layer, 450, 460);
	struct filling *own = container_of(a, struct filling, fill);

	(void)state;
	start(0, 0, false);
	for (int ms = 0; t.layer.map.count < BLOCKS - 20; ms++) {
		CHECK(ms < PATIENCE_MS);
		usleep(1000);
	}
	usleep(50 * 1000);
	assert_int_equal(t.layer.map.count, BLOCKS - 20);
	assert_int_equal(number(&t.completed), 0);
	layer_filled(a, fetch(&own->io));
	layer_filled(b, -EIO);
	check_complete();
	check_fetched_once();
}

static void test_idle(void **state)
{
	(void)state;
	t.busy = true;
	start(0, 0, true);
	wait_state(COPIER_WAITING);
	usleep(300 * 1000);
	assert_int_equal(number(&t.fills), 0);
	assert_string_equal(progress().error, "");
	pthread_mutex_lock(&t.lock);
	t.busy = false;
	pthread_mutex_unlock(&t.lock);
	check_complete();
}

static void test_stop_and_go_on(void **state)
{
	uint64_t count;

	(void)state;
	set(0, 0, 5000);
	start(0, 1, false);
	usleep(30 * 1000);
	copier_stop(&t.copier);
	count = t.layer.map.count;
	assert_true(count < BLOCKS);
	assert_int_equal(number(&t.completed), 0);
	copier_stop(&t.copier);
	set(0, 0, 0);
	start(0, 0, false);
	check_complete();
	check_fetched_once();
}

/* Stopped while it waits for something that lasts long. */
static void test_stop_is_quick(void **state)
{
	uint64_t begun;

	(void)state;
	set(EIO, 0, 0);
	start(0, 0, false);
	wait_state(COPIER_WAITING);
	begun = clock_ns();
	copier_stop(&t.copier);
	assert_true((clock_ns() - begun) / (1000 * 1000) < 500);
}

static void test_broken_layer(void **state)
{
	(void)state;
	set(0, 0, 2000);
	start(0, 1, false);
	usleep(10 * 1000);
	layer_break(&t.layer, ESHUTDOWN);
	for (int ms = 0; number(&t.completed) == 0; ms++) {
		CHECK(ms < PATIENCE_MS);
		usleep(1000);
	}
	assert_int_equal(t.result, -ESHUTDOWN);
}

static void test_nothing_to_do(void **state)
{
	(void)state;
	present(0, BLOCKS);
	assert_int_equal(progress().state, COPIER_DONE);
	start(0, 0, false);
	wait_state(COPIER_DONE);
	copier_stop(&t.copier);
	assert_int_equal(t.fills, 0);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_all_is_fetched_once),
		TEST(test_units),
		TEST(test_rest_of_a_layer),
		TEST(test_rate),
		TEST(test_rate_counts_what_is_fetched),
		TEST(test_limit_after_none),
		TEST(test_new_limit),
		TEST(test_pause),
		TEST(test_paused_before_it_began),
		TEST(test_errors),
		TEST(test_below_fails),
		TEST(test_claims_of_others),
		TEST(test_idle),
		TEST(test_stop_and_go_on),
		TEST(test_stop_is_quick),
		TEST(test_broken_layer),
		TEST(test_nothing_to_do),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
