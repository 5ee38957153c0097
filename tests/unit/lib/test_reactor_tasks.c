/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The event loop's tasks: deferred to the end of the turn, posted by several threads at once, and
 * the order of things within a turn.
 */
#include "check.h"
#include "clock.h"
#include "loop.h"
#include "util.h"

#include <setjmp.h>
#include <stdarg.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include <cmocka.h>

enum { THREADS = 4, POSTS = 2000 };

static struct reactor reactor;

static int set_up(void **state)
{
	(void)state;
	return reactor_init(&reactor);
}

static int tear_down(void **state)
{
	(void)state;
	reactor_done(&reactor);
	return 0;
}

struct test_task {
	struct reactor_task task;
	struct test_task *chain; /* deferred by this one */
	char name;
};

static char trace[64];

static void note(char name)
{
	size_t len = strlen(trace);

	CHECK(len + 1 < sizeof(trace));
	trace[len] = name;
	trace[len + 1] = 0;
}

static void run_task(struct reactor_task *t)
{
	struct test_task *self = container_of(t, struct test_task, task);

	note(self->name);
	if (self->chain)
		reactor_defer(&reactor, &self->chain->task);
}

static struct test_task tasks[4];

static void reset_tasks(void)
{
	trace[0] = 0;
	for (int i = 0; i < 4; i++)
		tasks[i] = (struct test_task){.task.fn = run_task, .name = (char)('a' + i)};
}

static void test_defer(void **state)
{
	(void)state;
	reset_tasks();
	reactor_defer(&reactor, &tasks[1].task);
	reactor_defer(&reactor, &tasks[0].task);
	reactor_defer(&reactor, &tasks[1].task); /* queued already */
	tasks[0].chain = &tasks[2];
	assert_string_equal(trace, "");
	loop_turn(&reactor);
	assert_string_equal(trace, "bac");
	loop_turn(&reactor);
	assert_string_equal(trace, "bac");
	reactor_defer(&reactor, &tasks[1].task); /* may be used again */
	loop_turn(&reactor);
	assert_string_equal(trace, "bacb");
}

static void test_undefer(void **state)
{
	(void)state;
	for (int gone = 0; gone < 4; gone++) {
		char want[5] = "abcd";

		reset_tasks();
		for (int i = 0; i < 4; i++)
			reactor_defer(&reactor, &tasks[i].task);
		reactor_undefer(&reactor, &tasks[gone].task);
		reactor_undefer(&reactor, &tasks[gone].task);
		memmove(want + gone, want + gone + 1, (size_t)(4 - gone));
		loop_turn(&reactor);
		assert_string_equal(trace, want);
	}
	reset_tasks();
	reactor_defer(&reactor, &tasks[0].task);
	reactor_undefer(&reactor, &tasks[0].task);
	reactor_defer(&reactor, &tasks[0].task);
	reactor_defer(&reactor, &tasks[1].task);
	loop_turn(&reactor);
	assert_string_equal(trace, "ab");
}

static void note_event(struct reactor_watch *w, uint32_t events)
{
	(void)events;
	reactor_remove(&reactor, w);
	note('e');
	reactor_defer(&reactor, &tasks[3].task);
}

static void note_timer(struct reactor_timer *t)
{
	(void)t;
	note('t');
}

/* The order within a turn: events, posted, timers, deferred. */
static void test_order_of_a_turn(void **state)
{
	struct reactor_timer timer = {.fn = note_timer};
	struct reactor_watch w;
	int fd = eventfd(1, EFD_CLOEXEC | EFD_NONBLOCK);

	(void)state;
	reset_tasks();
	reactor_add(&reactor, &w, fd, EPOLLIN, note_event);
	reactor_timer_set(&reactor, &timer, 0);
	reactor_post(&reactor, &tasks[0].task);
	loop_turn(&reactor);
	assert_string_equal(trace, "eatd");
	close(fd);
}

static void test_unpost(void **state)
{
	(void)state;
	reset_tasks();
	for (int i = 0; i < 3; i++)
		reactor_post(&reactor, &tasks[i].task);
	reactor_unpost(&reactor, &tasks[1].task);
	reactor_unpost(&reactor, &tasks[1].task);
	loop_turn(&reactor);
	assert_string_equal(trace, "ac");
	reactor_post(&reactor, &tasks[1].task);
	reactor_unpost(&reactor, &tasks[1].task);
	reactor_post(&reactor, &tasks[1].task); /* the queue is whole */
	loop_turn(&reactor);
	assert_string_equal(trace, "acb");
}

static unsigned posts_run;

static void count_post(struct reactor_task *t)
{
	(void)t;
	if (++posts_run == THREADS * POSTS)
		reactor_stop(&reactor);
}

