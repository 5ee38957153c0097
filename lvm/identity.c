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

enum { SYS_PATH_MAX = 512, BOOT_ROOM = 40 };

static void first_line(const char *path, char *out, size_t room)
{
	FILE *f = fopen(path, "re");

	out[0] = 0;
	if (!f)
		return;
	if (!fgets(out, (int)room, f))
		out[0] = 0;
	out[strcspn(out, "\n")] = 0;
	fclose(f);
}

void identity_attribute(dev_t dev, const char *name, char *out, size_t room)
{
	char path[SYS_PATH_MAX];

	snprintf(path, sizeof(path), "/sys/dev/block/%u:%u/%s", major(dev), minor(dev), name);
	first_line(path, out, room);
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
	char path[PATH_MAX], text[64];
	unsigned high, low;
	struct dirent *d;
	struct stat st;
	DIR *folder;

	snprintf(path, sizeof(path), "/sys/dev/block/%u:%u/slaves", major(dev), minor(dev));
	folder = opendir(path);
	while (folder && (d = readdir(folder))) {
		char name[NAME_MAX + sizeof("slaves//dev")];

		snprintf(name, sizeof(name), "slaves/%s/dev", d->d_name);
		identity_attribute(dev, name, text, sizeof(text));
		if (sscanf(text, "%u:%u", &high, &low) == 2)
			add(makedev(high, low), out, count);
	}
	if (folder)
		closedir(folder);
	identity_attribute(dev, "loop/backing_file", path, sizeof(path));
	if (path[0] && stat(path, &st) == 0 && S_ISBLK(st.st_mode))
		add(st.st_rdev, out, count);
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

static void identity_of_boot(char out[BOOT_ROOM])
{
	first_line("/proc/sys/kernel/random/boot_id", out, BOOT_ROOM);
}

/* What the kernel has counted since the snapshot was activated: more is another snapshot. */
static void add_writes(dev_t dev, char *out)
{
	char read_only[8], stat[256], boot[BOOT_ROOM];
	unsigned long long sectors = 0;
	size_t used = strlen(out);

	identity_attribute(dev, "ro", read_only, sizeof(read_only));
	if (*read_only == '1')
		return;
	identity_attribute(dev, "stat", stat, sizeof(stat));
	sscanf(stat, "%*u %*u %*u %*u %*u %*u %20llu", &sectors);
	identity_of_boot(boot);
	snprintf(out + used, MANIFEST_IDENTITY_MAX - used, " %llu %s", sectors, boot);
}

/* Numbers of disks (diskseq) begin anew with each boot, and disks may come in another order. */
static void identity_of_device(dev_t dev, const char *name, char *out, bool *ret_stable)
{
	char uuid[160], sequence[32], boot[BOOT_ROOM];

	*ret_stable = is_snapshot(dev);
	identity_attribute(dev, "dm/uuid", uuid, sizeof(uuid));
	identity_attribute(dev, "diskseq", sequence, sizeof(sequence));
	if (strncmp(uuid, "LVM-", 4) == 0) {
		snprintf(out, MANIFEST_IDENTITY_MAX, "lv %s", uuid + 4);
		if (*ret_stable)
			add_writes(dev, out);
		return;
	}
	identity_of_boot(boot);
	snprintf(out, MANIFEST_IDENTITY_MAX, "dev %u:%u %.20s %s %.80s %.60s", major(dev),
		minor(dev), sequence, boot, uuid, name);
}

bool identity_is_one_volume(const char *a, const char *b)
{
	size_t len;

	if (strncmp(a, "lv ", 3) != 0 || strncmp(b, "lv ", 3) != 0)
		return false;
	len = strcspn(a + 3, " ");
	return strcspn(b + 3, " ") == len && memcmp(a + 3, b + 3, len) == 0;
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
