/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The file of a snapshot without a worker: its names, how it is completed and given up, cloning
 * where the folder's file system can (else that test is skipped).
 */
#include "nbd.h"
#include "snapshot.h"
#include "temp.h"
#include "util.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include <cmocka.h>

enum { SIZE = 5 * SNAPSHOT_BLOCK + 100, ID = 1000 };

static struct {
	struct temp temp;
	char image[TEMP_PATH_MAX];
	struct storage *live;
	struct err err;
	uint64_t id;
	pthread_mutex_t lock;
	pthread_cond_t over;
	bool is_over;
	int result;
} t;

static uint8_t data[SIZE];

static int set_up(void **state)
{
	FILE *f;

	(void)state;
	memset(&t, 0, sizeof(t));
	temp_init(&t.temp);
	pthread_mutex_init(&t.lock, NULL);
	pthread_cond_init(&t.over, NULL);
	for (size_t i = 0; i < SIZE; i++)
		data[i] = (uint8_t)(i / 7 + 1);
	memcpy(t.image, temp_path(&t.temp, "image"), sizeof(t.image));
	f = fopen(t.image, "w");
	fwrite(data, 1, SIZE, f);
	fclose(f);
	t.live = file_open(t.image, 0, &t.err);
	t.id = ID;
	return t.live ? 0 : -1;
}

static int tear_down(void **state)
{
	(void)state;
	t.live->ops->close(t.live);
	pthread_cond_destroy(&t.over);
	pthread_mutex_destroy(&t.lock);
	temp_done(&t.temp);
	return 0;
}

static bool exists(const char *path)
{
	struct stat st;

	return lstat(path, &st) == 0;
}

/* NUMBER and SUFFIX as in IMAGE.snapshot.NUMBERSUFFIX; valid until the next call. */
static const char *name_of(unsigned number, const char *suffix)
{
	char name[64];

	snprintf(name, sizeof(name), "image.snapshot.%u%s", number, suffix);
	return temp_path(&t.temp, name);
}

static void touch(const char *path)
{
	int fd = open(path, O_CREAT | O_WRONLY | O_CLOEXEC, 0600);

	assert_true(fd >= 0);
	assert_int_equal(write(fd, "mine", 4), 4);
	close(fd);
}

static struct snapshot *new_one(const char *to)
{
	return snapshot_new(t.live, t.image, to, &t.id, &t.err);
}

/* As the worker's, in the copier's thread. */
static void complete(void *owner, int result)
{
	struct snapshot *s = owner;

	result = snapshot_finish(s, result);
	pthread_mutex_lock(&t.lock);
	t.result = result;
	t.is_over = true;
	pthread_cond_signal(&t.over);
	pthread_mutex_unlock(&t.lock);
}

static int below(void *owner, uint64_t offset, uint64_t length, struct extent *out, size_t max)
{
	struct snapshot *s = owner;

	return s->live->ops->extents(s->live, offset, length, out, max);
}

static const struct copier_ops copies = {.below = below, .complete = complete};

static int copy_all(struct snapshot *s)
{
	assert_int_equal(snapshot_copy(s, &copies), 0);
	pthread_mutex_lock(&t.lock);
	while (!t.is_over)
		pthread_cond_wait(&t.over, &t.lock);
	pthread_mutex_unlock(&t.lock);
	return t.result;
}

static void assert_content(const char *path)
{
	static uint8_t found[SIZE + 1];
	FILE *f = fopen(path, "r");

	assert_non_null(f);
	assert_int_equal(fread(found, 1, sizeof(found), f), SIZE);
	assert_memory_equal(found, data, SIZE);
	fclose(f);
}

static void test_names(void **state)
{
	struct snapshot *s = new_one(NULL);
	struct stat st;

	(void)state;
	assert_non_null(s);
	assert_true(s->id == ID && t.id == ID);
	assert_string_equal(s->path, name_of(ID, ""));
	assert_false(exists(s->path));
	assert_int_equal(stat(name_of(ID, ".partial"), &st), 0);
	assert_int_equal(st.st_mode & 0777, 0600);
	assert_int_equal(st.st_size, SIZE);
	snapshot_free(s);
	assert_false(exists(name_of(ID, ".partial")));
}

/* Neither a name nor a .partial that is there, nor a link to nowhere. */
static void test_first_free_name(void **state)
{
	struct snapshot *s;

	(void)state;
	touch(name_of(ID, ""));
	touch(name_of(ID + 1, ".partial"));
	assert_int_equal(symlink("nowhere", name_of(ID + 2, "")), 0);
	s = new_one(NULL);
	assert_non_null(s);
	assert_true(s->id == ID + 3 && t.id == ID + 3);
	snapshot_free(s);
	assert_true(exists(name_of(ID, "")) && exists(name_of(ID + 1, ".partial")) &&
		exists(name_of(ID + 2, "")));
}

