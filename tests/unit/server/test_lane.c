/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What a lane shares out: slots, buffers and pipes, their limits, and that an idle lane gives
 * memory back. Its reactor runs in the test's own thread, the clock is moved by hand.
 */
#include "clock.h"
#include "lane.h"
#include "loop.h"
#include "util.h"

#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

enum { START_MS = 1000, IDLE_MS = 2000, LIMIT = 16 * 1024 /* buffer memory, bytes */ };

static struct lane lane;
static struct storage storage;

static int set_up(void **state)
{
	const struct lane_limits limits = {
		.requests = 8, .conn_bytes = LIMIT, .buffer_bytes = LIMIT};

	(void)state;
	clock_set_for_test(START_MS);
	return lane_init(&lane, &storage, ENGINE_THREADS, NULL, &limits, NULL);
}

static int tear_down(void **state)
{
	(void)state;
	lane_done(&lane);
	clock_set_for_test(UINT64_MAX);
	return 0;
}

static bool give_pipe(struct request *rq, uint64_t offset, uint64_t length)
{
	rq->pipe = lane_get_pipe(&lane, offset, length);
	return rq->pipe;
}

static void turn(void)
{
	loop_turn(&lane.reactor);
}

static void test_requests(void **state)
{
	struct request *a = lane_get_request(&lane, 100), *b, *c;

	(void)state;
	assert_non_null(a);
	assert_int_equal(a->data_cost, 4096);
	memset(a->data, 'x', 4096);
	assert_int_equal(lane.pool.used, 4096);
	b = lane_get_request(&lane, 0);
	assert_null(b->data);
	assert_int_equal(b->data_cost, 0);
	a->error = EIO;
	a->text = "old";
	a->filled = 7;
	lane_put_request(&lane, a);
	assert_int_equal(lane.pool.used, 0);
	c = lane_get_request(&lane, 0); /* the same slot, as if new */
	assert_ptr_equal(c, a);
	assert_true(!c->data && !c->pipe && !c->error && !c->text && !c->filled && !c->conn);
	lane_put_request(&lane, b);
	lane_put_request(&lane, c);
}

static void test_memory_limit(void **state)
{
	struct request *a = lane_get_request(&lane, LIMIT / 2), *b, *c;

	(void)state;
	b = lane_get_request(&lane, LIMIT / 2);
	assert_true(a && b);
	assert_null(lane_get_request(&lane, 1));
	c = lane_get_request(&lane, 0); /* needs none */
	assert_non_null(c);
	lane_put_request(&lane, c);
	lane_put_request(&lane, a);
	assert_null(lane_get_request(&lane, LIMIT / 2 + 1));
	a = lane_get_request(&lane, 1);
	assert_non_null(a);
	lane_put_request(&lane, a);
	lane_put_request(&lane, b);
	a = lane_get_request(&lane, POOL_BUFFER_MAX); /* one alone always passes */
	assert_non_null(a);
	lane_put_request(&lane, a);
	assert_int_equal(lane.pool.used, 0);
}

/* More than one slab of them, each a slot of its own. */
static void test_many_slots(void **state)
{
	enum { COUNT = 200 };
	static struct request *all[COUNT];

	(void)state;
	for (int i = 0; i < COUNT; i++) {
		all[i] = lane_get_request(&lane, 0);
		assert_non_null(all[i]);
		all[i]->pos = (uint64_t)i;
	}
	for (int i = 0; i < COUNT; i++) {
		assert_int_equal(all[i]->pos, i);
		lane_put_request(&lane, all[i]);
	}
}

