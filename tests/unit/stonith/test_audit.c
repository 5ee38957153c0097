/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The audit log: lines, chain, heads, moved files, and everything that is done to it from outside.
 */
#include "audit.h"

#include "fsutil.h"
#include "temp.h"
#include "util.h"

#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>

#include <cmocka.h>

static struct temp temp;
static char path[TEMP_PATH_MAX], head_path[TEMP_PATH_MAX], old_path[TEMP_PATH_MAX];
static struct audit *audit;
static struct audit_check check;

static int set_up(void **state)
{
	(void)state;
	temp_init(&temp);
	snprintf(path, sizeof(path), "%s", temp_path(&temp, "sub/log"));
	snprintf(head_path, sizeof(head_path), "%s", temp_path(&temp, "sub/log.head"));
	snprintf(old_path, sizeof(old_path), "%s", temp_path(&temp, "sub/log.1"));
	audit = audit_new(path);
	return !audit;
}

static int tear_down(void **state)
{
	(void)state;
	audit_free(audit);
	temp_done(&temp);
	return 0;
}

static struct audit_head add(const char *victim)
{
	json_t *entry = json_pack("{s:s, s:[i, i]}", "victim", victim, "values", 1, 2);
	struct audit_head head;
	struct err err = {0};

	assert_non_null(entry);
	assert_int_equal(audit_append(audit, entry, &head, &err), 0);
	json_decref(entry);
	return head;
}

static void look(const char *want)
{
	struct err err;

	assert_int_equal(audit_verify(path, NULL, NULL, true, &check, &err), 0);
	assert_string_equal(check.why, want);
}

static char *content(size_t *len)
{
	char *text = NULL;
	struct err err;

	assert_int_equal(fs_read(path, 1 << 20, &text, len, &err), 0);
	return text;
}

static void put(const char *bytes, size_t len)
{
	int fd = open(path, O_WRONLY | O_TRUNC | O_CLOEXEC);

	assert_true(fd >= 0 && write(fd, bytes, len) == (ssize_t)len);
	close(fd);
}

static void add_bytes(const char *bytes, size_t len)
{
	int fd = open(path, O_WRONLY | O_APPEND | O_CLOEXEC);

	assert_true(fd >= 0 && write(fd, bytes, len) == (ssize_t)len);
	close(fd);
}

/* Where line NUMBER begins; from 1. */
static char *line_of(char *text, int number)
{
	while (--number)
		text = strchr(text, '\n') + 1;
	return text;
}

static void test_lines(void **state)
{
	struct stat st;
	json_t *line;
	char *text, *second;
	size_t len;

	(void)state;
	assert_int_equal(add("n1").seq, 1);
	assert_int_equal(add("a\"\\\n\x7f\xc3\xa9").seq, 2);
	text = content(&len);
	line = json_loadb(text, strcspn(text, "\n"), JSON_REJECT_DUPLICATES, NULL);
	assert_string_equal(json_string_value(json_object_get(line, "victim")), "n1");
	assert_int_equal(json_array_size(json_object_get(line, "values")), 2);
	assert_int_equal(strlen(json_string_value(json_object_get(line, "time"))), 24);
	json_decref(line);
	second = line_of(text, 2);
	line = json_loadb(second, strlen(second), JSON_DISABLE_EOF_CHECK, NULL);
	assert_string_equal(
		json_string_value(json_object_get(line, "victim")), "a\"\\\n\x7f\xc3\xa9");
	json_decref(line);
	free(text);
	look("");
	assert_int_equal(check.lines, 2);
	assert_int_equal(check.first.seq, 1);
	assert_int_equal(check.last.seq, 2);
	assert_int_equal(stat(path, &st), 0);
	assert_int_equal(st.st_mode & 07777, 0600);
	assert_int_equal(stat(head_path, &st), 0);
	assert_int_equal(st.st_mode & 07777, 0600);
}

/* A hash noted elsewhere is found, one that is none is not. */
static void test_known(void **state)
{
	struct audit_head first, second;
	struct err err;

	(void)state;
	first = add("n1");
	second = add("n2");
	add("n3");
	assert_int_equal(audit_verify(path, NULL, first.hash, true, &check, &err), 0);
	assert_true(check.known_found);
	assert_int_equal(audit_verify(path, NULL, second.hash, true, &check, &err), 0);
	assert_true(check.known_found);
	second.hash[5] ^= 1;
	assert_int_equal(audit_verify(path, NULL, second.hash, true, &check, &err), 0);
	assert_false(check.known_found);
}

