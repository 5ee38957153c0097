/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Contents by their hash: only whole ones have a name, damaged ones lose it, and a full disk leaves
 * nothing behind. */
#include "store.h"

#include "check.h"
#include "child.h"
#include "fsutil.h"
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

/* How many files are in the store, temporary ones too. */
static unsigned files(void)
{
	char command[TEMP_PATH_MAX + 64];
	unsigned n = 99;
	FILE *p;

	snprintf(command, sizeof(command), "find %s -type f | wc -l", folder);
	p = popen(command, "re"); /* NOLINT */
	CHECK(p && fscanf(p, "%u", &n) == 1 && pclose(p) == 0);
	return n;
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
	assert_int_equal(store_writer_end(w, &err), 0);
	assert_true(store_has(folder, hash));
	/* Known ones are looked at too: a peer that sends nonsense is told. */
	w = store_writer_new(folder, hash, 5, &err);
	assert_int_equal(store_writer_put(w, "HELLO", 5, &err), 0);
	assert_int_equal(store_writer_end(w, &err), -EBADMSG);
	assert_int_equal(files(), 1);
}

static void test_writer_refuses(void **state)
{
	struct store_writer *w = store_writer_new(folder, hash, 5, &err);

	(void)state;
	assert_int_equal(store_writer_put(w, "hello!", 6, &err), -EBADMSG);
	store_writer_drop(w);
	w = store_writer_new(folder, hash, 5, &err);
	assert_int_equal(store_writer_put(w, "hell", 4, &err), 0);
	assert_int_equal(store_writer_end(w, &err), -EBADMSG);
	w = store_writer_new(folder, hash, 5, &err);
	assert_int_equal(store_writer_put(w, "hallo", 5, &err), 0);
	assert_int_equal(store_writer_end(w, &err), -EBADMSG);
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
	assert_int_equal(store_writer_end(w, &err), 0);
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
	assert_int_equal(store_writer_end(w, &err), 0);
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
	CHECK(store_writer_end(w, &err) == -EBADMSG && files() == 0);
}

static void test_full(void **state)
{
	int status;

	(void)state;
	if (geteuid() != 0)
		skip();
	status = child_run(full_disk);
	if (status == CHILD_SKIPPED)
		skip();
	assert_int_equal(status, 0);
}

#define T(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		T(test_add),
		T(test_changed_meanwhile),
		T(test_writer),
		T(test_writer_refuses),
		T(test_empty),
		T(test_damaged),
		T(test_clean),
		T(test_full),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