static void *post_many(void *tasks_of_thread)
{
	struct reactor_task *t = tasks_of_thread;

	for (int i = 0; i < POSTS; i++) {
		t[i].fn = count_post;
		reactor_post(&reactor, &t[i]);
	}
	return NULL;
}

static void test_posts_from_threads(void **state)
{
	static struct reactor_task all[THREADS][POSTS];
	pthread_t threads[THREADS];

	(void)state;
	posts_run = 0;
	for (int i = 0; i < THREADS; i++)
		assert_int_equal(pthread_create(&threads[i], NULL, post_many, all[i]), 0);
	loop_run(&reactor);
	for (int i = 0; i < THREADS; i++)
		pthread_join(threads[i], NULL);
	assert_int_equal(posts_run, THREADS * POSTS);
}

static void post_again(struct reactor_task *t)
{
	if (++posts_run == 1000)
		reactor_stop(&reactor);
	else
		reactor_post(&reactor, t);
}

static void test_post_again_from_the_task(void **state)
{
	struct reactor_task t = {.fn = post_again};

	(void)state;
	posts_run = 0;
	reactor_post(&reactor, &t);
	loop_run(&reactor);
	assert_int_equal(posts_run, 1000);
}

static void *stop_from_thread(void *unused)
{
	reactor_stop(&reactor);
	return unused;
}

static void test_stop_from_another_thread(void **state)
{
	pthread_t thread;

	(void)state;
	reactor.stopped = false;
	assert_int_equal(pthread_create(&thread, NULL, stop_from_thread, NULL), 0);
	assert_int_equal(reactor_run(&reactor), 0);
	pthread_join(thread, NULL);
}

/* Busy polling. */

static struct reactor_watch hot, other;
static unsigned looks, hot_events;

static bool has_always_input(struct reactor_watch *w)
{
	assert_ptr_equal(w, &hot);
	if (++looks == 100)
		assert_int_equal(eventfd_write(other.fd, 1), 0);
	return true;
}

static void hot_event(struct reactor_watch *w, uint32_t events)
{
	(void)w;
	(void)events;
	hot_events++;
}

static void other_event(struct reactor_watch *w, uint32_t events)
{
	(void)w;
	(void)events;
	reactor_stop(&reactor);
}

/* Who has always input is looked at directly, and does not keep others from being heard. */
static void test_hot_one_does_not_starve_others(void **state)
{
	(void)state;
	looks = hot_events = 0;
	reactor_busy_poll(&reactor, 1000 * 1000 * 1000);
	reactor.spin.mean = 0;
	assert_int_equal(
		reactor_add(&reactor, &hot, eventfd(1, EFD_NONBLOCK), EPOLLIN, hot_event), 0);
	hot.look = has_always_input;
	assert_int_equal(
		reactor_add(&reactor, &other, eventfd(0, EFD_NONBLOCK), EPOLLIN, other_event), 0);
	assert_int_equal(reactor_run(&reactor), 0);
	assert_in_range(looks, 100, 120);
	assert_true(hot_events >= looks / 20); /* it was not looked at in vain between these */
	close(hot.fd);
	close(other.fd);
}

static uint64_t looked; /* ns, when the last look was over */

static bool has_input_late(struct reactor_watch *w)
{
	(void)w;
	assert_true(reactor.now_ns >= looked);
	assert_true(reactor.now_ns <= clock_ns());
	looked = clock_ns();
	return ++looks % 50 == 0;
}

static void hot_event_stops(struct reactor_watch *w, uint32_t events)
{
	hot_event(w, events);
	assert_true(reactor.now_ns >= looked);
	if (looks >= 200)
		reactor_stop(&reactor);
}

/* The time of a turn is not that of the last one when input is found by looking. */
static void test_time_of_a_look(void **state)
{
	(void)state;
	looks = hot_events = 0;
	looked = 0;
	reactor_busy_poll(&reactor, 1000 * 1000 * 1000);
	reactor.spin.mean = 0;
	assert_int_equal(
		reactor_add(&reactor, &hot, eventfd(1, EFD_NONBLOCK), EPOLLIN, hot_event_stops), 0);
	hot.look = has_input_late;
	assert_int_equal(reactor_run(&reactor), 0);
	assert_true(looks >= 200);
	close(hot.fd);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_defer),
		TEST(test_undefer),
		TEST(test_order_of_a_turn),
		TEST(test_unpost),
		TEST(test_posts_from_threads),
		TEST(test_post_again_from_the_task),
		TEST(test_stop_from_another_thread),
		TEST(test_hot_one_does_not_starve_others),
		TEST(test_time_of_a_look),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
