/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The event loop: order of timers with a clock moved by hand, and what a callback may remove and
 * free while events are delivered.
 */
#include "clock.h"
#include "loop.h"
#include "rnd.h"
#include "util.h"

#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <string.h>
#include <sys/eventfd.h>

#include <cmocka.h>

enum { TIMERS = 500 };

static struct reactor reactor;

static int set_up(void **state)
{
	(void)state;
	clock_set_for_test(1000);
	return reactor_init(&reactor);
}

static int tear_down(void **state)
{
	(void)state;
	reactor_done(&reactor);
	clock_set_for_test(UINT64_MAX);
	return 0;
}

/* Timers. */

struct test_timer {
	struct reactor_timer timer;
	unsigned fired;
};

static uint64_t last_at;
static unsigned fired_count;

static void fired(struct reactor_timer *t)
{
	struct test_timer *self = container_of(t, struct test_timer, timer);

	assert_true(t->at >= last_at);
	assert_true(t->at <= reactor.now);
	last_at = t->at;
	self->fired++;
	fired_count++;
}

static void set_random_timers(struct test_timer *timers, struct rnd *rnd)
{
	last_at = fired_count = 0;
	for (size_t i = 0; i < TIMERS; i++) {
		timers[i] = (struct test_timer){.timer.fn = fired};
		assert_int_equal(
			reactor_timer_set(&reactor, &timers[i].timer, rnd_below(rnd, 1000)), 0);
	}
}

static void test_timers_in_order(void **state)
{
	static struct test_timer timers[TIMERS];
	struct rnd rnd;

	(void)state;
	rnd_init(&rnd, 4);
	set_random_timers(timers, &rnd);
	for (size_t i = 0; i < TIMERS; i++) {
		if (rnd_once_in(&rnd, 3))
			reactor_timer_cancel(&reactor, &timers[rnd_below(&rnd, TIMERS)].timer);
		if (rnd_once_in(&rnd, 3)) /* moves it, sets it again */
			reactor_timer_set(&reactor, &timers[rnd_below(&rnd, TIMERS)].timer,
				rnd_below(&rnd, 1000));
	}
	for (uint64_t now = 1000; now < 2000; now += 1 + rnd_below(&rnd, 40)) {
		unsigned set = 0;

		clock_set_for_test(now);
		loop_turn(&reactor);
		for (size_t i = 0; i < TIMERS; i++) {
			if (!timers[i].timer.slot)
				continue;
			set++;
			assert_true(timers[i].timer.at > now);
			assert_ptr_equal(reactor.heap[timers[i].timer.slot - 1], &timers[i].timer);
		}
		assert_int_equal(set, reactor.timers);
	}
	clock_set_for_test(2000);
	loop_turn(&reactor);
	assert_int_equal(reactor.timers, 0);
	for (size_t i = 0; i < TIMERS; i++)
		assert_true(timers[i].fired <= 1);
}

static void test_timer_at_its_time(void **state)
{
	struct test_timer t = {.timer.fn = fired};

	(void)state;
	last_at = fired_count = 0;
	reactor_timer_set(&reactor, &t.timer, 100);
	clock_set_for_test(1099);
	loop_turn(&reactor);
	assert_int_equal(fired_count, 0);
	clock_set_for_test(1100);
	loop_turn(&reactor);
	assert_int_equal(fired_count, 1);
	loop_turn(&reactor); /* once */
	assert_int_equal(fired_count, 1);
	reactor_timer_cancel(&reactor, &t.timer); /* harmless */
	reactor_timer_set(&reactor, &t.timer, 50);
	reactor_timer_set(&reactor, &t.timer, 500); /* the later call counts */
	clock_set_for_test(1200);
	loop_turn(&reactor);
	assert_int_equal(fired_count, 1);
	reactor_timer_set(&reactor, &t.timer, 0);
	loop_turn(&reactor);
	assert_int_equal(fired_count, 2);
}

static struct test_timer victim_timer;

static void cancels_other(struct reactor_timer *t)
{
	(void)t;
	reactor_timer_cancel(&reactor, &victim_timer.timer);
}

static void test_timer_cancelled_by_a_timer(void **state)
{
	struct reactor_timer killer = {.fn = cancels_other};

	(void)state;
	victim_timer = (struct test_timer){.timer.fn = fired};
	reactor_timer_set(&reactor, &victim_timer.timer, 11);
	reactor_timer_set(&reactor, &killer, 10);
	clock_set_for_test(5000);
	loop_turns(&reactor, 2);
	assert_int_equal(victim_timer.fired, 0);
	assert_int_equal(reactor.timers, 0);
}

static void stop_now(struct reactor_timer *t)
{
	(void)t;
	reactor_stop(&reactor);
}