/* Every byte of a log of three lines, changed: always seen. */
static void test_every_byte(void **state)
{
	char *text;
	size_t len;
	struct err err;

	(void)state;
	add("n1");
	add("n2");
	add("n3");
	text = content(&len);
	for (size_t i = 0; i < len; i++) {
		text[i] ^= 1;
		put(text, len);
		assert_int_equal(audit_verify(path, NULL, NULL, true, &check, &err), 0);
		if (!*check.why)
			fail_msg("byte %zu of %zu: not seen", i, len);
		text[i] ^= 1;
	}
	put(text, len);
	look("");
	free(text);
}

static void test_lines_gone(void **state)
{
	char *text, *second, *third;
	size_t len;

	(void)state;
	add("n1");
	add("n2");
	add("n3");
	text = content(&len);
	second = line_of(text, 2);
	third = line_of(text, 3);
	put(second, len - (size_t)(second - text));
	look("the beginning is gone: the first line is number 2");
	assert_int_equal(check.bad_line, 1);
	put(text, (size_t)(third - text));
	look("1 lines at the end are gone: the last one was number 3");
	put(text, (size_t)(second - text));
	add_bytes(third, len - (size_t)(third - text));
	look("line 2: number 3 follows number 1");
	put(text, (size_t)(third - text));
	add_bytes(second, len - (size_t)(second - text));
	look("line 3: number 2 follows number 2");
	/* What the two files alone cannot tell. */
	put(text, (size_t)(third - text));
	assert_int_equal(unlink(head_path), 0);
	look("");
	free(text);
}

/* The next line tells what is missing; it is not forgotten. */
static void test_lost(void **state)
{
	char *text;
	size_t len;

	(void)state;
	add("n1");
	add("n2");
	add("n3");
	text = content(&len);
	put(text, (size_t)(line_of(text, 2) - text));
	free(text);
	assert_int_equal(add("n4").seq, 4);
	look("line 2: 2 lines before it are gone; it says so itself");
	assert_int_equal(check.lost, 2);
	add("n5");
	look("line 2: 2 lines before it are gone; it says so itself");
	assert_int_equal(check.lines, 3);
}

/* The last line changed, and another written behind it. */
static void test_last_changed(void **state)
{
	char *text;
	size_t len;

	(void)state;
	add("n1");
	add("n2");
	text = content(&len);
	*strstr(line_of(text, 2), "n2") = 'm';
	put(text, len);
	look("line 2: was changed: its hash was noted as another");
	add("n3");
	look("line 3: does not follow the line before, which was changed");
	free(text);
}

/* Moved away as logrotate does, in both of its ways, and gone on with. */
static void test_moved(void **state)
{
	struct audit_head end;
	struct audit_check old;
	struct err err;

	(void)state;
	add("n1");
	end = add("n2");
	assert_int_equal(rename(path, old_path), 0);
	assert_int_equal(add("n3").seq, 3);
	look("");
	assert_int_equal(check.first.seq, 3);
	assert_string_equal(check.first.hash, end.hash);
	assert_int_equal(audit_verify(old_path, NULL, NULL, false, &old, &err), 0);
	assert_string_equal(old.why, "");
	assert_int_equal(audit_verify(path, &old.last, NULL, true, &check, &err), 0);
	assert_string_equal(check.why, "");
	old.last.seq--;
	assert_int_equal(audit_verify(path, &old.last, NULL, true, &check, &err), 0);
	assert_string_equal(check.why, "does not go on where the file before ended, at number 1");
	assert_int_equal(truncate(path, 0), 0);
	assert_int_equal(add("n4").seq, 4);
	look("");
}

/* Moved away, and nothing was written since into the new file: an end, if the old one is known. */
static void test_moved_empty(void **state)
{
	struct audit_check old;
	struct audit_head end;
	struct err err;

	(void)state;
	add("n1");
	end = add("n2");
	assert_int_equal(rename(path, old_path), 0);
	close(open(path, O_WRONLY | O_CREAT | O_CLOEXEC, 0600));
	look("has no line, and the last one was number 2: that is in the file before (name both), "
	     "or gone");
	assert_int_equal(audit_verify(old_path, NULL, NULL, false, &old, &err), 0);
	assert_int_equal(audit_verify(path, &old.last, NULL, true, &check, &err), 0);
	assert_string_equal(check.why, "");
	assert_int_equal(check.lines, 0);
	assert_int_equal(check.last.seq, end.seq);
	assert_string_equal(check.last.hash, end.hash);
	old.last = old.first;
	assert_int_equal(audit_verify(path, &old.last, NULL, true, &check, &err), 0);
	assert_string_equal(check.why, "1 lines at the end are gone: the last one was number 2");
}

