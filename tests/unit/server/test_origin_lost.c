/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * An origin that is lost: killed, stopped, cut off, of another size, not there, replaced, or wrong
 * in its answers. No job may be lost or done twice, whatever happens (asked.c checks that), and
 * what is read is right.
 */
#include "asked.h"
#include "check.h"
#include "clock.h"
#include "log.h"
#include "need.h"
#include "origins.h"
#include "temp.h"
#include "util.h"

#include <errno.h>
#include <poll.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

#define NBDKIT  "nbdkit|-f|--exit-with-parent|-U|SOCKET|"
#define PATTERN NBDKIT "pattern|64M"
#define SLOW    NBDKIT "--filter=delay|pattern|64M|rdelay=60ms"
/* With several threads nbdkit 1.32 can die when its client is cut off. */
#define STEADY NBDKIT "-t|1|pattern|64M"

enum { MIB = 1 << 20, SIZE = 64 * MIB, LONG_MS = 10000, BATCH = 200, BYTES = 50000 };

static struct temp temp;
static struct served first, second;
static struct fake fake;
static struct origin *o;
static struct batch batch;
static struct asked asked[BATCH];

static int set_up(void **state)
{
	(void)state;
	temp_init(&temp);
	return 0;
}

static int tear_down(void **state)
{
	(void)state;
	origin_free(o); /* if the test failed */
	o = NULL;
	origins_end(&first);
	origins_end(&second);
	temp_done(&temp);
	return 0;
}

static void start(struct served *s, const char *name, const char *command)
{
	origins_start(s, temp_path(&temp, name), command);
}

static void open_origin(
	const char *uri, unsigned connections, unsigned timeout_ms, unsigned wait_ms)
{
	struct origin_config config = {.uri = uri,
		.connections = connections,
		.timeout_ms = timeout_ms,
		.wait_ms = wait_ms};

	o = origin_new(&config, NULL);
	CHECK(o);
	asked_batch_init(&batch, o);
}

static void open_connected(
	const char *uri, unsigned connections, unsigned timeout_ms, unsigned wait_ms)
{
	struct err err;

	open_origin(uri, connections, timeout_ms, wait_ms);
	if (origin_wait(o, LONG_MS, &err) < 0)
		fail_msg("%s", err.text);
}

static void free_origin(void)
{
	origin_free(o);
	o = NULL;
}

static void close_origin(void)
{
	free_origin();
	asked_batch_done(&batch);
}

static struct origin_status status(void)
{
	struct origin_status st;

	origin_status(o, &st);
	return st;
}

static void await_state(enum origin_state state)
{
	uint64_t until = clock_ms() + LONG_MS;

	while (status().state != state) {
		assert_true(clock_ms() < until);
		poll(NULL, 0, 5);
	}
}

static void ask(unsigned from, unsigned count)
{
	for (unsigned i = from; i < from + count; i++)
		asked_read(&asked[i], &batch, (uint64_t)i * 300000, BYTES, i % 3 == 0);
}

/* All give RESULT, and the pattern if that is 0. */
static void end(unsigned from, unsigned count, int result)
{
	for (unsigned i = from; i < from + count; i++) {
		struct origin_job *job = &asked[i].job;

		assert_int_equal(job->result, result);
		if (result == 0)
			assert_true(origins_is_pattern(job->buf, job->length, job->offset));
		asked_end(&asked[i]);
	}
}

static void test_killed_and_restarted(void **state)
{
	(void)state;
	need(origins_have("nbdkit"), "nbdkit");
	start(&first, "a", SLOW);
	open_connected(first.uri, 4, LONG_MS, LONG_MS);
	ask(0, BATCH);
	poll(NULL, 0, 50);
	assert_true(asked_batch_open(&batch) > 0);
	for (int i = 0; i < 2; i++) {
		origins_end(&first);
		await_state(ORIGIN_LOST);
		assert_int_equal(status().connections, 0);
		assert_true(status().error[0]);
		poll(NULL, 0, 150);
		start(&first, "a", SLOW);
		await_state(ORIGIN_CONNECTED);
	}
	asked_batch_wait(&batch);
	end(0, BATCH, 0);
	assert_int_equal(status().reconnects, 2);
	assert_int_equal(status().jobs_waiting, 0);
	close_origin();
}

