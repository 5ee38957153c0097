/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Block maps: what is believed after which end, what is refused and in what words, bitmaps of the
 * original. Proving bits is in test_blockmap_flush.c.
 */
#include "fds.h"
#include "maps.h"
#include "util.h"

#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include <cmocka.h>

/* 70 bits: neither whole words of 64 bits nor of 32, and the two differ in length. */
enum { BLOCKS = 70, LENGTH = 16, LENGTH_32 = 12 };

static struct maps t;
static unsigned fds;

static int set_up(void **state)
{
	(void)state;
	fds = fds_open();
	maps_init(&t, BLOCKS);
	return 0;
}

static int tear_down(void **state)
{
	(void)state;
	maps_done(&t);
	return fds_open() == fds ? 0 : -1;
}

/* Exactly these blocks are present, ending in BLOCKS. */
static void check_present(const uint64_t *want)
{
	uint64_t n = 0;

	for (uint64_t i = 0; i < BLOCKS; i++) {
		assert_int_equal(bitmap_test(&t.map.present, i), i == *want);
		n += i == *want;
		want += i == *want;
	}
	assert_int_equal(t.map.count, n);
}
#define CHECK_PRESENT(...) check_present((const uint64_t[]){__VA_ARGS__})

static void check_refused(int code, const char *text)
{
	struct err *err = &t.err;

	assert_int_equal(maps_open(&t), -code);
	if (!strstr(err->text, text) || strchr(err->text, '\n'))
		fail_msg("no \"%s\" in: %s", text, err->text);
	assert_int_equal(err->code, code);
	blockmap_done(&t.map);
}

static void check_clear_helps(void)
{
	t.wish.clear = true;
	assert_int_equal(maps_open(&t), 0);
	CHECK_PRESENT(BLOCKS);
	assert_int_equal(bitmap_count(&t.map.written), 0);
	maps_kill(&t);
	t.wish.clear = false;
	assert_int_equal(maps_open(&t), 0);
	CHECK_PRESENT(BLOCKS);
}

static void set(uint64_t block)
{
	assert_int_equal(blockmap_set(&t.map, block, 1), 0);
}

/* A map with block 5 proven and 69 not, killed. */
static void make_killed(void)
{
	assert_int_equal(maps_open(&t), 0);
	set(5);
	assert_int_equal(blockmap_flush(&t.map), 0);
	set(69);
	maps_kill(&t);
}

static void check_clean(bool want)
{
	json_t *value = maps_info(&t, "clean");

	assert_int_equal(json_is_true(value), want);
	assert_true(json_is_boolean(value));
	json_decref(value);
}

static void check_file(const char *suffix, off_t length)
{
	struct stat st;

	assert_int_equal(stat(maps_file(&t, suffix), &st), 0);
	assert_int_equal(st.st_mode & 07777, 0600);
	if (length > 0)
		assert_int_equal(st.st_size, length);
}

static void write_file(const char *suffix, const void *bytes, size_t length)
{
	int fd = open(maps_file(&t, suffix), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);

	assert_true(fd >= 0);
	assert_int_equal(write(fd, bytes, length), length);
	close(fd);
}

static void in_memory(void **state)
{
	struct blockmap m = {0};
	struct blockmap_live live;

	(void)state;
	blockmap_done(&m);
	assert_int_equal(blockmap_init(&m, 10 * MAPS_BLOCK + 1, MAPS_BLOCK), 0);
	assert_int_equal(m.blocks, 11);
	assert_false(blockmap_stage(&m, 0, 3, &live));
	blockmap_publish(&m, 0, 3);
	assert_int_equal(blockmap_set(&m, 2, 2), 0);
	blockmap_wrote(&m, 10, 1);
	assert_int_equal(m.count, 4);
	assert_int_equal(bitmap_count(&m.present), 4);
	assert_true(bitmap_test(&m.written, 10));
	assert_int_equal(blockmap_flush(&m), 0);
	assert_true(blockmap_proven(&m, 0, 11));
	assert_int_equal(blockmap_close(&m), 0);
	blockmap_done(&m);
	blockmap_done(&m);
}

static void begins_with_nothing(void **state)
{
	(void)state;
	write_file("", "", 0);
	assert_int_equal(maps_open(&t), 0);
	CHECK_PRESENT(BLOCKS);
	check_file("", LENGTH);
	check_file(".live", LENGTH);
	check_file(".info", 0);
	check_clean(false);
	assert_int_equal(blockmap_known_size(t.path), BLOCKS * MAPS_BLOCK);
}

