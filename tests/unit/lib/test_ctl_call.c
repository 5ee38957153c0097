/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The tools' side of the control protocol against a server in a child process: answers, refusals,
 * events in between, daemons that hang, hang up or talk nonsense, and peers of another user.
 */
#include "check.h"
#include "ctl.h"
#include "need.h"
#include "sock.h"
#include "temp.h"
#include "util.h"

#include <errno.h>
#include <poll.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>

#include <cmocka.h>

enum { TIMEOUT_MS = 20000, SHORT_MS = 60, NOBODY = 65534 };

static struct {
	struct temp temp;
	int listener;
	pid_t child;
	char path[TEMP_PATH_MAX];
} t;

static int set_up(void **state)
{
	(void)state;
	memset(&t, 0, sizeof(t));
	temp_init(&t.temp);
	strcpy(t.path, temp_path(&t.temp, "ctl"));
	t.listener = sock_listen_unix(t.path, 0666, NULL);
	return t.listener < 0;
}

static int tear_down(void **state)
{
	(void)state;
	if (t.child > 0) {
		kill(t.child, SIGKILL);
		waitpid(t.child, NULL, 0);
	}
	fd_close(&t.listener);
	temp_done(&t.temp);
	return 0;
}

/* The real server. */

static void request(struct ctl_server *s, struct ctl_conn *c, json_t *msg, int fd)
{
	const char *cmd = ctl_command(c, msg);

	fd_close(&fd);
	if (!cmd)
		return;
	if (strcmp(cmd, "event") == 0)
		ctl_server_broadcast(s, msg);
	if (strcmp(cmd, "refuse") == 0)
		ctl_send_error(c, "no such thing");
	else if (strcmp(cmd, "silent") != 0)
		ctl_send(c, json_pack("{s:b, s:O}", "ok", 1, "back", msg), -1);
}

static const struct ctl_server_ops ops = {request, NULL};

static void serve(void)
{
	struct reactor reactor;
	struct ctl_server server;

	t.child = fork();
	if (t.child != 0)
		return;
	CHECK(reactor_init(&reactor) == 0);
	CHECK(ctl_server_init(&server, &reactor, t.listener, &ops) == 0);
	reactor_run(&reactor);
	_exit(1);
}

static int call(const char *cmd, size_t ballast, int timeout_ms, json_t **ret, struct err *err)
{
	json_t *msg = json_pack("{s:s, s:s}", "cmd", cmd, "event", "x");
	CLEANUP_FREE char *text = malloc(ballast + 1);

	memset(text, 'b', ballast);
	text[ballast] = 0;
	json_object_set_new(msg, "ballast", json_string(text));
	memset(err, 0, sizeof(*err));
	return ctl_call(t.path, msg, timeout_ms, ret, err);
}

static void test_answer(void **state)
{
	struct err err;
	json_t *ret = NULL;

	(void)state;
	serve();
	for (size_t ballast = 0; ballast < CTL_LINE_MAX; ballast += 13000) {
		const char *text;

		assert_int_equal(call("echo", ballast, TIMEOUT_MS, &ret, &err), 0);
		assert_int_equal(err.code, 0);
		text = json_string_value(json_object_get(json_object_get(ret, "back"), "ballast"));
		assert_non_null(text);
		assert_int_equal(strlen(text), ballast);
		json_decref(ret);
	}
}

static void test_events_are_passed_over(void **state)
{
	struct err err;
	json_t *ret = NULL;

	(void)state;
	serve();
	assert_int_equal(call("event", 0, TIMEOUT_MS, &ret, &err), 0);
	assert_true(json_is_true(json_object_get(ret, "ok")));
	json_decref(ret);
}

static void test_refusal(void **state)
{
	struct err err;
	json_t *ret = NULL;

	(void)state;
	serve();
	assert_int_equal(call("refuse", 0, TIMEOUT_MS, &ret, &err), -EREMOTEIO);
	assert_string_equal(err.text, "no such thing");
	assert_null(ret);
}

/* The server stops listening to a line too long; its reason still arrives, every time. */
static void test_request_too_long(void **state)
{
	struct err err;
	json_t *ret = NULL;

	(void)state;
	serve();
	for (int i = 0; i < 50; i++) {
		assert_int_equal(call("echo", 2 * 1024 * 1024, TIMEOUT_MS, &ret, &err), -EREMOTEIO);
		assert_string_equal(err.text, "control protocol: line too long");
	}
}

static void test_timeout(void **state)
{
	struct err err;
	json_t *ret = NULL;

	(void)state;
	serve();
	assert_int_equal(call("silent", 0, SHORT_MS, &ret, &err), -ETIMEDOUT);
	assert_non_null(strstr(err.text, t.path));
	assert_non_null(strstr(err.text, "no answer"));
}

