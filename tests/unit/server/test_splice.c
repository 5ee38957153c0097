/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Long reads: from a file to a pipe by reference. The right bytes at odd places, warm, cold and in
 * a hole, the end of the file, and that what is in memory is done at once.
 */
#include "engine.h"
#include "lane.h"
#include "rnd.h"
#include "temp.h"
#include "uring.h"
#include "util.h"

#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>

#include <cmocka.h>

enum { FILE_BYTES = 3 * 1024 * 1024 + 777, HOLE_AT = 1024 * 1024, HOLE_BYTES = 512 * 1024 };

struct fixture {
	struct temp temp;
	struct reactor reactor;
	struct io_threads *threads;
	struct engine engine;
	int fd;
	int pipe[2];
	size_t room; /* of the pipe, bytes */
	bool at_once;
	unsigned calls; /* of done */
};

static struct fixture fix;
static uint8_t content[FILE_BYTES], got[FILE_BYTES];

static void make_content(void)
{
	struct rnd rnd;

	rnd_init(&rnd, 7);
	rnd_fill(&rnd, content, sizeof(content));
	memset(content + HOLE_AT, 0, HOLE_BYTES);
}

static bool write_range(size_t from, size_t to)
{
	return pwrite(fix.fd, content + from, to - from, (off_t)from) == (ssize_t)(to - from);
}

static int set_up(enum engine_kind kind)
{
	memset(&fix, 0, sizeof(fix));
	temp_init(&fix.temp);
	fix.fd = open(temp_path(&fix.temp, "file"), O_RDWR | O_CREAT | O_CLOEXEC, 0600);
	if (fix.fd < 0 || !write_range(0, HOLE_AT) ||
		!write_range(HOLE_AT + HOLE_BYTES, FILE_BYTES))
		return -1;
	if (pipe2(fix.pipe, O_CLOEXEC) < 0)
		return -1;
	fcntl(fix.pipe[1], F_SETPIPE_SZ, LANE_PIPE_BYTES);
	fix.room = (size_t)fcntl(fix.pipe[1], F_GETPIPE_SZ);
	fix.threads = io_threads_new(2);
	return reactor_init(&fix.reactor) ||
			engine_open(&fix.engine, kind, &fix.reactor, fix.threads)
		? -1
		: 0;
}

static int set_up_uring(void **state)
{
	(void)state;
	return set_up(ENGINE_URING);
}

static int set_up_threads(void **state)
{
	(void)state;
	return set_up(ENGINE_THREADS);
}

static int tear_down(void **state)
{
	(void)state;
	engine_close(&fix.engine);
	io_threads_free(fix.threads);
	reactor_done(&fix.reactor);
	close(fix.fd);
	fd_close(&fix.pipe[0]);
	close(fix.pipe[1]);
	temp_done(&fix.temp);
	return 0;
}

static void io_done(struct io *io)
{
	(void)io;
	fix.calls++;
	reactor_stop(&fix.reactor);
}

static int splice_file(uint64_t offset, size_t len, unsigned flags)
{
	struct io io = {.op = IO_SPLICE,
		.flags = flags,
		.fd = fix.fd,
		.pipe = fix.pipe[1],
		.len = len,
		.offset = offset,
		.done = io_done,
		.moved = 99,
		.result = -1};

	fix.calls = 0;
	fix.reactor.stopped = false;
	fix.at_once = engine_submit(&fix.engine, &io);
	if (!fix.at_once)
		assert_int_equal(reactor_run(&fix.reactor), 0);
	assert_int_equal(fix.calls, fix.at_once ? 0 : 1);
	if (io.result == 0)
		assert_int_equal(io.moved, len);
	return io.result;
}

static size_t in_pipe(void)
{
	int n = -1;

	assert_int_equal(ioctl(fix.pipe[0], FIONREAD, &n), 0);
	return (size_t)n;
}

/* All LEN bytes and no more are in the pipe, and it is empty then. */
static void check_pipe(uint64_t offset, size_t len)
{
	size_t used = 0;

	assert_int_equal(in_pipe(), len);
	while (used < len) {
		ssize_t n = read(fix.pipe[0], got + used, len - used);

		assert_true(n > 0);
		used += (size_t)n;
	}
	assert_memory_equal(got, content + offset, len);
	assert_int_equal(in_pipe(), 0);
}

/* As many as the pipe has pages for at this place. */
static size_t longest_at(uint64_t offset)
{
	return fix.room - offset % POOL_PAGE;
}

static const uint64_t places[] = {0, 1, 4095, 4096, 4097, 65536 + 511, HOLE_AT - 5000, HOLE_AT,
	HOLE_AT + 12345, HOLE_AT + HOLE_BYTES - 1, 1999999};

static void check_places(unsigned flags)
{
	static const size_t lengths[] = {1, 511, 4096, 4097, 65536, 65537, 131072 - 1, 262144 + 3};

	for (size_t i = 0; i < ARRAY_LEN(places); i++) {
		for (size_t k = 0; k < ARRAY_LEN(lengths); k++) {
			size_t len = MIN_OF(lengths[k], longest_at(places[i]));

			assert_int_equal(splice_file(places[i], len, flags), 0);
			check_pipe(places[i], len);
		}
		assert_int_equal(splice_file(places[i], longest_at(places[i]), flags), 0);
		check_pipe(places[i], longest_at(places[i]));
	}
}

