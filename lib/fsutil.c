/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Durable replacement of small files; see fsutil.h. */
#include "fsutil.h"

#include "util.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

static void folder_of(const char *path, char out[PATH_MAX])
{
	const char *slash = strrchr(path, '/');

	if (!slash)
		snprintf(out, PATH_MAX, ".");
	else
		snprintf(out, PATH_MAX, "%.*s", slash == path ? 1 : (int)(slash - path), path);
}

int fs_make_folder_of(const char *path, mode_t mode, struct err *err)
{
	char folder[PATH_MAX];

	folder_of(path, folder);
	if (mkdir(folder, mode) < 0 && errno != EEXIST)
		return err_sys(err, errno, "folder %s", folder);
	return 0;
}

int fs_write_all(int fd, const void *bytes, size_t len)
{
	const char *p = bytes;

	while (len > 0) {
		ssize_t n = write(fd, p, len);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return -errno;
		p += n;
		len -= (size_t)n;
	}
	return 0;
}

static int write_synced(const char *path, const void *bytes, size_t len, mode_t mode)
{
	CLEANUP_FD int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, mode);
	int ret;

	if (fd < 0)
		return -errno;
	ret = fchmod(fd, mode) < 0 ? -errno : fs_write_all(fd, bytes, len);
	if (ret == 0 && fsync(fd) < 0)
		ret = -errno;
	return ret;
}

static int sync_folder_of(const char *path)
{
	char folder[PATH_MAX];
	CLEANUP_FD int fd = -1;

	folder_of(path, folder);
	fd = open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	return fd < 0 || fsync(fd) < 0 ? -errno : 0;
}

int fs_replace(const char *path, const void *bytes, size_t len, mode_t mode, struct err *err)
{
	char temp[PATH_MAX], real[PATH_MAX];
	int ret = fs_make_folder_of(path, 0755, err);

	if (ret < 0)
		return ret;
	if (!realpath(path, real))
		snprintf(real, sizeof(real), "%s", path);
	if (snprintf(temp, sizeof(temp), "%s.new", real) >= (int)sizeof(temp))
		return err_sys(err, ENAMETOOLONG, "%s", path);
	ret = write_synced(temp, bytes, len, mode);
	if (ret == 0 && rename(temp, real) < 0)
		ret = -errno;
	if (ret < 0)
		unlink(temp);
	else
		ret = sync_folder_of(real);
	return ret < 0 ? err_sys(err, -ret, "%s: not saved, the old content is kept", path) : 0;
}

ssize_t fs_read_at(int fd, void *bytes, size_t room, off_t at)
{
	size_t used = 0;

	while (used < room) {
		ssize_t n = pread(fd, (char *)bytes + used, room - used, at + (off_t)used);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return -errno;
		if (n == 0)
			break;
		used += (size_t)n;
	}
	return (ssize_t)used;
}

static int read_all(int fd, size_t max, char **ret, size_t *ret_len)
{
	char *p = malloc(max + 1);
	ssize_t n = p ? fs_read_at(fd, p, max + 1, 0) : -ENOMEM;

	if (n < 0 || (size_t)n > max) {
		free(p);
		return n < 0 ? (int)n : -EFBIG;
	}
	p[n] = 0;
	*ret = p;
	*ret_len = (size_t)n;
	return 0;
}

int fs_read(const char *path, size_t max, char **ret, size_t *ret_len, struct err *err)
{
	CLEANUP_FD int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
	struct stat st;
	int r;

	if (fd < 0 || fstat(fd, &st) < 0)
		return err_sys(err, errno, "%s", path);
	if (!S_ISREG(st.st_mode))
		return err_set(err, EINVAL, "%s: not a regular file", path);
	if ((uint64_t)st.st_size > max)
		return err_set(err, EFBIG, "%s: larger than %zu bytes", path, max);
	r = read_all(fd, max, ret, ret_len);
	return r < 0 ? err_sys(err, -r, "%s", path) : 0;
}

char *fs_absolute(const char *path)
{
	CLEANUP_FREE char *cwd = NULL;
	char *joined;

	if (!*path)
		return NULL;
	while (path[0] == '.' && path[1] == '/')
		path += 1 + strspn(path + 1, "/"); /* ".//a" is not "/a" */
	if (*path == '/')
		return strdup(path);
	cwd = getcwd(NULL, 0);
	if (!cwd || asprintf(&joined, "%s/%s", cwd, path) < 0)
		return NULL;
	return joined;
}

/* The longest part of PATH that exists, and *rest: what follows it there. */
static char *real_part(const char *path, const char **rest)
{
	CLEANUP_FREE char *part = strdup(path);
	size_t len = strlen(path);
	char *real = NULL;

	while (part && !(real = realpath(len ? part : "/", NULL)) && errno != ENOMEM && len > 0) {
		while (len > 0 && part[len - 1] == '/')
			len--;
		while (len > 0 && part[len - 1] != '/')
			len--;
		part[len] = 0;
	}
	*rest = path + len;
	return real;
}

/* To PATH, which has room for it. Nothing of it exists, so ".." means what it seems to. */
static void append(char *path, const char *rest)
{
	size_t at = strcmp(path, "/") == 0 ? 0 : strlen(path), len;

	for (; *rest; rest += len) {
		rest += strspn(rest, "/");
		len = strcspn(rest, "/");
		if (len == 2 && memcmp(rest, "..", 2) == 0) {
			while (at > 0 && path[--at] != '/')
				;
		} else if (len > 1 || (len == 1 && *rest != '.')) {
			path[at++] = '/';
			memcpy(path + at, rest, len);
			at += len;
		}
	}
	path[at ? at : 1] = 0;
}

char *fs_real(const char *path)
{
	CLEANUP_FREE char *whole = fs_absolute(path), *real = NULL;
	const char *rest;
	char *ret;

	real = whole ? real_part(whole, &rest) : NULL;
	ret = real ? malloc(strlen(real) + strlen(rest) + 2) : NULL;
	if (!ret)
		return NULL;
	memcpy(ret, real, strlen(real) + 1);
	append(ret, rest);
	return ret;
}

void fs_settle(const char **path)
{
	char *absolute = *path ? fs_absolute(*path) : NULL;

	if (absolute)
		*path = absolute;
}
