/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What reports of the daemon's child become: situations, lines of the log, outcomes. */
#include "confkit.h"
#include "daemon_inner.h"
#include "log.h"
#include "util.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

static char lines[4096]; /* logged since the last look */

static void on_line(enum log_level level, const struct log_subject *about, const char *text)
{
	size_t len = strlen(lines);

	(void)level, (void)about;
	snprintf(lines + len, sizeof(lines) - len, "%s\n", text);
}

static void expect_lines(const char *text)
{
	assert_string_equal(lines, text);
	lines[0] = 0;
}

struct fixture {
	struct confkit kit;
	struct daemon daemon;
};

static int set_up(void **state)
{
	struct fixture *f = calloc(1, sizeof(*f));

	confkit_init(&f->kit);
	assert_int_equal(confkit_read(&f->kit,
				 "confsync { self = 'a' role-command = 'true' }\n" CONFKIT_PAIR
				 "set 's' { paths = {'/etc/s'} }\n"
				 "set 'mine' { kind = 'local' paths = {'/etc/mine'} }\n"),
		0);
	f->daemon.config = &f->kit.config;
	f->daemon.role = -1;
	log_to_function(on_line);
	lines[0] = 0;
	*state = f;
	return 0;
}

static int tear_down(void **state)
{
	struct fixture *f = *state;

	confkit_done(&f->kit);
	free(f);
	return 0;
}

static struct daemon_report talk(enum plan_action action, enum plan_why why)
{
	struct daemon_report r = {.talked = true,
		.reached = true,
		.plan = {.action = action, .why = why},
		.me = {.number = 7, .active = true}};

	r.in_step = action == PLAN_NOTHING;
	r.me.live[0] = r.me.digest[0] = 7;
	return r;
}

/* As the daemon does it. */
static enum schedule_outcome take(struct fixture *f, const struct daemon_report *r)
{
	enum schedule_outcome outcome = daemon_view_outcome(&f->daemon, r);

	daemon_view_take(&f->daemon, r);
	return outcome;
}

static void expect_line(const struct fixture *f, const char *text)
{
	char line[256];

	daemon_view_line(&f->daemon, line, sizeof(line));
	assert_string_equal(line, text);
}

static void test_told_once(void **state)
{
	struct fixture *f = *state;
	struct daemon_report good = talk(PLAN_NOTHING, PLAN_BECAUSE_IN_STEP);
	struct daemon_report held = talk(PLAN_HOLD, PLAN_BECAUSE_BOTH), far = held;

	expect_line(f, "0 of 1 sets in step");
	for (int i = 0; i < 3; i++)
		assert_int_equal(take(f, &good), SCHEDULE_DONE);
	expect_lines("this node is active\nset s: in step with b\n");
	expect_line(f, "1 of 1 sets in step");
	for (int i = 0; i < 3; i++)
		assert_int_equal(take(f, &held), SCHEDULE_DONE);
	expect_lines("set s: held: both nodes changed it: see diff, then resolve\n");
	expect_line(f, "0 of 1 sets in step, 1 held");
	far.reached = false;
	far.plan.action = PLAN_WAIT;
	far.plan.why = PLAN_BECAUSE_MANUAL;
	assert_int_equal(take(f, &far), SCHEDULE_UNREACHED);
	assert_int_equal(take(f, &held), SCHEDULE_DONE);
	expect_lines("");
	good.me.active = false;
	take(f, &good);
	expect_lines("this node is not active\nset s: in step with b\n");
}

