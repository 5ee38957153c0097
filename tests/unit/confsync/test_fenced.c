/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Evidence that the peer was shot, in logs that the real audit log of xnbd-stonith writes: before
 * and after a contact, in logs that were moved away, begun anew, cut off or damaged; and by an
 * administrator's word.
 */
#include "fenced.h"

#include "audit.h"
#include "check.h"
#include "confkit.h"
#include "fsutil.h"
#include "util.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include <cmocka.h>

#define TEXT                                                                                       \
	"confsync { self = 'a' state-directory = '@/state' fence-log = '@/log' }\n" CONFKIT_PAIR   \
	"set 's' { paths = {'/s'} }\n"

static void read_config(const char *text)
{
	int r = confkit_read(&kit, text);

	assert_string_equal(kit.faults, "");
	assert_int_equal(r, 0);
}

static int set_up(void **state)
{
	(void)state;
	confkit_init(&kit);
	CHECK(mkdir(temp_path(&kit.temp, "state"), 0700) == 0);
	read_config(TEXT);
	return 0;
}

static void append(json_t *entry)
{
	struct audit *a = audit_new(temp_path(&kit.temp, "log"));
	struct err err;
	int r = audit_append(a, entry, NULL, &err);

	audit_free(a);
	json_decref(entry);
	if (r < 0)
		fail_msg("%s", err.text);
}

/* As stonith/record.c has it. */
static json_t *entry(const char *event, const char *victim, const char *action, const char *outcome)
{
	json_t *e = json_pack("{ss ss ss ss ss s[{ss ss}]}", "event", event, "shot",
		"0123456789abcdef", "victim", victim, "action", action, "who", "fence_xnbd",
		"outlets", "outlet", "left:2", "last", "off");

	if (outcome)
		json_object_set_new(e, "outcome", json_string(outcome));
	return e;
}

static void shoot(const char *victim, const char *action, const char *outcome)
{
	append(entry("begin", victim, action, NULL));
	append(entry("end", victim, action, outcome));
}

static bool fenced(void)
{
	return fenced_since_seen(&kit.config);
}

static void seen(void)
{
	struct err err = {0};

	if (fenced_seen(&kit.config, &err) < 0)
		fail_msg("%s", err.text);
}

static void test_shots(void **state)
{
	(void)state;
	seen();
	assert_false(fenced());
	shoot("b", "off", "done");
	assert_true(fenced());
	assert_true(fenced());
	seen();
	assert_false(fenced());
	shoot("B", "reboot", "done");
	assert_true(fenced());
	seen();
	append(entry("begin", "b", "off", NULL));
	seen();
	append(entry("end", "b", "off", "done"));
	assert_true(fenced());
}

static void test_other_lines(void **state)
{
	(void)state;
	shoot("a", "off", "done");
	seen();
	shoot("b", "off", "failed");
	shoot("b", "off", "refused");
	shoot("b", "off", "confirmed");
	shoot("b", "on", "done");
	shoot("a", "off", "done");
	shoot("bb", "off", "done");
	append(entry("begin", "b", "off", "done"));
	append(json_pack("{ss ss ss}", "event", "confirm", "victim", "b", "text",
		"\",\"event\":\"end\",\"action\":\"off\",\"outcome\":\"done\""));
	assert_false(fenced());
}

/* A shot before the first contact says nothing about what came after it. */
static void test_never_spoken(void **state)
{
	(void)state;
	shoot("b", "off", "done");
	assert_false(fenced());
	seen();
	assert_false(fenced());
	shoot("b", "off", "done");
	assert_true(fenced());
}

static void move(const char *from, const char *to)
{
	char old[256];

	snprintf(old, sizeof(old), "%s", temp_path(&kit.temp, from));
	CHECK(rename(old, temp_path(&kit.temp, to)) == 0);
}

/* Moved away; the shot is in the new file, or at the old one's end. */
static void test_rotated(void **state)
{
	(void)state;
	shoot("a", "off", "done");
	seen();
	move("log", "log.1");
	assert_false(fenced());
	seen();
	shoot("b", "off", "done");
	assert_true(fenced());
	seen();
	assert_false(fenced());
	shoot("b", "off", "done");
	move("log", "log.1");
	assert_true(fenced());
	shoot("a", "off", "done");
	assert_true(fenced());
	seen();
	assert_false(fenced());
}

/* More than one file later. */
static void test_rotated_twice(void **state)
{
	(void)state;
	shoot("b", "off", "done");
	seen();
	move("log", "log.1");
	shoot("a", "off", "done");
	move("log.1", "log.2");
	move("log", "log.1");
	shoot("b", "off", "done");
	assert_true(fenced());
}

/* By copytruncate the file stays the same one. */
static void test_truncated(void **state)
{
	(void)state;
	shoot("b", "off", "done");
	shoot("b", "off", "done");
	seen();
	CHECK(truncate(temp_path(&kit.temp, "log"), 0) == 0);
	assert_false(fenced());
	shoot("a", "off", "done");
	assert_false(fenced());
	shoot("b", "off", "done");
	shoot("a", "off", "done");
	shoot("a", "off", "done");
	assert_true(fenced());
}

