/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Proving the bits of block maps: the order of syncs and writes, bits set meanwhile, failures, full
 * disks, many threads, huge maps. fdatasync(2) is our own here: it tells what is on disk at that
 * moment, and fails when told to.
 */
#include "maps.h"
#include "rnd.h"
#include "util.h"

#include <errno.h>
#include <pthread.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <time.h>

#include <cmocka.h>

int fdatasync(int fd);

enum { PAGE_BITS = 4096 * 8, PAGES = 40, BLOCKS = PAGES * PAGE_BITS, ROUND = 1024 };

#ifdef __SANITIZE_THREAD__
static const uint64_t HUGE_BLOCKS = 1ull << 27; /* its memory would be a multiple */
#else
static const uint64_t HUGE_BLOCKS = 1ull << 32;
#endif

static struct maps t;

/* What the next syncs do. */
static struct {
	_Atomic unsigned data, bits; /* syncs of each so far */
	int fail_data, fail_bits;    /* errno; 0 = succeed */
	void (*in_data)(void);       /* called in a sync of the data, before it */
	void (*in_bits)(void);
} syncs;

int fdatasync(int fd)
{
	bool data = fd == t.wish.data_fd;
	void (*hook)(void) = data ? syncs.in_data : syncs.in_bits;
	int code = data ? syncs.fail_data : syncs.fail_bits;

	if (data)
		syncs.data++;
	else
		syncs.bits++;
	if (hook)
		hook();
	if (code)
		errno = code;
	return code ? -1 : (int)syscall(SYS_fdatasync, fd);
}

static void start(uint64_t blocks)
{
	maps_init(&t, blocks);
	memset(&syncs, 0, sizeof(syncs));
	assert_int_equal(maps_open(&t), 0);
	syncs.data = syncs.bits = 0;
}

static int set_up(void **state)
{
	(void)state;
	start(BLOCKS);
	return 0;
}

static int tear_down(void **state)
{
	(void)state;
	maps_done(&t);
	return 0;
}

static void reopen(void)
{
	maps_kill(&t);
	memset(&syncs, 0, sizeof(syncs));
	assert_int_equal(maps_open(&t), 0);
	syncs.data = syncs.bits = 0;
}

static void set(uint64_t block)
{
	assert_int_equal(blockmap_set(&t.map, block, 1), 0);
}

static bool present(uint64_t block)
{
	return bitmap_test(&t.map.present, block);
}

static bool proven(uint64_t block)
{
	return blockmap_proven(&t.map, block, 1);
}

/* First step: told to the live file before anybody may see it. */
static void staged_then_present(void **state)
{
	struct blockmap_live live;

	(void)state;
	assert_true(blockmap_stage(&t.map, 9, 10, &live));
	assert_int_equal(live.fd, t.map.live_fd);
	assert_int_equal(live.offset, 1);
	assert_int_equal(live.length, 2);
	assert_memory_equal(live.bytes, "\xfe\x07", 2);
	assert_false(present(9));
	/* Another one, of a neighbour: their bytes have both. */
	assert_true(blockmap_stage(&t.map, 8, 1, &live));
	assert_memory_equal(live.bytes, "\xff", 1);
	/* The same again: it is not present yet, so it must be told again. */
	assert_true(blockmap_stage(&t.map, 9, 10, &live));
	blockmap_publish(&t.map, 9, 10);
	assert_int_equal(t.map.count, 10);
	assert_true(present(18));
	assert_false(present(8));
	assert_false(blockmap_stage(&t.map, 9, 10, &live));
	blockmap_publish(&t.map, 9, 10);
	assert_int_equal(t.map.count, 10);
	assert_false(blockmap_stage(&t.map, 0, 0, &live));
	set(PAGE_BITS + 3);
	assert_true(maps_has(&t, ".live", PAGE_BITS + 3));
	assert_false(maps_has(&t, "", PAGE_BITS + 3));
}

static void at_data_sync(void)
{
	assert_false(maps_has(&t, "", 1));
	assert_false(proven(1));
	assert_true(proven(3 * PAGE_BITS));
	assert_int_equal(syncs.bits, 1);
}

static void at_bits_sync(void)
{
	assert_true(maps_has(&t, "", 1));
	assert_false(proven(1));
}

