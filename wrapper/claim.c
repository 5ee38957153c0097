/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The lock beside the state file; see claim.h. Taken by the master at its start, kept until its
 * end, handed on by an upgrade. Children close it before they do anything.
 */
#include "claim.h"

#include "fsutil.h"
#include "util.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <time.h>

enum { RETRIES = 8, RETRY_MS = 50, PID_ROOM = 24 };

/* Where a link leads, as when it is saved. */
static int open_lock(const char *path)
{
	char real[PATH_MAX], lock[PATH_MAX + sizeof(".lock")];

	if (!realpath(path, real))
		snprintf(real, sizeof(real), "%s", path);
	snprintf(lock, sizeof(lock), "%s.lock", real);
	fs_make_folder_of(real, 0755, NULL);
	return open(lock, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
}

/* One that was killed a moment ago may not be gone yet. */
static int lock_patiently(int fd)
{
	const struct timespec pause = {.tv_nsec = RETRY_MS * 1000000L};
	int ret = flock(fd, LOCK_EX | LOCK_NB);

	for (int i = 0; ret < 0 && errno == EWOULDBLOCK && i < RETRIES; i++) {
		nanosleep(&pause, NULL);
		ret = flock(fd, LOCK_EX | LOCK_NB);
	}
	return ret < 0 ? -errno : 0;
}

static int refuse(int fd, const char *path, struct err *err)
{
	char pid[PID_ROOM] = "";
	ssize_t n = pread(fd, pid, sizeof(pid) - 1, 0);

	pid[strspn(pid, "0123456789")] = 0;
	return err_set(err, EBUSY, "state file %s: in use by the wrapper with pid %s", path,
		n > 0 ? pid : "?");
}

int claim_file(const char *path, struct err *err)
{
	int fd = open_lock(path), ret;

	if (fd < 0)
		return -1;
	ret = lock_patiently(fd);
	if (ret == -EWOULDBLOCK) {
		ret = refuse(fd, path, err);
		close(fd);
		return ret;
	}
	/* A file system without locks leaves things as they were without this. */
	if (ret == 0 && ftruncate(fd, 0) == 0)
		dprintf(fd, "%d\n", (int)getpid());
	return fd;
}
