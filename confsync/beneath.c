/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Paths without links; see beneath.h. The kernel does it: openat2(2) refuses every link on the way,
 * so nothing is looked at first and opened later. Each call opens the root anew, which is that of
 * the process. A path that is not clean (path.h) is refused before the kernel sees it.
 */
#include "beneath.h"

#include "path.h"
#include "util.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/openat2.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

enum { SECRET_MODE = 0600, TRIES = 8 };

int beneath_openat(int folder, const char *name, int flags)
{
	struct open_how how = {
		.flags = (uint64_t)flags | O_CLOEXEC,
		.resolve = RESOLVE_BENEATH | RESOLVE_NO_SYMLINKS | RESOLVE_NO_MAGICLINKS,
	};
	unsigned again = 0;
	long fd;

	/* With both, a link would be -ENOTDIR, as a file is; it is not followed in any case. */
	if (!(flags & O_DIRECTORY))
		how.flags |= O_NOFOLLOW;
	if (!(flags & O_PATH))
		how.flags |= O_NONBLOCK | O_NOCTTY;
	if (flags & O_CREAT)
		how.mode = SECRET_MODE;
	/* -EAGAIN is also said while somebody holds a lease of the file (fcntl(2)). */
	do
		fd = syscall(SYS_openat2, folder, name, &how, sizeof(how));
	while (fd < 0 && (errno == EINTR || (errno == EAGAIN && ++again < TRIES)));
	return fd < 0 ? -errno : (int)fd;
}

static int open_root(void)
{
	int fd = open("/", O_PATH | O_DIRECTORY | O_CLOEXEC);

	return fd < 0 ? -errno : fd;
}

/* The part of PATH that is relative to the root; "." is the root itself. */
static const char *relative(const char *path)
{
	return path[1] ? path + 1 : ".";
}

static bool is_good(const char *path)
{
	return strlen(path) <= PATH_BYTES_MAX && path_is_clean(path);
}

int beneath_parent(const char *path, const char **name)
{
	CLEANUP_FD int root = -1;
	char above[PATH_BYTES_MAX + 1] = "/";
	const char *slash = strrchr(path, '/');
	int fd;

	if (!is_good(path))
		return -EINVAL;
	if (slash > path) {
		memcpy(above, path, (size_t)(slash - path));
		above[slash - path] = 0;
	}
	root = open_root();
	if (root < 0)
		return root;
	fd = beneath_openat(root, relative(above), O_PATH | O_DIRECTORY);
	if (fd >= 0)
		*name = slash + 1;
	return fd;
}

int beneath_open(const char *path, int flags)
{
	CLEANUP_FD int root = -1;

	if (strcmp(path, "/") != 0 && !is_good(path))
		return -EINVAL;
	root = open_root();
	return root < 0 ? root : beneath_openat(root, relative(path), flags);
}

int beneath_stat(const char *path, struct stat *ret)
{
	CLEANUP_FD int fd = beneath_open(path, O_PATH);
	struct stat st;

	if (fd < 0)
		return fd;
	if (fstat(fd, &st) < 0)
		return -errno;
	*ret = st;
	return 0;
}

/* The folder NAME of FOLDER, made if it is not there; then it is also durable. */
static int enter(int folder, const char *name, bool *made)
{
	int fd = beneath_openat(folder, name, O_RDONLY | O_DIRECTORY);

	*made = false;
	if (fd != -ENOENT)
		return fd;
	if (mkdirat(folder, name, 0755) == 0)
		*made = true;
	else if (errno != EEXIST) /* another one was faster */
		return -errno;
	fd = beneath_openat(folder, name, O_RDONLY | O_DIRECTORY);
	if (fd >= 0 && *made && fsync(folder) < 0) {
		int r = -errno;

		close(fd);
		return r;
	}
	return fd;
}

/* Takes back what was made before something failed: COUNT folders, PATH is the deepest of them. */
static void unmake(char *path, unsigned count)
{
	for (; count > 0; count--) {
		const char *name;
		int parent = beneath_parent(path, &name);

		if (parent < 0)
			return;
		unlinkat(parent, name, AT_REMOVEDIR);
		close(parent);
		*strrchr(path, '/') = 0;
	}
}

/* Each folder above the last component of PATH. Afterwards PATH is the deepest one that is there.
 */
static int descend(char *path, unsigned *made)
{
	int fd = open("/", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	char *name = path + 1, *slash;

	if (fd < 0)
		return -errno;
	while ((slash = strchr(name, '/'))) {
		bool new;
		int next;

		*slash = 0;
		next = enter(fd, name, &new);
		close(fd);
		*made += new;
		if (next < 0 && !new)
			name[-1] = 0;
		if (next < 0)
			return next;
		fd = next;
		*slash = '/';
		name = slash + 1;
	}
	name[-1] = 0;
	close(fd);
	return 0;
}

int beneath_make_parents(const char *path, unsigned *made)
{
	char work[PATH_BYTES_MAX + 1];
	unsigned count = 0;
	int r;

	if (!is_good(path))
		return -EINVAL;
	memcpy(work, path, strlen(path) + 1);
	r = descend(work, &count);
	if (r < 0)
		unmake(work, count);
	else
		*made = count;
	return r;
}