static void clean_end(void **state)
{
	(void)state;
	assert_int_equal(maps_open(&t), 0);
	set(0);
	set(64);
	set(69);
	blockmap_wrote(&t.map, 64, 1);
	assert_int_equal(blockmap_close(&t.map), 0);
	blockmap_done(&t.map);
	check_clean(true);
	check_file(".written", LENGTH);
	assert_int_equal(access(maps_file(&t, ".live"), F_OK), -1);

	/* In another boot, and something lies where the live bits were. */
	maps_reboot(&t);
	write_file(".live", "\xff\xff\xff\xff", 4);
	assert_int_equal(maps_open(&t), 0);
	CHECK_PRESENT(0, 64, 69, BLOCKS);
	assert_true(bitmap_test(&t.map.written, 64));
	assert_int_equal(bitmap_count(&t.map.written), 1);
	assert_true(blockmap_proven(&t.map, 64, 1));
	assert_false(blockmap_proven(&t.map, 63, 2));
	check_clean(false);
	maps_kill(&t);
	assert_int_equal(maps_open(&t), 0);
	CHECK_PRESENT(0, 64, 69, BLOCKS);
	assert_int_equal(bitmap_count(&t.map.written), 3);
}

static void clean_end_without_written(void **state)
{
	(void)state;
	for (int i = 0; i < 2; i++) {
		assert_int_equal(maps_open(&t), 0);
		set(1);
		assert_int_equal(blockmap_close(&t.map), 0);
		blockmap_done(&t.map);
		assert_int_equal(truncate(maps_file(&t, ".written"), 8), 0);
		if (i > 0)
			unlink(t.temp.path);
		assert_int_equal(maps_open(&t), 0);
		assert_int_equal(bitmap_count(&t.map.written), 1);
		assert_int_equal(blockmap_close(&t.map), 0);
		blockmap_done(&t.map);
	}
}

static void killed(void **state)
{
	(void)state;
	make_killed();
	assert_false(maps_has(&t, "", 69));
	assert_int_equal(maps_open(&t), 0);
	CHECK_PRESENT(5, 69, BLOCKS);
	assert_int_equal(bitmap_count(&t.map.written), 2);
	assert_false(blockmap_proven(&t.map, 69, 1));
	maps_kill(&t);
	assert_int_equal(maps_open(&t), 0);
	CHECK_PRESENT(5, 69, BLOCKS);
	assert_int_equal(blockmap_flush(&t.map), 0);
	assert_true(blockmap_proven(&t.map, 69, 1));
	assert_true(maps_has(&t, "", 69));
}

static void rebooted(void **state)
{
	(void)state;
	make_killed();
	maps_reboot(&t);
	assert_int_equal(maps_open(&t), 0);
	CHECK_PRESENT(5, BLOCKS);
	assert_int_equal(bitmap_count(&t.map.written), 1);
	/* What the boot before left in the live file does not come back. */
	maps_kill(&t);
	assert_int_equal(maps_open(&t), 0);
	CHECK_PRESENT(5, BLOCKS);
}

/* Whoever does not know the boot believes nothing that could be of it. */
static void unknown_boot(void **state)
{
	(void)state;
	make_killed();
	maps_edit(&t, "boot", json_string(""));
	assert_int_equal(maps_open(&t), 0);
	CHECK_PRESENT(5, BLOCKS);
}

static void live_file_is_short(void **state)
{
	(void)state;
	make_killed();
	assert_int_equal(truncate(maps_file(&t, ".live"), 3), 0);
	assert_int_equal(maps_open(&t), 0);
	CHECK_PRESENT(5, BLOCKS);
	check_file(".live", LENGTH);
}

static void map_was_removed(void **state)
{
	(void)state;
	make_killed();
	maps_edit(&t, "size", json_integer(1));
	unlink(maps_file(&t, ""));
	assert_int_equal(maps_open(&t), 0);
	CHECK_PRESENT(BLOCKS);
}

/* Bits 3 and 64; those from 70 on are noise. */
static const char raw[] = "\x08\0\0\0\0\0\0\0\x01\xff\xff\xff\xff\xff\xff\xff";