/* A log that begins anew may be any log. */
static void test_begun_anew(void **state)
{
	(void)state;
	shoot("a", "off", "done");
	seen();
	CHECK(unlink(temp_path(&kit.temp, "log")) == 0);
	CHECK(unlink(temp_path(&kit.temp, "log.head")) == 0);
	shoot("b", "off", "done");
	assert_false(fenced());
	seen();
	shoot("b", "off", "done");
	assert_true(fenced());
}

/* The same lines in another file, as after a restore. */
static void test_copied(void **state)
{
	CLEANUP_FREE char *text = NULL;
	struct err err;
	size_t len;

	(void)state;
	shoot("b", "off", "done");
	seen();
	shoot("a", "off", "done");
	CHECK(fs_read(temp_path(&kit.temp, "log"), 65536, &text, &len, &err) == 0);
	CHECK(unlink(temp_path(&kit.temp, "log")) == 0);
	temp_file(&kit.temp, "log", text);
	assert_false(fenced());
	shoot("b", "off", "done");
	assert_true(fenced());
}

static void write_end(const char *text)
{
	FILE *f = fopen(temp_path(&kit.temp, "log"), "ae");

	CHECK(f && fputs(text, f) >= 0 && fclose(f) == 0);
}

/* A crash leaves pieces; a line counts when its newline is there. */
static void test_pieces(void **state)
{
	(void)state;
	shoot("a", "off", "done");
	seen();
	write_end("{\"seq\":3,\"prev\":\"00");
	assert_false(fenced());
	seen();
	shoot("b", "off", "done");
	assert_true(fenced());
	seen();
	write_end("{\"seq\":9,\"prev\":\"0000000000000000000000000000000000000000000000000000000000"
		  "000000\",\"event\":\"end\",\"victim\":\"b\",\"action\":\"off\",\"outcome\":"
		  "\"done\"}");
	assert_false(fenced());
	write_end("\n");
	assert_true(fenced());
}

/* The last line was changed after it was remembered, or the file is none. */
static void test_damaged(void **state)
{
	(void)state;
	shoot("a", "off", "done");
	shoot("b", "off", "done");
	seen();
	CHECK(truncate(temp_path(&kit.temp, "log"), 1000) == 0);
	assert_false(fenced());
	CHECK(unlink(temp_path(&kit.temp, "log")) == 0);
	CHECK(symlink("/dev/zero", temp_path(&kit.temp, "log")) == 0);
	assert_false(fenced());
	seen();
	CHECK(unlink(temp_path(&kit.temp, "log")) == 0);
	CHECK(unlink(temp_path(&kit.temp, "log.head")) == 0);
	shoot("b", "off", "done");
	assert_false(fenced());
}

static void test_note(void **state)
{
	struct err err;

	(void)state;
	shoot("b", "off", "done");
	assert_int_equal(fenced_note(&kit.config, "a", &err), -EINVAL);
	assert_string_equal(err.text, "a: is not the peer, which is b");
	assert_false(fenced());
	assert_int_equal(fenced_note(&kit.config, "B", &err), 0);
	assert_true(fenced());
	seen();
	assert_false(fenced());
	seen();
	assert_int_equal(fenced_note(&kit.config, "b", &err), 0);
	shoot("a", "off", "done");
	assert_true(fenced());
	seen();
	assert_false(fenced());
}

/* What was remembered of another peer, another log, or is no memory at all, is none. */
static void test_memory(void **state)
{
	static const char *const bad[] = {"", "{", "[]", "{\"peer\":\"b\"}",
		"{\"peer\":\"b\",\"path\":3,\"log\":\"none\"}",
		"{\"peer\":\"c\",\"path\":\"x\",\"log\":\"none\",\"noted\":true}"};

	(void)state;
	seen();
	shoot("b", "off", "done");
	assert_true(fenced());
	for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
		temp_file(&kit.temp, "state/.peer-seen", bad[i]);
		assert_false(fenced());
	}
	seen();
	shoot("b", "off", "done");
	assert_true(fenced());
	read_config(
		"confsync { self = 'a' state-directory = '@/state' fence-log = '@/log2' }\n" CONFKIT_PAIR
		"set 's' { paths = {'/s'} }\n");
	assert_false(fenced());
	read_config(
		"confsync { self = 'a' state-directory = '@/state' fence-log = '' }\n" CONFKIT_PAIR
		"set 's' { paths = {'/s'} }\n");
	assert_false(fenced());
	seen();
	assert_false(fenced());
}

/* Nothing is written if nothing is new. */
static void test_quiet(void **state)
{
	struct stat before, after;

	(void)state;
	shoot("a", "off", "done");
	seen();
	CHECK(stat(temp_path(&kit.temp, "state/.peer-seen"), &before) == 0);
	assert_int_equal(before.st_mode & 07777, 0600);
	seen();
	CHECK(stat(temp_path(&kit.temp, "state/.peer-seen"), &after) == 0);
	assert_int_equal(before.st_ino, after.st_ino);
	assert_int_equal(before.st_mtim.tv_nsec, after.st_mtim.tv_nsec);
}

#define TEST(name) cmocka_unit_test_setup_teardown(test_##name, set_up, kit_tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(shots),
		TEST(other_lines),
		TEST(never_spoken),
		TEST(rotated),
		TEST(rotated_twice),
		TEST(truncated),
		TEST(begun_anew),
		TEST(copied),
		TEST(pieces),
		TEST(damaged),
		TEST(note),
		TEST(memory),
		TEST(quiet),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
