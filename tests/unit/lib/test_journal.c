/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Entries of the journal byte by byte, lines as they reach a socket that plays the journal, what
 * happens when it is full, and when it comes anew.
 */
#include "journal.h"
#include "log.h"
#include "temp.h"
#include "util.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>

#include <cmocka.h>

static struct temp temp;
static int journal = -1;

/* A socket that receives; the last one, if any, is gone. */
static void begin_journal(void)
{
	struct sockaddr_un sa = {.sun_family = AF_UNIX};

	fd_close(&journal);
	strcpy(sa.sun_path, temp_path(&temp, "journal"));
	unlink(sa.sun_path);
	journal = socket(AF_UNIX, SOCK_DGRAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	assert_true(journal >= 0);
	assert_int_equal(bind(journal, (struct sockaddr *)&sa, sizeof(sa)), 0);
}

/* The next entry as "NAME=value\n" lines in TEXT; false: there is none. */
static bool take_entry(char *text, size_t room)
{
	char entry[JOURNAL_ENTRY_MAX];
	ssize_t n = recv(journal, entry, sizeof(entry), 0);
	const char *at = entry, *end = entry + n;

	*text = 0;
	while (n > 0 && at < end) {
		const char *line = memchr(at, '\n', (size_t)(end - at));
		uint64_t len = 0;
		size_t used = strlen(text);

		assert_non_null(line);
		for (int i = 8; i > 0; i--)
			len = len << 8 | (unsigned char)line[i];
		assert_true(line + 9 + len < end && line[9 + len] == '\n');
		snprintf(text + used, room - used, "%.*s=%.*s\n", (int)(line - at), at, (int)len,
			line + 9);
		at = line + 9 + len + 1;
	}
	return n > 0;
}

static void check_entry(const char *want)
{
	char text[JOURNAL_ENTRY_MAX];

	assert_true(take_entry(text, sizeof(text)));
	assert_string_equal(text, want);
}

static void test_pack(void **state)
{
	static const char want[] = "A\n\3\0\0\0\0\0\0\0x\ny\nC\n\0\0\0\0\0\0\0\0\n";
	const struct journal_field fields[] = {{"A", "x\ny"}, {"B", NULL}, {"C", ""}};
	char out[64];

	(void)state;
	assert_int_equal(journal_pack(out, sizeof(out), fields, 3), sizeof(want) - 1);
	assert_memory_equal(out, want, sizeof(want) - 1);
	/* Without room for one field the others still go. */
	for (size_t room = 0; room <= sizeof(want) - 1; room++) {
		size_t len = journal_pack(out, room, fields, 3);

		assert_int_equal(len, room < 11 ? 0 : room < 14 ? 11 : room < 25 ? 14 : 25);
	}
}

static void test_nobody_there(void **state)
{
	char longest[200];
	struct journal j;
	struct err err;

	(void)state;
	assert_int_equal(journal_open(&j, temp_path(&temp, "nobody"), &err), -ENOENT);
	assert_non_null(strstr(err.text, "journal "));
	assert_non_null(strstr(err.text, "nobody: No such file"));
	assert_int_equal(j.fd, -1);
	memset(longest, 'x', sizeof(longest));
	longest[sizeof(longest) - 1] = 0;
	assert_int_equal(journal_open(&j, longest, NULL), -ENAMETOOLONG);
	assert_true(log_on_stderr());
	assert_int_equal(log_to_journal(temp_path(&temp, "nobody"), NULL), -ENOENT);
	assert_true(log_on_stderr());
}

static void test_lines(void **state)
{
	(void)state;
	begin_journal();
	log_name("xnbd-test");
	assert_int_equal(log_to_journal(temp_path(&temp, "journal"), NULL), 0);
	assert_false(log_on_stderr());
	log_error("disk %d", 5);
	check_entry("MESSAGE=disk 5\nPRIORITY=3\nSYSLOG_IDENTIFIER=xnbd-test\nSYSLOG_FACILITY=3\n");
	log_export(LOG_LEVEL_INFO, "vm 1\n", "begins");
	check_entry("MESSAGE=vm 1\\x0a: begins\nPRIORITY=6\nSYSLOG_IDENTIFIER=xnbd-test\n"
		    "SYSLOG_FACILITY=3\nXNBD_EXPORT=vm 1\n\n");
	log_client(LOG_LEVEL_WARN, &(struct log_subject){"vm1", 12, "192.0.2.1:4711"}, "ends");
	check_entry("MESSAGE=vm1: client 12 (192.0.2.1:4711): ends\nPRIORITY=4\n"
		    "SYSLOG_IDENTIFIER=xnbd-test\nSYSLOG_FACILITY=3\nXNBD_CLIENT=12\n"
		    "XNBD_PEER=192.0.2.1:4711\nXNBD_EXPORT=vm1\n");
	log_debug("too low");
	assert_int_equal(recv(journal, NULL, 0, 0), -1);
}

/* A name may be longer than a line: the field has all of it. */
static void test_long_name(void **state)
{
	char name[4097], text[JOURNAL_ENTRY_MAX], *field;

	(void)state;
	memset(name, 'n', sizeof(name));
	name[sizeof(name) - 1] = 0;
	log_export(LOG_LEVEL_WARN, name, "is long");
	assert_true(take_entry(text, sizeof(text)));
	field = strstr(text, "\nXNBD_EXPORT=nnn");
	assert_non_null(field);
	assert_int_equal(strlen(field), strlen("\nXNBD_EXPORT=\n") + strlen(name));
	assert_non_null(strstr(text, "nnn...: is long\n"));
	assert_true(strstr(text, ": is long") - text < 160);
}

/* Whoever logs never waits. */
static void test_full(void **state)
{
	char text[JOURNAL_ENTRY_MAX], told[64];
	unsigned sent = 0, got = 0;

	(void)state;
	for (; sent < 20000; sent++)
		log_info("line %u", sent);
	while (take_entry(text, sizeof(text)))
		got++;
	assert_true(got > 0 && got < sent);
	log_info("the last");
	assert_true(take_entry(text, sizeof(text)));
	assert_non_null(strstr(text, "MESSAGE=the last\n"));
	assert_true(take_entry(text, sizeof(text)));
	snprintf(told, sizeof(told), "MESSAGE=%u lines before this were lost", sent - got);
	assert_non_null(strstr(text, told));
	assert_false(take_entry(text, sizeof(text)));
}

static void test_comes_anew(void **state)
{
	char text[JOURNAL_ENTRY_MAX];

	(void)state;
	begin_journal();
	log_info("found again");
	assert_true(take_entry(text, sizeof(text)));
	assert_non_null(strstr(text, "MESSAGE=found again\n"));
	fd_close(&journal);
	errno = EXDEV;
	log_info("nobody hears this");
	assert_int_equal(errno, EXDEV);
	begin_journal();
	log_info("but this");
	assert_true(take_entry(text, sizeof(text)));
	assert_true(take_entry(text, sizeof(text)));
	assert_non_null(strstr(text, "MESSAGE=1 lines before this were lost"));
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
	fd_close(&journal);
	temp_done(&temp);
	return 0;
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_pack),
		cmocka_unit_test(test_nobody_there),
		cmocka_unit_test(test_lines),
		cmocka_unit_test(test_long_name),
		cmocka_unit_test(test_full),
		cmocka_unit_test(test_comes_anew),
	};

	return cmocka_run_group_tests(tests, set_up, tear_down);
}
