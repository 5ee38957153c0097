/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Manifests on disk; see manifest_file.h. The digest runs along with what is written, so a log that
 * goes on after a stop builds it from the entries it keeps: those were read, so their bytes are
 * known.
 */
#include "manifest_file.h"

#include "fsutil.h"
#include "util.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <time.h>

enum { PENDING_MAX = 64 * 1024, FLUSH_AT = 16 * 1024 };
#define FILE_MAX                                                                                   \
	((size_t)MANIFEST_HEAD_MAX + (size_t)MANIFEST_CHUNKS_MAX * MANIFEST_ENTRY +                \
		MANIFEST_TRAILER)

static int take_trailer(struct manifest *m, const uint8_t *bytes, size_t before)
{
	uint8_t digest[CODEC_HASH];
	uint64_t zeros = 0;

	if (manifest_get_trailer(bytes + before, &m->trailer) < 0 ||
		codec_hash(bytes, before + MANIFEST_TRAILER - CODEC_HASH, digest) < 0 ||
		memcmp(digest, m->trailer.digest, CODEC_HASH) != 0)
		return -EBADMSG;
	for (uint64_t i = 0; i < m->count; i++)
		zeros += m->entries[i].zero;
	if (m->trailer.chunks != m->count || m->trailer.zeros != zeros ||
		m->trailer.stored != m->at[m->count])
		return -EBADMSG;
	m->complete = true;
	return 0;
}

/* More than a whole one: -EBADMSG; anything less is one that was cut off. */
static int take_entries(struct manifest *m, const uint8_t *bytes, size_t len, size_t head)
{
	uint64_t chunks = manifest_chunks(&m->head);
	uint64_t there = (len - head) / MANIFEST_ENTRY;
	size_t whole = head + (size_t)chunks * MANIFEST_ENTRY + MANIFEST_TRAILER;

	if (len > whole)
		return -EBADMSG;
	m->count = MIN_OF(there, chunks);
	m->entries = calloc(m->count + 1, sizeof(*m->entries));
	m->at = calloc(m->count + 1, sizeof(*m->at));
	if (!m->entries || !m->at)
		return -ENOMEM;
	for (uint64_t i = 0; i < m->count; i++) {
		if (manifest_get_entry(
			    bytes + head + i * MANIFEST_ENTRY, m->head.chunk_size, &m->entries[i]))
			return -EBADMSG;
		m->at[i + 1] = m->at[i] + m->entries[i].stored;
	}
	return len == whole ? take_trailer(m, bytes, len - MANIFEST_TRAILER) : 0;
}

int manifest_read(const char *path, struct manifest *ret, struct err *err)
{
	struct manifest m = {0};
	CLEANUP_FREE char *bytes = NULL;
	CLEANUP_FD int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
	struct stat st;
	size_t len, head;
	int r;

	if (fd < 0 || fstat(fd, &st) < 0)
		return err_sys(err, errno, "%s", path);
	if (!S_ISREG(st.st_mode) || (uint64_t)st.st_size > FILE_MAX)
		return err_set(err, EBADMSG, "%s: not a manifest of lvm_copy", path);
	/* fs_read() takes as much memory as it is allowed: no more than there is. */
	r = fs_read(path, (size_t)st.st_size, &bytes, &len, err);
	if (r < 0)
		return r;
	if (manifest_get_head((uint8_t *)bytes, len, &m.head, &head) < 0)
		return err_set(err, EBADMSG, "%s: not a manifest of lvm_copy, or damaged", path);
	r = take_entries(&m, (uint8_t *)bytes, len, head);
	if (r < 0) {
		manifest_done(&m);
		return r == -ENOMEM ? err_sys(err, ENOMEM, "%s", path)
				    : err_set(err, EBADMSG, "%s: this manifest is damaged", path);
	}
	*ret = m;
	return 0;
}

void manifest_done(struct manifest *m)
{
	free(m->entries);
	free(m->at);
	*m = (struct manifest){0};
}

void manifest_log_init(struct manifest_log *l)
{
	*l = (struct manifest_log){.fd = -1};
	buf_init(&l->pending, PENDING_MAX);
}

