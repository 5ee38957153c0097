/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Making an index file; see index.h, bytes: index_format.h. It is written as PATH.new, by one
 * process at a time (a lock on that file), and renamed. Who comes second leaves it to the first.
 */
#include "index.h"

#include "fsutil.h"
#include "index_format.h"
#include "util.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <openssl/evp.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <time.h>

struct index_writer {
	struct buf records, blob;
};

void index_pack_stat(const struct stat *st, uint8_t ret[INDEX_STAT_LEN])
{
	set_u64(ret, st->st_dev);
	set_u64(ret + 8, st->st_ino);
	set_u64(ret + 16, (uint64_t)st->st_size);
	set_u64(ret + 24, (uint64_t)st->st_mtim.tv_sec);
	set_u32(ret + 32, (uint32_t)st->st_mtim.tv_nsec);
	set_u64(ret + 36, (uint64_t)st->st_ctim.tv_sec);
	set_u32(ret + 44, (uint32_t)st->st_ctim.tv_nsec);
}

int index_digest(const uint8_t *bytes, size_t len, uint8_t ret[MANIFEST_HASH])
{
	EVP_MD_CTX *md = EVP_MD_CTX_new();
	bool good = md && EVP_DigestInit_ex(md, EVP_sha256(), NULL) &&
		EVP_DigestUpdate(md, bytes, INDEX_AT_DIGEST) &&
		EVP_DigestUpdate(md, bytes + INDEX_HEADER, len - INDEX_HEADER) &&
		EVP_DigestFinal_ex(md, ret, NULL);

	EVP_MD_CTX_free(md);
	return good ? 0 : -ENOMEM;
}

struct index_writer *index_writer_new(void)
{
	struct index_writer *w = calloc(1, sizeof(*w));

	if (w) {
		buf_init(&w->records, INDEX_SIZE_MAX / 2);
		buf_init(&w->blob, INDEX_SIZE_MAX / 2 - INDEX_HEADER);
	}
	return w;
}

void index_writer_free(struct index_writer *w)
{
	if (!w)
		return;
	buf_done(&w->records);
	buf_done(&w->blob);
	free(w);
}

static void put_attrs(struct buf *blob, const struct entry *e)
{
	for (size_t i = 0; i < e->attr_count; i++) {
		const struct attr *a = &e->attrs[i];

		buf_put_u16(blob, (uint16_t)strlen(a->name));
		buf_put_u32(blob, (uint32_t)a->len);
		buf_put(blob, a->name, strlen(a->name));
		buf_put(blob, a->value, a->len);
	}
}

int index_writer_add(
	struct index_writer *w, const char *path, const struct stat *st, const struct entry *e)
{
	uint8_t stat_bytes[INDEX_STAT_LEN];
	size_t path_at = buf_len(&w->blob), attrs_at = path_at + strlen(path) + 1;

	buf_put(&w->blob, path, strlen(path) + 1);
	put_attrs(&w->blob, e);
	index_pack_stat(st, stat_bytes);
	buf_put_u32(&w->records, (uint32_t)path_at);
	buf_put_u32(&w->records, (uint32_t)(attrs_at - path_at));
	buf_put_u32(&w->records, (uint32_t)attrs_at);
	buf_put_u32(&w->records, (uint32_t)(buf_len(&w->blob) - attrs_at));
	buf_put(&w->records, stat_bytes, sizeof(stat_bytes));
	buf_put(&w->records, e->hash, MANIFEST_HASH);
	return buf_failed(&w->blob) || buf_failed(&w->records) ? -ENOMEM : 0;
}

static int compare(const void *a, const void *b, void *blob)
{
	return strcmp((const char *)blob + get_u32(a), (const char *)blob + get_u32(b));
}

/* All bytes of the file. */
static int assemble(struct index_writer *w, const struct timespec *now, struct buf *out)
{
	size_t table = buf_len(&w->records), count = table / INDEX_RECORD;
	uint8_t *p;

	if (count > 0)
		qsort_r(w->records.data + w->records.start, count, INDEX_RECORD, compare,
			w->blob.data + w->blob.start);
	buf_put_zeros(out, INDEX_HEADER);
	buf_put(out, buf_bytes(&w->records), table);
	buf_put(out, buf_bytes(&w->blob), buf_len(&w->blob));
	if (buf_failed(out))
		return -ENOMEM;
	p = out->data + out->start;
	memcpy(p, INDEX_MAGIC, strlen(INDEX_MAGIC));
	set_u32(p + INDEX_AT_COUNT, (uint32_t)count);
	set_u64(p + INDEX_AT_BLOB, buf_len(&w->blob));
	set_u64(p + INDEX_AT_SECONDS, (uint64_t)now->tv_sec);
	set_u32(p + INDEX_AT_NS, (uint32_t)now->tv_nsec);
	return index_digest(p, buf_len(out), p + INDEX_AT_DIGEST);
}

/* Has TEMP still the file FD is of? Who had the lock before may have renamed it. */
static bool is_same(int fd, const char *temp)
{
	struct stat a, b;

	return fstat(fd, &a) == 0 && lstat(temp, &b) == 0 && a.st_dev == b.st_dev &&
		a.st_ino == b.st_ino;
}

static int write_file(const struct buf *bytes, const char *temp, const char *path)
{
	CLEANUP_FD int fd = open(temp, O_WRONLY | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
	int r;

	if (fd < 0)
		return -errno;
	if (flock(fd, LOCK_EX | LOCK_NB) < 0 || !is_same(fd, temp))
		return -EBUSY;
	r = ftruncate(fd, 0) < 0 ? -errno : fs_write_all(fd, buf_bytes(bytes), buf_len(bytes));
	if (r == 0 && rename(temp, path) < 0)
		r = -errno;
	if (r < 0)
		unlink(temp);
	return r;
}

int index_writer_save(struct index_writer *w, const char *path, const struct timespec *now)
{
	char temp[PATH_MAX];
	struct buf bytes;
	int r;

	if (snprintf(temp, sizeof(temp), "%s.new", path) >= PATH_MAX)
		return -ENAMETOOLONG;
	buf_init(&bytes, INDEX_SIZE_MAX);
	r = assemble(w, now, &bytes);
	if (r == 0)
		r = write_file(&bytes, temp, path);
	buf_done(&bytes);
	return r;
}
