/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Contents by their hash: only whole ones have a name, damaged ones lose it, and a full disk leaves
 * nothing behind. */
#include "store.h"

#include "check.h"
#include "child.h"
#include "fsutil.h"
#include "need.h"
#include "sample.h"
#include "temp.h"
#include "util.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <openssl/evp.h>
#include <sched.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/stat.h>

#include <cmocka.h>

static struct temp temp;
static char folder[TEMP_PATH_MAX];
static struct err err;
static uint8_t hash[MANIFEST_HASH];

static int set_up(void **state)
{
	(void)state;
	temp_init(&temp);
	snprintf(folder, sizeof(folder), "%s", temp_path(&temp, "objects"));
	EVP_Digest("hello", 5, hash, NULL, EVP_sha256(), NULL);
	return 0;
}

static int tear_down(void **state)
{
	(void)state;
	temp_done(&temp);
	return 0;
}

/* How many files of that name are in the store. */
static unsigned files_like(const char *pattern)
{
	char command[TEMP_PATH_MAX + 64];
	unsigned n = 99;
	FILE *p;

	snprintf(command, sizeof(command), "find %s -type f -name '%s' | wc -l", folder, pattern);
	p = popen(command, "re"); /* NOLINT */
	CHECK(p && fscanf(p, "%u", &n) == 1 && pclose(p) == 0);
	return n;
}

/* Temporary ones too. */
static unsigned files(void)
{
	return files_like("*");
}

static unsigned names(void)
{
	return files_like("*") - files_like("new.*");
}

static int file_with(const char *text)
{
	int fd = memfd_create("content", MFD_CLOEXEC);

	CHECK(fd >= 0 && fs_write_all(fd, text, strlen(text)) == 0);
	return fd;
}

static const char *object(void)
{
	char hex[MANIFEST_HEX], name[MANIFEST_HEX + 16];

	hash_to_hex(hash, hex);
	snprintf(name, sizeof(name), "objects/%.2s/%s", hex, hex + 2);
	return temp_path(&temp, name);
}

/* W, in a batch of its own. */
static int end(struct store_writer *w)
{
	struct store_batch b;
	int r;

	store_batch_init(&b, folder);
	r = store_writer_end(w, &b, &err);
	return r == 0 ? store_batch_name(&b, &err) : r;
}

static int add_hello(void)
{
	CLEANUP_FD int fd = file_with("hello");

	return store_add_file(folder, fd, hash, 5, &err);
}

static int copied(uint64_t size, char out[16])
{
	CLEANUP_FD int fd = memfd_create("copy", MFD_CLOEXEC);
	int r = store_copy_to(folder, hash, size, fd, &err);

	memset(out, 0, 16);
	CHECK(fs_read_at(fd, out, 15, 0) >= 0);
	return r;
}

static void test_add(void **state)
{
	struct stat st;
	char out[16];
	int fd;

	(void)state;
	assert_false(store_has(folder, hash));
	assert_int_equal(store_open(folder, hash), -ENOENT);
	assert_int_equal(add_hello(), 0);
	assert_true(store_has(folder, hash));
	assert_int_equal(add_hello(), 0);
	assert_int_equal(store_sync(folder), 0);
	assert_int_equal(stat(object(), &st), 0);
	assert_int_equal(st.st_mode & 07777, 0600);
	assert_int_equal(stat(folder, &st), 0);
	assert_int_equal(st.st_mode & 07777, 0700);
	assert_int_equal(files(), 1);
	assert_int_equal(copied(5, out), 0);
	assert_string_equal(out, "hello");
	fd = store_open(folder, hash);
	assert_int_equal(read(fd, out, 16), 5);
	close(fd);
}

static void test_changed_meanwhile(void **state)
{
	static const char *const others[] = {"hallo", "hello!", "hell", ""};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(others); i++) {
		CLEANUP_FD int fd = file_with(others[i]);

		assert_int_equal(store_add_file(folder, fd, hash, 5, &err), -EAGAIN);
		assert_int_equal(files(), 0);
	}
	assert_int_equal(store_add_file(folder, -1, hash, 5, &err), -EBADF);
	assert_int_equal(files(), 0);
	assert_int_equal(store_add_file(folder, -1, hash, STORE_SIZE_MAX + 1, &err), -EFBIG);
}