static void data_before_bits(void **state)
{
	(void)state;
	set(3 * PAGE_BITS);
	assert_int_equal(blockmap_flush(&t.map), 0);
	set(1);
	assert_false(proven(1));
	assert_false(blockmap_proven(&t.map, 3 * PAGE_BITS, 2)); /* the second is not present */
	syncs.in_data = at_data_sync;
	syncs.in_bits = at_bits_sync;
	assert_int_equal(blockmap_flush(&t.map), 0);
	assert_true(proven(1));
	assert_int_equal(syncs.data, 2);
	assert_int_equal(syncs.bits, 2);
}

/* Data may have been written to blocks that were present: it is synced in any case. */
static void nothing_dirty(void **state)
{
	(void)state;
	assert_int_equal(blockmap_flush(&t.map), 0);
	assert_int_equal(blockmap_flush(&t.map), 0);
	assert_int_equal(syncs.data, 2);
	assert_int_equal(syncs.bits, 0);
}

static void set_more(void)
{
	set(2);
	set(5 * PAGE_BITS);
}

/* Too late for this sync, so not in PATH; but not forgotten either. */
static void set_during_a_flush(void **state)
{
	(void)state;
	set(1);
	syncs.in_data = set_more;
	assert_int_equal(blockmap_flush(&t.map), 0);
	syncs.in_data = NULL;
	assert_true(maps_has(&t, "", 1));
	assert_false(maps_has(&t, "", 2));
	assert_false(proven(2));
	assert_false(proven(5 * PAGE_BITS));
	assert_int_equal(blockmap_flush(&t.map), 0);
	assert_true(maps_has(&t, "", 2));
	assert_true(maps_has(&t, "", 5 * PAGE_BITS));
	assert_true(proven(2) && proven(1) && proven(5 * PAGE_BITS));
}

static void at_lost_sync(void)
{
	assert_false(proven(2));
}

/* The kernel forgets the error once told, and the page cache is no witness from now on. */
static void data_sync_fails(void **state)
{
	(void)state;
	set(3 * PAGE_BITS);
	assert_int_equal(blockmap_flush(&t.map), 0);
	set(2);
	syncs.fail_data = EIO;
	syncs.in_data = at_lost_sync;
	assert_int_equal(blockmap_flush(&t.map), -EIO);
	syncs.fail_data = 0;
	assert_int_equal(blockmap_flush(&t.map), -EIO);
	assert_int_equal(blockmap_close(&t.map), -EIO);
	assert_true(proven(3 * PAGE_BITS));
	assert_false(proven(2));
	assert_false(maps_has(&t, "", 2));
	reopen();
	assert_true(present(3 * PAGE_BITS));
	assert_false(present(2));
	assert_int_equal(blockmap_flush(&t.map), 0);
}

static void bits_sync_fails(void **state)
{
	(void)state;
	set(1);
	syncs.fail_bits = EIO;
	assert_int_equal(blockmap_flush(&t.map), -EIO);
	assert_int_equal(blockmap_close(&t.map), -EIO);
	assert_false(proven(1));
	syncs.fail_bits = 0;
	syncs.bits = 0;
	assert_int_equal(blockmap_flush(&t.map), 0);
	assert_int_equal(syncs.bits, 1);
	assert_true(proven(1));
}

/* What was written by one that was killed before its sync is synced when opened. */
static void killed_in_a_flush(void **state)
{
	(void)state;
	set(1);
	syncs.fail_bits = EIO; /* as if it never returned */
	blockmap_flush(&t.map);
	assert_true(maps_has(&t, "", 1));
	maps_kill(&t);
	memset(&syncs, 0, sizeof(syncs));
	assert_int_equal(maps_open(&t), 0);
	assert_int_equal(syncs.bits, 1);
	assert_true(present(1) && proven(1));
}

static void set_limit(rlim_t limit)
{
	struct rlimit r;

	assert_int_equal(getrlimit(RLIMIT_FSIZE, &r), 0);
	r.rlim_cur = MIN_OF(limit, r.rlim_max);
	assert_int_equal(setrlimit(RLIMIT_FSIZE, &r), 0);
}