/* Without PATH.head a log goes on from its last line. */
static void test_no_head(void **state)
{
	(void)state;
	add("n1");
	add("n2");
	assert_int_equal(unlink(head_path), 0);
	assert_int_equal(add("n3").seq, 3);
	look("");
	assert_int_equal(truncate(head_path, 3), 0);
	assert_int_equal(add("n4").seq, 4);
	look("");
	assert_int_equal(check.lines, 4);
}

/* A crash in the middle of a line: at every place of it. */
static void test_torn(void **state)
{
	char *text, *third;
	size_t len, from;

	(void)state;
	add("n1");
	add("n2");
	add("n3");
	text = content(&len);
	third = line_of(text, 3);
	from = (size_t)(third - text);
	for (size_t i = from; i <= len; i++) {
		put(text, i);
		assert_int_equal(unlink(head_path), 0);
		look("");
		assert_int_equal(check.torn_tail, i > from && i < len - 1);
		assert_int_equal(add("n4").seq, i < len - 1 ? 3 : 4);
		look("");
		assert_int_equal(check.torn, i > from && i < len - 1);
		assert_int_equal(add("n5").seq, i < len - 1 ? 4 : 5);
		look("");
	}
	free(text);
}

/* The line that says so is torn, too; and what a crash of the host may leave. */
static void test_torn_twice(void **state)
{
	(void)state;
	add("n1");
	add_bytes("{\"seq\":2,\"pre", 13);
	add("n2");
	add_bytes("{\"seq\":3,\"prev\":\"00\n{\"se", 24);
	add_bytes("\0\0\0\0\0\0\0\0", 8);
	look("");
	assert_true(check.torn_tail);
	add("n3");
	look("");
	assert_int_equal(check.torn, 2);
	assert_int_equal(check.lines, 3);
}

/* A piece that nobody speaks of, and one that is spoken of but is another. */
static void test_false_pieces(void **state)
{
	char *text, *piece;
	size_t len;

	(void)state;
	add("n1");
	add_bytes("{\"seq\":2,\"pre", 13);
	add("n2");
	text = content(&len);
	piece = line_of(text, 2);
	piece[3] = 'z';
	put(text, len);
	look("line 2: is no line of the log");
	memmove(piece, line_of(text, 3), len - (size_t)(line_of(text, 3) - text));
	put(text, len - 14);
	look("line 2: a torn piece before it is gone");
	free(text);
	assert_int_equal(truncate(path, 0), 0);
	assert_int_equal(unlink(head_path), 0);
	add("n1");
	add_bytes("# a remark\n", 11);
	look("line 2: is no line of the log");
	assert_false(check.torn_tail);
}

/* Something else altogether. */
static void test_no_log_at_all(void **state)
{
	(void)state;
	add("n1");
	assert_int_equal(unlink(head_path), 0);
	put("root:x:0:0\ndaemon:x:1:1\n", 24);
	look("line 1: is no line of the log");
}

/* The first line of all was torn. */
static void test_torn_first(void **state)
{
	(void)state;
	add("n1");
	put("{\"se", 4);
	assert_int_equal(unlink(head_path), 0);
	assert_int_equal(add("n1").seq, 1);
	look("");
	assert_int_equal(check.torn, 1);
}

static void refused(const char *entry, int code, const char *want)
{
	json_t *j = json_loads(entry, JSON_DECODE_ANY, NULL);
	struct err err = {0};
	size_t len, now;

	add("n1");
	free(content(&len));
	assert_int_equal(audit_append(audit, j, NULL, &err), -code);
	assert_non_null(strstr(err.text, want));
	free(content(&now));
	assert_int_equal(len, now);
	json_decref(j);
	look("");
}

static void test_refused(void **state)
{
	char *big = malloc(2 * AUDIT_LINE_MAX);
	size_t len = 1;

	(void)state;
	refused("{\"prev\": 1}", EINVAL, "\"prev\" is not an entry's to say");
	refused("[]", EINVAL, "is not an entry's");
	assert_non_null(big);
	strcpy(big, "{");
	for (int i = 0; len < AUDIT_LINE_MAX * 3 / 2; i++)
		len += (size_t)sprintf(big + len, "%s\"member%d\": %d", i ? "," : "", i, i);
	strcpy(big + len, "}");
	refused(big, EMSGSIZE, "a line of more than 32768 bytes");
	free(big);
}