/* nbdkit that is asked to end answers "shutting down" to what it has: that is no error. */
static void test_terminated(void **state)
{
	(void)state;
	need(origins_have("nbdkit"), "nbdkit");
	start(&first, "a", NBDKIT "--filter=delay|pattern|64M|rdelay=300ms");
	open_connected(first.uri, 2, LONG_MS, LONG_MS);
	ask(0, 100);
	poll(NULL, 0, 100);
	origins_signal(&first, SIGTERM);
	poll(NULL, 0, 500);
	origins_end(&first);
	start(&first, "a", PATTERN);
	asked_batch_wait(&batch);
	end(0, 100, 0);
	close_origin();
}

static void test_stopped_and_continued(void **state)
{
	(void)state;
	need(origins_have("nbdkit"), "nbdkit");
	start(&first, "a", STEADY);
	open_connected(first.uri, 2, 300, 0);
	origins_signal(&first, SIGSTOP);
	ask(0, 100);
	await_state(ORIGIN_LOST);
	assert_non_null(strstr(status().error, "no answer in 300 ms"));
	poll(NULL, 0, 700); /* connecting hangs too, now */
	assert_int_equal(status().state, ORIGIN_LOST);
	assert_non_null(strstr(status().error, "no connection in 300 ms"));
	assert_int_equal(asked_batch_open(&batch), 100);
	origins_signal(&first, SIGCONT);
	asked_batch_wait(&batch);
	end(0, 100, 0);
	close_origin();
}

/* At once, long before the old one counts as hung. */
static void test_moved_while_hung(void **state)
{
	uint64_t began;

	(void)state;
	need(origins_have("nbdkit"), "nbdkit");
	start(&first, "a", PATTERN);
	start(&second, "b", PATTERN);
	open_connected(first.uri, 3, 60 * 1000, 0);
	origins_signal(&first, SIGSTOP);
	ask(0, BATCH);
	poll(NULL, 0, 50);
	assert_int_equal(asked_batch_open(&batch), BATCH);
	began = clock_ms();
	assert_int_equal(origin_reconnect(o, second.uri, LONG_MS, NULL), 0);
	assert_string_equal(status().uri, second.uri);
	assert_int_equal(status().state, ORIGIN_CONNECTED);
	asked_batch_wait(&batch);
	end(0, BATCH, 0);
	assert_true(clock_ms() - began < 5000);
	assert_int_equal(status().reconnects, 1);
	origins_end(&first);
	start(&first, "a", PATTERN);
	assert_int_equal(origin_reconnect(o, first.uri, LONG_MS, NULL), 0); /* and back */
	assert_int_equal(asked_one_read(o, 0, MIB), 0);
	close_origin();
}

/* The old one goes on, jobs do not notice. */
static void test_moves_that_fail(void **state)
{
	char uri[400];
	struct err err;

	(void)state;
	need(origins_have("nbdkit"), "nbdkit");
	start(&first, "a", PATTERN);
	start(&second, "b", NBDKIT "pattern|32M");
	open_connected(first.uri, 2, LONG_MS, 0);
	assert_int_equal(origin_reconnect(o, second.uri, LONG_MS, &err), -EINVAL);
	assert_non_null(strstr(err.text, "33554432"));
	assert_non_null(strstr(err.text, "67108864"));
	snprintf(uri, sizeof(uri), "nbd+unix:///?socket=%s", temp_path(&temp, "none"));
	assert_int_equal(origin_reconnect(o, uri, LONG_MS, &err), -ENOTCONN);
	assert_non_null(strstr(err.text, "No such file"));
	assert_int_equal(origin_reconnect(o, "what?", LONG_MS, &err), -ENOTCONN);
	origins_signal(&second, SIGSTOP);
	ask(0, 100);
	assert_int_equal(origin_reconnect(o, second.uri, 200, &err), -ETIMEDOUT);
	asked_batch_wait(&batch);
	end(0, 100, 0);
	assert_int_equal(origin_reconnect(o, second.uri, 0, &err), -ETIMEDOUT);
	assert_string_equal(status().uri, first.uri);
	assert_int_equal(status().reconnects, 0);
	close_origin();
}