/* A limit on the size of files stands for a full disk. */
static void live_file_is_full(void **state)
{
	int ret;

	(void)state;
	set_limit(4096);
	ret = blockmap_set(&t.map, 4 * PAGE_BITS, 1);
	set(7);
	set_limit(RLIM_INFINITY);
	assert_int_equal(ret, -EFBIG);
	assert_false(present(4 * PAGE_BITS));
	assert_int_equal(t.map.count, 1);
	/* A neighbour's write has both; the failed one is set by a second try. */
	set(4 * PAGE_BITS + 1);
	assert_false(present(4 * PAGE_BITS));
	set(4 * PAGE_BITS);
	assert_true(present(4 * PAGE_BITS));
	assert_int_equal(t.map.count, 3);
	reopen();
	assert_int_equal(t.map.count, 3);
}

static void map_file_is_full(void **state)
{
	int ret;

	(void)state;
	set(7);
	set(4 * PAGE_BITS);
	set_limit(4096);
	ret = blockmap_flush(&t.map);
	set_limit(RLIM_INFINITY);
	assert_int_equal(ret, -EFBIG);
	assert_false(proven(7) || proven(4 * PAGE_BITS));
	assert_int_equal(blockmap_flush(&t.map), 0);
	assert_true(proven(7) && proven(4 * PAGE_BITS));
	assert_true(maps_has(&t, "", 7) && maps_has(&t, "", 4 * PAGE_BITS));
}

static void written_file_is_full(void **state)
{
	int ret;

	(void)state;
	set(4 * PAGE_BITS);
	blockmap_wrote(&t.map, 4 * PAGE_BITS, 1);
	assert_int_equal(blockmap_flush(&t.map), 0);
	set_limit(4096);
	ret = blockmap_close(&t.map);
	set_limit(RLIM_INFINITY);
	assert_int_equal(ret, -EFBIG);
	reopen();
	assert_true(present(4 * PAGE_BITS));
}

/* More than a round takes: each round has a sync of the data to itself. */
static void rounds(void **state)
{
	const uint64_t pages = ROUND + 500;

	(void)state;
	start(pages * 2 * PAGE_BITS);
	for (uint64_t i = 0; i < pages; i++)
		set((i < 600 ? i : i * 2) * PAGE_BITS + i);
	assert_int_equal(blockmap_flush(&t.map), 0);
	assert_int_equal(syncs.data, 2);
	assert_int_equal(syncs.bits, 2);
	assert_true(bitmap_find(&t.map.dirty, 0, true) == t.map.dirty.bits);
	maps_kill(&t);
	maps_reboot(&t);
	assert_int_equal(maps_open(&t), 0);
	assert_int_equal(t.map.count, pages);
	for (uint64_t i = 0; i < pages; i++)
		assert_true(present((i < 600 ? i : i * 2) * PAGE_BITS + i));
}

static void huge(void **state)
{
	struct timespec begin, end;
	struct stat st;

	(void)state;
	start(HUGE_BLOCKS);
	set(0);
	set(HUGE_BLOCKS / 3);
	set(HUGE_BLOCKS - 1);
	blockmap_wrote(&t.map, HUGE_BLOCKS - 1, 1);
	assert_int_equal(blockmap_close(&t.map), 0);
	blockmap_done(&t.map);
	assert_int_equal(stat(maps_file(&t, ".written"), &st), 0);
	assert_int_equal(st.st_size, HUGE_BLOCKS / 8);
	assert_in_range(st.st_blocks, 1, 1024);
	clock_gettime(CLOCK_MONOTONIC, &begin);
	assert_int_equal(maps_open(&t), 0);
	clock_gettime(CLOCK_MONOTONIC, &end);
	/* Far less; but other tests may run beside this one. */
	assert_in_range(end.tv_sec - begin.tv_sec, 0, 3);
	assert_int_equal(t.map.count, 3);
	assert_true(present(0) && present(HUGE_BLOCKS / 3) && present(HUGE_BLOCKS - 1));
	assert_true(bitmap_test(&t.map.written, HUGE_BLOCKS - 1));
	assert_false(bitmap_test(&t.map.written, 0));
}

enum { SETTERS = 3, ROUNDS = 1500 };

static _Atomic bool stop;
static _Atomic unsigned wrong;

/* As maps_has() of PATH, from any thread. */
static bool has(uint64_t bit)
{
	uint8_t byte = 0;

	return pread(t.map.fd, &byte, 1, (off_t)(bit / 8)) == 1 && byte >> bit % 8 & 1;
}

