/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Names and relations of mapped devices; see iostat_mapped.h. Only sysfs is read, so no rights are
 * needed and LVM is not started for it. Devices come and go meanwhile: a file that is not there
 * means that its device has gone.
 */
#include "iostat_mapped.h"

#include "spec.h"
#include "util.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>

enum { LVM_UUID = 4 + 32 + 32 /* "LVM-", the group's, the volume's */ };

/* Names. */

void iostat_mapped_name(
	const char *name, const char *uuid, char out[IOSTAT_NAME_ROOM], bool *ret_hidden)
{
	bool is_lvm = strncmp(uuid, "LVM-", 4) == 0 && strlen(uuid) >= LVM_UUID;
	const char *layer = is_lvm ? uuid + LVM_UUID : ""; /* "-real" and the like */
	char visible[IOSTAT_NAME_ROOM], vg[SPEC_NAME_MAX], lv[SPEC_NAME_MAX];
	size_t len = strlen(name), cut = strlen(layer);

	*ret_hidden = cut > 0;
	if (cut > 0 && cut < len && strcmp(name + len - cut, layer) == 0)
		len -= cut;
	else
		layer = "";
	snprintf(visible, sizeof(visible), "%.*s", (int)MIN_OF(len, sizeof(visible) - 1), name);
	if (is_lvm && spec_split_mapped(visible, vg, lv))
		snprintf(out, IOSTAT_NAME_ROOM, "%s/%s%s", vg, lv, layer);
	else
		snprintf(out, IOSTAT_NAME_ROOM, "%s", name);
}

/* Relations. */

static bool shares_real(const struct iostat_mapped *a, const struct iostat_mapped *b)
{
	return a != b && *a->real && strcmp(a->real, b->real) == 0;
}

void iostat_mapping_relation(
	const struct iostat_mapping *m, const struct iostat_mapped *d, char out[IOSTAT_NAME_ROOM])
{
	const struct iostat_mapped *origin = NULL;
	size_t snapshots = 0;

	for (size_t i = 0; i < m->count; i++) {
		if (!shares_real(d, &m->all[i]))
			continue;
		if (*m->all[i].cow)
			snapshots++;
		else
			origin = &m->all[i];
	}
	*out = 0;
	if (d->is_suspended)
		snprintf(out, IOSTAT_NAME_ROOM, "suspended");
	else if (*d->cow && origin)
		snprintf(out, IOSTAT_NAME_ROOM, "snapshot of %.480s", origin->name);
	else if (*d->cow)
		snprintf(out, IOSTAT_NAME_ROOM, "snapshot");
	else if (snapshots > 0)
		snprintf(out, IOSTAT_NAME_ROOM, "%zu snapshot%s", snapshots,
			snapshots > 1 ? "s" : "");
}

const struct iostat_mapped *iostat_mapping_find(const struct iostat_mapping *m, const char *device)
{
	for (size_t i = 0; i < m->count; i++) {
		if (strcmp(m->all[i].device, device) == 0)
			return &m->all[i];
	}
	return NULL;
}

/* Reading. */

/* The only line of a file below BLOCK; false: it is not there. */
static bool read_line(int block, const char *device, const char *file, char *out, size_t room)
{
	char path[PATH_MAX];
	CLEANUP_FD int fd = -1;
	ssize_t n;

	if (snprintf(path, sizeof(path), "%s/dm/%s", device, file) >= (int)sizeof(path))
		return false;
	fd = openat(block, path, O_RDONLY | O_CLOEXEC);
	n = fd < 0 ? -1 : read(fd, out, room - 1);
	if (n < 0)
		return false;
	out[n] = 0;
	out[strcspn(out, "\n")] = 0;
	return true;
}

static bool ends_in(const char *text, const char *end)
{
	size_t len = strlen(text), wanted = strlen(end);

	return len >= wanted && strcmp(text + len - wanted, end) == 0;
}

static void take_slave(int block, const char *slave, struct iostat_mapped *d)
{
	char uuid[IOSTAT_UUID_ROOM];

	if (strlen(slave) >= IOSTAT_DEVICE_ROOM ||
		!read_line(block, slave, "uuid", uuid, sizeof(uuid)))
		return; /* a disk */
	if (ends_in(uuid, "-real"))
		strcpy(d->real, slave);
	else if (ends_in(uuid, "-cow"))
		strcpy(d->cow, slave);
}

/* Of all that the device lies on. */
static void take_slaves(int block, struct iostat_mapped *d)
{
	char path[PATH_MAX];
	int fd;
	DIR *slaves;
	struct dirent *e;

	snprintf(path, sizeof(path), "%s/slaves", d->device);
	fd = openat(block, path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	slaves = fd < 0 ? NULL : fdopendir(fd);
	if (!slaves) {
		fd_close(&fd);
		return;
	}
	while ((e = readdir(slaves)))
		take_slave(block, e->d_name, d);
	closedir(slaves);
}

static bool read_one(int block, const char *device, struct iostat_mapped *ret)
{
	struct iostat_mapped d = {0};
	char name[IOSTAT_NAME_ROOM], suspended[8] = "";

	snprintf(d.device, sizeof(d.device), "%.*s", IOSTAT_DEVICE_ROOM - 1, device);
	if (!read_line(block, device, "name", name, sizeof(name)) ||
		!read_line(block, device, "uuid", d.uuid, sizeof(d.uuid)))
		return false;
	read_line(block, device, "suspended", suspended, sizeof(suspended));
	d.is_suspended = *suspended == '1';
	iostat_mapped_name(name, d.uuid, d.name, &d.is_hidden);
	take_slaves(block, &d);
	*ret = d;
	return true;
}

static int add(struct iostat_mapping *m, int block, const char *device)
{
	struct iostat_mapped *more = realloc(m->all, (m->count + 1) * sizeof(*more));

	if (!more)
		return -ENOMEM;
	m->all = more;
	if (read_one(block, device, &more[m->count]))
		m->count++;
	return 0;
}

int iostat_mapping_read(const char *sys, struct iostat_mapping *ret)
{
	struct iostat_mapping m = {0};
	char path[PATH_MAX];
	struct dirent *e;
	DIR *block;
	int r = 0;

	snprintf(path, sizeof(path), "%s/block", sys);
	block = opendir(path);
	if (!block)
		return -errno;
	while (r == 0 && (e = readdir(block))) {
		if (strncmp(e->d_name, "dm-", 3) == 0 && strlen(e->d_name) < IOSTAT_DEVICE_ROOM)
			r = add(&m, dirfd(block), e->d_name);
	}
	closedir(block);
	if (r < 0)
		iostat_mapping_done(&m);
	else
		*ret = m;
	return r;
}

void iostat_mapping_done(struct iostat_mapping *m)
{
	free(m->all);
	*m = (struct iostat_mapping){0};
}
