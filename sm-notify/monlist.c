/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The folders of a state directory, and what is done with things in them that are no records. Here
 * is every openat(2) of a record: first a look that follows nothing, then an open that follows
 * nothing and waits for nothing, then a look at what was opened.
 */
#include "monlist_inner.h"

#include "log.h"
#include "util.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

enum { REPORTS_MAX = 200, ASIDE_COPIES = 9 };
enum { OPEN_FOLDER = O_RDONLY | O_DIRECTORY | O_CLOEXEC };

static int open_inner(struct monlist *l, const char *name, struct stat *st, struct err *err)
{
	int fd = openat(l->parent, name, OPEN_FOLDER | O_NOFOLLOW);

	if (fd >= 0 && fstat(fd, st) == 0)
		return fd;
	if (fd >= 0)
		close(fd);
	if (errno == ENOTDIR || errno == ELOOP)
		return err_set(err, errno, "%.300s/%s: not a folder (links are not followed)",
			l->path, name);
	return err_sys(err, errno, "%.300s/%s", l->path, name);
}

static int open_folders(struct monlist *l, struct err *err)
{
	struct stat sm, bak;

	l->sm = open_inner(l, "sm", &sm, err);
	if (l->sm < 0)
		return l->sm;
	l->bak = open_inner(l, "sm.bak", &bak, err);
	if (l->bak < 0)
		return l->bak;
	if (bak.st_uid != sm.st_uid && bak.st_uid != 0)
		return err_set(err, EPERM,
			"%.300s/sm.bak: belongs to user %u, but sm to user %u; they must be the same",
			l->path, bak.st_uid, sm.st_uid);
	l->owner = sm.st_uid;
	l->group = sm.st_gid;
	return 0;
}

void monlist_init(struct monlist *l)
{
	*l = (struct monlist){.parent = -1, .sm = -1, .bak = -1, .complete = true};
	strtab_init(&l->texts, MONLIST_TEXT_MAX);
}

int monlist_open(struct monlist *l, const char *path, struct err *err)
{
	l->path = realpath(path, NULL);
	if (!l->path)
		return err_sys(err, errno, "state directory %.300s", path);
	l->parent = open(l->path, OPEN_FOLDER);
	if (l->parent < 0)
		return err_sys(err, errno, "state directory %.300s", path);
	return open_folders(l, err);
}

void monlist_close(struct monlist *l)
{
	fd_close(&l->parent);
	fd_close(&l->sm);
	fd_close(&l->bak);
	strtab_done(&l->texts);
	free(l->path);
	free(l->peers);
	free(l->records);
	*l = (struct monlist){.parent = -1, .sm = -1, .bak = -1};
}

const char *monlist_folder_name(const struct monlist *l, int folder)
{
	return folder == l->sm ? "sm" : "sm.bak";
}

void monlist_say(struct monlist *l, int folder, const char *name, const char *fmt, ...)
{
	char text[ERR_TEXT_MAX];
	va_list ap;

	l->complete = false;
	if (l->quiet)
		return;
	if (l->reported++ > REPORTS_MAX)
		return;
	if (l->reported > REPORTS_MAX) {
		log_warn("%.300s: more of this kind is not reported any more", l->path);
		return;
	}
	va_start(ap, fmt);
	vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	log_warn("%.200s/%s/%s: %s", l->path, monlist_folder_name(l, folder), name, text);
}

static int walk(struct monlist *l, DIR *dir, int folder, monlist_entry_fn *fn, void *ctx)
{
	struct dirent *entry;
	int r;

	while ((errno = 0, entry = readdir(dir))) {
		if (strcmp(entry->d_name, ".") == 0 || strcmp(entry->d_name, "..") == 0)
			continue;
		r = fn(l, folder, entry->d_name, ctx);
		if (r < 0)
			return r;
	}
	return -errno;
}

int monlist_each(struct monlist *l, int folder, monlist_entry_fn *fn, void *ctx, struct err *err)
{
	/* A descriptor of its own: the place in the folder belongs to the open file. */
	int fd = openat(folder, ".", OPEN_FOLDER), r;
	DIR *dir = fd < 0 ? NULL : fdopendir(fd);

	if (!dir) {
		r = err_sys(err, errno, "%.300s/%s", l->path, monlist_folder_name(l, folder));
		fd_close(&fd);
		return r;
	}
	r = walk(l, dir, folder, fn, ctx);
	closedir(dir);
	return r < 0 ? err_sys(err, -r, "%.300s/%s: not read to its end", l->path,
			       monlist_folder_name(l, folder))
		     : 0;
}

