/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Contents by their hash; see store.h. A content gets its name only after its bytes were hashed and
 * synced, so what has a name is whole. Until then it is FOLDER/new.XXXXXX, locked by who writes it:
 * store_clean.c removes those that nobody holds. A batch of many has one sync of the file system,
 * asked for with a file that was opened before any of it was written, so that no error is missed.
 */
#include "store.h"

#include "fsutil.h"
#include "store_name.h"
#include "util.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <openssl/evp.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>

enum { PIECE = 128 * 1024, SYNC_SINGLE_MAX = 8 };

struct store_writer {
	uint8_t hash[MANIFEST_HASH];
	uint64_t size, left; /* bytes: of it; that are still to come */
	bool present;        /* it is there already: bytes are only looked at */
	int fd;
	EVP_MD_CTX *md;
	char temp[PATH_MAX];
	char folder[PATH_MAX], path[PATH_MAX]; /* where it will be */
};

bool store_name(const char *folder, const uint8_t hash[MANIFEST_HASH], char sub[PATH_MAX],
	char path[PATH_MAX])
{
	char hex[MANIFEST_HEX];

	hash_to_hex(hash, hex);
	return snprintf(sub, PATH_MAX, "%s/%.2s", folder, hex) < PATH_MAX &&
		snprintf(path, PATH_MAX, "%s/%.2s/%s", folder, hex, hex + 2) < PATH_MAX;
}

bool store_has(const char *folder, const uint8_t hash[MANIFEST_HASH])
{
	char sub[PATH_MAX], path[PATH_MAX];
	struct stat st;

	return store_name(folder, hash, sub, path) && lstat(path, &st) == 0 && S_ISREG(st.st_mode);
}

/* Writing. */

static int make_folder(const char *path, struct err *err)
{
	if (mkdir(path, 0700) < 0 && errno != EEXIST)
		return err_sys(err, errno, "folder %s", path);
	return 0;
}

/* Room for all of it is asked for at once: better now than after a long transfer. */
static int open_temp(struct store_writer *w, const char *folder, struct err *err)
{
	if (snprintf(w->temp, sizeof(w->temp), "%s/" STORE_TEMP "XXXXXX", folder) >= PATH_MAX)
		return err_sys(err, ENAMETOOLONG, "%s", folder);
	w->fd = mkostemp(w->temp, O_CLOEXEC);
	if (w->fd < 0 || flock(w->fd, LOCK_EX) < 0)
		return err_sys(err, errno, "store %s: no file can be made", folder);
	if (w->left > 0 && fallocate(w->fd, FALLOC_FL_KEEP_SIZE, 0, (off_t)w->left) < 0 &&
		(errno == ENOSPC || errno == EDQUOT || errno == EFBIG))
		return err_sys(err, errno, "store %s: a file of %llu bytes", folder,
			(unsigned long long)w->left);
	return 0;
}

static int begin(struct store_writer *w, const char *folder, struct err *err)
{
	int r;

	w->md = EVP_MD_CTX_new();
	if (!w->md || !EVP_DigestInit_ex(w->md, EVP_sha256(), NULL))
		return err_sys(err, ENOMEM, "store %s", folder);
	if (w->left > STORE_SIZE_MAX)
		return err_set(err, EFBIG, "store %s: a file of %llu bytes, at most %llu may be",
			folder, (unsigned long long)w->left, (unsigned long long)STORE_SIZE_MAX);
	if (!store_name(folder, w->hash, w->folder, w->path))
		return err_sys(err, ENAMETOOLONG, "%s", folder);
	w->present = store_has(folder, w->hash);
	if (w->present)
		return 0;
	r = make_folder(folder, err);
	if (r == 0)
		r = make_folder(w->folder, err);
	return r < 0 ? r : open_temp(w, folder, err);
}

static int writer_new(const char *folder, const uint8_t hash[MANIFEST_HASH], uint64_t size,
	struct store_writer **ret, struct err *err)
{
	struct store_writer *w = calloc(1, sizeof(*w));
	int r;

	if (!w)
		return err_sys(err, ENOMEM, "store %s", folder);
	w->fd = -1;
	w->size = w->left = size;
	memcpy(w->hash, hash, MANIFEST_HASH);
	r = begin(w, folder, err);
	if (r < 0)
		store_writer_drop(w);
	else
		*ret = w;
	return r;
}

struct store_writer *store_writer_new(
	const char *folder, const uint8_t hash[MANIFEST_HASH], uint64_t size, struct err *err)
{
	struct store_writer *w = NULL;

	writer_new(folder, hash, size, &w, err);
	return w;
}

int store_writer_put(struct store_writer *w, const void *bytes, size_t len, struct err *err)
{
	int r;

	if (len > w->left)
		return err_set(err, EBADMSG, "%s: more bytes than were announced", w->path);
	if (len == 0)
		return 0;
	if (!EVP_DigestUpdate(w->md, bytes, len))
		return err_sys(err, ENOMEM, "%s", w->path);
	r = w->present ? 0 : fs_write_all(w->fd, bytes, len);
	if (r < 0)
		return err_sys(err, -r, "%s", w->path);
	w->left -= len;
	return 0;
}

