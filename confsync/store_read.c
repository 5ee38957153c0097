/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Contents that are taken out of the store; see store.h. A content with a wrong hash is a damaged
 * disk or somebody's edit: it is removed at once, so that nobody builds on it and the next transfer
 * brings it again.
 */
#include "store.h"

#include "fsutil.h"
#include "store_name.h"
#include "util.h"

#include <errno.h>
#include <fcntl.h>
#include <openssl/evp.h>
#include <string.h>
#include <sys/stat.h>

enum { PIECE = 128 * 1024 };

static int open_content(const char *path, uint64_t *size)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);
	struct stat st;
	int r;

	if (fd < 0)
		return -errno;
	r = fstat(fd, &st) < 0 ? -errno : S_ISREG(st.st_mode) ? 0 : -EINVAL;
	if (r < 0) {
		close(fd);
		return r;
	}
	*size = (uint64_t)st.st_size;
	return fd;
}

int store_open(const char *folder, const uint8_t hash[MANIFEST_HASH])
{
	char sub[PATH_MAX], path[PATH_MAX];
	uint64_t size;

	return store_name(folder, hash, sub, path) ? open_content(path, &size) : -ENAMETOOLONG;
}

static int damaged(const char *path, struct err *err)
{
	unlink(path);
	return err_set(err, EBADMSG, "%s: damaged content, removed", path);
}

/* SIZE bytes of FROM go to TO and into MD. -EBADMSG: there are less. */
static int copy(int from, int to, uint64_t size, EVP_MD_CTX *md)
{
	CLEANUP_FREE uint8_t *piece = malloc(PIECE);
	int r = piece ? 0 : -ENOMEM;

	for (uint64_t at = 0; r == 0 && at < size;) {
		ssize_t n = fs_read_at(from, piece, MIN_OF((uint64_t)PIECE, size - at), (off_t)at);

		if (n <= 0)
			return n == 0 || n == -EIO ? -EBADMSG : (int)n;
		if (!EVP_DigestUpdate(md, piece, (size_t)n))
			return -ENOMEM;
		r = fs_write_all(to, piece, (size_t)n);
		at += (uint64_t)n;
	}
	return r;
}

static int copy_and_compare(int from, int to, uint64_t size, const uint8_t hash[MANIFEST_HASH])
{
	EVP_MD_CTX *md = EVP_MD_CTX_new();
	uint8_t found[EVP_MAX_MD_SIZE];
	int r = md && EVP_DigestInit_ex(md, EVP_sha256(), NULL) ? 0 : -ENOMEM;

	if (r == 0)
		r = copy(from, to, size, md);
	if (r == 0 && !EVP_DigestFinal_ex(md, found, NULL))
		r = -ENOMEM;
	if (r == 0 && memcmp(found, hash, MANIFEST_HASH) != 0)
		r = -EBADMSG;
	EVP_MD_CTX_free(md);
	return r;
}

int store_copy_to(const char *folder, const uint8_t hash[MANIFEST_HASH], uint64_t size, int fd,
	struct err *err)
{
	char sub[PATH_MAX], path[PATH_MAX];
	CLEANUP_FD int from = -1;
	uint64_t there = 0;
	int r;

	if (!store_name(folder, hash, sub, path))
		return err_sys(err, ENAMETOOLONG, "%s", folder);
	from = open_content(path, &there);
	if (from < 0)
		return err_sys(err, -from, "%s", path);
	r = there == size ? copy_and_compare(from, fd, size, hash) : -EBADMSG;
	if (r == -EBADMSG)
		return damaged(path, err);
	return r < 0 ? err_sys(err, -r, "copying %s", path) : 0;
}
