/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Trees; see tree.h. Used for folders that somebody else may still write to, so names that vanish
 * or appear on the way are no failure, and links are removed, never followed. Depth is limited by
 * paths of manifests for ours, and by TREE_DEPTH_MAX for what others have put there.
 */
#include "tree.h"

#include "util.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>

enum { TREE_DEPTH_MAX = 256 };

struct names {
	char **items;
	size_t count, room;
};

static int add(struct names *n, const char *name)
{
	if (n->count == n->room) {
		size_t room = n->room ? n->room * 2 : 64;
		char **more = reallocarray(n->items, room, sizeof(*more));

		if (!more)
			return -ENOMEM;
		n->items = more;
		n->room = room;
	}
	n->items[n->count] = strdup(name);
	if (!n->items[n->count])
		return -ENOMEM;
	n->count++;
	return 0;
}

static void drop(struct names *n)
{
	for (size_t i = 0; i < n->count; i++)
		free(n->items[i]);
	free(n->items);
}

/* Closes FD. */
static int read_names(int fd, struct names *ret)
{
	DIR *d = fdopendir(fd);
	struct dirent *e;
	int r = 0;

	if (!d) {
		r = -errno;
		close(fd);
		return r;
	}
	while (r == 0 && (errno = 0, e = readdir(d))) {
		if (strcmp(e->d_name, ".") != 0 && strcmp(e->d_name, "..") != 0)
			r = add(ret, e->d_name);
	}
	if (r == 0)
		r = -errno;
	closedir(d);
	return r;
}

int tree_names(int fd, int (*fn)(void *arg, const char *name), void *arg)
{
	int own = openat(fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	struct names n = {0};
	int r = own < 0 ? -errno : read_names(own, &n);

	for (size_t i = 0; i < n.count && r == 0; i++)
		r = fn(arg, n.items[i]);
	drop(&n);
	return r;
}

struct removal {
	int fd, first;
	unsigned depth;
};

static int remove_at(int parent, const char *name, unsigned depth);

static int remove_in(void *arg, const char *name)
{
	struct removal *m = arg;
	int r = remove_at(m->fd, name, m->depth + 1);

	if (m->first == 0)
		m->first = r;
	return 0;
}

static int remove_folder(int parent, const char *name, unsigned depth)
{
	CLEANUP_FD int fd = openat(parent, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	struct removal m = {.fd = fd, .depth = depth};
	int r;

	if (fd < 0)
		return errno == ENOENT ? 0 : -errno;
	if (depth >= TREE_DEPTH_MAX)
		return -ELOOP;
	r = tree_names(fd, remove_in, &m);
	if (m.first < 0)
		return m.first;
	if (unlinkat(parent, name, AT_REMOVEDIR) < 0 && errno != ENOENT)
		return -errno;
	return r;
}

static int remove_at(int parent, const char *name, unsigned depth)
{
	if (unlinkat(parent, name, 0) == 0 || errno == ENOENT)
		return 0;
	return errno == EISDIR ? remove_folder(parent, name, depth) : -errno;
}

int tree_remove(int parent, const char *name)
{
	struct stat st;

	/* of a read-only file system unlink(2) does not say that nothing is there */
	if (fstatat(parent, name, &st, AT_SYMLINK_NOFOLLOW) < 0 && errno == ENOENT)
		return 0;
	return remove_at(parent, name, 0);
}
