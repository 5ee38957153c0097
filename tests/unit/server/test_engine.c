/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Both engines over a temporary file: reads, writes, ends of file, calls, many at once. */
#include "engine.h"
#include "rnd.h"
#include "temp.h"
#include "uring.h"
#include "util.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/magic.h>
#include <semaphore.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/vfs.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>

enum { BLOCK = 4096, BLOCKS = 1500, MIB = 1 << 20 };

struct fixture {
	struct temp temp;
	struct reactor reactor;
	struct io_threads *threads;
	struct engine engine;
	int fd;
	int waiting; /* ios not done */
};

static struct fixture fix;

static int set_up(enum engine_kind kind, unsigned max_threads)
{
	memset(&fix, 0, sizeof(fix));
	temp_init(&fix.temp);
	fix.fd = open(temp_path(&fix.temp, "file"), O_RDWR | O_CREAT | O_CLOEXEC, 0600);
	if (fix.fd < 0 || ftruncate(fix.fd, BLOCKS * BLOCK) < 0)
		return -1;
	fix.threads = io_threads_new(max_threads);
	return reactor_init(&fix.reactor) ||
			engine_open(&fix.engine, kind, &fix.reactor, fix.threads)
		? -1
		: 0;
}

static int set_up_uring(void **state)
{
	(void)state;
	return set_up(ENGINE_URING, 4);
}

static int set_up_threads(void **state)
{
	(void)state;
	return set_up(ENGINE_THREADS, 4);
}

static int set_up_one_thread(void **state)
{
	(void)state;
	return set_up(ENGINE_THREADS, 1);
}

static int tear_down(void **state)
{
	(void)state;
	engine_close(&fix.engine);
	io_threads_free(fix.threads);
	reactor_done(&fix.reactor);
	close(fix.fd);
	temp_done(&fix.temp);
	return 0;
}

static void io_done(struct io *io)
{
	(void)io;
	if (--fix.waiting == 0)
		reactor_stop(&fix.reactor);
}

static void submit(struct io *io)
{
	io->done = io_done;
	if (!engine_submit(&fix.engine, io))
		fix.waiting++;
}

static void wait_all(void)
{
	fix.reactor.stopped = false;
	if (fix.waiting > 0)
		assert_int_equal(reactor_run(&fix.reactor), 0);
	assert_int_equal(fix.waiting, 0);
}

static struct io io_of(enum io_op op, void *buf, size_t len, uint64_t offset)
{
	return (struct io){.op = op, .fd = fix.fd, .buf = buf, .len = len, .offset = offset};
}

static int run(struct io *io)
{
	submit(io);
	wait_all();
	return io->result;
}

static void test_write_and_read(void **state)
{
	static const unsigned flags[] = {0, IO_DSYNC, IO_INLINE, IO_MEMORY, IO_INLINE | IO_DSYNC};
	uint8_t out[777], in[777];

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(flags); i++) {
		struct io w = io_of(IO_WRITE, out, sizeof(out), 5000 + i);
		struct io r = io_of(IO_READ, in, sizeof(in), 5000 + i);

		memset(out, 'a' + (int)i, sizeof(out));
		w.flags = r.flags = flags[i];
		assert_int_equal(run(&w), 0);
		assert_int_equal(w.moved, sizeof(out));
		assert_int_equal(run(&r), 0);
		assert_memory_equal(in, out, sizeof(in));
	}
}

static bool on_tmpfs(void)
{
	struct statfs fs;

	return fstatfs(fix.fd, &fs) == 0 && fs.f_type == TMPFS_MAGIC;
}

/* What is in the page cache comes back from engine_submit itself. */
static void test_inline(void **state)
{
	uint8_t byte = 'x', big[IO_INLINE_MAX + 1];
	struct io w = io_of(IO_WRITE, &byte, 1, 10);
	struct io r = io_of(IO_READ, &byte, 1, 10);
	struct io long_one = io_of(IO_READ, big, sizeof(big), 0);

	(void)state;
	assert_int_equal(run(&w), 0);
	r.flags = long_one.flags = on_tmpfs() ? IO_MEMORY : IO_INLINE;
	r.done = long_one.done = io_done;
	assert_true(engine_submit(&fix.engine, &r));
	assert_int_equal(r.result, 0);
	r.flags = 0;
	assert_false(engine_submit(&fix.engine, &r));
	assert_false(engine_submit(&fix.engine, &long_one));
	fix.waiting = 2;
	wait_all();
}

