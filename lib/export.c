/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Opening an image or block device and finding out what can be promised about it. */
#include "export.h"

#include "nbd.h"
#include "str.h"
#include "util.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/fs.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>

enum { PREFERRED = 4096, PREFERRED_MAX = 4 * 1024 * 1024, URI_MAX = 4096 };

int export_check_name(const char *name, size_t len, struct err *err)
{
	if (len > NBD_STRING_MAX)
		return err_set(err, EINVAL, "export name of %zu bytes: at most %d are possible",
			len, NBD_STRING_MAX);
	if (memchr(name, 0, len))
		return err_set(err, EINVAL, "export name contains a zero byte");
	if (!str_is_utf8(name, len))
		return err_set(err, EINVAL, "export name '%.*s' is not valid UTF-8",
			(int)MIN_OF(len, (size_t)100), name);
	return 0;
}

int export_check_uri(const char *uri, struct err *err)
{
	static const char *const schemes[] = {"nbd://", "nbds://", "nbd+unix://", "nbds+unix://"};

	if (strlen(uri) >= URI_MAX)
		return err_set(err, EINVAL, "origin '%.100s...': must be less than %d bytes", uri,
			URI_MAX);
	for (size_t i = 0; i < ARRAY_LEN(schemes); i++) {
		if (strncmp(uri, schemes[i], strlen(schemes[i])) == 0)
			return 0;
	}
	return err_set(err, EINVAL,
		"origin '%s': must be nbd://, nbds:// or nbd+unix:// (a host's name needs a port)",
		uri);
}

/* O_NONBLOCK: a fifo must not hang us before we can refuse it. O_NOATIME needs ownership. */
static int open_as(const char *path, int mode)
{
	int fd = open(path, mode | O_CLOEXEC | O_NONBLOCK | O_NOATIME);

	if (fd < 0 && errno == EPERM)
		fd = open(path, mode | O_CLOEXEC | O_NONBLOCK);
	return fd < 0 ? -errno : fd;
}

static bool only_read_denied(int error)
{
	return error == -EROFS || error == -EACCES;
}

static int check_kind(const char *path, const struct stat *st, struct err *err)
{
	if (S_ISREG(st->st_mode) || S_ISBLK(st->st_mode))
		return 0;
	return err_set(err, S_ISDIR(st->st_mode) ? EISDIR : EINVAL,
		"%s: is %s; an export must be a regular file or a block device", path,
		S_ISDIR(st->st_mode) ? "a directory" : "neither file nor block device");
}

/* ROTATIONAL is a hint clients use for their I/O scheduler; unknown counts as not rotating. */
static bool is_rotational(dev_t dev)
{
	char path[96], c = '0';
	FILE *f;

	for (int partition = 0; partition < 2; partition++) {
		snprintf(path, sizeof(path), "/sys/dev/block/%u:%u%s/queue/rotational", major(dev),
			minor(dev), partition ? "/.." : "");
		f = fopen(path, "re");
		if (!f)
			continue;
		if (fread(&c, 1, 1, f) != 1)
			c = '0';
		fclose(f);
		return c == '1';
	}
	return false;
}

static int device_facts(int fd, struct export_facts *facts)
{
	unsigned physical = PREFERRED, optimal = 0;
	int readonly = 0;

	if (ioctl(fd, BLKGETSIZE64, &facts->size) < 0)
		return -errno;
	if (ioctl(fd, BLKROGET, &readonly) == 0 && readonly)
		facts->flags |= NBD_FLAG_READ_ONLY;
	ioctl(fd, BLKPBSZGET, &physical);
	ioctl(fd, BLKIOOPT, &optimal);
	facts->block_preferred = MAX_OF(physical, (unsigned)PREFERRED);
	if (is_power_of_2(optimal) && optimal > facts->block_preferred && optimal <= PREFERRED_MAX)
		facts->block_preferred = optimal;
	return 0;
}

static int find_facts(
	int fd, const char *path, bool *readonly, struct export_facts *facts, struct err *err)
{
	struct stat st;
	int ret = fstat(fd, &st) < 0 ? -errno : 0;

	if (ret < 0)
		return err_sys(err, -ret, "%s", path);
	ret = check_kind(path, &st, err);
	if (ret < 0)
		return ret;
	*facts = (struct export_facts){.size = (uint64_t)st.st_size,
		.flags = NBD_FLAG_HAS_FLAGS | NBD_FLAG_SEND_FLUSH | NBD_FLAG_SEND_FUA |
			NBD_FLAG_CAN_MULTI_CONN | NBD_FLAG_SEND_CACHE,
		.block_min = 1,
		.block_preferred = PREFERRED,
		.block_max = EXPORT_PAYLOAD_MAX};
	if (S_ISBLK(st.st_mode) && (ret = device_facts(fd, facts)) < 0)
		return err_sys(err, -ret, "%s: size of the device", path);
	if (facts->size == 0)
		return err_set(
			err, EINVAL, "%s: size is 0; grow it first (truncate -s SIZE FILE)", path);
	if (is_rotational(S_ISBLK(st.st_mode) ? st.st_rdev : st.st_dev))
		facts->flags |= NBD_FLAG_ROTATIONAL;
	if (*readonly || (facts->flags & NBD_FLAG_READ_ONLY)) {
		*readonly = true;
		facts->flags |= NBD_FLAG_READ_ONLY;
		return 0;
	}
	facts->flags |= NBD_FLAG_SEND_TRIM | NBD_FLAG_SEND_WRITE_ZEROES | NBD_FLAG_SEND_FAST_ZERO;
	return 0;
}

void export_make_readonly(struct export_facts *facts)
{
	facts->flags |= NBD_FLAG_READ_ONLY;
	facts->flags &= (uint16_t) ~(
		NBD_FLAG_SEND_TRIM | NBD_FLAG_SEND_WRITE_ZEROES | NBD_FLAG_SEND_FAST_ZERO);
}

int export_open(const char *path, bool *readonly, struct export_facts *ret, struct err *err)
{
	struct export_facts facts;
	bool ro = *readonly;
	struct stat st;
	int r, fd = open_as(path, ro ? O_RDONLY : O_RDWR);

	if (fd == -EISDIR && stat(path, &st) == 0)
		return check_kind(path, &st, err);
	if (!ro && only_read_denied(fd)) {
		int error = fd;

		fd = open_as(path, O_RDONLY);
		if (fd >= 0) {
			close(fd);
			return err_sys(err, -error,
				"%s: not writable; use --readonly to export it as it is", path);
		}
		fd = error;
	}
	if (fd < 0)
		return err_sys(err, -fd, "%s", path);
	r = find_facts(fd, path, &ro, &facts, err);
	if (r < 0) {
		close(fd);
		return r;
	}
	fcntl(fd, F_SETFL, fcntl(fd, F_GETFL) & ~O_NONBLOCK);
	*readonly = ro;
	*ret = facts;
	return fd;
}
