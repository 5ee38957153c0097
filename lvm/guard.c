/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Refusals before anything is opened for writing; see guard.h. O_EXCL, with which devices are
 * opened after this, is what makes it certain; this says why in words, and knows of files.
 */
#include "guard.h"

#include "identity.h"
#include "util.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>

/* A line of mountinfo: id, parent, major:minor, root, where, ... */
static int check_mounts(dev_t dev, const char *path, struct err *err)
{
	char line[2 * PATH_MAX], where[PATH_MAX];
	unsigned high, low;
	FILE *f = fopen("/proc/self/mountinfo", "re");
	int ret = 0;

	if (!f)
		return err_sys(err, errno, "/proc/self/mountinfo");
	while (ret == 0 && fgets(line, sizeof(line), f)) {
		if (sscanf(line, "%*d %*d %u:%u %*s %4095s", &high, &low, where) == 3 &&
			makedev(high, low) == dev)
			ret = err_set(
				err, EBUSY, "%s: mounted at %s, unmount it first", path, where);
	}
	fclose(f);
	return ret;
}

static bool is_same(const struct stat *a, const struct stat *b)
{
	if (S_ISBLK(a->st_mode) && S_ISBLK(b->st_mode))
		return a->st_rdev == b->st_rdev;
	return a->st_dev == b->st_dev && a->st_ino == b->st_ino;
}

static int check_swaps(const struct stat *target, const char *path, struct err *err)
{
	char line[2 * PATH_MAX], name[PATH_MAX];
	FILE *f = fopen("/proc/swaps", "re");
	struct stat st;
	int ret = 0;

	while (ret == 0 && f && fgets(line, sizeof(line), f)) {
		if (sscanf(line, "%4095s", name) == 1 && stat(name, &st) == 0 &&
			is_same(&st, target))
			ret = err_set(err, EBUSY, "%s: used as swap space", path);
	}
	if (f)
		fclose(f);
	return ret;
}

static bool has(const dev_t *list, size_t count, dev_t dev)
{
	for (size_t i = 0; i < count; i++) {
		if (list[i] == dev)
			return true;
	}
	return false;
}

/* Origin and snapshot lie on one hidden device, and nothing else does. */
static int check_kinship(dev_t target, dev_t source, const char *path, struct err *err)
{
	dev_t of_target[IDENTITY_BELOW_MAX], of_source[IDENTITY_BELOW_MAX];
	size_t targets = identity_below(target, of_target);
	size_t sources = identity_below(source, of_source);

	if (has(of_source, sources, target))
		return err_set(err, EINVAL, "%s: the source lies on it", path);
	if (has(of_target, targets, source))
		return err_set(err, EINVAL, "%s: it lies on the source", path);
	for (size_t i = 0; i < targets; i++) {
		if (identity_is_part(of_target[i], "-real") &&
			has(of_source, sources, of_target[i]))
			return err_set(err, EINVAL,
				"%s: origin or snapshot of the source, not a place for a copy",
				path);
	}
	return 0;
}

/* A loop device and the file behind it are one; so is what lies on that loop device. */
static bool lies_on_file(const struct stat *device, const struct stat *file)
{
	dev_t below[IDENTITY_BELOW_MAX];
	char path[PATH_MAX];
	struct stat st;
	size_t count;

	if (!S_ISBLK(device->st_mode) || !S_ISREG(file->st_mode))
		return false;
	count = identity_below(device->st_rdev, below);
	for (size_t i = 0; i < count; i++) {
		identity_attribute(below[i], "loop/backing_file", path, sizeof(path));
		if (path[0] && stat(path, &st) == 0 && is_same(&st, file))
			return true;
	}
	return false;
}

static int check_source(
	const struct stat *target, const char *path, const char *source, struct err *err)
{
	struct stat st;

	if (stat(source, &st) < 0)
		return err_sys(err, errno, "%s", source);
	if (is_same(&st, target) || lies_on_file(&st, target) || lies_on_file(target, &st))
		return err_set(err, EINVAL, "%s: is the source itself (%s)", path, source);
	if (S_ISBLK(st.st_mode) && S_ISBLK(target->st_mode))
		return check_kinship(target->st_rdev, st.st_rdev, path, err);
	return 0;
}

