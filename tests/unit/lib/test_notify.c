/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What a service manager gets to read, on a path and on an abstract name, and when it is stuck. */
#include "clock.h"
#include "notify.h"
#include "temp.h"
#include "util.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

static struct temp temp;
static int manager = -1;
static struct notify notify;

/* Listens at NAME ("@..." is abstract) and names it in the environment. */
static void begin(const char *name)
{
	struct sockaddr_un sa = {.sun_family = AF_UNIX};
	socklen_t len = (socklen_t)(offsetof(struct sockaddr_un, sun_path) + strlen(name));

	strcpy(sa.sun_path, name);
	if (name[0] == '@')
		sa.sun_path[0] = 0;
	manager = socket(AF_UNIX, SOCK_DGRAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	assert_true(manager >= 0);
	assert_int_equal(bind(manager, (struct sockaddr *)&sa, len), 0);
	setenv("NOTIFY_SOCKET", name, 1);
	assert_int_equal(notify_init(&notify, NULL), 0);
	assert_true(notify_wanted(&notify));
	assert_null(getenv("NOTIFY_SOCKET"));
}

static void end(void)
{
	notify_done(&notify);
	fd_close(&manager);
}

static const char *heard(void)
{
	static char text[1024];
	ssize_t n = recv(manager, text, sizeof(text) - 1, 0);

	text[n < 0 ? 0 : n] = 0;
	return text;
}

static void check_all(const char *name)
{
	unsigned long long us = 0, before = clock_ns() / 1000;
	char ready[128];

	begin(name);
	snprintf(ready, sizeof(ready), "READY=1\nMAINPID=%d\nSTATUS=2 exports\n", (int)getpid());
	notify_ready(&notify, "2 exports");
	assert_string_equal(heard(), ready);
	notify_status(&notify, "busy");
	assert_string_equal(heard(), "STATUS=busy\n");
	notify_reloading(&notify);
	assert_int_equal(
		sscanf(heard(), "RELOADING=1\nMONOTONIC_USEC=%llu\nSTATUS=reloading\n", &us), 1);
	assert_true(us >= before && us <= clock_ns() / 1000);
	notify_stopping(&notify, "ending");
	assert_string_equal(heard(), "STOPPING=1\nSTATUS=ending\n");
	notify_restore(&notify);
	assert_string_equal(getenv("NOTIFY_SOCKET"), name);
	end();
}

static void test_path(void **state)
{
	(void)state;
	check_all(temp_path(&temp, "notify"));
}

static void test_abstract(void **state)
{
	char name[64];

	(void)state;
	snprintf(name, sizeof(name), "@xnbd-test-%d", (int)getpid());
	check_all(name);
}

static void test_nobody_asks(void **state)
{
	(void)state;
	unsetenv("NOTIFY_SOCKET");
	assert_int_equal(notify_init(&notify, NULL), 0);
	assert_false(notify_wanted(&notify));
	notify_ready(&notify, "");
	notify_status(&notify, "");
	notify_restore(&notify);
	assert_null(getenv("NOTIFY_SOCKET"));
	notify_done(&notify);
}

static void test_bad_names(void **state)
{
	static const char *const bad[] = {"", "/", "@", "relative", "vsock:2:1"};
	char longest[200];
	struct err err;

	(void)state;
	memset(longest, 'x', sizeof(longest));
	longest[0] = '/';
	longest[sizeof(longest) - 1] = 0;
	for (size_t i = 0; i <= ARRAY_LEN(bad); i++) {
		setenv("NOTIFY_SOCKET", i < ARRAY_LEN(bad) ? bad[i] : longest, 1);
		assert_int_equal(notify_init(&notify, &err), -EINVAL);
		assert_non_null(strstr(err.text, "NOTIFY_SOCKET="));
		assert_false(notify_wanted(&notify));
		assert_null(getenv("NOTIFY_SOCKET"));
		notify_ready(&notify, "");
	}
}

/* A status line does not wait; what matters does, but not for ever; a dead manager is no error. */
static void test_stuck(void **state)
{
	uint64_t began;
	int sent = 0;

	(void)state;
	begin(temp_path(&temp, "stuck"));
	while (send(notify.fd, "", 0, MSG_DONTWAIT) >= 0 ||
		sendto(notify.fd, "x", 1, MSG_DONTWAIT, (struct sockaddr *)&notify.address,
			notify.address_len) >= 0)
		assert_true(++sent < 100000);
	began = clock_ns();
	notify_status(&notify, "busy");
	assert_true(clock_ns() - began < 1000000000);
	notify_stopping(&notify, "ending");
	assert_true(clock_ns() - began > 1000000000);
	assert_true(clock_ns() - began < 20000000000);
	fd_close(&manager);
	notify_ready(&notify, "");
	end();
}

static int set_up(void **state)
{
	(void)state;
	temp_init(&temp);
	return 0;
}

static int tear_down(void **state)
{
	(void)state;
	temp_done(&temp);
	return 0;
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_path),
		cmocka_unit_test(test_abstract),
		cmocka_unit_test(test_nobody_asks),
		cmocka_unit_test(test_bad_names),
		cmocka_unit_test(test_stuck),
	};

	return cmocka_run_group_tests(tests, set_up, tear_down);
}