const char *monlist_second_of(const char *name)
{
	size_t len = strlen(MONLIST_SECOND);

	if (strncmp(name, MONLIST_SECOND, len) != 0 || !record_name_is_valid(name + len))
		return NULL;
	return name + len;
}

static const char *kind_of(const struct stat *st)
{
	switch (st->st_mode & S_IFMT) {
	case S_IFLNK:
		return "a symbolic link";
	case S_IFDIR:
		return "a folder";
	case S_IFIFO:
		return "a pipe";
	case S_IFSOCK:
		return "a socket";
	default:
		return "a device";
	}
}

static int check_file(struct monlist *l, int folder, const char *name, const struct stat *st)
{
	if (!S_ISREG(st->st_mode)) {
		monlist_say(l, folder, name, "%s, left alone", kind_of(st));
		return -EINVAL;
	}
	if (st->st_uid != l->owner) {
		monlist_say(l, folder, name,
			"belongs to user %u and not, as sm does, to %u; left alone", st->st_uid,
			l->owner);
		return -EPERM;
	}
	return 0;
}

int monlist_look(struct monlist *l, int folder, const char *name, struct stat *ret)
{
	int r;

	if (fstatat(folder, name, ret, AT_SYMLINK_NOFOLLOW) == 0)
		return check_file(l, folder, name, ret);
	r = -errno;
	if (r != -ENOENT)
		monlist_say(l, folder, name, "%s", strerror(-r));
	return r;
}

int monlist_open_file(struct monlist *l, int folder, const char *name, struct stat *ret)
{
	int fd, r = monlist_look(l, folder, name, ret);

	if (r < 0)
		return r;
	fd = openat(folder, name, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY | O_CLOEXEC);
	if (fd < 0 || fstat(fd, ret) < 0) {
		r = -errno;
		if (r != -ENOENT)
			monlist_say(l, folder, name, "%s", strerror(-r));
	} else {
		r = check_file(l, folder, name, ret); /* it may be another one by now */
	}
	if (r == 0 && ret->st_size > MONLIST_FILE_MAX) {
		monlist_set_aside(l, folder, name, "larger than any record file");
		r = -EFBIG;
	}
	if (r == 0)
		return fd;
	fd_close(&fd);
	return r;
}

int monlist_move(int from, const char *name, int to, const char *as)
{
	if (renameat2(from, name, to, as, RENAME_NOREPLACE) == 0)
		return 0;
	if (errno != EINVAL && errno != ENOSYS)
		return -errno;
	if (faccessat(to, as, F_OK, AT_SYMLINK_NOFOLLOW) == 0)
		return -EEXIST;
	return renameat(from, name, to, as) < 0 ? -errno : 0;
}

static int move_aside(struct monlist *l, int folder, const char *name)
{
	CLEANUP_FD int aside = -1;
	char as[NAME_MAX + 1];
	int r;

	if (mkdirat(l->bak, MONLIST_ASIDE, S_IRWXU) < 0 && errno != EEXIST)
		return -errno;
	aside = openat(l->bak, MONLIST_ASIDE, OPEN_FOLDER | O_NOFOLLOW);
	if (aside < 0)
		return -errno;
	r = monlist_move(folder, name, aside, name);
	for (int i = 1; r == -EEXIST && i <= ASIDE_COPIES; i++) {
		snprintf(as, sizeof(as), "%.*s~%d", NAME_MAX - 2, name, i);
		r = monlist_move(folder, name, aside, as);
	}
	return r;
}

int monlist_set_aside(struct monlist *l, int folder, const char *name, const char *why)
{
	int r = l->in_place ? -EROFS : move_aside(l, folder, name);

	if (r == 0) {
		l->unsynced = true;
		monlist_say(l, folder, name, "%s; moved to sm.bak/" MONLIST_ASIDE, why);
	} else if (l->in_place) {
		monlist_say(l, folder, name, "%s", why);
	} else if (r != -ENOENT) {
		monlist_say(l, folder, name, "%s; it cannot be moved aside: %s", why, strerror(-r));
	}
	return r;
}

int monlist_check_name(struct monlist *l, int folder, const char *name)
{
	char base[RECORD_NAME_MAX + 1];
	bool complete = l->complete;

	if (!record_name_is_valid(name)) {
		monlist_set_aside(l, folder, name, "not the name of a host");
		return -EINVAL;
	}
	if (!monlist_leftover_of(l, name, base))
		return 0;
	if (monlist_is_in_use(l, folder, name))
		return -EBUSY;
	monlist_set_aside(l, folder, name, "a temporary file left by a crash");
	l->complete = complete; /* it never was anybody's record */
	return -EINVAL;
}
