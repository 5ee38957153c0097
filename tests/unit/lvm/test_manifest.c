/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Manifests: what is written is read; cut or changed anywhere, it is refused or not complete. */
#include "fsutil.h"
#include "manifest_file.h"
#include "temp.h"
#include "util.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

enum { CHUNKS = 5, CHUNK = 64 * 1024 };

static const struct manifest_head head = {.size = (CHUNKS - 1) * CHUNK + 17,
	.chunk_size = CHUNK,
	.codec = CODEC_ZSTD,
	.stable = true,
	.created = 1234567890,
	.identity = "lv abc",
	.source = "lvm:/dev/vg/lv",
	.target = "lv uuid"};

static struct manifest_entry entry(unsigned i)
{
	struct manifest_entry e = {.stored = i * 100 + 1, .zero = i == 2};

	memset(e.hash, (int)i + 1, CODEC_HASH);
	return e;
}

static void write_one(const char *path, unsigned count, bool finish)
{
	struct manifest_log l;
	struct err err;

	manifest_log_init(&l);
	assert_int_equal(manifest_log_open(&l, path, &head, NULL, 0, &err), 0);
	for (unsigned i = 0; i < count; i++) {
		struct manifest_entry e = entry(i);

		assert_int_equal(manifest_log_add(&l, &e, &err), 0);
	}
	if (finish)
		assert_int_equal(manifest_log_finish(&l, true, &err), 0);
	manifest_log_close(&l);
}

static void check_entries(const struct manifest *m, unsigned count)
{
	uint64_t at = 0;

	assert_int_equal(m->count, count);
	for (unsigned i = 0; i < count; i++) {
		struct manifest_entry e = entry(i);

		assert_memory_equal(m->entries[i].hash, e.hash, CODEC_HASH);
		assert_int_equal(m->entries[i].stored, e.stored);
		assert_int_equal(m->entries[i].zero, e.zero);
		assert_int_equal(m->at[i], at);
		at += e.stored;
	}
	assert_int_equal(m->at[count], at);
}

static void test_round_trip(void **state)
{
	struct manifest m;
	struct temp t;
	struct err err;
	char path[TEMP_PATH_MAX];

	(void)state;
	temp_init(&t);
	strcpy(path, temp_path(&t, "m"));
	write_one(path, CHUNKS, true);
	assert_int_equal(manifest_read(path, &m, &err), 0);
	assert_true(m.complete);
	assert_true(m.trailer.readback);
	assert_int_equal(m.trailer.zeros, 1);
	assert_true(manifest_head_equal(&m.head, &head));
	assert_true(m.head.stable);
	assert_string_equal(m.head.source, head.source);
	assert_string_equal(m.head.target, head.target);
	assert_int_equal(manifest_chunks(&m.head), CHUNKS);
	assert_int_equal(manifest_chunk_len(&m.head, CHUNKS - 1), 17);
	assert_int_equal(manifest_chunk_len(&m.head, CHUNKS), 0);
	check_entries(&m, CHUNKS);
	manifest_done(&m);
	assert_int_equal(manifest_read(temp_path(&t, "none"), &m, &err), -ENOENT);
	temp_done(&t);
}

static void test_goes_on(void **state)
{
	struct manifest m;
	struct manifest_log l;
	struct temp t;
	struct err err;
	char path[TEMP_PATH_MAX];

	(void)state;
	temp_init(&t);
	strcpy(path, temp_path(&t, "m"));
	write_one(path, 4, false);
	assert_int_equal(manifest_read(path, &m, &err), 0);
	assert_false(m.complete);
	check_entries(&m, 4);
	manifest_log_init(&l);
	assert_int_equal(manifest_log_open(&l, path, &head, &m, 3, &err), 0);
	manifest_done(&m);
	for (unsigned i = 3; i < CHUNKS; i++) {
		struct manifest_entry e = entry(i);

		assert_int_equal(manifest_log_add(&l, &e, &err), 0);
	}
	assert_int_equal(manifest_log_finish(&l, false, &err), 0);
	manifest_log_close(&l);
	assert_int_equal(manifest_read(path, &m, &err), 0);
	assert_true(m.complete);
	check_entries(&m, CHUNKS);
	manifest_done(&m);
	temp_done(&t);
}

/* Each length, and one bit of each byte. */
static void test_damage(void **state)
{
	struct manifest m;
	struct temp t;
	struct err err;
	char path[TEMP_PATH_MAX];
	CLEANUP_FREE char *bytes = NULL;
	size_t len, head_len = 0;

	(void)state;
	temp_init(&t);
	strcpy(path, temp_path(&t, "m"));
	write_one(path, CHUNKS, true);
	assert_int_equal(fs_read(path, 100000, &bytes, &len, &err), 0);
	assert_int_equal(manifest_get_head((uint8_t *)bytes, len, &m.head, &head_len), 0);
	for (size_t i = 0; i < len; i++) {
		assert_int_equal(fs_replace(path, bytes, i, 0600, &err), 0);
		if (manifest_read(path, &m, &err) < 0) {
			assert_true(i < head_len);
			continue;
		}
		assert_true(i >= head_len);
		assert_false(m.complete);
		manifest_done(&m);
	}
	for (size_t i = 0; i < len; i++) {
		bytes[i] ^= 1;
		assert_int_equal(fs_replace(path, bytes, len, 0600, &err), 0);
		assert_int_equal(manifest_read(path, &m, &err), -EBADMSG);
		bytes[i] ^= 1;
	}
	temp_done(&t);
}

static void test_limits(void **state)
{
	static const uint32_t bad[] = {0, 1, 4096, 65537, 32 * 1024 * 1024, 0x80000000};
	struct manifest_head h = head;

	(void)state;
	assert_int_equal(manifest_head_check(&h, NULL), 0);
	for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
		h.chunk_size = bad[i];
		assert_int_equal(manifest_head_check(&h, NULL), -EINVAL);
	}
	h.chunk_size = CHUNK;
	h.size = (uint64_t)MANIFEST_CHUNKS_MAX * CHUNK;
	assert_int_equal(manifest_head_check(&h, NULL), 0);
	h.size++;
	assert_int_equal(manifest_head_check(&h, NULL), -EINVAL);
	h.size = UINT64_MAX;
	assert_int_equal(manifest_head_check(&h, NULL), -EINVAL);
	h.size = 0;
	assert_int_equal(manifest_chunks(&h), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {cmocka_unit_test(test_round_trip),
		cmocka_unit_test(test_goes_on), cmocka_unit_test(test_damage),
		cmocka_unit_test(test_limits)};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
