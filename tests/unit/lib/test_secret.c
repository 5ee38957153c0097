/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Files of secrets: what is taken, what is refused, and that no message has a byte of one. */
#include "secret.h"

#include "need.h"
#include "temp.h"
#include "util.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include <cmocka.h>

static struct temp temp;

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

static const char *file(const char *content, mode_t mode)
{
	const char *path;

	unlink(temp_path(&temp, "secret")); /* one of mode 0400 is not for us to write to */
	path = temp_file(&temp, "secret", content);
	assert_int_equal(chmod(path, mode), 0);
	return path;
}

static void good(const char *content, mode_t mode, const char *want)
{
	char *got = NULL;
	struct err err = {0};
	int r = secret_read_line(file(content, mode), 1, 20, &got, &err);

	assert_string_equal(err.text, "");
	assert_int_equal(r, 0);
	assert_string_equal(got, want);
	secret_free(got);
}

static void bad(const char *content, mode_t mode, int code, const char *want)
{
	char *got = NULL;
	struct err err;

	assert_int_equal(secret_read_line(file(content, mode), 4, 20, &got, &err), -code);
	assert_null(got);
	assert_non_null(strstr(err.text, want));
	assert_null(strstr(err.text, "hidden"));
}

static void test_lines(void **state)
{
	(void)state;
	good("private\n", 0600, "private");
	good("private", 0400, "private");
	good(" with blanks \n", 0600, " with blanks ");
	good("x\n", 0600, "x");
	good("12345678901234567890\n", 0600, "12345678901234567890");
	good("12345678901234567890", 0600, "12345678901234567890");
	good("\xc3\xa9t\xc3\xa9\n", 0600, "\xc3\xa9t\xc3\xa9");
}

static void test_bad_lines(void **state)
{
	(void)state;
	bad("", 0600, EINVAL, "is empty");
	bad("\n", 0600, EINVAL, "is empty");
	bad("hid", 0600, EINVAL, "has fewer than 4 bytes");
	bad("hidden8901234567890_1", 0600, EFBIG, "has more than 20 bytes");
	bad("hidden8901234567890_1\n", 0600, EFBIG, "has more than 2");
	bad("hidden\nhidden\n", 0600, EINVAL, "has more than one line");
	bad("hidden\r\n", 0600, EINVAL, "contains a control character");
	bad("hid\tden\n", 0600, EINVAL, "contains a control character");
}

static void test_modes(void **state)
{
	(void)state;
	for (mode_t bit = 1; bit <= 040; bit <<= 1)
		bad("hidden\n", 0600 | bit, EPERM, "must be 0600 or 0400");
}

static void test_kinds(void **state)
{
	char *got;
	struct err err;

	(void)state;
	assert_int_equal(secret_read_line("/dev/null", 1, 20, &got, &err), -EINVAL);
	assert_string_equal(err.text, "/dev/null: is no regular file");
	assert_int_equal(mkfifo(temp_path(&temp, "fifo"), 0600), 0);
	assert_int_equal(secret_read_line(temp.path, 1, 20, &got, &err), -EINVAL);
	assert_int_equal(secret_read_line(temp.folder, 1, 20, &got, &err), -EINVAL);
	assert_int_equal(secret_read_line(temp_path(&temp, "none"), 1, 20, &got, &err), -ENOENT);
}

static void test_owner(void **state)
{
	const char *path = file("hidden\n", 0600);
	char *got;
	struct err err;

	(void)state;
	need(chown(path, 12345, 0) == 0, "root");
	assert_int_equal(secret_read_line(path, 1, 20, &got, &err), -EPERM);
	assert_non_null(strstr(err.text, "belongs to user 12345: must be root's"));
	assert_int_equal(unlink(path), 0);
}

static void test_text(void **state)
{
	static char big[SECRET_TEXT_MAX + 2];
	char *got;
	struct err err;

	(void)state;
	assert_int_equal(secret_read_text(file("a\nb\n", 0600), &got, &err), 0);
	assert_string_equal(got, "a\nb\n");
	secret_free(got);
	memset(big, 'x', SECRET_TEXT_MAX);
	assert_int_equal(secret_read_text(file(big, 0600), &got, &err), 0);
	assert_int_equal(strlen(got), SECRET_TEXT_MAX);
	secret_free(got);
	big[SECRET_TEXT_MAX] = 'x';
	assert_int_equal(secret_read_text(file(big, 0600), &got, &err), -EFBIG);
	assert_int_equal(secret_read_text(file("", 0600), &got, &err), -EINVAL);
	assert_int_equal(secret_read_text(file("x", 0640), &got, &err), -EPERM);
	secret_free(NULL);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_lines),
		cmocka_unit_test(test_bad_lines),
		cmocka_unit_test(test_modes),
		cmocka_unit_test(test_kinds),
		cmocka_unit_test(test_owner),
		cmocka_unit_test(test_text),
	};

	return need_status(cmocka_run_group_tests(tests, set_up, tear_down));
}