static void assert_refused(const char *to, int code, const char *text)
{
	memset(&t.err, 0, sizeof(t.err));
	assert_null(new_one(to));
	assert_int_equal(t.err.code, code);
	assert_non_null(strstr(t.err.text, text));
}

static void test_to(void **state)
{
	static char to[2 * PATH_MAX];

	(void)state;
	snprintf(to, sizeof(to), "%s", temp_path(&t.temp, "to"));
	touch(to);
	assert_refused(to, EEXIST, "/to: File exists");
	unlink(to);
	touch(temp_path(&t.temp, "to.partial"));
	assert_refused(to, EEXIST, "/to.partial: File exists");
	assert_true(exists(temp_path(&t.temp, "to.partial")));
	assert_refused(temp_path(&t.temp, "no/to"), ENOENT, "No such file");
	memset(to, 'x', sizeof(to) - 1);
	to[0] = '/';
	assert_refused(to, ENAMETOOLONG, "too long");
}

static void test_copy(void **state)
{
	struct snapshot *s = new_one(NULL);

	(void)state;
	assert_int_equal(copy_all(s), 0);
	assert_false(s->has_partial || exists(name_of(ID, ".partial")));
	assert_content(s->path);
	snapshot_stop(s);
	assert_int_equal(s->layer.broken, 0);
	snapshot_free(s);
	assert_content(name_of(ID, ""));
}

/* Somebody has taken the name meanwhile: theirs stays, ours is given up. */
static void test_name_taken_meanwhile(void **state)
{
	struct snapshot *s = new_one(NULL);
	struct stat st;

	(void)state;
	touch(s->path);
	assert_int_equal(copy_all(s), -EEXIST);
	assert_false(s->has_partial || exists(name_of(ID, ".partial")));
	assert_int_equal(s->layer.broken, EEXIST);
	assert_int_equal(fstat(layer_own_fd(&s->layer.storage), &st), 0);
	assert_int_equal(st.st_size, 0);
	snapshot_free(s);
	assert_int_equal(stat(name_of(ID, ""), &st), 0);
	assert_int_equal(st.st_size, 4);
}

/* Stopped before it could be given its name, it is not complete, whatever it holds. */
static void test_stopped(void **state)
{
	struct snapshot *s = new_one(NULL);

	(void)state;
	snapshot_stop(s);
	assert_int_equal(s->layer.broken, ESHUTDOWN);
	assert_int_equal(snapshot_finish(s, 0), -ESHUTDOWN);
	assert_false(exists(name_of(ID, "")) || exists(name_of(ID, ".partial")));
	snapshot_free(s);
}

static void test_failed_copy(void **state)
{
	struct snapshot *s = new_one(NULL);

	(void)state;
	assert_int_equal(snapshot_finish(s, -ENOSPC), -ENOSPC);
	assert_int_equal(s->layer.broken, ENOSPC);
	assert_false(exists(name_of(ID, ".partial")));
	snapshot_free(s);
}

static void test_clone(void **state)
{
	struct snapshot *s = new_one(NULL);
	int ret;

	(void)state;
	snapshot_settle(s);
	ret = snapshot_clone(s);
	if (ret < 0) {
		assert_false(s->whole);
		assert_int_equal(s->layer.map.count, 0);
		snapshot_free(s);
		skip();
	}
	assert_int_equal(s->layer.map.count, s->layer.map.blocks);
	assert_int_equal(snapshot_finish(s, 0), 0);
	snapshot_free(s);
	assert_content(name_of(ID, ""));
}

/* Those of the live export, but read-only. */
static void test_facts(void **state)
{
	struct snapshot *s;

	(void)state;
	t.live->facts.flags = NBD_FLAG_HAS_FLAGS | NBD_FLAG_SEND_FLUSH | NBD_FLAG_SEND_TRIM |
		NBD_FLAG_SEND_WRITE_ZEROES | NBD_FLAG_SEND_FAST_ZERO;
	s = new_one(NULL);
	assert_int_equal(s->layer.storage.facts.size, SIZE);
	assert_int_equal(s->layer.storage.facts.flags,
		NBD_FLAG_HAS_FLAGS | NBD_FLAG_SEND_FLUSH | NBD_FLAG_READ_ONLY |
			NBD_FLAG_CAN_MULTI_CONN);
	snapshot_free(s);
	snapshot_free(NULL);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_names, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_first_free_name, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_to, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_copy, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_name_taken_meanwhile, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_stopped, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_failed_copy, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_clone, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_facts, set_up, tear_down),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
