/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Lookups in threads. getaddrinfo() is the test's own: names beginning with "wait" hang until they
 * are let go, so nothing depends on this machine's resolver.
 */
#include "check.h"
#include "clock.h"
#include "loop.h"
#include "resolve.h"
#include "util.h"

#include <dirent.h>
#include <netdb.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#include <cmocka.h>

enum { UNITS = 2000 };

static struct reactor reactor;
static struct resolve resolve;
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t changed = PTHREAD_COND_INITIALIZER;
static bool let_go;
static unsigned hanging, most_hanging, called;

static void hang(void)
{
	pthread_mutex_lock(&lock);
	most_hanging = MAX_OF(++hanging, most_hanging);
	pthread_cond_broadcast(&changed);
	while (!let_go)
		pthread_cond_wait(&changed, &lock);
	hanging--;
	pthread_cond_broadcast(&changed);
	pthread_mutex_unlock(&lock);
}

static struct addrinfo *make(const char *ip, struct addrinfo *next)
{
	struct addrinfo *a = calloc(1, sizeof(*a));
	union addr_sock *sock = calloc(1, sizeof(*sock));
	struct addr addr;

	CHECK(a && sock && addr_parse(ip, &addr));
	a->ai_addrlen = addr_to_sock(&addr, 0, sock);
	a->ai_addr = &sock->any;
	a->ai_next = next;
	return a;
}

/* "waitN", "noneN", or "numberN": 10.0.0.1 twice and fd77::1. */
int getaddrinfo(const char *restrict name, const char *restrict service,
	const struct addrinfo *restrict hints, struct addrinfo **restrict ret)
{
	(void)service;
	(void)hints;
	__atomic_add_fetch(&called, 1, __ATOMIC_RELAXED);
	if (strncmp(name, "wait", 4) == 0)
		hang();
	if (strncmp(name, "none", 4) == 0)
		return EAI_NONAME;
	*ret = make("10.0.0.1", make("fd77::1", make("::ffff:10.0.0.1", NULL)));
	return 0;
}

void freeaddrinfo(struct addrinfo *list)
{
	while (list) {
		struct addrinfo *next = list->ai_next;

		free(list->ai_addr);
		free(list);
		list = next;
	}
}

/* What a unit is called, and what has come of it. */
static const char *names[UNITS], *others[UNITS];
static int counts[UNITS]; /* -1: nothing yet */
static unsigned ended;
static bool enough;
static unsigned wanted;

static bool on_begin(void *arg, uint32_t unit, const char **ret_name, const char **ret_other)
{
	CHECK(arg == &resolve && counts[unit] == -1);
	*ret_name = names[unit];
	*ret_other = others[unit];
	return names[unit];
}

static void on_end(void *arg, uint32_t unit, const struct addr *addrs, size_t count)
{
	CHECK(arg == &resolve && counts[unit] == -1);
	for (size_t i = 0; i < count; i++)
		CHECK(addr_is_v4(&addrs[i]) == (i == 0));
	counts[unit] = (int)count;
	enough = ++ended == wanted;
}

static int set_up(void **state)
{
	struct resolve_handler h = {on_begin, on_end, &resolve};

	(void)state;
	let_go = enough = false;
	ended = most_hanging = called = 0;
	for (int i = 0; i < UNITS; i++) {
		counts[i] = -1;
		names[i] = "number";
		others[i] = NULL;
	}
	assert_int_equal(reactor_init(&reactor), 0);
	return resolve_init(&resolve, &reactor, UNITS, &h);
}

static void release(void)
{
	pthread_mutex_lock(&lock);
	let_go = true;
	pthread_cond_broadcast(&changed);
	while (hanging > 0)
		pthread_cond_wait(&changed, &lock);
	pthread_mutex_unlock(&lock);
}

static int tear_down(void **state)
{
	(void)state;
	resolve_done(&resolve);
	release();
	reactor_done(&reactor);
	return 0;
}

static void run_until_ended(unsigned count)
{
	wanted = count;
	enough = ended == count;
	while (!enough)
		loop_until(&reactor, &enough);
	assert_int_equal(ended, count);
}

/* Turns of the loop until so many lookups hang. */
static void run_until_hanging(unsigned count)
{
	uint64_t end = clock_ms() + 20000;
	unsigned now = 0;

	while (now != count) {
		CHECK(clock_ms() < end);
		loop_turn(&reactor);
		pthread_mutex_lock(&lock);
		now = hanging;
		pthread_mutex_unlock(&lock);
	}
}