static void test_failures(void **state)
{
	struct fixture *f = *state;
	struct daemon_report r = talk(PLAN_PUBLISH, PLAN_BECAUSE_AHEAD);

	r.code = -EREMOTEIO;
	snprintf(r.text, sizeof(r.text), "validate of set s: exit status 1");
	for (int i = 0; i < 2; i++)
		assert_int_equal(take(f, &r), SCHEDULE_FAILED);
	expect_lines("set s: validate of set s: exit status 1\n");
	expect_line(f, "0 of 1 sets in step, 1 failed");
	snprintf(r.text, sizeof(r.text), "set s: is damaged");
	take(f, &r);
	expect_lines("set s: is damaged\n");
	/* Busy for once is nothing. */
	r.code = -EBUSY;
	snprintf(r.text, sizeof(r.text), "is locked");
	assert_int_equal(take(f, &r), SCHEDULE_FAILED);
	expect_lines("");
	f->daemon.schedule.sets[0].failures = 3;
	take(f, &r);
	expect_lines("set s: is locked\n");
	/* What was done is told each time. */
	r = talk(PLAN_PUBLISH, PLAN_BECAUSE_AHEAD);
	r.in_step = r.done = true;
	r.changed = 2;
	r.bytes = 100;
	take(f, &r);
	take(f, &r);
	expect_lines("this node is active\n"
		     "set s: generation 7 sent to b: 2 contents, 100 bytes\n"
		     "set s: in step with b\n"
		     "set s: generation 7 sent to b: 2 contents, 100 bytes\n");
	assert_int_equal(f->daemon.sets[0].transactions, 2);
}

static void test_peer(void **state)
{
	struct fixture *f = *state;
	struct daemon_report r = talk(PLAN_PUBLISH, PLAN_BECAUSE_AHEAD);

	daemon_view_peer(&f->daemon, false, "connection refused");
	daemon_view_peer(&f->daemon, false, "timed out");
	expect_lines("b is not reached: connection refused\n");
	assert_string_equal(f->daemon.unreached, "timed out");
	r.reached = false;
	r.done = true;
	assert_int_equal(take(f, &r), SCHEDULE_UNREACHED);
	expect_lines("this node is active\nset s: generation 7 made, waits for b\n"
		     "set s: waits for b, which is not reached\n");
	expect_line(f, "0 of 1 sets in step, 1 pending; b is not reached");
	/* That it waits for people does not depend on the peer. */
	r = talk(PLAN_WAIT, PLAN_BECAUSE_MANUAL);
	take(f, &r);
	r.reached = false;
	take(f, &r);
	expect_line(f, "0 of 1 sets in step, 1 waiting; b is not reached");
	lines[0] = 0;
	daemon_view_peer(&f->daemon, true, NULL);
	daemon_view_peer(&f->daemon, true, NULL);
	expect_lines("b is reached\n");
}

static void test_scans(void **state)
{
	struct fixture *f = *state;
	struct daemon_report r = talk(PLAN_WAIT, PLAN_BECAUSE_DRIFT_HERE), scan;

	scan = r;
	scan.talked = scan.reached = false;
	assert_int_equal(take(f, &scan), SCHEDULE_DIFFERS); /* nothing is known yet */
	take(f, &r);
	lines[0] = 0;
	assert_int_equal(take(f, &scan), SCHEDULE_SAME);
	scan.me.live[0]++;
	assert_int_equal(take(f, &scan), SCHEDULE_DIFFERS);
	scan.me.live[0]--;
	scan.me.active = false;
	assert_int_equal(take(f, &scan), SCHEDULE_DIFFERS);
	scan.in_step = true;
	assert_int_equal(take(f, &scan), SCHEDULE_SAME);
	scan.code = -EACCES;
	assert_int_equal(take(f, &scan), SCHEDULE_FAILED);
	lines[0] = 0;
}

static void test_on_hold(void **state)
{
	struct fixture *f = *state;
	struct daemon_report r = talk(PLAN_PUBLISH, PLAN_BECAUSE_AHEAD);

	r.frozen = true;
	r.code = -EPERM;
	assert_int_equal(take(f, &r), SCHEDULE_DONE);
	expect_lines("this node is active\nset s: left alone (hold add)\n");
	expect_line(f, "0 of 1 sets in step, 1 on hold");
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_told_once),
		TEST(test_failures),
		TEST(test_peer),
		TEST(test_scans),
		TEST(test_on_hold),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
