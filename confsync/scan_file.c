/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * One file of a scan: what it has. Times before and after reading must be the same, so that hash,
 * size, owner and attributes are of one moment; what changes meanwhile is read again. Never more is
 * read than the file had at first.
 */
#include "scan_walk.h"

#include "beneath.h"
#include "fsutil.h"
#include "util.h"

#include <errno.h>
#include <fcntl.h>
#include <openssl/evp.h>
#include <string.h>

enum { PIECE = 128 * 1024, TRIES = 3 };

static int hash_pieces(int fd, uint64_t most, EVP_MD_CTX *md, uint64_t *size)
{
	CLEANUP_FREE uint8_t *piece = malloc(PIECE);

	*size = 0;
	while (piece && *size < most) {
		ssize_t n =
			fs_read_at(fd, piece, MIN_OF((uint64_t)PIECE, most - *size), (off_t)*size);

		if (n <= 0)
			return (int)n;
		if (!EVP_DigestUpdate(md, piece, (size_t)n))
			return -ENOMEM;
		*size += (uint64_t)n;
	}
	return piece ? 0 : -ENOMEM;
}

static int hash_most(int fd, uint64_t most, uint8_t ret[MANIFEST_HASH], uint64_t *size)
{
	EVP_MD_CTX *md = EVP_MD_CTX_new();
	uint8_t found[EVP_MAX_MD_SIZE];
	uint64_t len = 0;
	int r = md && EVP_DigestInit_ex(md, EVP_sha256(), NULL) ? 0 : -ENOMEM;

	if (r == 0)
		r = hash_pieces(fd, most, md, &len);
	if (r == 0 && !EVP_DigestFinal_ex(md, found, NULL))
		r = -ENOMEM;
	EVP_MD_CTX_free(md);
	if (r < 0)
		return r;
	memcpy(ret, found, MANIFEST_HASH);
	*size = len;
	return 0;
}

int scan_hash(int fd, uint8_t ret[MANIFEST_HASH], uint64_t *size)
{
	return hash_most(fd, INT64_MAX, ret, size);
}

static bool same_time(const struct timespec *a, const struct timespec *b)
{
	return a->tv_sec == b->tv_sec && a->tv_nsec == b->tv_nsec;
}

static bool is_same(const struct stat *a, const struct stat *b)
{
	return a->st_dev == b->st_dev && a->st_ino == b->st_ino && a->st_size == b->st_size &&
		same_time(&a->st_mtim, &b->st_mtim) && same_time(&a->st_ctim, &b->st_ctim);
}

/* -EAGAIN: it changes. */
static int read_once(
	struct scan_walk *w, int folder, const char *name, struct stat *st, struct entry *e)
{
	CLEANUP_FD int fd = beneath_openat(folder, name, O_RDONLY);
	struct stat before, after;
	uint64_t size;
	int r;

	if (fd < 0)
		return fd == -ELOOP ? -EAGAIN : fd; /* it was no link just now */
	if (fstat(fd, &before) < 0)
		return -errno;
	if (!S_ISREG(before.st_mode))
		return -EAGAIN;
	if ((uint64_t)before.st_size > SCAN_BYTES_MAX)
		return -EFBIG;
	r = hash_most(fd, (uint64_t)before.st_size + 1, e->hash, &size);
	if (r == 0)
		r = meta_read_attrs(w->names, fd, e);
	if (r < 0)
		return r;
	if (fstat(fd, &after) < 0)
		return -errno;
	if (!is_same(&before, &after) || size != (uint64_t)before.st_size)
		return -EAGAIN;
	*st = after;
	return 0;
}

static int read_file(
	struct scan_walk *w, int folder, const char *name, struct stat *st, struct entry *e)
{
	int r = -EAGAIN;

	for (int i = 0; i < TRIES && r == -EAGAIN; i++)
		r = read_once(w, folder, name, st, e);
	w->out->hashed += r == 0;
	if (r == -EAGAIN)
		return err_set(w->err, EAGAIN, "%s: changes while it is read; try again", w->path);
	if (r == -ENOMEM)
		return err_sys(w->err, ENOMEM, "%s", w->path);
	if (r < 0 && r != -ENOENT)
		scan_fault(w, "cannot be read: %s", strerror(-r));
	return r < 0;
}

/* Names in ACLs may change without the file. */
static bool has_acl(const struct entry *e)
{
	for (size_t i = 0; i < e->attr_count; i++)
		if (strncmp(e->attrs[i].name, "acl.", 4) == 0)
			return true;
	return false;
}

static int renew_attrs(
	struct scan_walk *w, int folder, const char *name, const struct stat *st, struct entry *e)
{
	CLEANUP_FD int fd = beneath_openat(folder, name, O_RDONLY);
	struct stat now;

	if (fd < 0 || fstat(fd, &now) < 0 || !is_same(&now, st))
		return -EAGAIN;
	return meta_read_attrs(w->names, fd, e);
}

int scan_file(struct scan_walk *w, int folder, const char *name, struct stat *st, struct entry *e)
{
	if (w->known && index_find(w->known, w->path, st, e)) {
		if (!has_acl(e) || renew_attrs(w, folder, name, st, e) == 0)
			return 0;
		entry_drop_attrs(e);
	}
	return read_file(w, folder, name, st, e);
}