static void test_writer(void **state)
{
	struct store_writer *w = store_writer_new(folder, hash, 5, &err);

	(void)state;
	assert_non_null(w);
	assert_int_equal(store_writer_put(w, "he", 2, &err), 0);
	assert_int_equal(store_writer_put(w, "", 0, &err), 0);
	assert_false(store_has(folder, hash));
	assert_int_equal(store_writer_put(w, "llo", 3, &err), 0);
	assert_int_equal(end(w), 0);
	assert_true(store_has(folder, hash));
	/* Known ones are looked at too: a peer that sends nonsense is told. */
	w = store_writer_new(folder, hash, 5, &err);
	assert_int_equal(store_writer_put(w, "HELLO", 5, &err), 0);
	assert_int_equal(end(w), -EBADMSG);
	assert_int_equal(files(), 1);
}

static int add_number(struct store_batch *b, size_t n)
{
	char text[32];
	uint8_t of_it[MANIFEST_HASH];
	int len = snprintf(text, sizeof(text), "%zu", n);
	CLEANUP_FD int fd = file_with(text);

	EVP_Digest(text, (size_t)len, of_it, NULL, EVP_sha256(), NULL);
	return store_batch_file(b, fd, of_it, (uint64_t)len, &err);
}

/* Names come when it is full, and in the end. */
static void test_batch(void **state)
{
	struct store_batch b;

	(void)state;
	store_batch_init(&b, folder);
	for (size_t n = 0; n + 1 < STORE_BATCH_MAX; n++)
		assert_int_equal(add_number(&b, n), 0);
	assert_int_equal(add_number(&b, 3), 0); /* waits already */
	assert_int_equal(names(), 0);
	assert_int_equal(add_number(&b, STORE_BATCH_MAX), 0);
	assert_int_equal(names(), STORE_BATCH_MAX);
	assert_int_equal(add_number(&b, 3), 0);
	assert_int_equal(add_number(&b, 1000), 0);
	assert_int_equal(files(), STORE_BATCH_MAX + 1);
	assert_int_equal(names(), STORE_BATCH_MAX);
	assert_int_equal(store_clean(folder, NULL, 0), 0); /* it is at work */
	assert_int_equal(store_batch_end(&b, &err), 0);
	assert_int_equal(names(), 1);
	assert_int_equal(files(), 1);
	assert_int_equal(store_batch_end(&b, &err), 0);
}

/* What is to be lost when we are killed has a limit. */
static void test_batch_of_large(void **state)
{
	static char bytes[STORE_BATCH_BYTES / 2 + 1];
	struct store_batch b;

	(void)state;
	store_batch_init(&b, folder);
	for (char c = 'a'; c <= 'b'; c++) {
		int fd;

		memset(bytes, c, sizeof(bytes) - 1);
		EVP_Digest(bytes, sizeof(bytes) - 1, hash, NULL, EVP_sha256(), NULL);
		assert_int_equal(names(), 0);
		fd = file_with(bytes);
		assert_int_equal(store_batch_file(&b, fd, hash, sizeof(bytes) - 1, &err), 0);
		close(fd);
	}
	assert_int_equal(names(), 2);
}

/* One that is none takes no other with it. */
static void test_batch_given_up(void **state)
{
	CLEANUP_FD int fd = file_with("hallo");
	struct store_batch b;

	(void)state;
	store_batch_init(&b, folder);
	assert_int_equal(add_number(&b, 1), 0);
	assert_int_equal(store_batch_file(&b, fd, hash, 5, &err), -EAGAIN);
	assert_int_equal(store_batch_name(&b, &err), 0);
	assert_int_equal(names(), 1);
	assert_int_equal(add_number(&b, 2), 0);
	assert_int_equal(files(), 2);
	store_batch_drop(&b);
	assert_int_equal(files(), 1);
	assert_int_equal(names(), 1);
}

static void test_writer_refuses(void **state)
{
	struct store_writer *w = store_writer_new(folder, hash, 5, &err);

	(void)state;
	assert_int_equal(store_writer_put(w, "hello!", 6, &err), -EBADMSG);
	store_writer_drop(w);
	w = store_writer_new(folder, hash, 5, &err);
	assert_int_equal(store_writer_put(w, "hell", 4, &err), 0);
	assert_int_equal(end(w), -EBADMSG);
	w = store_writer_new(folder, hash, 5, &err);
	assert_int_equal(store_writer_put(w, "hallo", 5, &err), 0);
	assert_int_equal(end(w), -EBADMSG);
	assert_null(store_writer_new(folder, hash, UINT64_MAX, &err));
	assert_int_equal(err.code, EFBIG);
	store_writer_drop(NULL);
	assert_int_equal(files(), 0);
}

