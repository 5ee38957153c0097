/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * An origin that is well: reads and status of real servers (nbdkit, qemu-nbd, nbd-server, oldstyle
 * too), block sizes, several connections, error replies, and how addresses become URIs. What
 * happens when it is lost is in test_origin_lost.c.
 */
#include "asked.h"
#include "check.h"
#include "clock.h"
#include "log.h"
#include "need.h"
#include "origins.h"
#include "temp.h"
#include "util.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

#define NBDKIT "nbdkit|-f|--exit-with-parent|-U|SOCKET|"

enum { MIB = 1 << 20, WAIT_MS = 10000 };

static struct temp temp;
static struct served server;
static struct origin *opened; /* by the test, freed behind it */

static int set_up(void **state)
{
	(void)state;
	temp_init(&temp);
	return 0;
}

static int tear_down(void **state)
{
	(void)state;
	origin_free(opened);
	opened = NULL;
	origins_end(&server);
	temp_done(&temp);
	return 0;
}

static struct origin *connected(const char *uri, unsigned connections)
{
	struct origin_config config = {
		.uri = uri, .connections = connections, .timeout_ms = WAIT_MS, .wait_ms = WAIT_MS};
	struct err err;

	opened = origin_new(&config, &err);
	CHECK(opened);
	if (origin_wait(opened, WAIT_MS, &err) < 0)
		fail_msg("%s", err.text);
	return opened;
}

static struct origin *served(const char *command, unsigned connections)
{
	origins_start(&server, temp_path(&temp, "s"), command);
	return connected(server.uri, connections);
}

static struct origin_status status(struct origin *o)
{
	struct origin_status st;

	origin_status(o, &st);
	return st;
}

static void await_connections(struct origin *o, unsigned count)
{
	uint64_t until = clock_ms() + WAIT_MS;

	while (status(o).connections != count) {
		assert_true(clock_ms() < until);
		poll(NULL, 0, 5);
	}
}

static void test_uri(void **state)
{
	static const struct {
		const char *host, *port, *name, *uri;
	} rows[] = {
		{"example.org", "10809", "disk", "nbd://example.org:10809/disk"},
		{"example.org", NULL, NULL, "nbd://example.org:10809/"},
		{"192.0.2.1", "1", "", "nbd://192.0.2.1:1/"},
		{"::1", "65535", "a b", "nbd://[::1]:65535/a%20b"},
		{"[2001:db8::7]", "9", "x", "nbd://[2001:db8::7]:9/x"},
		{"fe80::1%eth0", "9", "x", "nbd://[fe80::1%25eth0]:9/x"},
		{"h", "9", "a/b?c#d%e", "nbd://h:9/a/b%3Fc%23d%25e"},
		{"h", "9", "/a", "nbd://h:9//a"},
		{"h", "9", "\xc3\xa4\x01", "nbd://h:9/%C3%A4%01"},
		{"", "9", "x", NULL},
		{"h/other", "9", "x", NULL},
		{"user@h", "9", "x", NULL},
		{"h?socket=/x", "9", "x", NULL},
		{"h%2f", "9", "x", NULL},
		{"h:1", "9", "x", NULL},
		{"[::1", "9", "x", NULL},
		{"[", "9", "x", NULL},
		{"[::1]x", "9", "x", NULL},
		{"::1%", "9", "x", NULL},
		{"::1%a/b", "9", "x", NULL},
		{"h", "0", "x", NULL},
		{"h", "65536", "x", NULL},
		{"h", "", "x", NULL},
		{"h", "no-such-service", "x", NULL},
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		char out[ORIGIN_URI_MAX] = "untouched";
		struct err err = {0};
		int ret = origin_uri(rows[i].host, rows[i].port, rows[i].name, out, &err);

		assert_int_equal(ret, rows[i].uri ? 0 : -EINVAL);
		assert_string_equal(out, rows[i].uri ? rows[i].uri : "untouched");
		assert_int_equal(err.text[0] == 0, ret == 0);
	}
}

static void test_uri_long(void **state)
{
	char name[ORIGIN_URI_MAX], host[300], out[ORIGIN_URI_MAX];

	(void)state;
	memset(name, 'n', sizeof(name));
	name[4000] = 0;
	assert_int_equal(origin_uri("h", NULL, name, out, NULL), 0);
	memset(name, ' ', 2000);
	assert_int_equal(origin_uri("h", NULL, name, out, NULL), -EINVAL);
	memset(host, 'h', sizeof(host));
	host[255] = 0;
	assert_int_equal(origin_uri(host, NULL, "x", out, NULL), 0);
	host[255] = 'h';
	host[256] = 0;
	assert_int_equal(origin_uri(host, NULL, "x", out, NULL), -EINVAL);
}