static void test_end_of_file(void **state)
{
	static const uint64_t offsets[] = {BLOCKS * BLOCK, BLOCKS * BLOCK - 10, 1ULL << 40};
	static const unsigned flags[] = {0, IO_INLINE, IO_MEMORY};
	uint8_t in[100];

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(offsets) * ARRAY_LEN(flags); i++) {
		struct io r = io_of(IO_READ, in, sizeof(in), offsets[i / ARRAY_LEN(flags)]);

		r.flags = flags[i % ARRAY_LEN(flags)];
		assert_int_equal(run(&r), -EIO);
	}
}

static void test_errors(void **state)
{
	uint8_t byte = 0;
	struct io bad_fd = io_of(IO_READ, &byte, 1, 0);
	struct io bad_memory = io_of(IO_WRITE, NULL, 100, 0);
	struct io read_only = io_of(IO_WRITE, &byte, 1, 0);
	int fd = open("/dev/null", O_RDONLY | O_CLOEXEC);

	(void)state;
	bad_fd.fd = -1;
	assert_int_equal(run(&bad_fd), -EBADF);
	assert_int_equal(run(&bad_memory), -EFAULT);
	read_only.fd = fd;
	assert_int_equal(run(&read_only), -EBADF);
	close(fd);
}

static void test_large(void **state)
{
	size_t len = 5 * MIB + 3;
	uint8_t *out = malloc(len), *in = malloc(len);
	struct io w = io_of(IO_WRITE, out, len, 1), r = io_of(IO_READ, in, len, 1);
	struct rnd rnd;

	(void)state;
	rnd_init(&rnd, 2);
	rnd_fill(&rnd, out, len);
	assert_int_equal(run(&w), 0);
	assert_int_equal(run(&r), 0);
	assert_memory_equal(in, out, len);
	free(out);
	free(in);
}

/* More than ring entries and threads, in random order; then all of them read back at once. */
static void test_many_at_once(void **state)
{
	static uint8_t out[BLOCKS][BLOCK], in[BLOCKS][BLOCK];
	static struct io ios[BLOCKS];
	struct rnd rnd;

	(void)state;
	rnd_init(&rnd, 3);
	rnd_fill(&rnd, out, sizeof(out));
	for (size_t i = 0; i < BLOCKS; i++) {
		size_t at = i * 7 % BLOCKS;

		ios[i] = io_of(IO_WRITE, out[at], BLOCK, at * BLOCK);
		submit(&ios[i]);
	}
	wait_all();
	for (size_t i = 0; i < BLOCKS; i++) {
		assert_int_equal(ios[i].result, 0);
		ios[i] = io_of(IO_READ, in[i], BLOCK, i * BLOCK);
		submit(&ios[i]);
	}
	wait_all();
	assert_memory_equal(in, out, sizeof(in));
}

static int splice_to(const int fds[2], uint64_t offset, size_t len, unsigned flags)
{
	struct io io = io_of(IO_SPLICE, NULL, len, offset);

	io.pipe = fds[1];
	io.flags = flags;
	return run(&io);
}

/* File to pipe: at odd places, warm and cold, and as an error beyond the end. */
static void test_splice(void **state)
{
	enum { LEN = 40000 };
	static uint8_t out[LEN], in[LEN];
	struct io w = io_of(IO_WRITE, out, LEN, 12345);
	struct rnd rnd;
	int fds[2];

	(void)state;
	rnd_init(&rnd, 4);
	rnd_fill(&rnd, out, LEN);
	w.flags = IO_DSYNC;
	assert_int_equal(run(&w), 0);
	assert_int_equal(pipe2(fds, O_CLOEXEC | O_NONBLOCK), 0);
	for (int cold = 0; cold < 2; cold++) {
		if (cold)
			posix_fadvise(fix.fd, 0, 0, POSIX_FADV_DONTNEED);
		assert_int_equal(splice_to(fds, 12345, LEN, cold ? 0 : IO_MEMORY), 0);
		assert_int_equal(read(fds[0], in, LEN), LEN);
		assert_memory_equal(in, out, LEN);
	}
	assert_int_equal(splice_to(fds, BLOCKS * BLOCK - 100, 200, 0), -EIO);
	close(fds[0]);
	close(fds[1]);
}

static int call_thread(struct io *io)
{
	pthread_t *id = io->owner;

	*id = pthread_self();
	return -ENOTTY;
}

static void test_call(void **state)
{
	pthread_t id;
	struct io io = {.op = IO_CALL, .call = call_thread, .owner = &id, .flags = IO_INLINE};

	(void)state;
	assert_int_equal(run(&io), -ENOTTY);
	assert_false(pthread_equal(id, pthread_self()));
}

static sem_t gate;

static int call_wait(struct io *io)
{
	struct timespec until;

	(void)io;
	clock_gettime(CLOCK_REALTIME, &until);
	until.tv_sec += 5;
	return sem_timedwait(&gate, &until) < 0 ? -errno : 0;
}