static void test_results(void **state)
{
	(void)state;
	names[1] = "none";
	names[2] = "none";
	others[2] = "number";
	others[3] = "number"; /* not needed */
	names[4] = NULL;      /* not wanted any more */
	for (uint32_t u = 0; u < 5; u++)
		resolve_want(&resolve, u, u % 2);
	assert_int_equal(ended, 0);
	run_until_ended(4);
	assert_int_equal(counts[0], 2); /* each address once */
	assert_int_equal(counts[1], 0);
	assert_int_equal(counts[2], 2);
	assert_int_equal(counts[3], 2);
	assert_int_equal(counts[4], -1);
	assert_int_equal(called, 5);
	assert_int_equal(resolve.total, 4);
}

static void test_many(void **state)
{
	(void)state;
	for (uint32_t u = 0; u < UNITS; u++)
		resolve_want(&resolve, u, u % 3);
	run_until_ended(UNITS);
	assert_int_equal(called, UNITS);
}

/* Names that hang: as many as there may be, and no more; a good one is not behind them. */
static void test_hanging(void **state)
{
	(void)state;
	for (uint32_t u = 0; u < 100; u++)
		names[u] = "wait";
	for (uint32_t u = 0; u < 100; u++)
		resolve_want(&resolve, u, true);
	resolve_want(&resolve, 1000, true);
	run_until_ended(1);
	assert_int_equal(counts[1000], 2);
	run_until_hanging(100);
	release();
	run_until_ended(101);
}

static void test_limits(void **state)
{
	(void)state;
	for (uint32_t u = 0; u < 500; u++)
		names[u] = "wait";
	for (uint32_t u = 0; u < 500; u++)
		resolve_want(&resolve, u, u >= 100);
	run_until_hanging(RESOLVE_URGENT_MAX + RESOLVE_OTHERS_MAX);
	assert_int_equal(ended, 0);
	for (int i = 0; i < 20; i++)
		loop_turn(&reactor);
	release();
	run_until_ended(500);
	assert_int_equal(most_hanging, RESOLVE_URGENT_MAX + RESOLVE_OTHERS_MAX);
}

static unsigned count_threads(void)
{
	DIR *dir = opendir("/proc/self/task");
	unsigned n = 0;

	CHECK(dir);
	while (readdir(dir))
		n++;
	closedir(dir);
	return n;
}

/* Threads end when there is nothing to do, and others begin when there is something again. */
static void test_idle(void **state)
{
	const struct timespec moment = {0, 20000000};
	unsigned before = count_threads();
	uint64_t end = clock_ms() + 60000;

	(void)state;
	for (uint32_t u = 0; u < 30; u++)
		names[u] = "wait";
	for (uint32_t u = 0; u < 30; u++)
		resolve_want(&resolve, u, true);
	run_until_hanging(30);
	assert_true(count_threads() >= before + 30);
	release();
	run_until_ended(30);
	while (count_threads() > before) {
		CHECK(clock_ms() < end);
		nanosleep(&moment, NULL);
	}
	for (uint32_t u = 30; u < 60; u++)
		resolve_want(&resolve, u, true);
	run_until_ended(60);
}

/* Nobody waits for those that hang: what they bring later is thrown away. */
static void test_left_behind(void **state)
{
	(void)state;
	for (uint32_t u = 0; u < 20; u++)
		names[u] = "wait";
	for (uint32_t u = 0; u < 20; u++)
		resolve_want(&resolve, u, true);
	run_until_hanging(20);
	resolve_done(&resolve);
	release();
	loop_turns(&reactor, 3);
	assert_int_equal(ended, 0);
}

/* Results are there, and the loop did not come to them. */
static void test_done_with_results(void **state)
{
	struct timespec moment = {0, 20000000};

	(void)state;
	for (uint32_t u = 0; u < 50; u++)
		resolve_want(&resolve, u, true);
	loop_turn(&reactor);
	nanosleep(&moment, NULL);
	resolve_done(&resolve);
	loop_turns(&reactor, 3);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_results),
		TEST(test_many),
		TEST(test_hanging),
		TEST(test_limits),
		TEST(test_idle),
		TEST(test_left_behind),
		TEST(test_done_with_results),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