static void test_reads(void **state)
{
	struct origin *o;

	(void)state;
	need(origins_have("nbdkit"), "nbdkit");
	o = served(NBDKIT "pattern|256M", 4);
	await_connections(o, 4);
	assert_int_equal(status(o).state, ORIGIN_CONNECTED);
	assert_int_equal(status(o).size, 256 * MIB);
	assert_true(status(o).readonly && status(o).has_status);
	assert_string_equal(status(o).uri, server.uri);
	assert_string_equal(status(o).error, "");
	assert_int_equal(asked_crowd(o, 4, 240, 256 * MIB, 200000), 0);
	assert_int_equal(asked_one_read(o, 12345, ORIGIN_JOB_MAX), 0);
	assert_true(status(o).bytes_read > ORIGIN_JOB_MAX);
	assert_int_equal(status(o).jobs_waiting, 0);
	assert_int_equal(status(o).reconnects, 0);
}

/* Out of order: the urgent one comes back while what was asked before it still waits. */
static void test_urgent_first(void **state)
{
	enum { COUNT = 100 };
	struct asked slow[COUNT];
	struct origin *o;
	struct batch b;

	(void)state;
	need(origins_have("nbdkit"), "nbdkit");
	o = served(NBDKIT "--filter=delay|pattern|64M|rdelay=100ms", 1);
	asked_batch_init(&b, o);
	for (unsigned i = 0; i < COUNT; i++)
		asked_read(&slow[i], &b, i * 4096, 4096, false);
	assert_int_equal(asked_one_read(o, 0, 4096), 0);
	assert_true(asked_batch_open(&b) > 0);
	asked_batch_wait(&b);
	for (unsigned i = 0; i < COUNT; i++)
		assert_int_equal(asked_end(&slow[i]), 0);
	asked_batch_done(&b);
}

static void test_not_asked(void **state)
{
	struct origin *o;
	struct asked a;
	struct batch b;

	(void)state;
	need(origins_have("nbdkit"), "nbdkit");
	o = served(NBDKIT "pattern|64M", 1);
	assert_int_equal(asked_one_read(o, 64 * MIB - 1, 1), 0);
	assert_int_equal(asked_one_read(o, 64 * MIB - 1, 2), -EINVAL);
	assert_int_equal(asked_one_read(o, UINT64_MAX, 2), -EINVAL);
	assert_int_equal(asked_one_read(o, 0, ORIGIN_JOB_MAX + 1), -EINVAL);
	assert_int_equal(asked_one_read(o, 64 * MIB, 0), 0);
	asked_batch_init(&b, o);
	asked_status(&a, &b, 0, 64 * MIB + 1);
	asked_batch_wait(&b);
	assert_int_equal(asked_end(&a), -EINVAL);
	asked_status(&a, &b, 5, 0);
	asked_batch_wait(&b);
	assert_int_equal(a.job.extent_count, 0);
	assert_int_equal(asked_end(&a), 0);
	asked_batch_done(&b);
}

/* Whole blocks only, and not many at once; the last block is not whole. */
static void test_blocks(void **state)
{
	enum { SIZE = 3 * MIB + 1001 };
	struct origin *o;

	(void)state;
	need(origins_have("nbdkit"), "nbdkit");
	o = served(NBDKIT "--filter=blocksize-policy|pattern|3146729|blocksize-minimum=4096|"
			  "blocksize-preferred=4096|blocksize-maximum=65536|"
			  "blocksize-error-policy=error",
		4);
	assert_int_equal(status(o).size, SIZE);
	assert_int_equal(asked_one_read(o, 4096, 8192), 0);
	assert_int_equal(asked_one_read(o, 1, 1), 0);
	assert_int_equal(asked_one_read(o, 4095, 2), 0);
	assert_int_equal(asked_one_read(o, 4096, 4097), 0);
	assert_int_equal(asked_one_read(o, 65535, 65538), 0);
	assert_int_equal(asked_one_read(o, 77, 3 * MIB - 200), 0);
	assert_int_equal(asked_crowd(o, 2, 120, 3 * MIB, 300000), 0);
}

/* The extents of a job begin where it does and say what SPARSE is: data in [DATA, DATA + 64 KiB).
 */