static void test_pipes(void **state)
{
	struct request *rq[LANE_PIPES_MAX + 1];
	struct pipe *first;

	(void)state;
	for (int i = 0; i <= LANE_PIPES_MAX; i++) {
		rq[i] = lane_get_request(&lane, 0);
		assert_int_equal(give_pipe(rq[i], 0, 4096), i < LANE_PIPES_MAX);
		assert_int_equal(!!rq[i]->pipe, i < LANE_PIPES_MAX);
		for (int k = 0; k < i; k++)
			assert_true(rq[k]->pipe != rq[i]->pipe);
	}
	assert_int_equal(lane.pipes, LANE_PIPES_MAX);
	first = rq[0]->pipe;
	assert_true(fcntl(first->fds[0], F_GETFD) == FD_CLOEXEC);
	assert_int_equal(first->pages, fcntl(first->fds[1], F_GETPIPE_SZ) / 4096);
	lane_put_request(&lane, rq[0]);
	assert_true(give_pipe(rq[LANE_PIPES_MAX], 0, 4096));
	assert_ptr_equal(rq[LANE_PIPES_MAX]->pipe, first); /* used again */
	assert_int_equal(lane.pipes, LANE_PIPES_MAX);
	for (int i = 1; i <= LANE_PIPES_MAX; i++)
		lane_put_request(&lane, rq[i]);
}

/* The pages it touches count, not the bytes: an odd place takes one more. */
static void test_pipe_room(void **state)
{
	struct request *rq = lane_get_request(&lane, 0);
	uint64_t room;

	(void)state;
	assert_true(give_pipe(rq, 0, 1));
	room = rq->pipe->pages * 4096ULL;
	lane_put_request(&lane, rq);
	rq = lane_get_request(&lane, 0);
	assert_false(give_pipe(rq, 0, room + 1));
	assert_null(rq->pipe);
	assert_false(give_pipe(rq, 1, room));
	assert_false(give_pipe(rq, 4095, room - 4094));
	assert_false(give_pipe(rq, 0, UINT32_MAX));
	assert_int_equal(lane.pipes, 1); /* kept for one it fits */
	assert_true(give_pipe(rq, 4095, room - 4095));
	lane_put_request(&lane, rq);
	rq = lane_get_request(&lane, 0);
	assert_true(give_pipe(rq, 1ULL << 40, room));
	lane_put_request(&lane, rq);
	assert_int_equal(lane.pipes, 1);
}

/* Bytes of a reply that was not sent to its end must not get into the next one. */
static void test_dirty_pipe(void **state)
{
	struct request *rq = lane_get_request(&lane, 0);
	char byte;

	(void)state;
	assert_true(give_pipe(rq, 0, 4096));
	assert_int_equal(write(rq->pipe->fds[1], "x", 1), 1);
	rq->pipe->used = true; /* as whoever puts something in does */
	lane_put_request(&lane, rq);
	assert_int_equal(lane.pipes, 0);
	assert_null(lane.free_pipes);
	rq = lane_get_request(&lane, 0);
	assert_true(give_pipe(rq, 0, 4096));
	assert_int_equal(write(rq->pipe->fds[1], "y", 1), 1);
	assert_int_equal(read(rq->pipe->fds[0], &byte, 1), 1);
	assert_int_equal(byte, 'y');
	lane_put_request(&lane, rq);
	assert_int_equal(lane.pipes, 1); /* emptied: kept */
}

static void test_idle_gives_back(void **state)
{
	struct request *rq = lane_get_request(&lane, LIMIT);
	struct request *piped = lane_get_request(&lane, 0);

	(void)state;
	assert_true(give_pipe(piped, 0, 4096));
	lane_put_request(&lane, piped);
	for (int i = 1; i <= 3; i++) {
		clock_set_for_test(START_MS + (uint64_t)i * IDLE_MS);
		turn();
	}
	assert_int_equal(lane.pipes, 1); /* memory is in use */
	lane_put_request(&lane, rq);
	for (int i = 4; i <= 6; i++) {
		clock_set_for_test(START_MS + (uint64_t)i * IDLE_MS);
		turn();
	}
	assert_int_equal(lane.pipes, 0);
	assert_null(lane.free_pipes);
	assert_int_equal(lane.reactor.timers, 0);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_requests),
		TEST(test_memory_limit),
		TEST(test_many_slots),
		TEST(test_pipes),
		TEST(test_pipe_room),
		TEST(test_dirty_pipe),
		TEST(test_idle_gives_back),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