/* Is it all of what was announced? */
static int check(struct store_writer *w, struct err *err)
{
	uint8_t found[EVP_MAX_MD_SIZE];

	if (w->left > 0)
		return err_set(err, EBADMSG, "%s: %llu bytes are missing", w->path,
			(unsigned long long)w->left);
	if (!EVP_DigestFinal_ex(w->md, found, NULL))
		return err_sys(err, ENOMEM, "%s", w->path);
	if (memcmp(found, w->hash, MANIFEST_HASH) != 0)
		return err_set(
			err, EBADMSG, "%s: another content came than was announced", w->path);
	return 0;
}

void store_writer_drop(struct store_writer *w)
{
	if (!w)
		return;
	if (w->fd >= 0 && w->temp[0])
		unlink(w->temp);
	fd_close(&w->fd);
	EVP_MD_CTX_free(w->md);
	free(w);
}

/* To the end of FD or of what was announced; what is more shows by one byte too many. */
static int put_all(struct store_writer *w, int fd, uint64_t size, struct err *err)
{
	CLEANUP_FREE uint8_t *piece = malloc(PIECE);
	uint64_t at = 0;
	int r = piece ? 0 : err_sys(err, ENOMEM, "%s", w->path);

	while (r == 0 && at <= size) {
		ssize_t n =
			fs_read_at(fd, piece, MIN_OF((uint64_t)PIECE, size + 1 - at), (off_t)at);

		if (n < 0)
			return err_sys(err, (int)-n, "reading a file for %s", w->path);
		if (n == 0)
			break;
		r = store_writer_put(w, piece, (size_t)n, err);
		at += (uint64_t)n;
	}
	return r;
}

/* Batches. */

void store_batch_init(struct store_batch *b, const char *folder)
{
	*b = (struct store_batch){.folder = folder};
}

void store_batch_drop(struct store_batch *b)
{
	while (b->count > 0)
		store_writer_drop(b->waiting[--b->count]);
	b->bytes = 0;
}

/* A whole file system waits for what others wrote to it, too, but commits once. */
static int sync_all(const struct store_batch *b)
{
	if (b->count > SYNC_SINGLE_MAX)
		return syncfs(b->waiting[0]->fd) < 0 ? -errno : 0;
	for (size_t i = 0; i < b->count; i++) {
		if (fsync(b->waiting[i]->fd) < 0)
			return -errno;
	}
	return 0;
}

static int name(struct store_writer *w, struct err *err)
{
	if (rename(w->temp, w->path) < 0)
		return err_sys(err, errno, "%s", w->path);
	w->temp[0] = 0;
	return 0;
}

int store_batch_name(struct store_batch *b, struct err *err)
{
	int r = sync_all(b);

	if (r < 0)
		err_sys(err, -r, "store %s: contents could not be made durable", b->folder);
	for (size_t i = 0; i < b->count && r == 0; i++)
		r = name(b->waiting[i], err);
	store_batch_drop(b);
	return r;
}

bool store_batch_has(const struct store_batch *b, const uint8_t hash[MANIFEST_HASH])
{
	for (size_t i = 0; i < b->count; i++) {
		if (memcmp(b->waiting[i]->hash, hash, MANIFEST_HASH) == 0)
			return true;
	}
	return store_has(b->folder, hash);
}

static int wait_in(struct store_batch *b, struct store_writer *w, struct err *err)
{
	b->waiting[b->count++] = w;
	b->bytes += w->size;
	return b->count == STORE_BATCH_MAX || b->bytes >= STORE_BATCH_BYTES
		? store_batch_name(b, err)
		: 0;
}

int store_writer_end(struct store_writer *w, struct store_batch *b, struct err *err)
{
	int r = check(w, err);

	if (r == 0 && !w->present)
		return wait_in(b, w, err);
	store_writer_drop(w);
	return r;
}

int store_batch_file(struct store_batch *b, int fd, const uint8_t hash[MANIFEST_HASH],
	uint64_t size, struct err *err)
{
	struct store_writer *w;
	int r;

	if (store_batch_has(b, hash))
		return 0;
	r = writer_new(b->folder, hash, size, &w, err);
	if (r < 0)
		return r;
	r = put_all(w, fd, size, err);
	if (r == 0)
		r = store_writer_end(w, b, err);
	else
		store_writer_drop(w);
	if (r == -EBADMSG)
		return err_set(err, EAGAIN, "a file was changed while it was copied");
	return r;
}

int store_batch_end(struct store_batch *b, struct err *err)
{
	int r = store_batch_name(b, err);

	if (r < 0)
		return r;
	r = store_sync(b->folder);
	return r < 0 ? err_sys(err, -r, "%s", b->folder) : 0;
}

int store_add_file(const char *folder, int fd, const uint8_t hash[MANIFEST_HASH], uint64_t size,
	struct err *err)
{
	struct store_batch b;
	int r;

	store_batch_init(&b, folder);
	r = store_batch_file(&b, fd, hash, size, err);
	return r == 0 ? store_batch_name(&b, err) : r;
}