void manifest_log_close(struct manifest_log *l)
{
	if (l->fd >= 0 && buf_len(&l->pending) > 0)
		fs_write_all(l->fd, buf_bytes(&l->pending), buf_len(&l->pending));
	fd_close(&l->fd);
	buf_done(&l->pending);
	EVP_MD_CTX_free(l->digest);
	manifest_log_init(l);
}

/* Hands what is pending to the file and the digest. */
int manifest_log_flush(struct manifest_log *l, struct err *err)
{
	size_t len = buf_len(&l->pending);
	int ret;

	if (buf_failed(&l->pending) ||
		EVP_DigestUpdate(l->digest, buf_bytes(&l->pending), len) != 1)
		return err_set(err, ENOMEM, "%s: out of memory", l->path);
	ret = fs_write_all(l->fd, buf_bytes(&l->pending), len);
	buf_clear(&l->pending);
	return ret < 0 ? err_sys(err, -ret, "%s", l->path) : 0;
}

int manifest_log_add(struct manifest_log *l, const struct manifest_entry *e, struct err *err)
{
	manifest_put_entry(&l->pending, e);
	l->totals.chunks++;
	l->totals.zeros += e->zero;
	l->totals.stored += e->stored;
	return buf_len(&l->pending) >= FLUSH_AT ? manifest_log_flush(l, err) : 0;
}

static int busy(const char *path, struct err *err)
{
	return err_set(err, EBUSY, "%s: another lvm_copy writes it", path);
}

int manifest_lock(const char *path, bool create, struct err *err)
{
	CLEANUP_FD int fd =
		open(path, O_WRONLY | O_CLOEXEC | O_NOFOLLOW | (create ? O_CREAT : 0), 0600);
	struct stat ours, there;
	int ret;

	if (fd < 0)
		return err_sys(err, errno, "%s", path);
	if (flock(fd, LOCK_EX | LOCK_NB) < 0)
		return errno == EWOULDBLOCK ? busy(path, err)
					    : err_sys(err, errno, "%s: cannot be locked", path);
	/* The other one may have renamed it while we opened it. */
	if (fstat(fd, &ours) < 0 || stat(path, &there) < 0 || ours.st_ino != there.st_ino ||
		ours.st_dev != there.st_dev)
		return busy(path, err);
	ret = fd;
	fd = -1;
	return ret;
}

int manifest_log_open(struct manifest_log *l, const char *path, const struct manifest_head *head,
	const struct manifest *kept, uint64_t count, struct err *err)
{
	int ret;

	l->path = path;
	l->digest = EVP_MD_CTX_new();
	if (!l->digest || EVP_DigestInit_ex(l->digest, EVP_sha256(), NULL) != 1)
		return err_set(err, ENOMEM, "%s: out of memory", path);
	l->fd = manifest_lock(path, true, err);
	if (l->fd < 0)
		return -err->code;
	/* Written anew even when it goes on: the same bytes, and no second way of doing it. */
	if (ftruncate(l->fd, 0) < 0)
		return err_sys(err, errno, "%s", path);
	manifest_put_head(&l->pending, head);
	ret = manifest_log_flush(l, err);
	for (uint64_t i = 0; ret == 0 && i < count; i++)
		ret = manifest_log_add(l, &kept->entries[i], err);
	return ret < 0 ? ret : manifest_log_flush(l, err);
}

int manifest_log_finish(struct manifest_log *l, bool readback, struct err *err)
{
	int ret = manifest_log_flush(l, err);

	if (ret < 0)
		return ret;
	l->totals.readback = readback;
	l->totals.completed = (uint64_t)time(NULL);
	manifest_put_trailer(&l->pending, &l->totals);
	ret = manifest_log_flush(l, err);
	if (ret < 0)
		return ret;
	if (EVP_DigestFinal_ex(l->digest, l->totals.digest, NULL) != 1)
		return err_set(err, EIO, "%s: the digest could not be made", l->path);
	ret = fs_write_all(l->fd, l->totals.digest, CODEC_HASH);
	if (ret == 0 && fsync(l->fd) < 0)
		ret = -errno;
	return ret < 0 ? err_sys(err, -ret, "%s", l->path) : 0;
}
