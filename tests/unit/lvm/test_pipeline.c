/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The pipeline: everything once, in order, whoever is faster; and the first error ends it. */
#include "pipeline.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <string.h>
#include <time.h>

#include <cmocka.h>

enum { CHUNK = 64 * 1024, NEVER = 1000000 };

struct job {
	uint64_t bad_make, bad_take, taken;
	atomic_uint made;
	atomic_bool stop;
	atomic_bool cut;
	bool hang;
};

static void pause_ms(long ms)
{
	nanosleep(&(struct timespec){.tv_nsec = ms * 1000000}, NULL);
}

static int make(void *owner, struct chunk *c, struct err *err)
{
	struct job *j = owner;

	if (c->index % 7 == 3)
		pause_ms(2);
	while (j->hang && c->index == 5 && !j->cut)
		pause_ms(5);
	atomic_fetch_add(&j->made, 1);
	memset(c->data, (int)c->index, CHUNK);
	return c->index == j->bad_make ? err_set(err, EIO, "make") : 0;
}

static int take(void *owner, struct chunk *c, struct err *err)
{
	struct job *j = owner;

	assert_int_equal(c->index, j->taken);
	assert_int_equal(c->data[CHUNK - 1], (uint8_t)c->index);
	assert_false(c->same || c->zero || c->packed_len);
	if (c->index == 30)
		pause_ms(5);
	j->taken++;
	return c->index == j->bad_take ? err_set(err, ENOSPC, "take") : 0;
}

static int tick(void *owner, struct err *err)
{
	(void)owner;
	return err_set(err, ETIMEDOUT, "tick");
}

static void cut(void *owner)
{
	struct job *j = owner;

	j->cut = true;
}

static int run(struct job *j, uint64_t first, unsigned threads, struct err *err)
{
	struct pipeline p = {.first = first,
		.end = 100,
		.chunk_size = CHUNK,
		.threads = threads,
		.stop = &j->stop,
		.make = make,
		.take = take,
		.tick = j->hang ? tick : NULL,
		.cut = cut,
		.owner = j};

	j->taken = first;
	return pipeline_run(&p, err);
}

static void test_order(void **state)
{
	struct err err = {0};

	(void)state;
	for (unsigned threads = 1; threads <= PIPELINE_THREADS_MAX; threads += 3) {
		struct job j = {.bad_make = NEVER, .bad_take = NEVER};

		assert_int_equal(run(&j, 0, threads, &err), 0);
		assert_int_equal(j.taken, 100);
		assert_int_equal(j.made, 100);
		j.made = 0;
		assert_int_equal(run(&j, 93, threads, &err), 0);
		assert_int_equal(j.made, 7);
		assert_int_equal(run(&j, 100, threads, &err), 0);
		assert_false(j.cut);
	}
}

static void test_errors(void **state)
{
	struct job a = {.bad_make = 20, .bad_take = NEVER}, b = {.bad_make = NEVER, .bad_take = 20};
	struct job c = {.bad_make = NEVER, .bad_take = NEVER, .stop = true};
	struct err err = {0};

	(void)state;
	assert_int_equal(run(&a, 0, 4, &err), -EIO);
	assert_string_equal(err.text, "make");
	assert_true(a.taken <= 20);
	assert_true(a.cut);
	assert_int_equal(run(&b, 0, 4, &err), -ENOSPC);
	assert_int_equal(b.taken, 21);
	assert_true(b.made < 21 + 20);
	assert_int_equal(run(&c, 0, 4, &err), -EINTR);
	assert_int_equal(c.taken, 0);
}

/* One that hangs is ended by the tick, and the cut wakes it. */
static void test_hangs(void **state)
{
	struct job j = {.bad_make = NEVER, .bad_take = NEVER, .hang = true};
	struct err err = {0};

	(void)state;
	assert_int_equal(run(&j, 0, 3, &err), -ETIMEDOUT);
	assert_int_equal(j.taken, 5);
}

int main(void)
{
	const struct CMUnitTest tests[] = {cmocka_unit_test(test_order),
		cmocka_unit_test(test_errors), cmocka_unit_test(test_hangs)};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
