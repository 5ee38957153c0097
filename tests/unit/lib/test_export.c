/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What can be exported and what is said of it: files of every kind, read-only, not writable (as
 * an unprivileged child when the test runs as root), and export names.
 */
#include "check.h"
#include "export.h"
#include "nbd.h"
#include "temp.h"
#include "util.h"

#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/wait.h>

#include <cmocka.h>

enum {
	COMMON = NBD_FLAG_HAS_FLAGS | NBD_FLAG_SEND_FLUSH | NBD_FLAG_SEND_FUA |
		NBD_FLAG_CAN_MULTI_CONN | NBD_FLAG_SEND_CACHE,
	WRITABLE = NBD_FLAG_SEND_TRIM | NBD_FLAG_SEND_WRITE_ZEROES | NBD_FLAG_SEND_FAST_ZERO,
	NOBODY = 65534
};

static struct temp temp;

static void make_image(const char *name, off_t size)
{
	temp_file(&temp, name, "");
	assert_int_equal(truncate(temp.path, size), 0);
}

static void test_file(void **state)
{
	struct export_facts facts;
	bool readonly = false;
	int fd;

	(void)state;
	make_image("disk", (off_t)5 << 40 | 513);
	fd = export_open(temp_path(&temp, "disk"), &readonly, &facts, NULL);
	assert_true(fd >= 0);
	assert_false(readonly);
	assert_true(facts.size == ((uint64_t)5 << 40 | 513));
	assert_int_equal(facts.flags & ~NBD_FLAG_ROTATIONAL, COMMON | WRITABLE);
	assert_int_equal(facts.block_min, 1);
	assert_true(is_power_of_2(facts.block_preferred) && facts.block_preferred >= 512);
	assert_true(facts.block_max >= 32 * 1024 * 1024); /* rule 76 */
	assert_int_equal(fcntl(fd, F_GETFL) & (O_ACCMODE | O_NONBLOCK), O_RDWR);
	assert_int_equal(fcntl(fd, F_GETFD), FD_CLOEXEC);
	close(fd);
}

/* Rule 73: nothing that writes is promised. */
static void test_readonly(void **state)
{
	struct export_facts facts;
	bool readonly = true;
	int fd;

	(void)state;
	make_image("ro", 4096);
	fd = export_open(temp_path(&temp, "ro"), &readonly, &facts, NULL);
	assert_true(fd >= 0);
	assert_true(readonly);
	assert_int_equal(facts.flags & ~NBD_FLAG_ROTATIONAL, COMMON | NBD_FLAG_READ_ONLY);
	assert_int_equal(fcntl(fd, F_GETFL) & O_ACCMODE, O_RDONLY);
	close(fd);
}

static void check_refused(const char *path, bool readonly, int code, const char *text)
{
	struct export_facts facts = {.size = 77};
	bool ro = readonly;
	struct err err = {0};

	assert_int_equal(export_open(path, &ro, &facts, &err), -code);
	assert_int_equal(err.code, code);
	if (!strstr(err.text, path) || !strstr(err.text, text))
		fail_msg("%s: '%s' does not say '%s'", path, err.text, text);
	assert_int_equal(facts.size, 77);
	assert_int_equal(ro, readonly);
}

static void test_refused(void **state)
{
	(void)state;
	for (int ro = 0; ro < 2; ro++) {
		check_refused(temp_path(&temp, "missing"), ro, ENOENT, "No such file");
		check_refused(temp.folder, ro, EISDIR, "a directory");
		check_refused("/dev/null", ro, EINVAL, "neither file nor block device");
		check_refused(temp_path(&temp, "disk/below"), ro, ENOTDIR, "Not a directory");
		temp_file(&temp, "empty", "");
		check_refused(temp.path, ro, EINVAL, "size is 0; grow it first");
	}
}

/* Neither may opening a fifo hang, nor a socket be taken for a file. */
static void test_fifo_and_socket(void **state)
{
	struct sockaddr_un sa = {.sun_family = AF_UNIX};
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

	(void)state;
	assert_int_equal(mkfifo(temp_path(&temp, "fifo"), 0600), 0);
	check_refused(temp.path, false, EINVAL, "neither file nor block device");
	check_refused(temp.path, true, EINVAL, "neither file nor block device");
	strcpy(sa.sun_path, temp_path(&temp, "sock"));
	assert_int_equal(bind(fd, (struct sockaddr *)&sa, sizeof(sa)), 0);
	check_refused(temp.path, false, ENXIO, "");
	close(fd);
}

/* In a child, so that it can stop being root. Exit status 0: as it should be. */
static void open_unwritable(const char *path)
{
	struct export_facts facts;
	struct err err = {0};
	bool readonly = false;

	if (geteuid() == 0)
		CHECK(setgid(NOBODY) == 0 && setuid(NOBODY) == 0);
	CHECK(export_open(path, &readonly, &facts, &err) == -EACCES);
	CHECK(strstr(err.text, "not writable; use --readonly"));
	readonly = true;
	CHECK(export_open(path, &readonly, &facts, &err) >= 0);
	CHECK(facts.flags & NBD_FLAG_READ_ONLY);
	_exit(0);
}

static void test_unwritable(void **state)
{
	int status = -1;
	pid_t pid;

	(void)state;
	make_image("unwritable", 4096);
	assert_int_equal(chmod(temp.path, 0444), 0);
	assert_int_equal(chmod(temp.folder, 0755), 0);
	pid = fork();
	if (pid == 0)
		open_unwritable(temp.path);
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_int_equal(status, 0);
}

static void test_names(void **state)
{
	char name[NBD_STRING_MAX + 1];
	struct err err;

	(void)state;
	memset(name, 'n', sizeof(name));
	assert_int_equal(export_check_name("", 0, &err), 0);
	assert_int_equal(export_check_name("vm1/disk \xe2\x82\xac", 12, &err), 0);
	assert_int_equal(export_check_name(name, NBD_STRING_MAX, &err), 0);
	assert_int_equal(export_check_name(name, NBD_STRING_MAX + 1, &err), -EINVAL);
	assert_string_equal(err.text, "export name of 4097 bytes: at most 4096 are possible");
	assert_int_equal(export_check_name("a\0b", 3, &err), -EINVAL);
	assert_string_equal(err.text, "export name contains a zero byte");
	assert_int_equal(export_check_name("a\xff", 2, &err), -EINVAL);
	assert_non_null(strstr(err.text, "is not valid UTF-8"));
	assert_int_equal(export_check_name("a\xff", 2, NULL), -EINVAL);
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
		cmocka_unit_test(test_file),
		cmocka_unit_test(test_readonly),
		cmocka_unit_test(test_refused),
		cmocka_unit_test(test_fifo_and_socket),
		cmocka_unit_test(test_unwritable),
		cmocka_unit_test(test_names),
	};

	return cmocka_run_group_tests(tests, set_up, tear_down);
}
