/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Errands of a worker that has nothing but a reactor and threads: what they answer on a real
 * control connection, that the next command waits, and what becomes of them when the connection or
 * the worker goes first.
 */
#include "errand.h"
#include "log.h"
#include "loop.h"
#include "util.h"
#include "worker.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>

#include <cmocka.h>

static struct {
	struct worker worker;
	struct ctl_conn conn;
	int peer;
	_Atomic bool held; /* the errand's thread waits */
	unsigned messages, undone;
	_Atomic unsigned ran;
	bool after, closed;
} t;

static int run(struct errand *e);
static void after(struct errand *e, int result);

static void message(struct ctl_conn *c, json_t *msg, int fd)
{
	(void)fd;
	t.messages++;
	errand_start(&t.worker, c, msg, "test", &t, run, after);
}

static void closed(struct ctl_conn *c)
{
	t.closed = true;
	errand_forget(&t.worker, c);
}

static const struct ctl_ops ops = {message, closed};

static void undo(struct errand *e)
{
	assert_ptr_equal(e->subject, &t);
	t.undone++;
}

static int run(struct errand *e)
{
	json_int_t code = json_integer_value(json_object_get(e->msg, "fail"));

	e->undo = undo;
	while (t.held)
		usleep(1000);
	t.ran++;
	if (json_object_get(e->msg, "text"))
		return err_set(&e->err, (int)code, "%s",
			json_string_value(json_object_get(e->msg, "text")));
	json_object_set_new(e->answer, "number", json_integer(t.ran));
	return (int)-code;
}

static void after(struct errand *e, int result)
{
	t.after = true;
	errand_answer(e, result);
}

static int set_up(void **state)
{
	int fds[2];

	(void)state;
	memset(&t, 0, sizeof(t));
	log_level(LOG_LEVEL_ERROR);
	t.worker.threads = io_threads_new(2);
	if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, fds) < 0)
		return -1;
	t.peer = fds[1];
	return reactor_init(&t.worker.reactor) < 0 ||
		ctl_conn_init(&t.conn, &t.worker.reactor, fds[0], &ops) < 0;
}

static int tear_down(void **state)
{
	(void)state;
	t.held = false;
	io_threads_free(t.worker.threads);
	errand_free_all(&t.worker);
	ctl_conn_done(&t.conn);
	fd_close(&t.peer);
	reactor_done(&t.worker.reactor);
	return 0;
}

static void say(const char *text)
{
	assert_int_equal(write(t.peer, text, strlen(text)), strlen(text));
}

/* The next line of the answer. */
static json_t *hear(void)
{
	char line[2048];
	size_t len = 0;

	while (len == 0 || line[len - 1] != '\n') {
		ssize_t n = read(t.peer, line + len, 1);

		assert_true(n != 0 && len < sizeof(line) - 1);
		if (n < 0)
			loop_turn(&t.worker.reactor);
		else
			len += (size_t)n;
	}
	return json_loadb(line, len, 0, NULL);
}

static void turns_until(const _Atomic unsigned *count, unsigned wanted)
{
	while (*count < wanted) {
		loop_turn(&t.worker.reactor);
		usleep(1000);
	}
}

static void test_answer(void **state)
{
	json_t *answer;

	(void)state;
	say("{\"v\": 1}\n");
	answer = hear();
	assert_true(json_is_true(json_object_get(answer, "ok")));
	assert_int_equal(json_integer_value(json_object_get(answer, "number")), 1);
	assert_true(t.after && !t.undone);
	json_decref(answer);
}

/* One after the other, though all were sent at once. */
static void test_next_command_waits(void **state)
{
	(void)state;
	t.held = true;
	say("{\"v\": 1}\n{\"v\": 1}\n{\"v\": 1}\n");
	loop_turns(&t.worker.reactor, 5);
	assert_int_equal(t.messages, 1);
	t.held = false;
	for (int i = 1; i <= 3; i++) {
		json_t *answer = hear();

		assert_int_equal(json_integer_value(json_object_get(answer, "number")), i);
		json_decref(answer);
	}
	assert_int_equal(t.messages, 3);
}

static void assert_refused(const char *error)
{
	json_t *answer = hear();

	assert_true(json_is_false(json_object_get(answer, "ok")));
	assert_string_equal(json_string_value(json_object_get(answer, "error")), error);
	json_decref(answer);
}

static void test_refusals(void **state)
{
	(void)state;
	say("{\"v\": 1, \"fail\": 28}\n{\"v\": 1, \"fail\": 5, \"text\": \"no, not today\"}\n");
	assert_refused("test: No space left on device");
	assert_refused("no, not today");
	assert_int_equal(t.undone, 0);
}

/* A text may be cut in the middle of a character, and is an answer all the same. */
static void test_refusal_that_is_cut(void **state)
{
	char text[3 * ERR_TEXT_MAX];
	json_t *answer;
	size_t len = 0;

	(void)state;
	len = (size_t)sprintf(text, "{\"v\": 1, \"fail\": 5, \"text\": \"");
	for (int i = 0; i < ERR_TEXT_MAX; i++)
		len += (size_t)sprintf(text + len, i ? "\u00e9" : "x");
	sprintf(text + len, "\"}\n");
	say(text);
	answer = hear();
	assert_non_null(json_string_value(json_object_get(answer, "error")));
	json_decref(answer);
}

static void test_connection_goes_first(void **state)
{
	(void)state;
	t.held = true;
	say("{\"v\": 1}\n");
	while (t.messages == 0)
		loop_turn(&t.worker.reactor);
	fd_close(&t.peer);
	while (!t.closed)
		loop_turn(&t.worker.reactor);
	t.held = false;
	turns_until(&t.ran, 1);
	while (!t.after)
		loop_turn(&t.worker.reactor);
	assert_null(t.worker.errands);
}

static void test_nobody_waits(void **state)
{
	(void)state;
	errand_start(&t.worker, NULL, NULL, "test", &t, run, NULL);
	while (t.worker.errands)
		loop_turn(&t.worker.reactor);
	assert_int_equal(t.ran, 1);
}

/* What was carried out, and never came to its after(), is undone; what failed is not. */
static void test_worker_goes_first(void **state)
{
	json_t *failing = json_pack("{s:i}", "fail", EIO);

	(void)state;
	errand_start(&t.worker, NULL, NULL, "test", &t, run, after);
	errand_start(&t.worker, NULL, failing, "test", &t, run, after);
	json_decref(failing);
	io_threads_free(t.worker.threads);
	t.worker.threads = NULL;
	assert_int_equal(t.ran, 2);
	errand_free_all(&t.worker);
	assert_int_equal(t.undone, 1);
	assert_false(t.after);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_answer, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_next_command_waits, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_refusals, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_refusal_that_is_cut, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_connection_goes_first, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_nobody_waits, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_worker_goes_first, set_up, tear_down),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
