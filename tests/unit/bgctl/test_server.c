/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Commands against a server that follows a script: exit statuses, waiting for the copy and for a
 * snapshot, signals meanwhile, servers that switch, fail, fall silent or go away.
 */
#include "call.h"
#include "check.h"
#include "command.h"
#include "ctl.h"
#include "sock.h"
#include "temp.h"
#include "util.h"
#include "watch.h"

#include <errno.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <string.h>
#include <sys/wait.h>

#include <cmocka.h>

#define OK       "{\"ok\":true}"
#define PROXY(s) "{\"ok\":true,\"mode\":\"proxy\",\"blocks\":10,\"cached\":5,\"size\":5120," s "}"
#define COPY(s)  PROXY("\"block\":512,\"copy\":{\"state\":\"" s "\",\"error\":\"\"}")
#define SNAP(s)  PROXY("\"snapshots\":[{\"id\":9,\"state\":\"" s "\",\"error\":\"full\"}]")
#define TARGET   "{\"ok\":true,\"mode\":\"target\",\"size\":5120}"
#define REFUSED  "{\"ok\":false,\"error\":\"not here\"}"
#define END      "end"     /* of the server */
#define SILENCE  "silence" /* no answer to this one and all after it */

static struct {
	struct temp temp;
	int listener;
	pid_t child;
	char path[TEMP_PATH_MAX];
	const char *const *script; /* answers; the last one is given again and again */
	FILE *out;
	char *text; /* what was written to it */
	size_t len;
} t;

static int set_up(void **state)
{
	(void)state;
	memset(&t, 0, sizeof(t));
	temp_init(&t.temp);
	strcpy(t.path, temp_path(&t.temp, "ctl"));
	t.listener = sock_listen_unix(t.path, 0600, NULL);
	t.out = open_memstream(&t.text, &t.len);
	return t.listener < 0;
}

static int tear_down(void **state)
{
	(void)state;
	if (t.child > 0) {
		kill(t.child, SIGKILL);
		waitpid(t.child, NULL, 0);
	}
	fclose(t.out);
	free(t.text);
	fd_close(&t.listener);
	temp_done(&t.temp);
	return 0;
}

static void request(struct ctl_server *s, struct ctl_conn *c, json_t *msg, int fd)
{
	const char *line = *t.script;

	(void)msg;
	fd_close(&fd);
	if (strcmp(line, END) == 0)
		_exit(0);
	if (strcmp(line, SILENCE) == 0)
		return;
	msg = json_pack("{s:s}", "event", "copy");
	ctl_server_broadcast(s, msg);
	json_decref(msg);
	ctl_send(c, json_loads(line, 0, NULL), -1);
	if (t.script[1])
		t.script++;
}

static const struct ctl_server_ops ops = {request, NULL};

/* Only the child keeps the listening socket, so that its end is the server's end. */
static void serve(const char *const *script)
{
	struct reactor reactor;
	struct ctl_server server;

	t.script = script;
	t.child = fork();
	if (t.child != 0) {
		fd_close(&t.listener);
		return;
	}
	CHECK(reactor_init(&reactor) == 0);
	CHECK(ctl_server_init(&server, &reactor, t.listener, &ops) == 0);
	reactor_run(&reactor);
	_exit(1);
}

#define SERVE(...) serve((const char *const[]){__VA_ARGS__, NULL})

static struct watch quick(void)
{
	struct watch w;

	watch_init(&w, t.path, t.out);
	w.poll_ms = 2;
	w.line_ms = 0;
	w.answer_ms = w.silent_ms = 20 * 1000;
	return w;
}

static int run(int action)
{
	struct bgctl_options o;

	bgctl_options_default(&o);
	o.action = action;
	o.control = t.path;
	o.no_wait = action == BGCTL_CACHE_ALL;
	o.wait = action == BGCTL_SNAPSHOT;
	return command_run(&o);
}