/* Nobody accepts at all: the kernel takes the request, the time passes. */
static void test_nobody_accepts(void **state)
{
	struct err err;
	json_t *ret = NULL;

	(void)state;
	assert_int_equal(call("echo", 0, SHORT_MS, &ret, &err), -ETIMEDOUT);
}

static void test_no_daemon(void **state)
{
	struct err err;
	json_t *ret = NULL;

	(void)state;
	fd_close(&t.listener);
	assert_int_equal(call("echo", 0, SHORT_MS, &ret, &err), -ECONNREFUSED);
	assert_non_null(strstr(err.text, t.path));
	unlink(t.path);
	assert_int_equal(call("echo", 0, SHORT_MS, &ret, &err), -ENOENT);
}

/* Daemons that are none: answers TEXT to one client, then hangs up. */
static void say(const char *text)
{
	struct pollfd p = {.fd = t.listener, .events = POLLIN};
	char bytes[4096];
	int fd;

	t.child = fork();
	if (t.child != 0)
		return;
	CHECK(poll(&p, 1, TIMEOUT_MS) == 1);
	fd = accept(t.listener, NULL, NULL);
	CHECK(fd >= 0 && recv(fd, bytes, sizeof(bytes), 0) > 0);
	CHECK(send(fd, text, strlen(text), 0) == (ssize_t)strlen(text));
	_exit(0);
}

static void test_strange_daemons(void **state)
{
	static const struct {
		const char *text;
		int ret;
		const char *error;
	} rows[] = {
		{"", -ECONNRESET, "no answer"},
		{"{\"ok\":true", -ECONNRESET, "no answer"},
		{"nonsense\n", -EPROTO, "no answer"},
		{"[]\n", -EPROTO, "no answer"},
		{"{}\n", -EPROTO, "no answer"},
		{"{\"ok\":1}\n", -EPROTO, "no answer"},
		{"{\"ok\":false}\n", -EREMOTEIO, "refused without a reason"},
		{"{\"event\":\"x\"}\n{\"event\":\"y\",\"error\":\"z\"}\n", -ECONNRESET,
			"no answer"},
		{"{\"event\":\"x\"}\n{\"ok\":false,\"error\":\"e\"}\n", -EREMOTEIO, "e"},
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		json_t *ret = NULL;
		struct err err;

		say(rows[i].text);
		assert_int_equal(call("echo", 0, TIMEOUT_MS, &ret, &err), rows[i].ret);
		assert_non_null(strstr(err.text, rows[i].error));
		assert_null(ret);
		assert_int_equal(waitpid(t.child, NULL, 0), t.child);
		t.child = 0;
	}
}

/* ctl_ask() hands over what a refusal says beside its text. */
static void test_refusal_with_members(void **state)
{
	struct err err = {0};
	json_t *ret = NULL;

	(void)state;
	say("{\"event\":\"copy\",\"state\":\"done\"}\n{\"event\":\"switched\"}\n"
	    "{\"ok\":false,\"error\":\"blocks are absent\",\"incomplete\":true,\"absent\":7}\n");
	assert_int_equal(ctl_ask(t.path, json_object(), TIMEOUT_MS, &ret, &err), 0);
	assert_int_equal(err.code, 0);
	assert_true(json_is_true(json_object_get(ret, "incomplete")));
	assert_int_equal(json_integer_value(json_object_get(ret, "absent")), 7);
	assert_int_equal(ctl_refusal(ret, &err), -EREMOTEIO);
	assert_int_equal(err.code, EREMOTEIO);
	assert_string_equal(err.text, "blocks are absent");
	json_object_set_new(ret, "ok", json_true());
	assert_int_equal(ctl_refusal(ret, &err), 0);
	json_decref(ret);
}

/* As another user: root is needed to become one. */
static void call_as_nobody(void)
{
	struct err err;
	json_t *ret = NULL;

	CHECK(setgid(NOBODY) == 0 && setuid(NOBODY) == 0);
	CHECK(call("echo", 0, TIMEOUT_MS, &ret, &err) == -EREMOTEIO);
	CHECK(strstr(err.text, "permission denied: only root or the daemon's own user"));
	_exit(0);
}

static void test_other_users(void **state)
{
	int status = -1;
	pid_t pid;

	(void)state;
	need_root();
	assert_int_equal(chmod(t.temp.folder, 0755), 0);
	serve();
	pid = fork();
	if (pid == 0)
		call_as_nobody();
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_int_equal(status, 0);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_answer),
		TEST(test_events_are_passed_over),
		TEST(test_refusal),
		TEST(test_request_too_long),
		TEST(test_timeout),
		TEST(test_nobody_accepts),
		TEST(test_no_daemon),
		TEST(test_strange_daemons),
		TEST(test_refusal_with_members),
		TEST(test_other_users),
	};

	return need_status(cmocka_run_group_tests(tests, NULL, NULL));
}