static int call_open(struct io *io)
{
	(void)io;
	sem_post(&gate);
	return 0;
}

static void run_pair(void)
{
	struct io waits = {.op = IO_CALL, .call = call_wait};
	struct io opens = {.op = IO_CALL, .call = call_open};

	submit(&waits);
	submit(&opens);
	wait_all();
	assert_int_equal(waits.result, 0);
	assert_int_equal(opens.result, 0);
}

/* A call that blocks holds up no other one, also when the only idle thread was woken for it. */
static void test_blocked_call(void **state)
{
	struct io first = {.op = IO_CALL, .call = call_open};

	(void)state;
	sem_init(&gate, 0, 0);
	assert_int_equal(run(&first), 0);
	sem_wait(&gate);
	usleep(50000); /* its thread is idle now, and the only one */
	for (int i = 0; i < 20; i++)
		run_pair();
	sem_destroy(&gate);
}

static int count_threads(void)
{
	DIR *dir = opendir("/proc/self/task");
	int n = -2; /* . and .. */

	while (readdir(dir))
		n++;
	closedir(dir);
	return n;
}

/* One call after the other needs one thread; others may start while it winds up. */
static void test_no_more_threads_than_needed(void **state)
{
	int before = count_threads();

	(void)state;
	sem_init(&gate, 0, 0);
	for (int i = 0; i < 30; i++) {
		struct io io = {.op = IO_CALL, .call = call_open};

		assert_int_equal(run(&io), 0);
		usleep(2000);
	}
	assert_true(count_threads() <= before + 3); /* four are allowed */
	sem_destroy(&gate);
}

static void test_calls_and_moves_mixed(void **state)
{
	enum { COUNT = 400 };
	static uint8_t bytes[COUNT];
	static struct io ios[COUNT];
	static pthread_t ids[COUNT];

	(void)state;
	for (size_t i = 0; i < COUNT; i++) {
		ios[i] = io_of(i % 2 ? IO_WRITE : IO_READ, &bytes[i], 1, i);
		if (i % 3 == 0)
			ios[i] = (struct io){.op = IO_CALL, .call = call_thread, .owner = &ids[i]};
		submit(&ios[i]);
	}
	wait_all();
	for (size_t i = 0; i < COUNT; i++)
		assert_int_equal(ios[i].result, i % 3 == 0 ? -ENOTTY : 0);
}

/* For backends: what a system call returned, bit by bit. */
static void test_account(void **state)
{
	struct io io = {.len = 10};

	(void)state;
	assert_false(engine_account(&io, -EINTR));
	assert_false(engine_account(&io, -EAGAIN));
	assert_false(engine_account(&io, 4));
	assert_int_equal(io.moved, 4);
	assert_true(engine_account(&io, 6));
	assert_int_equal(io.result, 0);
	assert_true(engine_account(&io, -ENOSPC));
	assert_int_equal(io.result, -ENOSPC);
	assert_true(engine_account(&io, 0));
	assert_int_equal(io.result, -EIO);
}

#define WITH(test, setup) cmocka_unit_test_setup_teardown(test, setup, tear_down)

int main(void)
{
	const struct CMUnitTest uring[] = {
		WITH(test_write_and_read, set_up_uring),
		WITH(test_inline, set_up_uring),
		WITH(test_end_of_file, set_up_uring),
		WITH(test_errors, set_up_uring),
		WITH(test_large, set_up_uring),
		WITH(test_many_at_once, set_up_uring),
		WITH(test_calls_and_moves_mixed, set_up_uring),
		WITH(test_splice, set_up_uring),
	};
	const struct CMUnitTest threads[] = {
		WITH(test_write_and_read, set_up_threads),
		WITH(test_inline, set_up_threads),
		WITH(test_end_of_file, set_up_threads),
		WITH(test_errors, set_up_threads),
		WITH(test_large, set_up_threads),
		WITH(test_many_at_once, set_up_threads),
		WITH(test_many_at_once, set_up_one_thread),
		WITH(test_call, set_up_threads),
		WITH(test_splice, set_up_threads),
		WITH(test_blocked_call, set_up_threads),
		WITH(test_no_more_threads_than_needed, set_up_threads),
		WITH(test_calls_and_moves_mixed, set_up_threads),
		WITH(test_calls_and_moves_mixed, set_up_one_thread),
		cmocka_unit_test(test_account),
	};
	int failed = cmocka_run_group_tests_name("threads", threads, NULL, NULL);

	if (!has_uring())
		print_message("io_uring is not to be had here: not tested\n");
	else
		failed += cmocka_run_group_tests_name("io_uring", uring, NULL, NULL);
	return failed;
}
