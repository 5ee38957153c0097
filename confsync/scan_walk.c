/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Walking folders for a scan: by descriptors, one component at a time, never through a link. A
 * folder is entered if it is in the set or something in it may be; it is an entry only in the first
 * case. A file that is known costs one call (fstatat), a folder some more. Depth is bounded by
 * PATH_DEPTH_MAX, so recursion is too.
 */
#include "scan_walk.h"

#include "beneath.h"
#include "util.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>

static int visit(struct scan_walk *w, int folder, const char *name, bool in_set, unsigned depth);

static bool is_allowed(const struct scan_walk *w)
{
	return config_allows(w->config, w->set, w->path);
}

/* Is there something to look for in the folder w->path, which is itself not in the set? */
static bool may_hold(const struct scan_walk *w)
{
	if (path_is_temporary(w->path))
		return false;
	for (size_t i = 0; i < w->set->exclude.count; i++)
		if (path_excluded(w->set->exclude.items[i], w->path))
			return false;
	for (size_t i = 0; i < w->set->paths.count; i++)
		if (path_may_hold(w->set->paths.items[i], w->path))
			return true;
	return false;
}

/* Takes E. */
static int add(struct scan_walk *w, struct entry *e)
{
	int r;

	e->path = strdup(w->path);
	if (!e->path) {
		entry_done(e);
		return err_sys(w->err, ENOMEM, "%s", w->path);
	}
	scan_rules(w, e);
	r = manifest_add(&w->out->files, e);
	if (r == -E2BIG) {
		scan_fault(w, "too many: a set has at most %d entries", MANIFEST_ENTRIES_MAX);
		w->full = true;
		return 0;
	}
	return r < 0 ? err_sys(w->err, -r, "%s", w->path) : 0;
}

/* Type, mode and owner. */
static int describe(struct scan_walk *w, const struct stat *st, struct entry *e)
{
	int r = meta_read(w->names, -1, st, e);

	return r < 0 ? err_sys(w->err, -r, "%s: asking for the name of its owner", w->path) : 0;
}

/* Files and links. */

static bool has_room(struct scan_walk *w, uint64_t size)
{
	if (w->files == SCAN_FILES_MAX)
		scan_fault(w, "too many: a set has at most %d files", SCAN_FILES_MAX);
	else if (size > SCAN_BYTES_MAX - w->bytes)
		scan_fault(w, "too large: the files of a set have at most %llu MiB",
			SCAN_BYTES_MAX / 1024 / 1024);
	else
		return true;
	w->full = true;
	return false;
}

/* A second name may have been given by somebody who can write to FOLDER, but could not read the
 * file: the peer is not to get it. */
static bool may_be_stolen(int folder, const struct stat *st)
{
	struct stat in;

	if (st->st_nlink < 2)
		return false;
	if (fstat(folder, &in) < 0 || in.st_mode & (S_IWGRP | S_IWOTH))
		return true;
	return in.st_uid != 0 && in.st_uid != geteuid() && in.st_uid != st->st_uid;
}

static int visit_file(struct scan_walk *w, int folder, const char *name, struct stat *st)
{
	struct entry e = {0};
	int r;

	if (!has_room(w, (uint64_t)st->st_size))
		return 0;
	r = scan_file(w, folder, name, st, &e);
	if (r == 0 && may_be_stolen(folder, st)) {
		scan_fault(w,
			"has another name (a hard link), and others than root can write to its "
			"folder: make it a file of its own");
		r = 1;
	}
	if (r != 0)
		goto out;
	w->files++;
	w->bytes += MIN_OF((uint64_t)st->st_size, SCAN_BYTES_MAX - w->bytes);
	r = describe(w, st, &e);
	if (r == 0 && w->writer && index_writer_add(w->writer, w->path, st, &e) < 0)
		r = err_sys(w->err, ENOMEM, "%s", w->path);
	if (r == 0)
		return add(w, &e);
out:
	entry_done(&e);
	return MIN_OF(r, 0);
}

static int visit_link(struct scan_walk *w, int folder, const char *name, const struct stat *st)
{
	char target[PATH_MAX];
	struct entry e = {0};
	ssize_t n;
	int r;

	if (!w->set->symlinks) {
		scan_fault(w, "a symbolic link; the set takes them with symlinks = true");
		return 0;
	}
	if (!has_room(w, 0))
		return 0;
	n = readlinkat(folder, name, target, sizeof(target));
	if (n <= 0 || n == sizeof(target)) {
		scan_fault(w, "a symbolic link that cannot be read, or is too long");
		return 0;
	}
	w->files++;
	e.target = strndup(target, (size_t)n);
	r = e.target ? describe(w, st, &e) : err_sys(w->err, ENOMEM, "%s", w->path);
	if (r == 0)
		return add(w, &e);
	entry_done(&e);
	return r;
}