static void test_empty(void **state)
{
	struct store_writer *w;
	char out[16];

	(void)state;
	EVP_Digest("", 0, hash, NULL, EVP_sha256(), NULL);
	w = store_writer_new(folder, hash, 0, &err);
	assert_int_equal(end(w), 0);
	assert_int_equal(copied(0, out), 0);
}

static void test_damaged(void **state)
{
	static const char *const others[] = {"hallo", "hello!", "hell", ""};
	char out[16];

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(others); i++) {
		char name[PATH_MAX];

		assert_int_equal(add_hello(), 0);
		snprintf(name, sizeof(name), "%s", object() + strlen(temp.folder) + 1);
		temp_file(&temp, name, others[i]);
		assert_int_equal(copied(5, out), -EBADMSG);
		assert_non_null(strstr(err.text, "damaged"));
		assert_false(store_has(folder, hash));
		assert_int_equal(copied(5, out), -ENOENT);
	}
	/* A link in its place is no content. */
	assert_int_equal(symlink("/etc/passwd", object()), 0);
	assert_false(store_has(folder, hash));
	assert_int_equal(store_open(folder, hash), -ELOOP);
}

static void test_clean(void **state)
{
	uint8_t keep[3][MANIFEST_HASH] = {0};
	struct entry e = sample_entry(MANIFEST_FILE, "/f");
	struct store_writer *w;

	(void)state;
	assert_int_equal(store_clean(folder, NULL, 0), 0);
	assert_int_equal(store_sync(folder), 0);
	w = store_writer_new(folder, e.hash, 2, &err); /* goes on meanwhile */
	memcpy(keep[1], hash, sizeof(hash));
	memset(keep[2], 0xff, MANIFEST_HASH);
	assert_int_equal(add_hello(), 0);
	temp_file(&temp, "objects/new.abcdef", "left by a crash");
	temp_file(&temp, "objects/note", "not ours");
	assert_int_equal(files(), 4);
	assert_int_equal(store_clean(folder, keep, 3), 0);
	assert_int_equal(files(), 3);
	assert_true(store_has(folder, hash));
	assert_int_equal(store_writer_put(w, "/f", 2, &err), 0);
	assert_int_equal(end(w), 0);
	assert_int_equal(store_clean(folder, keep, 1), 0);
	assert_false(store_has(folder, hash));
	assert_int_equal(files(), 1);
	entry_done(&e);
}

/* On a disk of 256 KiB. */
static void full_disk(void)
{
	static uint8_t bytes[512 * 1024];
	struct store_writer *w;
	int fd;

	if (unshare(CLONE_NEWNS) < 0)
		_exit(CHILD_SKIPPED);
	CHECK(mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) == 0);
	CHECK(mkdir(folder, 0700) == 0);
	CHECK(mount("none", folder, "tmpfs", 0, "size=256k") == 0);
	EVP_Digest(bytes, sizeof(bytes), hash, NULL, EVP_sha256(), NULL);
	CHECK(!store_writer_new(folder, hash, sizeof(bytes), &err) && err.code == ENOSPC);
	CHECK(strstr(err.text, folder) && files() == 0);
	fd = memfd_create("big", MFD_CLOEXEC);
	CHECK(fs_write_all(fd, bytes, sizeof(bytes)) == 0);
	CHECK(store_add_file(folder, fd, hash, sizeof(bytes), &err) == -ENOSPC && files() == 0);
	close(fd);
	/* There is room again. */
	w = store_writer_new(folder, hash, 100 * 1024, &err);
	CHECK(w && store_writer_put(w, bytes, 100 * 1024, &err) == 0);
	CHECK(end(w) == -EBADMSG && files() == 0);
}

static void test_full(void **state)
{
	int status;

	(void)state;
	need_root();
	status = child_run(full_disk);
	need(status != CHILD_SKIPPED, "a mount namespace");
	assert_int_equal(status, 0);
}

#define T(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		T(test_add),
		T(test_changed_meanwhile),
		T(test_writer),
		T(test_batch),
		T(test_batch_of_large),
		T(test_batch_given_up),
		T(test_writer_refuses),
		T(test_empty),
		T(test_damaged),
		T(test_clean),
		T(test_full),
	};

	return need_status(cmocka_run_group_tests(tests, NULL, NULL));
}
