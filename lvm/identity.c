/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Identities from fstat(2) and sysfs; see identity.h. sysfs and not LVM's programs, as a look at
 * those takes most of a second on a busy host, and the far side may have no right to run them.
 */
#include "identity.h"

#include "util.h"

#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>

enum { SYS_PATH_MAX = 512 };

void identity_attribute(dev_t dev, const char *name, char *out, size_t room)
{
	char path[SYS_PATH_MAX];
	FILE *f;

	out[0] = 0;
	snprintf(path, sizeof(path), "/sys/dev/block/%u:%u/%s", major(dev), minor(dev), name);
	f = fopen(path, "re");
	if (!f)
		return;
	if (!fgets(out, (int)room, f))
		out[0] = 0;
	out[strcspn(out, "\n")] = 0;
	fclose(f);
}

static bool ends_with(const char *text, const char *end)
{
	size_t len = strlen(text), part = strlen(end);

	return len >= part && strcmp(text + len - part, end) == 0;
}

bool identity_is_part(dev_t dev, const char *part)
{
	char uuid[160];

	identity_attribute(dev, "dm/uuid", uuid, sizeof(uuid));
	return strncmp(uuid, "LVM-", 4) == 0 && ends_with(uuid, part);
}

static void add(dev_t dev, dev_t *out, size_t *count)
{
	for (size_t i = 0; i < *count; i++) {
		if (out[i] == dev)
			return;
	}
	if (*count < IDENTITY_BELOW_MAX)
		out[(*count)++] = dev;
}

/* The devices that DEV lies on, and the disk it is a partition of. */
static void add_below(dev_t dev, dev_t *out, size_t *count)
{
	char path[SYS_PATH_MAX], text[64];
	unsigned high, low;
	struct dirent *d;
	DIR *folder;

	snprintf(path, sizeof(path), "/sys/dev/block/%u:%u/slaves", major(dev), minor(dev));
	folder = opendir(path);
	while (folder && (d = readdir(folder))) {
		char name[SYS_PATH_MAX];

		snprintf(name, sizeof(name), "slaves/%s/dev", d->d_name);
		identity_attribute(dev, name, text, sizeof(text));
		if (sscanf(text, "%u:%u", &high, &low) == 2)
			add(makedev(high, low), out, count);
	}
	if (folder)
		closedir(folder);
	identity_attribute(dev, "partition", text, sizeof(text));
	if (!text[0])
		return;
	identity_attribute(dev, "../dev", text, sizeof(text));
	if (sscanf(text, "%u:%u", &high, &low) == 2)
		add(makedev(high, low), out, count);
}

size_t identity_below(dev_t dev, dev_t out[IDENTITY_BELOW_MAX])
{
	size_t count = 0;

	add(dev, out, &count);
	for (size_t i = 0; i < count; i++)
		add_below(out[i], out, &count);
	return count;
}

/* A snapshot: one of what lies directly below is a store of exceptions. */
static bool is_snapshot(dev_t dev)
{
	dev_t below[IDENTITY_BELOW_MAX];
	size_t count = 0;

	add_below(dev, below, &count);
	for (size_t i = 0; i < count; i++) {
		if (identity_is_part(below[i], "-cow"))
			return true;
	}
	return false;
}

static void identity_of_device(dev_t dev, const char *name, char *out, bool *ret_stable)
{
	char uuid[160], sequence[32];

	*ret_stable = is_snapshot(dev);
	identity_attribute(dev, "dm/uuid", uuid, sizeof(uuid));
	identity_attribute(dev, "diskseq", sequence, sizeof(sequence));
	if (strncmp(uuid, "LVM-", 4) == 0)
		snprintf(out, MANIFEST_IDENTITY_MAX, "lv %s", uuid + 4);
	else
		snprintf(out, MANIFEST_IDENTITY_MAX, "dev %u:%u %.20s %.100s %.80s", major(dev),
			minor(dev), sequence, uuid, name);
}

int identity_of(int fd, const char *name, char out[MANIFEST_IDENTITY_MAX], bool *ret_stable,
	struct err *err)
{
	struct stat st;

	if (fstat(fd, &st) < 0)
		return err_sys(err, errno, "%s", name);
	if (S_ISBLK(st.st_mode)) {
		identity_of_device(st.st_rdev, name, out, ret_stable);
		return 0;
	}
	*ret_stable = true;
	snprintf(out, MANIFEST_IDENTITY_MAX, "file %u:%u %llu %lld %lld.%09ld", major(st.st_dev),
		minor(st.st_dev), (unsigned long long)st.st_ino, (long long)st.st_size,
		(long long)st.st_mtim.tv_sec, st.st_mtim.tv_nsec);
	return 0;
}