static void *move(void *arg)
{
	struct err err;

	return (void *)(intptr_t)origin_reconnect(o, arg, 1000, &err);
}

static void test_one_move_at_a_time(void **state)
{
	pthread_t thread;
	void *result;
	struct err err;

	(void)state;
	need(origins_have("nbdkit"), "nbdkit");
	start(&first, "a", PATTERN);
	start(&second, "b", PATTERN);
	open_connected(first.uri, 1, LONG_MS, 0);
	origins_signal(&second, SIGSTOP);
	CHECK(pthread_create(&thread, NULL, move, second.uri) == 0);
	poll(NULL, 0, 100);
	assert_int_equal(origin_reconnect(o, first.uri, 1000, &err), -EBUSY);
	origins_signal(&second, SIGCONT);
	pthread_join(thread, &result);
	assert_int_equal((intptr_t)result, 0);
	assert_string_equal(status().uri, second.uri);
	CHECK(pthread_create(&thread, NULL, move, second.uri) == 0);
	pthread_join(thread, &result);
	origins_signal(&second, SIGSTOP);
	CHECK(pthread_create(&thread, NULL, move, second.uri) == 0);
	poll(NULL, 0, 100);
	origin_interrupt(o); /* ends it too */
	pthread_join(thread, &result);
	assert_int_equal((intptr_t)result, -ESHUTDOWN);
	close_origin();
}

static void test_held(void **state)
{
	(void)state;
	need(origins_have("nbdkit"), "nbdkit");
	start(&first, "a", PATTERN);
	open_connected(first.uri, 2, LONG_MS, 0);
	origins_end(&first);
	await_state(ORIGIN_LOST);
	start(&first, "a", NBDKIT "pattern|32M");
	ask(0, 10);
	await_state(ORIGIN_HELD);
	assert_non_null(strstr(status().error, "33554432"));
	assert_non_null(strstr(status().error, "67108864"));
	assert_int_equal(status().size, SIZE);
	poll(NULL, 0, 100);
	assert_int_equal(asked_batch_open(&batch), 10);
	origins_end(&first);
	start(&first, "a", PATTERN);
	asked_batch_wait(&batch);
	end(0, 10, 0);
	assert_int_equal(status().state, ORIGIN_CONNECTED);
	close_origin();
}

/* Told what it must be before there ever was a connection; moving heals. */
static void test_held_from_the_start(void **state)
{
	struct origin_config config = {.connections = 1, .timeout_ms = LONG_MS, .size = SIZE};
	struct err err;

	(void)state;
	need(origins_have("nbdkit"), "nbdkit");
	start(&first, "a", NBDKIT "pattern|32M");
	start(&second, "b", PATTERN);
	config.uri = first.uri;
	o = origin_new(&config, NULL);
	asked_batch_init(&batch, o);
	assert_int_equal(origin_wait(o, 300, &err), -ETIMEDOUT);
	assert_non_null(strstr(err.text, "33554432"));
	assert_int_equal(status().state, ORIGIN_HELD);
	assert_int_equal(status().size, 0);
	assert_int_equal(origin_reconnect(o, second.uri, LONG_MS, NULL), 0);
	assert_int_equal(origin_wait(o, 0, &err), 0);
	assert_int_equal(asked_one_read(o, 0, MIB), 0);
	close_origin();
}

static void test_not_there_for_long(void **state)
{
	uint64_t began = clock_ms();
	char uri[400];

	(void)state;
	need(origins_have("nbdkit"), "nbdkit");
	snprintf(uri, sizeof(uri), "nbd+unix:///?socket=%s", temp_path(&temp, "a"));
	open_origin(uri, 2, LONG_MS, 2000);
	ask(0, 50);
	poll(NULL, 0, 150);
	assert_int_equal(asked_batch_open(&batch), 50);
	assert_int_equal(status().state, ORIGIN_CONNECTING);
	assert_int_equal(status().jobs_waiting, 50);
	asked_batch_wait(&batch);
	assert_true(clock_ms() - began >= 2000);
	end(0, 50, -EIO);
	began = clock_ms();
	assert_int_equal(asked_one_read(o, 0, 1), -EIO); /* at once */
	assert_true(clock_ms() - began < 1500);
	start(&first, "a", PATTERN);
	assert_int_equal(origin_wait(o, LONG_MS, NULL), 0);
	assert_int_equal(asked_one_read(o, 0, MIB), 0);
	origins_end(&first); /* and once more from the beginning */
	await_state(ORIGIN_LOST);
	ask(0, 50);
	asked_batch_wait(&batch);
	end(0, 50, -EIO);
	close_origin();
}

