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

static int check_swaps(dev_t dev, const char *path, struct err *err)
{
	char line[2 * PATH_MAX], name[PATH_MAX];
	FILE *f = fopen("/proc/swaps", "re");
	struct stat st;
	int ret = 0;

	while (ret == 0 && f && fgets(line, sizeof(line), f)) {
		if (sscanf(line, "%4095s", name) == 1 && stat(name, &st) == 0 &&
			S_ISBLK(st.st_mode) && st.st_rdev == dev)
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

/* A loop device and the file behind it are one. */
static bool is_behind(const struct stat *loop, const struct stat *file)
{
	char path[PATH_MAX];
	struct stat st;

	if (!S_ISBLK(loop->st_mode) || !S_ISREG(file->st_mode))
		return false;
	identity_attribute(loop->st_rdev, "loop/backing_file", path, sizeof(path));
	return path[0] && stat(path, &st) == 0 && st.st_dev == file->st_dev &&
		st.st_ino == file->st_ino;
}

static int check_source(
	const struct stat *target, const char *path, const char *source, struct err *err)
{
	struct stat st;
	bool same;

	if (stat(source, &st) < 0)
		return err_sys(err, errno, "%s", source);
	if (S_ISBLK(st.st_mode) && S_ISBLK(target->st_mode))
		same = st.st_rdev == target->st_rdev;
	else
		same = st.st_dev == target->st_dev && st.st_ino == target->st_ino;
	if (same || is_behind(&st, target) || is_behind(target, &st))
		return err_set(err, EINVAL, "%s: is the source itself (%s)", path, source);
	if (S_ISBLK(st.st_mode) && S_ISBLK(target->st_mode))
		return check_kinship(target->st_rdev, st.st_rdev, path, err);
	return 0;
}

int guard_check(enum spec_kind kind, const char *path, const char *source, struct err *err)
{
	struct stat st;
	int ret = 0;

	if (stat(path, &st) < 0) {
		if (kind == SPEC_FILE && errno == ENOENT)
			return 0;
		return err_sys(err, errno, "%s", path);
	}
	if (kind == SPEC_FILE && !S_ISREG(st.st_mode))
		return err_set(err, EINVAL, "%s: not a regular file%s", path,
			S_ISBLK(st.st_mode) ? " (a device is dev:... or lvm:...)" : "");
	if (kind != SPEC_FILE && !S_ISBLK(st.st_mode))
		return err_set(err, EINVAL, "%s: not a block device%s", path,
			S_ISREG(st.st_mode) ? " (a file is file:...)" : "");
	if (source)
		ret = check_source(&st, path, source, err);
	if (ret == 0 && S_ISBLK(st.st_mode))
		ret = check_mounts(st.st_rdev, path, err);
	if (ret == 0 && S_ISBLK(st.st_mode))
		ret = check_swaps(st.st_rdev, path, err);
	return ret;
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

int guard_prefix(enum spec_kind kind, const char *path, const char *prefix, struct err *err)
{
	char folder[PATH_MAX], real[2 * PATH_MAX + 2], top[PATH_MAX];
	const char *slash = strrchr(path, '/');
	struct stat st;

	if (kind == SPEC_NBD || !slash || has_dots(path) || !lies_below(path, prefix))
		return err_set(err, EACCES, "%s: not below %s, which is all that is allowed here",
			path, prefix);
	if (kind != SPEC_FILE)
		return 0;
	snprintf(folder, sizeof(folder), "%.*s", (int)(slash - path) + 1, path);
	if (!realpath(prefix, top))
		return err_sys(err, errno, "%s", prefix);
	if (!realpath(folder, real))
		return err_sys(err, errno, "%s", folder);
	snprintf(real + strlen(real), PATH_MAX, "/%s", slash + 1);
	if (!lies_below(real, top))
		return err_set(err, EACCES, "%s: a link leads out of %s", path, prefix);
	if (lstat(path, &st) == 0 && !S_ISREG(st.st_mode))
		return err_set(err, EACCES, "%s: not a regular file", path);
	return 0;
}