static int check_kind(enum spec_kind kind, const char *path, const struct stat *st, struct err *err)
{
	if (kind == SPEC_FILE && !S_ISREG(st->st_mode))
		return err_set(err, EINVAL, "%s: not a regular file%s", path,
			S_ISBLK(st->st_mode) ? " (a device is dev:... or lvm:...)" : "");
	if (kind != SPEC_FILE && !S_ISBLK(st->st_mode))
		return err_set(err, EINVAL, "%s: not a block device%s", path,
			S_ISREG(st->st_mode) ? " (a file is file:...)" : "");
	return 0;
}

int guard_check_stat(enum spec_kind kind, const char *path, const struct stat *st,
	const char *source, struct err *err)
{
	int ret = check_kind(kind, path, st, err);

	if (ret == 0 && source)
		ret = check_source(st, path, source, err);
	if (ret == 0 && S_ISBLK(st->st_mode))
		ret = check_mounts(st->st_rdev, path, err);
	return ret < 0 ? ret : check_swaps(st, path, err);
}

int guard_check(enum spec_kind kind, const char *path, const char *source, struct err *err)
{
	struct stat st;

	/* The rename would put the copy into the place of the link, and leave the file as it is. */
	if (kind == SPEC_FILE && lstat(path, &st) == 0 && S_ISLNK(st.st_mode))
		return err_set(err, EINVAL,
			"%s: is a symbolic link; give the name of the file it leads to", path);
	if (stat(path, &st) < 0) {
		if (kind == SPEC_FILE && errno == ENOENT)
			return 0;
		return err_sys(err, errno, "%s", path);
	}
	return guard_check_stat(kind, path, &st, source, err);
}

/* PREFIX with or without a slash at its end; itself does not lie below it. */
static bool lies_below(const char *path, const char *prefix)
{
	size_t len = strlen(prefix);

	while (len > 0 && prefix[len - 1] == '/')
		len--;
	return strncmp(path, prefix, len) == 0 && path[len] == '/' && path[len + 1];
}

static bool has_dots(const char *path)
{
	for (const char *p = path; (p = strchr(p, '/')); p++) {
		if (strncmp(p, "/../", 4) == 0 || strcmp(p, "/..") == 0 ||
			strncmp(p, "/./", 3) == 0 || strncmp(p, "//", 2) == 0)
			return true;
	}
	return false;
}

/* The file or device itself. That of /dev/vg0/lv is a link, and root's. */
static int check_end(enum spec_kind kind, const char *path, const char *prefix, struct err *err)
{
	struct stat st;

	if (lstat(path, &st) < 0)
		return 0; /* whoever opens it says so */
	if (kind == SPEC_FILE && !S_ISREG(st.st_mode))
		return err_set(err, EACCES, "%s: not a regular file", path);
	if (kind == SPEC_DEV && S_ISLNK(st.st_mode) && st.st_uid != 0)
		return err_set(err, EACCES, "%s: a link that is not root's, and may lead out of %s",
			path, prefix);
	return 0;
}

int guard_prefix(enum spec_kind kind, const char *path, const char *prefix, struct err *err)
{
	char folder[PATH_MAX], real[2 * PATH_MAX + 2], top[PATH_MAX];
	const char *slash = strrchr(path, '/');

	if (kind == SPEC_NBD || !slash || has_dots(path) || !lies_below(path, prefix))
		return err_set(err, EACCES, "%s: not below %s, which is all that is allowed here",
			path, prefix);
	if (kind == SPEC_LVM)
		return 0; /* there is no folder of a group without a volume that is active */
	snprintf(folder, sizeof(folder), "%.*s", (int)(slash - path) + 1, path);
	if (!realpath(prefix, top))
		return err_sys(err, errno, "%s", prefix);
	if (!realpath(folder, real))
		return err_sys(err, errno, "%s", folder);
	snprintf(real + strlen(real), PATH_MAX, "/%s", slash + 1);
	if (!lies_below(real, top))
		return err_set(err, EACCES, "%s: a link leads out of %s", path, prefix);
	return check_end(kind, path, prefix, err);
}
