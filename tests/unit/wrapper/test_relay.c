/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Relays: one question over a connection of its own to a server that is a socket of this test, with
 * a master that consists of a reactor and one worker.
 */
#include "relay.h"

#include "loop.h"
#include "master.h"
#include "temp.h"
#include "util.h"

#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>

#include <cmocka.h>

enum { EXPORT = 7 };

static struct temp temp;
static struct master m;
static struct worker w;
static int listening, conn;
static unsigned answers;
static char last[512]; /* the answer as JSON, or the error's text */

static void answered(void *arg, json_t *answer, const struct err *err)
{
	CLEANUP_FREE char *text = answer ? json_dumps(answer, JSON_SORT_KEYS | JSON_COMPACT) : NULL;

	assert_ptr_equal(arg, &m);
	assert_true(!answer != !err);
	answers++;
	snprintf(last, sizeof(last), "%s", text ? text : err->text);
}

static int set_up(void **state)
{
	(void)state;
	temp_init(&temp);
	memset(&m, 0, sizeof(m));
	assert_int_equal(reactor_init(&m.reactor), 0);
	w = (struct worker){.master = &m, .export_id = EXPORT, .state = WORKER_READY};
	snprintf(w.ctl_path, sizeof(w.ctl_path), "%s", temp_path(&temp, "w"));
	listening = sock_listen_unix(w.ctl_path, 0600, NULL);
	assert_true(listening >= 0);
	m.workers = &w;
	conn = -1;
	answers = 0;
	return 0;
}

static int tear_down(void **state)
{
	(void)state;
	relay_end_all(&m);
	assert_null(m.relays);
	fd_close(&conn);
	fd_close(&listening);
	reactor_done(&m.reactor);
	temp_done(&temp);
	return 0;
}

static struct relay *ask(unsigned timeout_ms)
{
	return relay_start(
		&m, EXPORT, json_pack("{s:s}", "cmd", "query"), timeout_ms, answered, &m);
}

static void turn(void)
{
	usleep(15 * 1000); /* longer than the short timeouts here */
	loop_turns(&m.reactor, 4);
}

/* The server's side: takes the connection, checks the question. */
static void take(void)
{
	char line[256];
	ssize_t n;

	turn();
	conn = accept(listening, NULL, NULL);
	assert_true(conn >= 0);
	n = recv(conn, line, sizeof(line) - 1, 0);
	assert_true(n > 0);
	line[n] = 0;
	assert_string_equal(line, "{\"cmd\":\"query\",\"v\":1}\n");
}

static void say(const char *line)
{
	assert_int_equal(send(conn, line, strlen(line), 0), strlen(line));
	turn();
}

static void test_answer(void **state)
{
	(void)state;
	assert_non_null(ask(1000));
	assert_true(relay_busy(&m, EXPORT));
	assert_false(relay_busy(&m, EXPORT + 1));
	take();
	say("{\"event\":\"idle\"}\n");
	assert_int_equal(answers, 0);
	say("{\"ok\":true,\"x\":1}\n");
	assert_int_equal(answers, 1);
	assert_string_equal(last, "{\"ok\":true,\"x\":1}");
	assert_false(relay_busy(&m, EXPORT));
	assert_null(m.relays);
}

static void test_refusal_is_an_answer(void **state)
{
	(void)state;
	ask(1000);
	take();
	say("{\"ok\":false,\"error\":\"no\"}\n{\"ok\":true}\n");
	assert_int_equal(answers, 1);
	assert_string_equal(last, "{\"error\":\"no\",\"ok\":false}");
}

static void test_server_ends(void **state)
{
	(void)state;
	ask(1000);
	take();
	fd_close(&conn);
	turn();
	assert_string_equal(last, "the export's server ended before it answered");
	assert_int_equal(answers, 1);
}

static void test_no_answer_in_time(void **state)
{
	(void)state;
	ask(10);
	take();
	turn();
	assert_int_equal(answers, 1);
	assert_non_null(strstr(last, "does not answer in time"));
}

static void test_cancelled(void **state)
{
	struct relay *r = ask(1000);

	(void)state;
	take();
	relay_cancel(r);
	relay_cancel(r);
	assert_false(relay_busy(&m, EXPORT));
	turn();
	assert_int_equal(answers, 0);
	assert_null(m.relays);
}

static void test_waits_for_the_start(void **state)
{
	(void)state;
	w.state = WORKER_STARTING;
	ask(1000);
	turn();
	assert_int_equal(accept(listening, NULL, NULL), -1);
	w.state = WORKER_READY;
	relay_worker_ready(&w);
	take();
	say("{\"ok\":true}\n");
	assert_int_equal(answers, 1);
}

static void test_start_fails(void **state)
{
	(void)state;
	w.state = WORKER_STARTING;
	ask(1000);
	relay_worker_failed(&w);
	assert_non_null(strstr(last, "could not be started"));
	assert_int_equal(answers, 1);
}

static void test_start_takes_too_long(void **state)
{
	(void)state;
	w.state = WORKER_STARTING;
	ask(10);
	turn();
	turn();
	assert_non_null(strstr(last, "could not be started in time"));
}

/* The caller always hears of it later, never before it has the relay. */
static void test_nobody_listens(void **state)
{
	(void)state;
	fd_close(&listening);
	assert_non_null(ask(1000));
	assert_int_equal(answers, 0);
	turn();
	assert_int_equal(answers, 1);
	assert_string_equal(last, "the export's server takes no control connection");
}

/* A server that hangs has a full queue: connecting must not wait for it. */
static void test_full_queue(void **state)
{
	(void)state;
	assert_int_equal(listen(listening, 0), 0);
	for (unsigned i = 0; i < 3; i++)
		assert_non_null(ask(1000));
	turn();
	assert_in_range(answers, 1, 2);
	assert_string_equal(last, "the export's server takes no control connection");
}

static void test_end_of_the_master(void **state)
{
	(void)state;
	ask(1000);
	ask(1000);
	m.ending = true;
	assert_null(ask(1000));
	relay_end_all(&m);
	assert_int_equal(answers, 2);
	assert_string_equal(last, "the wrapper is shutting down");
	assert_null(m.relays);
}

static void test_error_texts(void **state)
{
	struct err err = {.text = "why"};
	json_t *answer = json_pack("{s:s}", "error", "because");

	(void)state;
	assert_string_equal(relay_error(NULL, &err), "why");
	assert_string_equal(relay_error(answer, NULL), "because");
	json_object_clear(answer);
	assert_string_equal(relay_error(answer, NULL), "refused without a reason");
	json_decref(answer);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_answer),
		TEST(test_refusal_is_an_answer),
		TEST(test_server_ends),
		TEST(test_no_answer_in_time),
		TEST(test_cancelled),
		TEST(test_waits_for_the_start),
		TEST(test_start_fails),
		TEST(test_start_takes_too_long),
		TEST(test_nobody_listens),
		TEST(test_full_queue),
		TEST(test_end_of_the_master),
		TEST(test_error_texts),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
