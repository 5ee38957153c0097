/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Small files of /proc, see kernel.h. They are written by one write(2) each, as the kernel takes a
 * value only whole.
 */
#include "kernel.h"

#include "util.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>

static int write_text(const char *root, const char *name, const char *text, struct err *err)
{
	char path[PATH_MAX];
	CLEANUP_FD int fd = -1;
	ssize_t n;

	if (snprintf(path, sizeof(path), "%s/%s", root, name) >= (int)sizeof(path))
		return err_sys(err, ENAMETOOLONG, "%.300s", root);
	fd = open(path, O_WRONLY | O_TRUNC | O_CLOEXEC);
	if (fd < 0 && errno == ENOENT)
		return 0;
	if (fd < 0)
		return err_sys(err, errno, "%.300s", path);
	n = write(fd, text, strlen(text));
	if (n != (ssize_t)strlen(text))
		return err_sys(err, n < 0 ? errno : EIO, "%.300s: write %s", path, text);
	return 0;
}

int kernel_tell_state(const char *proc_root, int32_t state, struct err *err)
{
	char text[16];

	snprintf(text, sizeof(text), "%d", state);
	return write_text(proc_root, "sys/fs/nfs/nsm_local_state", text, err);
}

int kernel_lift_grace(const char *proc_root, struct err *err)
{
	return write_text(proc_root, "fs/lockd/nlm_end_grace", "Y", err);
}

static bool read_boot_id(const char *root, char ret[KERNEL_BOOT_ROOM])
{
	char path[PATH_MAX];
	CLEANUP_FD int fd = -1;
	ssize_t n;

	if (snprintf(path, sizeof(path), "%s/sys/kernel/random/boot_id", root) >= (int)sizeof(path))
		return false;
	fd = open(path, O_RDONLY | O_CLOEXEC);
	n = fd < 0 ? -1 : read(fd, ret, KERNEL_BOOT_ROOM - 1);
	ret[n > 0 ? n : 0] = 0;
	ret[strcspn(ret, " \n")] = 0;
	return *ret;
}

void kernel_boot_id(const char *proc_root, char ret[KERNEL_BOOT_ROOM])
{
	if (!read_boot_id(proc_root, ret))
		read_boot_id("/proc", ret);
}
