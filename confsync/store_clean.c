/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The store as a whole; see store.h. Only what has a name of ours is ever removed: contents that
 * nothing needs, and what a killed writer has left (nobody holds its lock).
 */
#include "store.h"

#include "store_name.h"
#include "util.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>

enum { SUB_LEN = 2, REST_LEN = MANIFEST_HEX - 1 - SUB_LEN };

struct wanted {
	const uint8_t (*hashes)[MANIFEST_HASH]; /* sorted */
	size_t count;
};

static bool is_hex(const char *name, size_t len)
{
	return strlen(name) == len && strspn(name, "0123456789abcdef") == len;
}

static DIR *open_folder(int at, const char *name)
{
	int fd = openat(at, name, O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW);
	DIR *d = fd < 0 ? NULL : fdopendir(fd);

	if (fd >= 0 && !d)
		close(fd);
	return d;
}

/* Calls FN for each folder ab; the first failure ends it. No store: 0. */
static int for_each_sub(
	const char *folder, int (*fn)(int at, const char *sub, void *arg), void *arg)
{
	DIR *d = open_folder(AT_FDCWD, folder);
	struct dirent *e;
	int r = 0;

	if (!d)
		return errno == ENOENT ? 0 : -errno;
	while (r == 0 && (e = readdir(d)))
		if (is_hex(e->d_name, SUB_LEN))
			r = fn(dirfd(d), e->d_name, arg);
	closedir(d);
	return r;
}

static int sync_folder(int at, const char *name, void *arg)
{
	CLEANUP_FD int fd = openat(at, name, O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW);

	(void)arg;
	if (fd < 0)
		return errno == ENOENT ? 0 : -errno;
	return fsync(fd) < 0 ? -errno : 0;
}

int store_sync(const char *folder)
{
	int r = for_each_sub(folder, sync_folder, NULL);

	return r < 0 ? r : sync_folder(AT_FDCWD, folder, NULL);
}

static int compare(const void *a, const void *b)
{
	return memcmp(a, b, MANIFEST_HASH);
}

/* Of names that is_hex() has looked at. */
static bool is_wanted(const struct wanted *w, const char *sub, const char *rest)
{
	char hex[MANIFEST_HEX];
	uint8_t hash[MANIFEST_HASH];

	memcpy(hex, sub, SUB_LEN);
	memcpy(hex + SUB_LEN, rest, REST_LEN + 1);
	return hash_from_hex(hex, MANIFEST_HEX - 1, hash) < 0 ||
		(w->count && bsearch(hash, w->hashes, w->count, MANIFEST_HASH, compare));
}

static int clean_sub(int at, const char *sub, void *arg)
{
	const struct wanted *w = arg;
	DIR *d = open_folder(at, sub);
	struct dirent *e;
	int r = 0;

	if (!d)
		return errno == ENOTDIR || errno == ELOOP ? 0 : -errno;
	while (r == 0 && (e = readdir(d)))
		if (is_hex(e->d_name, REST_LEN) && !is_wanted(w, sub, e->d_name) &&
			unlinkat(dirfd(d), e->d_name, 0) < 0 && errno != ENOENT)
			r = -errno;
	closedir(d);
	return r;
}

static void drop_if_left(int at, const char *name)
{
	CLEANUP_FD int fd = openat(at, name, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);

	if (fd >= 0 && flock(fd, LOCK_EX | LOCK_NB) == 0)
		unlinkat(at, name, 0);
}

static void clean_temps(const char *folder)
{
	DIR *d = open_folder(AT_FDCWD, folder);
	struct dirent *e;

	while (d && (e = readdir(d)))
		if (strncmp(e->d_name, STORE_TEMP, strlen(STORE_TEMP)) == 0)
			drop_if_left(dirfd(d), e->d_name);
	if (d)
		closedir(d);
}

int store_clean(const char *folder, const uint8_t (*keep)[MANIFEST_HASH], size_t count)
{
	struct wanted w = {.hashes = keep, .count = count};

	clean_temps(folder);
	return for_each_sub(folder, clean_sub, &w);
}