/* The real clock: the loop sleeps until the timer and not longer than needed. */
static void test_timer_wakes_the_loop(void **state)
{
	struct reactor_timer t = {.fn = stop_now};
	uint64_t before;

	(void)state;
	clock_set_for_test(UINT64_MAX);
	loop_turn(&reactor);
	before = clock_ms();
	reactor_timer_set(&reactor, &t, 30);
	loop_run(&reactor);
	assert_true(clock_ms() - before >= 29);
}

/* Watches. */

struct test_watch {
	struct reactor_watch watch;
	struct test_watch *other;
	int calls;
	uint32_t events;
};

static int new_event(unsigned value)
{
	int fd = eventfd(value, EFD_CLOEXEC | EFD_NONBLOCK);

	assert_true(fd >= 0);
	return fd;
}

static void counts(struct reactor_watch *w, uint32_t events)
{
	struct test_watch *self = container_of(w, struct test_watch, watch);

	self->calls++;
	self->events = events;
}

static void test_level_triggered_and_change(void **state)
{
	struct test_watch w = {0};
	int fd = new_event(1);

	(void)state;
	assert_int_equal(reactor_add(&reactor, &w.watch, fd, EPOLLIN, counts), 0);
	loop_turns(&reactor, 2);
	assert_int_equal(w.calls, 2);
	assert_int_equal(w.events, EPOLLIN);
	assert_int_equal(reactor_change(&reactor, &w.watch, 0), 0);
	loop_turn(&reactor);
	assert_int_equal(w.calls, 2);
	assert_int_equal(reactor_change(&reactor, &w.watch, EPOLLIN | EPOLLOUT), 0);
	loop_turn(&reactor);
	assert_int_equal(w.events, EPOLLIN | EPOLLOUT);
	reactor_remove(&reactor, &w.watch);
	reactor_remove(&reactor, &w.watch);
	loop_turn(&reactor);
	assert_int_equal(w.calls, 3);
	assert_true(fcntl(fd, F_GETFD) >= 0); /* stays open */
	close(fd);
}

static void test_add_refused(void **state)
{
	struct reactor_watch w;

	(void)state;
	assert_int_equal(reactor_add(&reactor, &w, 1 << 20, EPOLLIN, NULL), -EBADF);
	reactor_remove(&reactor, &w); /* harmless */
}

static struct test_watch *survivor;

static void frees_other(struct reactor_watch *w, uint32_t events)
{
	struct test_watch *self = container_of(w, struct test_watch, watch);

	counts(w, events);
	survivor = self;
	reactor_remove(&reactor, &self->other->watch);
	close(self->other->watch.fd);
	free(self->other);
	self->other = NULL;
}

/* Both are ready in one turn; whichever is called first removes and frees the other. */
static void test_remove_another_in_the_same_turn(void **state)
{
	struct test_watch *w[2];

	(void)state;
	for (int i = 0; i < 2; i++) {
		w[i] = calloc(1, sizeof(*w[i]));
		assert_non_null(w[i]);
		assert_int_equal(
			reactor_add(&reactor, &w[i]->watch, new_event(1), EPOLLIN, frees_other), 0);
	}
	w[0]->other = w[1];
	w[1]->other = w[0];
	survivor = NULL;
	loop_turn(&reactor);
	assert_non_null(survivor);
	assert_int_equal(survivor->calls, 1);
	reactor_remove(&reactor, &survivor->watch);
	close(survivor->watch.fd);
	free(survivor);
}

static void removes_itself(struct reactor_watch *w, uint32_t events)
{
	counts(w, events);
	reactor_remove(&reactor, w);
}

static void test_remove_itself(void **state)
{
	struct test_watch w = {0};
	int fd = new_event(1);

	(void)state;
	reactor_add(&reactor, &w.watch, fd, EPOLLIN, removes_itself);
	loop_turns(&reactor, 3);
	assert_int_equal(w.calls, 1);
	assert_int_equal(reactor_add(&reactor, &w.watch, fd, EPOLLIN, removes_itself), 0);
	loop_turn(&reactor);
	assert_int_equal(w.calls, 2);
	close(fd);
}

static void test_more_events_than_a_batch(void **state)
{
	static struct test_watch w[3 * REACTOR_BATCH];

	(void)state;
	memset(w, 0, sizeof(w));
	for (size_t i = 0; i < ARRAY_LEN(w); i++)
		reactor_add(&reactor, &w[i].watch, new_event(1), EPOLLIN, removes_itself);
	loop_turns(&reactor, 8);
	for (size_t i = 0; i < ARRAY_LEN(w); i++) {
		assert_int_equal(w[i].calls, 1);
		close(w[i].watch.fd);
	}
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_timers_in_order),
		TEST(test_timer_at_its_time),
		TEST(test_timer_cancelled_by_a_timer),
		TEST(test_timer_wakes_the_loop),
		TEST(test_level_triggered_and_change),
		TEST(test_add_refused),
		TEST(test_remove_another_in_the_same_turn),
		TEST(test_remove_itself),
		TEST(test_more_events_than_a_batch),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