static void of_the_original(void **state)
{
	(void)state;
	for (size_t length = LENGTH_32; length <= LENGTH; length += LENGTH - LENGTH_32) {
		uint8_t bytes[LENGTH];

		memcpy(bytes, raw, LENGTH);
		bytes[8] = 0xc1; /* and 70 and 71 */
		write_file("", bytes, length);
		unlink(maps_file(&t, ".info"));
		assert_int_equal(maps_open(&t), 0);
		CHECK_PRESENT(3, 64, BLOCKS);
		assert_int_equal(bitmap_count(&t.map.written), 2);
		set(4);
		assert_int_equal(blockmap_close(&t.map), 0);
		blockmap_done(&t.map);
		check_file("", LENGTH);
		assert_int_equal(maps_open(&t), 0);
		CHECK_PRESENT(3, 4, 64, BLOCKS);
		maps_kill(&t);
	}
}

static void wrong_length(void **state)
{
	char want[64];

	(void)state;
	write_file("", raw, 15);
	snprintf(want, sizeof(want), "map has 15 bytes, a bitmap for %d ", BLOCKS * MAPS_BLOCK);
	check_refused(EINVAL, want);
	check_refused(EINVAL, "has 16; --clear-bitmap");
	assert_int_equal(access(maps_file(&t, ".info"), F_OK), -1);
	check_clear_helps();
}

static void other_identity(void **state)
{
	json_t *value = json_string("nbd://b:1/x");

	(void)state;
	make_killed();
	json_object_set_new(t.wish.identity, "origin", value);
	check_refused(EINVAL,
		"map belongs to origin nbd://a:1/x, not nbd://b:1/x; --clear-bitmap to begin anew");
	json_object_set_new(t.wish.identity, "origin", json_string("nbd://a:1/x"));
	json_object_set_new(t.wish.identity, "number", json_integer(2));
	check_refused(EINVAL, "number 1, not 2");
	json_object_del(t.wish.identity, "number");
	check_refused(EINVAL, "number 1, not none");
	json_object_set_new(t.wish.identity, "number", json_integer(1));
	json_object_set_new(t.wish.identity, "etag", json_string("line\nbreak"));
	check_refused(EINVAL, "etag none, not line\\x0abreak");
	json_object_del(t.wish.identity, "etag");
	assert_int_equal(maps_open(&t), 0);
	CHECK_PRESENT(5, 69, BLOCKS);
	maps_kill(&t);
	json_object_set_new(t.wish.identity, "etag", json_string("x"));
	check_clear_helps();
}

static void other_size(void **state)
{
	(void)state;
	make_killed();
	t.wish.size++;
	t.wish.what = "overlay";
	check_refused(EINVAL,
		"map is of an overlay of 286720 bytes in blocks of 4096, not 286721 in blocks of 4096;");
	t.wish.size--;
	t.wish.block = 8192;
	check_refused(EINVAL, "in blocks of 4096, not 286720 in blocks of 8192; --clear-bitmap");
	t.wish.block = 4096;
	assert_int_equal(maps_open(&t), 0);
	CHECK_PRESENT(5, 69, BLOCKS);
}

/* The old file is gone, the new one may have got its inode: that is why its birth counts. */
static void other_data(void **state)
{
	(void)state;
	make_killed();
	close(t.wish.data_fd);
	unlink(temp_path(&t.temp, "data"));
	t.wish.data_fd = open(temp_file(&t.temp, "data", ""), O_RDWR | O_CLOEXEC);
	check_refused(EINVAL, "map belongs to another cache file (inode ");
	check_refused(EINVAL, "remove the .info file to take the bits on trust");
	unlink(maps_file(&t, ".info"));
	assert_int_equal(maps_open(&t), 0);
	CHECK_PRESENT(5, BLOCKS);
	maps_kill(&t);
	maps_edit(&t, "data.inode", json_integer(1));
	check_refused(EINVAL, "(inode 1 of device");
	check_clear_helps();
}

static void device_number(void **state)
{
	(void)state;
	make_killed();
	maps_edit(&t, "data.birth", json_string(""));
	assert_int_equal(maps_open(&t), 0);
	maps_kill(&t);
	maps_edit(&t, "data.birth", json_string(""));
	maps_edit(&t, "data.device", json_integer(1));
	check_refused(EINVAL, "of device 1; this is");
}