static uint64_t check_extents(const struct origin_job *job, uint64_t data)
{
	uint64_t pos = job->offset;

	assert_true(job->extent_count > 0);
	for (size_t i = 0; i < job->extent_count; i++) {
		const struct origin_extent *e = &job->extents[i];

		assert_true(e->length > 0);
		if (i > 0)
			assert_true(e->zero != e[-1].zero);
		if (data != UINT64_MAX)
			assert_int_equal(e->zero, pos < data || pos >= data + 65536);
		pos += e->length;
	}
	return pos;
}

/* Asks about everything from START on. Returns how many jobs it took. */
static unsigned walk(struct origin *o, uint64_t start, uint64_t size, uint64_t data)
{
	unsigned jobs = 0;
	struct batch b;

	asked_batch_init(&b, o);
	for (uint64_t pos = start; pos < size; jobs++) {
		struct asked a;
		uint64_t end;

		asked_status(&a, &b, pos, size - pos);
		asked_batch_wait(&b);
		end = check_extents(&a.job, data);
		assert_true(end > pos && end <= size);
		pos = end;
		assert_int_equal(asked_end(&a), 0);
	}
	asked_batch_done(&b);
	return jobs;
}

static void make_sparse(const char *path, uint64_t size, uint64_t data)
{
	char bytes[65536];
	CLEANUP_FD int fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);

	memset(bytes, 'x', sizeof(bytes));
	CHECK(fd >= 0 && ftruncate(fd, (off_t)size) == 0);
	CHECK(pwrite(fd, bytes, sizeof(bytes), (off_t)data) == (ssize_t)sizeof(bytes));
}

static void test_status(void **state)
{
	const uint64_t size = 10ull * 1024 * MIB, data = 5ull * 1024 * MIB;
	char command[400];
	struct origin *o;

	(void)state;
	need(origins_have("nbdkit"), "nbdkit");
	make_sparse(temp_path(&temp, "disk"), size, data);
	snprintf(command, sizeof(command), NBDKIT "file|%s", temp_path(&temp, "disk"));
	o = served(command, 2);
	assert_true(status(o).has_status);
	assert_true(walk(o, 0, size, data) >= 3); /* 4 GiB at a time, at most */
	walk(o, data + 1000, size, data);
	walk(o, size - 1, size, data);
}

static void test_status_of_qemu(void **state)
{
	const uint64_t size = 64 * MIB, data = 8 * MIB;
	char command[400];
	struct origin *o;

	(void)state;
	need(origins_have("qemu-nbd"), "qemu-nbd");
	make_sparse(temp_path(&temp, "disk"), size, data);
	snprintf(command, sizeof(command), "qemu-nbd|-r|-t|-e|8|-f|raw|-k|SOCKET|%s",
		temp_path(&temp, "disk"));
	o = served(command, 3);
	await_connections(o, 3);
	assert_true(status(o).has_status);
	walk(o, 0, size, data);
	walk(o, data + 512 + 3, size, data);
}

/* A thousand changes at most fit into one answer. */
static void test_many_extents(void **state)
{
	enum { COUNT = 3000, UNIT = 65536 };
	char command[400];
	struct origin *o;
	int fd;

	(void)state;
	need(origins_have("nbdkit"), "nbdkit");
	fd = open(temp_path(&temp, "disk"), O_RDWR | O_CREAT | O_CLOEXEC, 0600);
	CHECK(fd >= 0 && ftruncate(fd, (off_t)COUNT * UNIT) == 0);
	for (int i = 0; i < COUNT; i += 2)
		CHECK(pwrite(fd, "x", 1, (off_t)i * UNIT) == 1);
	close(fd);
	snprintf(command, sizeof(command), NBDKIT "file|%s", temp_path(&temp, "disk"));
	o = served(command, 1);
	assert_true(walk(o, 0, (uint64_t)COUNT * UNIT, UINT64_MAX) >= 3);
}

/* Neither names nor status; everything is data then. */
static void test_oldstyle(void **state)
{
	struct origin *o;
	struct asked a;
	struct batch b;

	(void)state;
	need(origins_have("nbdkit"), "nbdkit");
	o = served("nbdkit|-o|-f|--exit-with-parent|-U|SOCKET|pattern|64M", 2);
	assert_false(status(o).has_status);
	assert_int_equal(asked_crowd(o, 2, 120, 64 * MIB, 100000), 0);
	asked_batch_init(&b, o);
	asked_status(&a, &b, 7, 5000);
	asked_batch_wait(&b);
	assert_int_equal(a.job.extent_count, 1);
	assert_int_equal(a.job.extents[0].length, 5000);
	assert_false(a.job.extents[0].zero);
	assert_int_equal(asked_end(&a), 0);
	asked_batch_done(&b);
}