static void test_done(void **state)
{
	(void)state;
	SERVE(OK, OK, TARGET, "{\"ok\":true,\"different\":0}");
	assert_int_equal(run(BGCTL_PAUSE), BGCTL_DONE);
	assert_int_equal(run(BGCTL_SWITCH), BGCTL_DONE);
	assert_int_equal(run(BGCTL_QUERY), BGCTL_DONE);
	assert_int_equal(run(BGCTL_VERIFY), BGCTL_DONE);
}

static void test_failed(void **state)
{
	(void)state;
	SERVE(REFUSED, REFUSED, "{\"ok\":true,\"different\":1,\"first_different\":0}", END);
	assert_int_equal(run(BGCTL_SWITCH), BGCTL_FAILED);
	assert_int_equal(run(BGCTL_CACHE_ALL), BGCTL_FAILED);
	assert_int_equal(run(BGCTL_VERIFY), BGCTL_FAILED);
	assert_int_equal(run(BGCTL_RESUME), BGCTL_FAILED);
	assert_int_equal(run(BGCTL_QUERY), BGCTL_FAILED);
}

static void test_incomplete(void **state)
{
	(void)state;
	SERVE("{\"ok\":false,\"error\":\"e\",\"incomplete\":true,\"absent\":3}", OK,
		COPY("running"), OK, COPY("done"), OK, TARGET, OK, REFUSED);
	assert_int_equal(run(BGCTL_SWITCH), BGCTL_INCOMPLETE);
	assert_int_equal(run(BGCTL_CACHE_ALL), BGCTL_INCOMPLETE);
	assert_int_equal(run(BGCTL_CACHE_ALL), BGCTL_DONE);
	assert_int_equal(run(BGCTL_CACHE_ALL), BGCTL_DONE);
	assert_int_equal(run(BGCTL_CACHE_ALL), BGCTL_FAILED);
}

static void test_nobody_there(void **state)
{
	static const struct {
		const char *name;
		int ret;
		const char *text;
	} rows[] = {
		{"none", -ENOENT, "no such socket"},
		{"file", -ECONNREFUSED, "is not a socket"},
		{"ctl", -ECONNREFUSED, "nobody listens"},
		{"file/ctl", -ENOTDIR, "Not a directory"},
	};
	json_t *answer = NULL;

	(void)state;
	temp_file(&t.temp, "file", "x");
	fd_close(&t.listener);
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		const char *path = temp_path(&t.temp, rows[i].name);
		struct err err = {0};

		assert_true(call_query(path, 1000, &answer, &err) < 0);
		assert_non_null(strstr(err.text, rows[i].text));
		assert_non_null(strstr(err.text, path));
	}
	assert_null(answer);
}

static void test_copy(void **state)
{
	struct watch w = quick();

	(void)state;
	SERVE(COPY("running"), COPY("paused"), COPY("waiting"), COPY("done"));
	assert_int_equal(watch_copy(&w), BGCTL_DONE);
	assert_string_equal(t.text,
		"copy: 50.0 %, 2.5 KiB of 5.0 KiB, 0 B/s\n"
		"copy: 50.0 %, 2.5 KiB of 5.0 KiB, paused\n"
		"copy: 50.0 %, 2.5 KiB of 5.0 KiB, waiting: origin \n"
		"copy: 100.0 %, 5.0 KiB of 5.0 KiB, done\n");
}

/* A line over the last one, wiped out to its end. */
static void test_copy_on_a_terminal(void **state)
{
	struct watch w = quick();

	(void)state;
	w.terminal = true;
	SERVE(COPY("running"), COPY("paused"), TARGET);
	assert_int_equal(watch_copy(&w), BGCTL_DONE);
	assert_string_equal(t.text,
		"\r[########--------]  50.0 %  2.5 KiB of 5.0 KiB  0 B/s"
		"\r[########--------]  50.0 %  2.5 KiB of 5.0 KiB  paused"
		"\r[################] 100.0 %  5.0 KiB of 5.0 KiB  done  \n");
}