/* Folders. */

static int add_folder(struct scan_walk *w, int fd)
{
	struct entry e = {0};
	struct stat st;
	int r;

	if (fstat(fd, &st) < 0)
		return err_sys(w->err, errno, "%s", w->path);
	r = describe(w, &st, &e);
	if (r < 0)
		return r;
	r = meta_read_attrs(w->names, fd, &e);
	if (r == 0)
		return add(w, &e);
	scan_fault(w, "attributes cannot be read: %s", strerror(-r));
	entry_done(&e);
	return 0;
}

/* It may be a folder, as far as readdir() knows. */
static bool may_be_folder(const struct dirent *e)
{
	return e->d_type == DT_DIR || e->d_type == DT_UNKNOWN;
}

static int visit_child(struct scan_walk *w, int folder, const struct dirent *e, unsigned depth)
{
	size_t len = strlen(w->path), name_len = strlen(e->d_name);
	bool in_set;
	int r = 0;

	if (strcmp(e->d_name, ".") == 0 || strcmp(e->d_name, "..") == 0)
		return 0;
	if (len == 1) /* "/" */
		len = 0;
	if (len + 1 + name_len > PATH_BYTES_MAX || depth >= PATH_DEPTH_MAX) {
		scan_fault(w,
			"has files that are too deep: paths have at most %d bytes and %d "
			"components",
			PATH_BYTES_MAX, PATH_DEPTH_MAX);
		return 1;
	}
	w->path[len] = '/';
	memcpy(w->path + len + 1, e->d_name, name_len + 1);
	in_set = is_allowed(w);
	if (in_set || may_be_folder(e))
		r = visit(w, folder, e->d_name, in_set, depth + 1);
	w->path[len ? len : 1] = 0;
	return r;
}

/* FD is taken. DEPTH: components of w->path. */
static int walk(struct scan_walk *w, int fd, unsigned depth)
{
	DIR *d = fdopendir(fd);
	struct dirent *e;
	int r = 0;

	if (!d) {
		close(fd);
		return err_sys(w->err, errno, "%s", w->path);
	}
	while (r == 0 && !w->full) {
		errno = 0;
		e = readdir(d);
		if (!e)
			break;
		r = visit_child(w, dirfd(d), e, depth);
	}
	if (r == 0 && !w->full && errno)
		scan_fault(w, "cannot be read: %s", strerror(errno));
	closedir(d);
	return MIN_OF(r, 0);
}

static int visit_folder(
	struct scan_walk *w, int folder, const char *name, bool in_set, unsigned depth)
{
	int fd = beneath_openat(folder, name, O_RDONLY | O_DIRECTORY);
	int r;

	if (fd == -ENOENT)
		return 0;
	if (fd < 0) {
		scan_fault(w, "cannot be read: %s", strerror(-fd));
		return 0;
	}
	r = in_set ? add_folder(w, fd) : 0;
	if (r == 0)
		return walk(w, fd, depth);
	close(fd);
	return r;
}

/* What NAME in FOLDER is, and what it holds; w->path is its path. */
static int visit(struct scan_walk *w, int folder, const char *name, bool in_set, unsigned depth)
{
	struct stat st;

	if (!in_set && !may_hold(w))
		return 0;
	if (fstatat(folder, name, &st, AT_SYMLINK_NOFOLLOW) < 0) {
		if (errno != ENOENT)
			scan_fault(w, "cannot be read: %s", strerror(errno));
		return 0;
	}
	if (S_ISDIR(st.st_mode))
		return visit_folder(w, folder, name, in_set, depth);
	if (!in_set)
		return 0;
	if (S_ISREG(st.st_mode))
		return visit_file(w, folder, name, &st);
	if (S_ISLNK(st.st_mode))
		return visit_link(w, folder, name, &st);
	scan_fault(w, "not a file, folder or symbolic link");
	return 0;
}

static unsigned depth_of(const char *path)
{
	unsigned n = 0;

	for (; *path; path++)
		n += *path == '/';
	return n;
}

int scan_walk(struct scan_walk *w, int parent, const char *name)
{
	return visit(w, parent, name, is_allowed(w), depth_of(w->path));
}

int scan_walk_root(struct scan_walk *w)
{
	int fd = beneath_open("/", O_RDONLY | O_DIRECTORY);

	return fd < 0 ? err_sys(w->err, -fd, "/") : walk(w, fd, 0);
}
