/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Openers of a device; see guard_open.h. Programs by /proc. Who is in the kernel is seen of mapped
 * devices only, whose openers the device mapper counts.
 */
#include "guard_open.h"

#include "clock.h"
#include "identity.h"
#include "util.h"
#include "vg_fill.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

enum { PATIENCE_MS = 3000, PAUSE_MS = 100 };

/* Is what FD of the process in FOLDER (/proc/PID/fd) means DEV, or on it? */
static bool is_on(int folder, const char *fd, dev_t dev)
{
	dev_t below[IDENTITY_BELOW_MAX];
	char name[PATH_MAX];
	ssize_t n = readlinkat(folder, fd, name, sizeof(name));
	struct stat st;
	size_t count;

	/* To look at a file of a server that is dead would take for ever. */
	if (n < 5 || memcmp(name, "/dev/", 5) != 0 || fstatat(folder, fd, &st, 0) < 0 ||
		!S_ISBLK(st.st_mode))
		return false;
	count = identity_below(st.st_rdev, below);
	for (size_t i = 0; i < count; i++) {
		if (below[i] == dev)
			return true;
	}
	return false;
}

/* With access mode 3 a device is there for ioctl(2) only: nothing is read or written. */
static bool moves_data(int proc, const char *pid, const char *fd)
{
	char path[64], text[256];
	CLEANUP_FD int info = -1;
	const char *flags;
	ssize_t n;

	snprintf(path, sizeof(path), "%.20s/fdinfo/%.20s", pid, fd);
	info = openat(proc, path, O_RDONLY | O_CLOEXEC);
	n = info < 0 ? -1 : read(info, text, sizeof(text) - 1);
	if (n < 0)
		return false; /* closed meanwhile */
	text[n] = 0;
	flags = strstr(text, "flags:");
	return !flags || (strtoul(flags + 6, NULL, 8) & O_ACCMODE) != O_ACCMODE;
}

static bool has_open(int proc, const char *pid, dev_t dev)
{
	char path[64];
	struct dirent *d;
	bool found = false;
	DIR *folder;
	int fd;

	snprintf(path, sizeof(path), "%.20s/fd", pid);
	fd = openat(proc, path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	folder = fd < 0 ? NULL : fdopendir(fd);
	if (!folder) {
		fd_close(&fd);
		return false;
	}
	while (!found && (d = readdir(folder)))
		found = is_on(dirfd(folder), d->d_name, dev) && moves_data(proc, pid, d->d_name);
	closedir(folder);
	return found;
}

/* The process that has DEV open, 0: none that we see. */
static long find_process(dev_t dev)
{
	DIR *proc = opendir("/proc");
	struct dirent *d;
	long pid, found = 0;

	while (proc && !found && (d = readdir(proc))) {
		pid = strtol(d->d_name, NULL, 10);
		if (pid > 0 && pid != (long)getpid() && has_open(dirfd(proc), d->d_name, dev))
			found = pid;
	}
	if (proc)
		closedir(proc);
	return found;
}

static void name_of(long pid, char *out, size_t room)
{
	char path[64];
	ssize_t n;
	CLEANUP_FD int fd = -1;

	snprintf(path, sizeof(path), "/proc/%ld/comm", pid);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	n = fd < 0 ? 0 : read(fd, out, room - 1);
	out[MAX_OF(n, 0)] = 0;
	out[strcspn(out, "\n")] = 0;
}

static int look(dev_t dev, int opens, const char *path, struct err *err)
{
	long pid = find_process(dev);
	char name[32];

	if (pid) {
		name_of(pid, name, sizeof(name));
		return err_set(
			err, EBUSY, "%s: in use, process %ld (%s) has it open", path, pid, name);
	}
	if (vg_fill_openers(dev) > opens)
		return err_set(err, EBUSY, "%s: in use, something in the kernel has it open", path);
	return 0;
}

int guard_open_check(dev_t dev, int opens, const char *path, struct err *err)
{
	uint64_t end = clock_ms() + PATIENCE_MS;
	int ret = look(dev, opens, path, err);

	while (ret < 0 && clock_ms() < end) {
		nanosleep(&(struct timespec){.tv_nsec = PAUSE_MS * 1000000L}, NULL);
		ret = look(dev, opens, path, err);
	}
	return ret;
}