/* Somebody's shopping list is not written into, nor is a FIFO waited for. */
static void test_no_log(void **state)
{
	json_t *j = json_pack("{s:i}", "x", 1);
	struct err err;
	size_t len;
	char *text;

	(void)state;
	add("n1");
	put("milk\n", 5);
	assert_int_equal(audit_append(audit, j, NULL, &err), -EUCLEAN);
	assert_non_null(strstr(err.text, "is no audit log; move it away"));
	text = content(&len);
	assert_string_equal(text, "milk\n");
	free(text);
	assert_int_equal(unlink(path), 0);
	assert_int_equal(mkfifo(path, 0600), 0);
	assert_int_equal(audit_append(audit, j, NULL, &err), -EUCLEAN);
	assert_non_null(strstr(err.text, "is no regular file"));
	assert_int_equal(audit_verify(path, NULL, NULL, true, &check, &err), -EUCLEAN);
	assert_int_equal(unlink(path), 0);
	assert_int_equal(audit_verify(path, NULL, NULL, true, &check, &err), -ENOENT);
	assert_int_equal(symlink("/dev/null", path), 0);
	assert_int_equal(audit_append(audit, j, NULL, &err), -ELOOP);
	json_decref(j);
}

/* Long texts are cut between characters. */
static void test_long_text(void **state)
{
	char text[2 * AUDIT_TEXT_MAX + 1];
	json_t *line, *j;
	size_t len;
	char *all;
	struct err err;

	(void)state;
	for (size_t i = 0; i < AUDIT_TEXT_MAX; i++)
		memcpy(text + 2 * i, "\xc3\xa9", 2);
	text[2 * AUDIT_TEXT_MAX] = 0;
	j = json_pack("{s:s}", "reason", text + 2);
	assert_non_null(j);
	assert_int_equal(audit_append(audit, j, NULL, &err), 0);
	json_decref(j);
	all = content(&len);
	line = json_loads(all, 0, NULL);
	assert_non_null(line);
	assert_int_equal(json_string_length(json_object_get(line, "reason")), AUDIT_TEXT_MAX + 3);
	json_decref(line);
	free(all);
}

static bool count(void *arg, const char *line, size_t len)
{
	unsigned *n = arg;

	assert_true(len > 0 && line[0] == '{' && line[len - 1] == '}');
	return ++*n < 3;
}

static void test_each(void **state)
{
	unsigned n = 0;
	struct err err;

	(void)state;
	add("n1");
	add_bytes("{piece", 6);
	add("n2");
	assert_int_equal(audit_each(path, count, &n, &err), 0);
	assert_int_equal(n, 2);
	add("n3");
	add("n4");
	n = 0;
	assert_int_equal(audit_each(path, count, &n, &err), 0);
	assert_int_equal(n, 3);
}

/* Several processes at once, one of them moves the file away: one chain all the same. */
static void test_together(void **state)
{
	enum { PROCESSES = 4, LINES = 20 };
	struct audit_check old;
	struct err err;
	int status;

	(void)state;
	for (int i = 0; i < PROCESSES; i++) {
		if (fork() != 0)
			continue;
		audit = audit_new(path);
		for (int n = 0; n < LINES; n++)
			add("n1");
		_exit(0);
	}
	while (rename(path, old_path) < 0)
		usleep(1000);
	for (int i = 0; i < PROCESSES; i++)
		assert_true(wait(&status) > 0 && status == 0);
	assert_int_equal(audit_verify(old_path, NULL, NULL, false, &old, &err), 0);
	assert_string_equal(old.why, "");
	if (old.last.seq < PROCESSES * LINES) {
		assert_int_equal(audit_verify(path, &old.last, NULL, true, &check, &err), 0);
		assert_string_equal(check.why, "");
		assert_int_equal(check.last.seq, PROCESSES * LINES);
	}
}

#define T(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		T(test_lines),
		T(test_known),
		T(test_every_byte),
		T(test_lines_gone),
		T(test_lost),
		T(test_last_changed),
		T(test_moved),
		T(test_moved_empty),
		T(test_no_head),
		T(test_torn),
		T(test_torn_twice),
		T(test_false_pieces),
		T(test_no_log_at_all),
		T(test_torn_first),
		T(test_refused),
		T(test_no_log),
		T(test_long_text),
		T(test_each),
		T(test_together),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