static void test_cut_anywhere(void **state)
{
	(void)state;
	need(origins_have("nbdkit"), "nbdkit");
	start(&first, "a", STEADY);
	fake.target = first.socket;
	fake.cut_min = fake.cut_max = UINT64_MAX;
	origins_fake_start(&fake, FAKE_RELAY, temp_path(&temp, "relay"));
	open_connected(fake.served.uri, 1, LONG_MS, 0);
	fake.cut_min = 1;
	fake.cut_max = 3 * MIB;
	ask(0, BATCH); /* goes on in the whole connection, so that must end */
	asked_batch_wait(&batch);
	end(0, BATCH, 0);
	assert_int_equal(origin_reconnect(o, fake.served.uri, 50, NULL), -ETIMEDOUT);
	assert_int_equal(origin_reconnect(o, first.uri, LONG_MS, NULL), 0);
	while (origin_reconnect(o, fake.served.uri, 1000, NULL) < 0)
		; /* cut while shaking hands */
	assert_int_equal(asked_crowd(o, 3, 120, SIZE, 100000), 0);
	assert_true(fake.connections > 5);
	close_origin();
	origins_fake_end(&fake);
}

/* A job that takes the connection with it every time is not asked for ever. */
static void test_deadly_job(void **state)
{
	(void)state;
	need(origins_have("nbdkit"), "nbdkit");
	start(&first, "a", STEADY);
	fake.target = first.socket;
	fake.cut_min = fake.cut_max = 20000;
	origins_fake_start(&fake, FAKE_RELAY, temp_path(&temp, "relay"));
	open_connected(fake.served.uri, 1, LONG_MS, 1000);
	assert_int_equal(asked_one_read(o, 0, 10000), 0);
	assert_int_equal(asked_one_read(o, 0, 30000), -EIO);
	await_state(ORIGIN_CONNECTED);
	assert_int_equal(asked_one_read(o, 0, 10000), 0);
	close_origin();
	origins_fake_end(&fake);
}

/* A server that says "done" and sends nothing must not pass for one that sends zeros. */
static void test_answer_without_data(void **state)
{
	(void)state;
	origins_fake_start(&fake, FAKE_SILENCE, temp_path(&temp, "fake"));
	open_connected(fake.served.uri, 1, LONG_MS, 0);
	assert_int_equal(asked_one_read(o, 0, 4096), -EIO);
	assert_int_equal(fake.reads, 3);
	assert_int_equal(status().reconnects, 0);
	close_origin();
	origins_fake_end(&fake);
}

static void test_shutting_down(void **state)
{
	struct origin_job *job = &asked[0].job;

	(void)state;
	origins_fake_start(&fake, FAKE_SHUTDOWN, temp_path(&temp, "fake"));
	open_connected(fake.served.uri, 1, LONG_MS, 0);
	asked_read(&asked[0], &batch, 4096, 4096, false);
	asked_batch_wait(&batch);
	assert_true(job->buf[0] == 0 && memcmp(job->buf, job->buf + 1, 4095) == 0);
	assert_int_equal(asked_end(&asked[0]), 0);
	assert_int_equal(fake.connections, 2);
	assert_int_equal(status().reconnects, 1);
	close_origin();
	origins_fake_end(&fake);
}

