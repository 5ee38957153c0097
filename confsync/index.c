/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Reading an index; see index.h, bytes: index_format.h. All of it is checked when it is opened
 * (digest, order, each range), so that looking up has nothing to check but attributes.
 */
#include "index.h"

#include "fsutil.h"
#include "index_format.h"
#include "util.h"

#include <string.h>
#include <time.h>

enum { ATTR_HEADER = 6 };

struct index {
	uint8_t *own; /* what was read from a file; NULL = the caller's */
	const uint8_t *records, *blob;
	size_t count, blob_len;
	int64_t seconds; /* when the scan began */
	int64_t ns;
};

static const uint8_t *record(const struct index *i, size_t at)
{
	return i->records + at * INDEX_RECORD;
}

static const char *path_of(const struct index *i, size_t at)
{
	return (const char *)i->blob + get_u32(record(i, at) + INDEX_PATH);
}

/* The range (offset, length) at P lies in the blob. */
static bool is_inside(const struct index *i, const uint8_t *p)
{
	return range_inside(get_u32(p), get_u32(p + 4), i->blob_len);
}

static bool has_path(const struct index *i, size_t at)
{
	const uint8_t *r = record(i, at);
	uint32_t len = get_u32(r + INDEX_PATH + 4);

	return is_inside(i, r + INDEX_PATH) && len > 0 &&
		memchr(i->blob + get_u32(r + INDEX_PATH), 0, len) ==
		i->blob + get_u32(r + INDEX_PATH) + len - 1;
}

static bool check_records(const struct index *i)
{
	for (size_t at = 0; at < i->count; at++)
		if (!has_path(i, at) || !is_inside(i, record(i, at) + INDEX_ATTRS) ||
			(at > 0 && strcmp(path_of(i, at - 1), path_of(i, at)) >= 0))
			return false;
	return true;
}

static bool is_whole(const uint8_t *bytes, size_t len)
{
	uint8_t digest[MANIFEST_HASH];

	return len >= INDEX_HEADER && memcmp(bytes, INDEX_MAGIC, strlen(INDEX_MAGIC)) == 0 &&
		index_digest(bytes, len, digest) == 0 &&
		memcmp(digest, bytes + INDEX_AT_DIGEST, MANIFEST_HASH) == 0;
}

/* Leaves I empty if anything is wrong. */
static void parse(struct index *i, const uint8_t *bytes, size_t len)
{
	struct index new = {.own = i->own};
	uint64_t blob, table;

	if (!is_whole(bytes, len))
		return;
	table = (uint64_t)get_u32(bytes + INDEX_AT_COUNT) * INDEX_RECORD;
	blob = get_u64(bytes + INDEX_AT_BLOB);
	if (table > len - INDEX_HEADER || blob != len - INDEX_HEADER - table)
		return;
	new.count = get_u32(bytes + INDEX_AT_COUNT);
	new.records = bytes + INDEX_HEADER;
	new.blob = new.records + table;
	new.blob_len = (size_t)blob;
	new.seconds = (int64_t)get_u64(bytes + INDEX_AT_SECONDS);
	new.ns = get_u32(bytes + INDEX_AT_NS);
	if (check_records(&new))
		*i = new;
}

struct index *index_of(const uint8_t *bytes, size_t len)
{
	struct index *i = calloc(1, sizeof(*i));

	if (i)
		parse(i, bytes, len);
	return i;
}

struct index *index_open(const char *path)
{
	struct index *i = calloc(1, sizeof(*i));
	char *bytes;
	size_t len;

	if (i && fs_read(path, INDEX_SIZE_MAX, &bytes, &len, NULL) == 0) {
		i->own = (uint8_t *)bytes;
		parse(i, i->own, len);
	}
	return i;
}

void index_close(struct index *i)
{
	if (i)
		free(i->own);
	free(i);
}

/* Was it changed long enough before the scan? */
static bool is_settled(const struct index *i, const struct stat *st)
{
	int64_t ago;

	if (__builtin_sub_overflow(i->seconds, (int64_t)st->st_ctim.tv_sec, &ago) || ago < 0)
		return false;
	if (ago > INDEX_RACY_NS / 1000000000 + 1)
		return true;
	return ago * 1000000000 + i->ns - st->st_ctim.tv_nsec > INDEX_RACY_NS;
}

static const uint8_t *find(const struct index *i, const char *path)
{
	size_t low = 0, high = i->count;

	while (low < high) {
		size_t middle = low + (high - low) / 2;
		int order = strcmp(path, path_of(i, middle));

		if (order == 0)
			return record(i, middle);
		if (order < 0)
			high = middle;
		else
			low = middle + 1;
	}
	return NULL;
}

/* The attribute at P, of which LEFT bytes may be read; its length, or 0. */
static size_t unpack_attr(const uint8_t *p, size_t left, struct attr *ret)
{
	size_t name, value;

	if (left < ATTR_HEADER)
		return 0;
	name = get_u16(p);
	value = get_u32(p + 2);
	if (name == 0 || name >= MANIFEST_ATTR_NAME_MAX || value > MANIFEST_ATTR_VALUE_MAX ||
		name + value > left - ATTR_HEADER)
		return 0;
	ret->name = strndup((const char *)p + ATTR_HEADER, name);
	ret->value = malloc(value + 1);
	ret->len = value;
	if (!ret->name || !ret->value)
		return 0;
	memcpy(ret->value, p + ATTR_HEADER + name, value);
	ret->value[value] = 0;
	return ATTR_HEADER + name + value;
}

/* Into E, which has none. False: nonsense or no memory; E may have some. */
static bool unpack_attrs(const uint8_t *p, size_t len, struct entry *e)
{
	if (len == 0)
		return true;
	e->attrs = calloc(MANIFEST_ATTRS_MAX, sizeof(*e->attrs));
	while (e->attrs && len > 0 && e->attr_count < MANIFEST_ATTRS_MAX) {
		size_t used = unpack_attr(p, len, &e->attrs[e->attr_count++]);

		if (used == 0)
			return false;
		p += used;
		len -= used;
	}
	return e->attrs && len == 0;
}

bool index_find(const struct index *i, const char *path, const struct stat *st, struct entry *ret)
{
	const uint8_t *r = find(i, path);
	uint8_t stat_bytes[INDEX_STAT_LEN];
	struct entry got = {0};

	if (!r || !is_settled(i, st))
		return false;
	index_pack_stat(st, stat_bytes);
	if (memcmp(r + INDEX_STAT, stat_bytes, INDEX_STAT_LEN) != 0)
		return false;
	if (!unpack_attrs(i->blob + get_u32(r + INDEX_ATTRS), get_u32(r + INDEX_ATTRS + 4), &got)) {
		entry_done(&got);
		return false;
	}
	memcpy(ret->hash, r + INDEX_HASH, MANIFEST_HASH);
	ret->attrs = got.attrs;
	ret->attr_count = got.attr_count;
	return true;
}