static void test_places(void **state)
{
	(void)state;
	check_places(0);
	check_places(IO_INLINE);
}

/* A file in memory never waits, so it is always done at once. */
static void test_memory(void **state)
{
	(void)state;
	check_places(IO_MEMORY);
	assert_true(fix.at_once);
}

/* False where the file system keeps everything in memory, or something else holds the pages. */
static bool is_gone(size_t from, size_t len)
{
	static unsigned char resident[FILE_BYTES / POOL_PAGE + 1];
	uint8_t *p = mmap(NULL, FILE_BYTES, PROT_READ, MAP_SHARED, fix.fd, 0);
	bool any = mincore(p, FILE_BYTES, resident) < 0;

	for (size_t i = from / POOL_PAGE; i <= (from + len - 1) / POOL_PAGE; i++)
		any |= resident[i] & 1;
	munmap(p, FILE_BYTES);
	return !any;
}

/* Nothing of it is in memory, as after the start of a machine. */
static void test_cold(void **state)
{
	(void)state;
	assert_int_equal(fsync(fix.fd), 0);
	for (size_t i = 0; i < ARRAY_LEN(places); i++) {
		size_t len = longest_at(places[i]);
		bool gone;

		assert_int_equal(posix_fadvise(fix.fd, 0, 0, POSIX_FADV_DONTNEED), 0);
		gone = is_gone(places[i], len);
		assert_int_equal(splice_file(places[i], len, IO_INLINE), 0);
		assert_false(gone && fix.at_once); /* the lane must not wait for a disk */
		check_pipe(places[i], len);
	}
}

/* An attempt at the rest, after one that moved less than all. */
static void test_rest(void **state)
{
	struct io io = {.op = IO_SPLICE,
		.fd = fix.fd,
		.pipe = fix.pipe[1],
		.len = 70000,
		.offset = 1001,
		.moved = 65000};

	(void)state;
	assert_int_equal(engine_move(&io), 5000);
	check_pipe(1001 + 65000, 5000);
}

/* The last byte can be had, one more cannot, whoever does the work. */
static void test_end_of_file(void **state)
{
	static const unsigned flags[] = {0, IO_INLINE, IO_MEMORY};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(flags); i++) {
		assert_int_equal(splice_file(FILE_BYTES - 70000, 70000, flags[i]), 0);
		check_pipe(FILE_BYTES - 70000, 70000);
		assert_int_equal(splice_file(FILE_BYTES - 1, 1, flags[i]), 0);
		check_pipe(FILE_BYTES - 1, 1);
		assert_int_equal(splice_file(FILE_BYTES, 65536, flags[i]), -EIO);
		assert_int_equal(in_pipe(), 0);
		assert_int_equal(splice_file(1ULL << 40, 65536, flags[i]), -EIO);
		assert_int_equal(splice_file(FILE_BYTES - 70000, 70001, flags[i]), -EIO);
		check_pipe(FILE_BYTES - 70000, 70000); /* what was there; the caller drops it */
	}
}

/* The image shrinks under us. */
static void test_truncated(void **state)
{
	(void)state;
	assert_int_equal(splice_file(0, 65536, 0), 0);
	check_pipe(0, 65536);
	assert_int_equal(ftruncate(fix.fd, 1000), 0);
	assert_int_equal(splice_file(0, 65536, 0), -EIO);
	check_pipe(0, 1000);
}

static void test_errors(void **state)
{
	struct io io = {.op = IO_SPLICE, .fd = -1, .pipe = fix.pipe[1], .len = 100};

	(void)state;
	io.flags = IO_MEMORY;
	assert_true(engine_submit(&fix.engine, &io));
	assert_int_equal(io.result, -EBADF);
	io.flags = 0;
	io.done = io_done;
	assert_false(engine_submit(&fix.engine, &io));
	assert_int_equal(reactor_run(&fix.reactor), 0);
	assert_int_equal(io.result, -EBADF);
	fd_close(&fix.pipe[0]);
	assert_int_equal(splice_file(0, 65536, 0), -EPIPE);
	assert_int_equal(splice_file(0, 65536, IO_MEMORY), -EPIPE);
}

#define WITH(test, setup) cmocka_unit_test_setup_teardown(test, setup, tear_down)
#define ALL(setup)                                                                                 \
	{                                                                                          \
		WITH(test_places, setup), WITH(test_memory, setup), WITH(test_cold, setup),        \
			WITH(test_rest, setup), WITH(test_end_of_file, setup),                     \
			WITH(test_truncated, setup), WITH(test_errors, setup),                     \
	}

int main(void)
{
	const struct CMUnitTest threads[] = ALL(set_up_threads);
	const struct CMUnitTest uring[] = ALL(set_up_uring);
	int failed;

	signal(SIGPIPE, SIG_IGN);
	make_content();
	failed = cmocka_run_group_tests_name("threads", threads, NULL, NULL);
	if (!has_uring())
		print_message("io_uring is not to be had here: not tested\n");
	else
		failed += cmocka_run_group_tests_name("io_uring", uring, NULL, NULL);
	return failed;
}