static void write_pattern(const char *path, uint64_t size)
{
	FILE *f = fopen(path, "we");

	CHECK(f);
	for (uint64_t i = 0; i < size; i++)
		CHECK(fputc(origins_pattern(i), f) != EOF);
	CHECK(fclose(f) == 0);
}

/* By TCP. In the foreground it serves one client only. */
static void test_nbd_server(void **state)
{
	char config[800], command[400], disk[TEMP_PATH_MAX], uri[ORIGIN_URI_MAX], port[8];
	struct origin *o;

	(void)state;
	need(origins_have("nbd-server"), "nbd-server");
	snprintf(port, sizeof(port), "%u", (unsigned)origins_port());
	snprintf(disk, sizeof(disk), "%s", temp_path(&temp, "disk"));
	write_pattern(disk, 4 * MIB);
	snprintf(config, sizeof(config),
		"[generic]\nport = %s\nlistenaddr = 127.0.0.1\nallowlist = true\n"
		"[one disk]\nexportname = %s\nreadonly = true\n",
		port, disk);
	snprintf(command, sizeof(command), "nbd-server|-d|-C|%s", temp_file(&temp, "conf", config));
	origins_spawn(&server, temp_path(&temp, "s"), command);
	assert_int_equal(origin_uri("127.0.0.1", port, "one disk", uri, NULL), 0);
	o = connected(uri, 1);
	assert_int_equal(status(o).size, 4 * MIB);
	assert_int_equal(asked_crowd(o, 2, 120, 4 * MIB, 100000), 0);
	assert_int_equal(walk(o, 0, 4 * MIB, UINT64_MAX), 1);
}

static void test_no_such_export(void **state)
{
	struct origin_config config = {.connections = 1, .timeout_ms = WAIT_MS};
	struct origin *o;
	char uri[400];
	struct err err;

	(void)state;
	need(origins_have("qemu-nbd"), "qemu-nbd");
	make_sparse(temp_path(&temp, "disk"), MIB, 0);
	snprintf(uri, sizeof(uri), "qemu-nbd|-r|-t|-f|raw|-k|SOCKET|%s", temp_path(&temp, "disk"));
	origins_start(&server, temp_path(&temp, "s"), uri);
	snprintf(uri, sizeof(uri), "nbd+unix:///nothing?socket=%s", server.socket);
	config.uri = uri;
	o = opened = origin_new(&config, &err);
	assert_int_equal(origin_wait(o, 300, &err), -ETIMEDOUT);
	assert_non_null(strstr(err.text, "no export named 'nothing'"));
	assert_int_equal(status(o).state, ORIGIN_CONNECTING);
	assert_int_equal(status(o).size, 0);
}

/* Two replies that are errors do no harm, the third is the job's. */
static void test_error_replies(void **state)
{
	char command[500], trigger[TEMP_PATH_MAX];
	struct origin *o;
	struct asked a;
	struct batch b;

	(void)state;
	need(origins_have("nbdkit"), "nbdkit");
	snprintf(trigger, sizeof(trigger), "%s", temp_file(&temp, "broken", ""));
	snprintf(command, sizeof(command),
		NBDKIT "--filter=error|pattern|64M|error-pread=EPERM|error-pread-rate=100%%|"
		       "error-file=%s",
		trigger);
	o = served(command, 2);
	assert_int_equal(asked_one_read(o, 0, 4096), -EPERM);
	asked_batch_init(&b, o);
	asked_read(&a, &b, 8192, 4096, true);
	poll(NULL, 0, 250);
	CHECK(unlink(trigger) == 0);
	asked_batch_wait(&b);
	assert_true(origins_is_pattern(a.job.buf, 4096, 8192));
	assert_int_equal(asked_end(&a), 0);
	asked_batch_done(&b);
	assert_int_equal(status(o).reconnects, 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_uri),
		cmocka_unit_test(test_uri_long),
		cmocka_unit_test_setup_teardown(test_reads, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_urgent_first, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_not_asked, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_blocks, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_status, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_status_of_qemu, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_many_extents, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_oldstyle, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_nbd_server, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_no_such_export, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_error_replies, set_up, tear_down),
	};

	log_level(LOG_LEVEL_ERROR);
	return need_status(cmocka_run_group_tests(tests, NULL, NULL));
}