static void damaged_info(void **state)
{
	static const char *const texts[] = {"", "{", "[]", "{\"version\": 1}",
		"{\"version\": \"1\"}",
		"{\"version\":1,\"size\":1,\"block\":1,\"identity\":{},\"data\":{},\"boot\":\"\"}"};

	(void)state;
	make_killed();
	for (size_t i = 0; i < ARRAY_LEN(texts); i++) {
		write_file(".info", texts[i], strlen(texts[i]));
		check_refused(EINVAL, "map.info is damaged; --clear-bitmap");
		assert_int_equal(blockmap_known_size(t.path), 0);
	}
	write_file(".info", "{\"version\": 2}", 14);
	check_refused(EINVAL, "map.info: format version 2, known here is 1; --clear-bitmap");
	check_clear_helps();
}

static void not_regular(void **state)
{
	(void)state;
	assert_int_equal(symlink(t.path, maps_file(&t, "")), 0);
	check_refused(EINVAL, "map is a symbolic link, not a regular file");
	unlink(t.temp.path);
	assert_int_equal(mkfifo(t.temp.path, 0600), 0);
	check_refused(EINVAL, "map is something else, not a regular file");
	unlink(t.temp.path);
	assert_int_equal(symlink("elsewhere", maps_file(&t, ".live")), 0);
	check_refused(EINVAL, "map.live is a symbolic link");
	unlink(t.temp.path);
	t.wish.path = "/nonexistent/map";
	check_refused(ENOENT, "/nonexistent/map: No such file");
	t.wish.path = t.path;
	assert_int_equal(maps_open(&t), 0);
}

static void in_use(void **state)
{
	struct blockmap other;

	(void)state;
	assert_int_equal(maps_open(&t), 0);
	set(7);
	t.wish.clear = true;
	assert_int_equal(blockmap_open(&other, &t.wish, &t.err), -EBUSY);
	assert_non_null(strstr(t.err.text, "map is in use by another process"));
	blockmap_done(&other);
	set(8);
	t.wish.clear = false;
	maps_kill(&t);
	assert_int_equal(maps_open(&t), 0);
	CHECK_PRESENT(7, 8, BLOCKS);
}

static void info_cannot_be_saved(void **state)
{
	(void)state;
	assert_int_equal(mkdir(maps_file(&t, ".info.new"), 0700), 0);
	check_refused(EISDIR, "map.info");
	rmdir(maps_file(&t, ".info.new"));
	make_killed();
	assert_int_equal(maps_open(&t), 0);
	assert_int_equal(mkdir(maps_file(&t, ".info.new"), 0700), 0);
	assert_int_equal(blockmap_close(&t.map), -EISDIR);
	maps_kill(&t);
	rmdir(t.temp.path);
	check_clean(false);
	assert_int_equal(maps_open(&t), 0);
	CHECK_PRESENT(5, 69, BLOCKS);
}

static void known_size(void **state)
{
	(void)state;
	assert_int_equal(blockmap_known_size(t.path), 0);
	make_killed();
	assert_int_equal(blockmap_known_size(t.path), t.wish.size);
	maps_edit(&t, "size", json_integer(-1));
	assert_int_equal(blockmap_known_size(t.path), 0);
}

static void renamed(void **state)
{
	json_t *fresh = json_pack("{s:s}", "origin", "nbd://c:1/x");
	json_t *old = t.wish.identity;

	(void)state;
	assert_int_equal(maps_open(&t), 0);
	set(9);
	assert_int_equal(mkdir(maps_file(&t, ".info.new"), 0700), 0);
	assert_int_equal(blockmap_rename(&t.map, fresh, &t.err), -EISDIR);
	assert_true(json_equal(t.map.identity, old));
	rmdir(maps_file(&t, ".info.new"));
	assert_int_equal(blockmap_rename(&t.map, fresh, &t.err), 0);
	maps_kill(&t);
	check_refused(EINVAL, "origin nbd://c:1/x, not nbd://a:1/x");
	t.wish.identity = fresh;
	assert_int_equal(maps_open(&t), 0);
	CHECK_PRESENT(9, BLOCKS);
	json_decref(old);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(in_memory),
		TEST(begins_with_nothing),
		TEST(clean_end),
		TEST(clean_end_without_written),
		TEST(killed),
		TEST(rebooted),
		TEST(unknown_boot),
		TEST(live_file_is_short),
		TEST(map_was_removed),
		TEST(of_the_original),
		TEST(wrong_length),
		TEST(other_identity),
		TEST(other_size),
		TEST(other_data),
		TEST(device_number),
		TEST(damaged_info),
		TEST(not_regular),
		TEST(in_use),
		TEST(info_cannot_be_saved),
		TEST(known_size),
		TEST(renamed),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
