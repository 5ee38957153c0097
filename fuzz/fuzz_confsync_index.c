/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * An index file. Its digest would keep all but whole ones out, so it is made right before: what
 * remains is what a program with other ideas of the format might write. Each path that is in the
 * records is looked up; what is found is an entry as manifest.h has it.
 */
#include "fuzz.h"

#include "buf.h"
#include "index.h"
#include "index_format.h"

#include <stdlib.h>
#include <string.h>

/* As record AT says; only its times are looked at. */
static struct stat stat_at(const uint8_t *record)
{
	const uint8_t *p = record + INDEX_STAT;

	return (struct stat){.st_dev = get_u64(p),
		.st_ino = get_u64(p + 8),
		.st_size = (off_t)get_u64(p + 16),
		.st_mtim = {(time_t)get_u64(p + 24), get_u32(p + 32)},
		.st_ctim = {(time_t)get_u64(p + 36), get_u32(p + 44)}};
}

static void check(const struct index *x, const char *path, const struct stat *st)
{
	struct entry e = {0};

	if (index_find(x, path, st, &e)) {
		REQUIRE(e.attr_count <= MANIFEST_ATTRS_MAX);
		for (size_t i = 0; i < e.attr_count; i++) {
			REQUIRE(strlen(e.attrs[i].name) < MANIFEST_ATTR_NAME_MAX);
			REQUIRE(e.attrs[i].len <= MANIFEST_ATTR_VALUE_MAX);
			REQUIRE(e.attrs[i].value[e.attrs[i].len] == 0);
		}
	} else {
		REQUIRE(!e.attrs && !e.attr_count);
	}
	entry_done(&e);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	uint8_t *bytes = malloc(size + 1);
	struct index *x;

	REQUIRE(bytes);
	memcpy(bytes, data, size);
	bytes[size] = 0;
	if (size >= INDEX_HEADER)
		REQUIRE(index_digest(bytes, size, bytes + INDEX_AT_DIGEST) == 0);
	x = index_of(bytes, size);
	REQUIRE(x);
	for (size_t at = INDEX_HEADER; size >= INDEX_RECORD && at <= size - INDEX_RECORD;
		at += INDEX_RECORD) {
		struct stat st = stat_at(bytes + at);
		uint32_t path = get_u32(bytes + at + INDEX_PATH);

		for (size_t i = path; i < size && i < (size_t)path + 64; i++)
			check(x, (const char *)bytes + i, &st);
		check(x, "/etc/f", &st);
	}
	index_close(x);
	free(bytes);
	return 0;
}