static void test_copy_fails(void **state)
{
	struct watch w = quick();

	(void)state;
	SERVE(COPY("running"), COPY("none"), REFUSED, COPY("running"), END);
	assert_int_equal(watch_copy(&w), BGCTL_FAILED);
	assert_int_equal(watch_copy(&w), BGCTL_FAILED);
	assert_int_equal(watch_copy(&w), BGCTL_FAILED); /* hung up on */
	assert_int_equal(watch_copy(&w), BGCTL_FAILED); /* nobody listens */
}

static void test_silent_server(void **state)
{
	struct watch w = quick();

	(void)state;
	w.answer_ms = 1000;
	w.silent_ms = 1500;
	SERVE(COPY("running"), SILENCE);
	assert_int_equal(watch_copy(&w), BGCTL_FAILED);
	assert_non_null(strstr(t.text, "waiting: the server does not answer\n"));
}

/* The signal is pending before the first pause. */
static void test_signals(void **state)
{
	static const int signals[] = {SIGINT, SIGTERM};
	struct watch w = quick();
	json_t *entry = NULL;
	sigset_t set, old;

	(void)state;
	SERVE(SNAP("copying"), COPY("running"));
	sigemptyset(&set);
	sigaddset(&set, SIGINT);
	sigaddset(&set, SIGTERM);
	sigprocmask(SIG_BLOCK, &set, &old);
	raise(SIGINT);
	assert_int_equal(watch_snapshot(&w, 9, &entry), BGCTL_INCOMPLETE);
	for (size_t i = 0; i < ARRAY_LEN(signals); i++) {
		raise(signals[i]);
		assert_int_equal(watch_copy(&w), BGCTL_INCOMPLETE);
	}
	sigpending(&set);
	assert_false(sigismember(&set, SIGINT) || sigismember(&set, SIGTERM));
	sigprocmask(SIG_SETMASK, &old, NULL);
	assert_null(entry);
}

/* As a shell starts commands in the background: Ctrl-C is not for us. */
static void test_ignored_signal(void **state)
{
	struct watch w = quick();
	sigset_t set, old;

	(void)state;
	SERVE(COPY("running"), COPY("running"), COPY("done"));
	signal(SIGINT, SIG_IGN);
	sigemptyset(&set);
	sigaddset(&set, SIGINT);
	sigprocmask(SIG_BLOCK, &set, &old);
	raise(SIGINT);
	assert_int_equal(watch_copy(&w), BGCTL_DONE);
	sigprocmask(SIG_SETMASK, &old, NULL);
	signal(SIGINT, SIG_DFL);
}

static void test_snapshot(void **state)
{
	struct watch w = quick();
	json_t *entry = NULL;

	(void)state;
	SERVE(SNAP("copying"), SNAP("copying"), SNAP("complete"), SNAP("failed"), COPY("none"),
		"{\"ok\":true,\"id\":9,\"path\":\"/s\",\"method\":\"copy\"}", SNAP("complete"));
	assert_int_equal(watch_snapshot(&w, 9, &entry), BGCTL_DONE);
	assert_int_equal(json_integer_value(json_object_get(entry, "id")), 9);
	json_decref(entry);
	entry = NULL;
	assert_int_equal(watch_snapshot(&w, 9, &entry), BGCTL_FAILED);
	assert_int_equal(watch_snapshot(&w, 9, &entry), BGCTL_FAILED); /* dropped */
	assert_null(entry);
	assert_int_equal(run(BGCTL_SNAPSHOT), BGCTL_DONE);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_done),
		TEST(test_failed),
		TEST(test_incomplete),
		TEST(test_nobody_there),
		TEST(test_copy),
		TEST(test_copy_on_a_terminal),
		TEST(test_copy_fails),
		TEST(test_silent_server),
		TEST(test_signals),
		TEST(test_ignored_signal),
		TEST(test_snapshot),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
