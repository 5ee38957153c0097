/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Differences as people see them: lines of files, and what diff(1) says, with nothing foreign that
 * reaches a terminal as it is. What is said goes to a file instead of stdout. */
#include "difftext.h"

#include "report.h"
#include "util.h"

#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>

#include <cmocka.h>

enum { OUT_ROOM = 65536 };

static char out[OUT_ROOM];
static int saved = -1, catcher = -1;

static void begin(void)
{
	fflush(stdout);
	catcher = memfd_create("out", MFD_CLOEXEC);
	saved = fcntl(STDOUT_FILENO, F_DUPFD_CLOEXEC, 10);
	assert_true(catcher >= 0 && saved >= 0);
	assert_int_equal(dup2(catcher, STDOUT_FILENO), STDOUT_FILENO);
}

static const char *end(void)
{
	ssize_t n;

	fflush(stdout);
	assert_int_equal(dup2(saved, STDOUT_FILENO), STDOUT_FILENO);
	n = pread(catcher, out, sizeof(out) - 1, 0);
	assert_true(n >= 0);
	out[n] = 0;
	fd_close(&saved);
	fd_close(&catcher);
	return out;
}

static int content(const char *bytes, size_t len)
{
	int fd = memfd_create("content", MFD_CLOEXEC);

	assert_true(fd >= 0);
	assert_int_equal(write(fd, bytes, len), (ssize_t)len);
	return fd;
}

static const char *contents(const char *a, size_t a_len, const char *b, size_t b_len)
{
	int old = content(a, a_len), new = content(b, b_len), r;
	struct err err = {0};

	begin();
	r = difftext_contents(old, "n2:/x", new, "n1:/\x1b", &err);
	end();
	assert_int_equal(r, 0);
	close(old);
	close(new);
	return out;
}

static void test_text(void **state)
{
	(void)state;
	assert_string_equal(contents("a\nb\n", 4, "a\nc\tx\n", 6),
		"--- n2:/x\n+++ n1:/\\x1b\n@@ -1,2 +1,2 @@\n a\n-b\n+c\tx\n");
	assert_string_equal(
		contents("", 0, "new\n", 4), "--- n2:/x\n+++ n1:/\\x1b\n@@ -0,0 +1 @@\n+new\n");
	assert_string_equal(contents("same", 4, "same", 4), "");
}

/* Escape sequences, bytes that are no UTF-8. */
static void test_foreign_text(void **state)
{
	const char *said = contents("a\n", 2, "\x1b[31mred\x07\n\xff\n", 12);

	(void)state;
	assert_non_null(strstr(said, "+\\x1b[31mred\\x07\n"));
	assert_non_null(strstr(said, "+\\xff\n"));
	for (const char *p = said; *p; p++)
		assert_true(*p == '\n' || *p == '\t' || (*p >= 0x20 && *p < 0x7f));
}

static void test_no_text(void **state)
{
	static char large[DIFFTEXT_SIZE_MAX + 1];

	(void)state;
	assert_string_equal(contents("a\0b", 3, "a\n", 2),
		"  no text that is shown: n2:/x has 3 bytes, n1:/\\x1b has 2 bytes\n");
	memset(large, 'x', sizeof(large));
	assert_non_null(strstr(contents("a\n", 2, large, sizeof(large)), "1.0 MiB"));
}

/* Characters at the edges of the pieces that lines are made printable in. */
static void test_long_line(void **state)
{
	char line[4000];

	(void)state;
	for (size_t shift = 0; shift < 6; shift++) {
		memset(line, 'a', shift);
		for (size_t i = shift; i + 1 < sizeof(line); i += 2)
			memcpy(line + i, "\xc3\xa9", 2);
		begin();
		report_line(line, (sizeof(line) - shift) / 2 * 2 + shift);
		end();
		assert_null(strstr(out, "\\x"));
		assert_int_equal(strlen(out), (sizeof(line) - shift) / 2 * 2 + shift);
	}
	begin();
	report_line("a\0b\t\tc\n", 7);
	assert_string_equal(end(), "a\\x00b\t\tc\\x0a");
}

static void test_changes(void **state)
{
	struct entry a = {.path = (char[]){"/etc/a"},
		.type = MANIFEST_FILE,
		.mode = 0644,
		.owner = "root",
		.group = "root"};
	struct entry b = a, folder = a;
	struct change c = {.kind = CHANGE_EDIT, .old = &a, .new = &b};

	(void)state;
	b.mode = 0600;
	strcpy(b.group, "ssl");
	c.what = ENTRY_CONTENT | ENTRY_MODE | ENTRY_OWNER | ENTRY_ATTRS;
	begin();
	difftext_change(&c);
	assert_string_equal(end(),
		"~ /etc/a (content, mode 0644 -> 0600, owner root:root -> "
		"root:ssl, attributes)\n");
	folder.type = MANIFEST_FOLDER;
	folder.path = (char[]){"/etc/x\ny"};
	c = (struct change){.kind = CHANGE_ADD, .new = &folder};
	begin();
	difftext_change(&c);
	assert_string_equal(end(), "+ /etc/x\\x0ay/\n");
	c = (struct change){.kind = CHANGE_DELETE, .old = &a};
	begin();
	difftext_change(&c);
	assert_string_equal(end(), "- /etc/a\n");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_text),
		cmocka_unit_test(test_foreign_text),
		cmocka_unit_test(test_no_text),
		cmocka_unit_test(test_long_line),
		cmocka_unit_test(test_changes),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
