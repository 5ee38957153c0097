/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Files of the state directory; see catalog.h. They are root's alone, as what is in errors may be.
 * The lock is the kernel's, so it ends with its holder, and the kernel says who that is. It would
 * end as well if the holder opened and closed the file once more, which it does not.
 */
#include "catalog.h"

#include "fsutil.h"
#include "util.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>

enum { FILE_MAX = 16 * 1024 * 1024, FILE_MODE = 0600, FOLDER_MODE = 0700 };

static int path_of(const char *folder, const char *name, const char *suffix, char out[PATH_MAX],
	struct err *err)
{
	if (snprintf(out, PATH_MAX, "%s/%s%s", folder, name, suffix) >= PATH_MAX)
		return err_sys(err, ENAMETOOLONG, "%.100s/%s%s", folder, name, suffix);
	return 0;
}

int catalog_load(const char *folder, const char *volume, struct records *ret, struct err *err)
{
	char path[PATH_MAX];
	CLEANUP_FREE char *text = NULL;
	struct err why = {0};
	size_t len;
	int r = path_of(folder, volume, ".json", path, err);

	*ret = (struct records){0};
	if (r == 0)
		r = fs_read(path, FILE_MAX, &text, &len, &why);
	if (r == -ENOENT)
		return 0;
	if (r == 0)
		r = records_parse(text, ret, &why);
	return r < 0 ? err_set(err, -r, "%s: %s%s", path, why.text,
			       r == -EBADMSG ? "; move it away to begin with no copies" : "")
		     : 0;
}

int catalog_save(const char *folder, const char *volume, const struct records *r, struct err *err)
{
	char path[PATH_MAX];
	CLEANUP_FREE char *text = records_print(r);
	int ret = path_of(folder, volume, ".json", path, err);

	if (ret < 0)
		return ret;
	if (!text)
		return err_set(err, ENOMEM, "%s: no memory, or a name is not UTF-8", path);
	return fs_replace(path, text, strlen(text), FILE_MODE, err);
}

/* Of this process, not of the file: children have no part in it. */
static int try_lock(int fd, int command, struct flock *l)
{
	*l = (struct flock){.l_type = F_WRLCK, .l_whence = SEEK_SET};
	return fcntl(fd, command, l);
}

static int say_busy(uint64_t pid, struct err *err)
{
	char who[40] = "";

	if (pid == CATALOG_ELSEWHERE)
		snprintf(who, sizeof(who), ", on another host");
	else if (pid) /* it may have ended since */
		snprintf(who, sizeof(who), " (process %llu)", (unsigned long long)pid);
	return err_set(err, EBUSY, "another run is going on%s", who);
}

int catalog_lock(const char *folder, uint64_t *ret_pid, struct err *err)
{
	char path[PATH_MAX];
	struct flock l;
	int fd, r = path_of(folder, "lock", "", path, err);

	*ret_pid = 0;
	if (r == 0)
		r = fs_make_folder_of(path, FOLDER_MODE, err);
	if (r < 0)
		return r;
	fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, FILE_MODE);
	if (fd < 0)
		return err_sys(err, errno, "%s", path);
	if (try_lock(fd, F_SETLK, &l) == 0)
		return fd;
	r = errno;
	if (r == EAGAIN || r == EACCES) {
		*ret_pid = catalog_holder(folder);
		say_busy(*ret_pid, err);
	} else {
		err_sys(err, r, "%s", path);
	}
	close(fd);
	return -err->code;
}

/* Of the open file this time, so that children have it, too. */
int catalog_lock_children(const char *folder, struct err *err)
{
	char path[PATH_MAX];
	int fd, r = path_of(folder, "children", "", path, err);

	if (r < 0)
		return r;
	fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, FILE_MODE);
	if (fd < 0)
		return err_sys(err, errno, "%s", path);
	if (flock(fd, LOCK_EX | LOCK_NB) == 0)
		return fd;
	if (errno == EWOULDBLOCK)
		err_set(err, EBUSY, "copies of a run that was killed have not ended yet");
	else
		err_sys(err, errno, "%s", path);
	close(fd);
	return -err->code;
}

uint64_t catalog_holder(const char *folder)
{
	char path[PATH_MAX];
	CLEANUP_FD int fd = -1;
	struct flock l;

	if (path_of(folder, "lock", "", path, NULL) < 0)
		return 0;
	fd = open(path, O_RDWR | O_CLOEXEC | O_NOFOLLOW);
	if (fd < 0 || try_lock(fd, F_GETLK, &l) < 0 || l.l_type == F_UNLCK)
		return 0;
	return l.l_pid > 0 ? (uint64_t)l.l_pid : CATALOG_ELSEWHERE;
}