/* While other answers come in a reply has four times as long, and then it is hung all the same. */
static void test_one_reply_missing(void **state)
{
	uint64_t began = clock_ms();
	struct asked other;
	struct batch b;

	(void)state;
	origins_fake_start(&fake, FAKE_STUCK, temp_path(&temp, "fake"));
	open_connected(fake.served.uri, 1, 200, 0);
	asked_batch_init(&b, o);
	asked_read(&asked[0], &batch, 0, 4096, false);
	while (status().reconnects == 0) {
		asked_read(&other, &b, 4096, 4096, true);
		asked_batch_wait(&b);
		assert_int_equal(asked_end(&other), 0);
		poll(NULL, 0, 10);
		assert_true(clock_ms() - began < LONG_MS);
	}
	assert_true(clock_ms() - began >= 800);
	assert_int_equal(asked_batch_open(&batch), 1);
	origin_interrupt(o);
	asked_batch_wait(&batch);
	assert_int_equal(asked_end(&asked[0]), -ESHUTDOWN);
	asked_batch_done(&b);
	close_origin();
	origins_fake_end(&fake);
}

static void test_interrupted(void **state)
{
	struct err err;

	(void)state;
	need(origins_have("nbdkit"), "nbdkit");
	start(&first, "a", PATTERN);
	open_connected(first.uri, 2, 60 * 1000, 0);
	origins_signal(&first, SIGSTOP);
	ask(0, BATCH);
	poll(NULL, 0, 50);
	origin_interrupt(o);
	asked_batch_wait(&batch);
	end(0, BATCH, -ESHUTDOWN);
	assert_int_equal(asked_one_read(o, 0, 1), -ESHUTDOWN);
	assert_int_equal(status().connections, 0);
	assert_int_equal(origin_reconnect(o, first.uri, LONG_MS, &err), -ESHUTDOWN);
	origin_interrupt(o);
	close_origin();
}

static void test_freed_with_jobs(void **state)
{
	char uri[400];

	(void)state;
	need(origins_have("nbdkit"), "nbdkit");
	start(&first, "a", PATTERN);
	open_connected(first.uri, 3, LONG_MS, 0);
	origins_signal(&first, SIGSTOP);
	ask(0, BATCH);
	poll(NULL, 0, 20);
	free_origin();
	assert_int_equal(asked_batch_open(&batch), 0);
	end(0, BATCH, -ESHUTDOWN);
	open_origin(first.uri, 1, LONG_MS, 0); /* never gets beyond connecting */
	ask(0, 20);
	free_origin();
	end(0, 20, -ESHUTDOWN);
	snprintf(uri, sizeof(uri), "nbd+unix:///?socket=%s", temp_path(&temp, "none"));
	open_origin(uri, 1, LONG_MS, 0);
	ask(0, 20);
	poll(NULL, 0, 20);
	free_origin();
	end(0, 20, -ESHUTDOWN);
	origins_end(&first);
	start(&first, "a", PATTERN);
	open_connected(first.uri, 3, LONG_MS, 0);
	ask(0, BATCH); /* in the midst of answers */
	free_origin();
	for (unsigned i = 0; i < BATCH; i++)
		asked_end(&asked[i]);
	origin_free(NULL);
}

static unsigned calls;

/* Hands itself in again, also when it failed because all ends. */
static void again(struct origin_job *job)
{
	CHECK(job->result == -ESHUTDOWN);
	if (++calls < 3)
		origin_submit(o, job);
}

static void test_handed_in_while_freed(void **state)
{
	uint8_t byte;
	struct origin_job job = {.kind = ORIGIN_READ, .length = 1, .buf = &byte, .done = again};

	(void)state;
	calls = 0;
	origins_fake_start(&fake, FAKE_STUCK, temp_path(&temp, "fake"));
	open_connected(fake.served.uri, 1, LONG_MS, 0);
	origin_submit(o, &job);
	close_origin();
	assert_int_equal(calls, 3);
	origins_fake_end(&fake);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_killed_and_restarted, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_terminated, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_stopped_and_continued, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_moved_while_hung, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_moves_that_fail, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_one_move_at_a_time, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_held, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_held_from_the_start, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_not_there_for_long, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_cut_anywhere, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_deadly_job, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_answer_without_data, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_shutting_down, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_one_reply_missing, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_interrupted, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_freed_with_jobs, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_handed_in_while_freed, set_up, tear_down),
	};

	log_level(LOG_LEVEL_ERROR);
	return need_status(cmocka_run_group_tests(tests, NULL, NULL));
}