static void *set_many(void *arg)
{
	struct rnd r;

	rnd_init(&r, 50 + *(unsigned *)arg);
	for (unsigned i = 0; i < ROUNDS; i++) {
		uint64_t first = rnd_below(&r, BLOCKS - 200), count = 1 + rnd_below(&r, 200);

		if (blockmap_set(&t.map, first, count) < 0)
			wrong++;
		/* Promised to a client: what was present before a flush is there after it. */
		if (i % 100 == 0 && (blockmap_flush(&t.map) < 0 || !has(first + count - 1)))
			wrong++;
		if (!bitmap_all(&t.map.present, first, count))
			wrong++;
	}
	return NULL;
}

/* As a lane does it: the write is somebody else's. */
static void *stage_many(void *arg)
{
	struct rnd r;

	rnd_init(&r, 60);
	(void)arg;
	for (unsigned i = 0; i < ROUNDS; i++) {
		uint64_t first = rnd_below(&r, BLOCKS - 10);
		struct blockmap_live live;

		if (blockmap_stage(&t.map, first, 10, &live)) {
			struct iovec iov = {(void *)(uintptr_t)live.bytes, live.length};

			if (pwritev2(live.fd, &iov, 1, (off_t)live.offset, 0) !=
				(ssize_t)live.length)
				wrong++;
			blockmap_publish(&t.map, first, 10);
		}
	}
	return NULL;
}

/* Whoever says "proven" must be right: PATH is read after that, and never loses a bit. */
static void *doubt(void *arg)
{
	struct rnd r;

	(void)arg;
	rnd_init(&r, 70);
	while (!stop) {
		uint64_t bit = bitmap_find(&t.map.present, rnd_below(&r, BLOCKS), true);

		if (bit < BLOCKS && blockmap_proven(&t.map, bit, 1) && !has(bit))
			wrong++;
	}
	return NULL;
}

static void *flush_many(void *arg)
{
	(void)arg;
	while (!stop)
		wrong += blockmap_flush(&t.map) < 0;
	return NULL;
}

static void check_both_files(void)
{
	for (uint64_t bit = 0; bit < BLOCKS; bit += 7) {
		uint8_t live = 0;

		assert_int_equal(pread(t.map.live_fd, &live, 1, (off_t)(bit / 8)), 1);
		assert_int_equal(has(bit), present(bit));
		assert_int_equal(live >> bit % 8 & 1, present(bit));
	}
}

static void all_at_once(void **state)
{
	pthread_t setters[SETTERS], others[3];
	unsigned numbers[SETTERS];
	uint64_t count;

	(void)state;
	stop = false;
	wrong = 0;
	for (unsigned i = 0; i < SETTERS; i++) {
		numbers[i] = i;
		assert_int_equal(pthread_create(&setters[i], NULL, set_many, &numbers[i]), 0);
	}
	assert_int_equal(pthread_create(&others[0], NULL, stage_many, NULL), 0);
	assert_int_equal(pthread_create(&others[1], NULL, doubt, NULL), 0);
	assert_int_equal(pthread_create(&others[2], NULL, flush_many, NULL), 0);
	for (unsigned i = 0; i < SETTERS; i++)
		pthread_join(setters[i], NULL);
	stop = true;
	for (unsigned i = 0; i < ARRAY_LEN(others); i++)
		pthread_join(others[i], NULL);
	assert_int_equal(wrong, 0);
	count = bitmap_count(&t.map.present);
	assert_int_equal(t.map.count, count);
	assert_int_equal(blockmap_flush(&t.map), 0);
	check_both_files();
	reopen();
	assert_int_equal(t.map.count, count);
}

#define TEST(name)  cmocka_unit_test_setup_teardown(name, set_up, tear_down)
#define LARGE(name) cmocka_unit_test_teardown(name, tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(staged_then_present),
		TEST(data_before_bits),
		TEST(nothing_dirty),
		TEST(set_during_a_flush),
		TEST(data_sync_fails),
		TEST(bits_sync_fails),
		TEST(killed_in_a_flush),
		TEST(live_file_is_full),
		TEST(map_file_is_full),
		TEST(written_file_is_full),
		LARGE(rounds),
		LARGE(huge),
		TEST(all_at_once),
	};

	signal(SIGXFSZ, SIG_IGN);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
