/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The device mapper's status of snapshots, by libdevmapper; see vg_fill.h. libdevmapper has one log
 * function in a process: ours keeps the last complaint for who asked. One call at a time.
 */
#include "vg_fill.h"

#include "spec.h"
#include "str.h"
#include "util.h"

#include <errno.h>
#include <libdevmapper.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>

enum { SECTOR = 512 };

static char complaint[256]; /* the log function has no argument of ours */

__attribute__((format(printf, 5, 6))) static void keep_complaint(
	int level, const char *file, int line, int code, const char *fmt, ...)
{
	va_list ap;

	(void)file;
	(void)line;
	(void)code;
	if ((level & 7) > 4) /* as syslog: up to warnings */
		return;
	va_start(ap, fmt);
	vsnprintf(complaint, sizeof(complaint), fmt, ap);
	va_end(ap);
}

/* Numbers in sectors: "USED/TOTAL METADATA", or a word: Invalid, Overflow, Merge failed. */
bool vg_fill_parse(const char *status, struct vg_fill *ret)
{
	char text[64], *total;
	uint64_t used_sectors, total_sectors;

	snprintf(text, sizeof(text), "%s", status);
	text[strcspn(text, " \n")] = 0;
	total = strchr(text, '/');
	if (!total) {
		ret->is_bad = strcmp(text, "Invalid") == 0 || strcmp(text, "Overflow") == 0 ||
			strcmp(text, "Merge") == 0;
		return ret->is_bad;
	}
	*total++ = 0;
	if (str_number(text, 0, INT64_MAX / SECTOR, &used_sectors) < 0 ||
		str_number(total, 1, INT64_MAX / SECTOR, &total_sectors) < 0)
		return false;
	*ret = (struct vg_fill){.used = used_sectors * SECTOR, .total = total_sectors * SECTOR};
	return true;
}

/* About NAME, or device MAJOR:MINOR if NAME is NULL. */
static int run(struct dm_task *task, const char *name, dev_t device, struct dm_info *info)
{
	if (name ? !dm_task_set_name(task, name)
		 : !dm_task_set_major(task, (int)major(device)) ||
				!dm_task_set_minor(task, (int)minor(device)))
		return -EINVAL;
	/* Else the kernel would first write out what it has not yet. */
	if (!dm_task_no_flush(task) || !dm_task_run(task))
		return dm_task_get_errno(task) ? -dm_task_get_errno(task) : -EIO;
	return dm_task_get_info(task, info) && info->exists ? 0 : -ENODEV;
}

/* *ret_params points into TASK. */
static int ask(struct dm_task *task, const char *name, dev_t device, char **ret_params)
{
	char *type = NULL;
	struct dm_info info;
	uint64_t start, length;
	int r = run(task, name, device, &info);

	if (r < 0)
		return r;
	dm_get_next_target(task, NULL, &start, &length, &type, ret_params);
	return type && *ret_params && strcmp(type, "snapshot") == 0 ? 0 : -EINVAL;
}

static int read_status(const char *name, dev_t device, struct vg_fill *ret)
{
	struct dm_task *task;
	char *params = NULL;
	int r;

	dm_log_with_errno_init(keep_complaint);
	*complaint = 0;
	task = dm_task_create(DM_DEVICE_STATUS);
	if (!task)
		return -ENOMEM;
	r = ask(task, name, device, &params);
	if (r == 0 && !vg_fill_parse(params, ret))
		r = -EPROTO;
	dm_task_destroy(task);
	return r == -ENXIO ? -ENODEV : r;
}

/* What was read of the device; 0 if that is nowhere written. */
static uint64_t bytes_read(const char *vg, const char *lv)
{
	char path[PATH_MAX];
	unsigned long long reads, merged, sectors = 0;
	struct stat st;
	FILE *in;

	snprintf(path, sizeof(path), "/dev/%s/%s", vg, lv);
	if (stat(path, &st) < 0 || !S_ISBLK(st.st_mode))
		return 0;
	snprintf(path, sizeof(path), "/sys/dev/block/%u:%u/stat", major(st.st_rdev),
		minor(st.st_rdev));
	in = fopen(path, "re");
	if (!in)
		return 0;
	if (fscanf(in, "%20llu %20llu %20llu", &reads, &merged, &sectors) != 3)
		sectors = 0;
	fclose(in);
	return (uint64_t)sectors * SECTOR;
}

int vg_fill_read(const char *vg, const char *lv, struct vg_fill *ret, struct err *err)
{
	char name[SPEC_MAPPED_MAX];
	int r;

	spec_join_mapped(vg, lv, name);
	r = read_status(name, 0, ret);

	if (r == -ENODEV)
		return err_set(err, ENODEV, "%s/%s: not active here", vg, lv);
	if (r == -EINVAL)
		return err_set(err, EINVAL, "%s/%s: not a snapshot", vg, lv);
	if (r < 0)
		return err_sys(err, -r, "%s/%s: device mapper%s%.200s", vg, lv,
			*complaint ? ": " : "", complaint);
	ret->read = bytes_read(vg, lv);
	return 0;
}

static bool is_mapped(dev_t device)
{
	char path[64];

	snprintf(path, sizeof(path), "/sys/dev/block/%u:%u/dm", major(device), minor(device));
	return access(path, F_OK) == 0;
}

int vg_fill_openers(dev_t device)
{
	struct dm_task *task;
	struct dm_info info;
	int r;

	if (!is_mapped(device))
		return -ENODEV;
	dm_log_with_errno_init(keep_complaint);
	task = dm_task_create(DM_DEVICE_INFO);
	if (!task)
		return -ENOMEM;
	r = run(task, NULL, device, &info);
	dm_task_destroy(task);
	return r < 0 ? r : info.open_count;
}

int vg_fill_check(dev_t device, const char *name, bool is_snapshot, struct err *err)
{
	struct vg_fill fill = {0};
	int r;

	if (!is_snapshot && !is_mapped(device))
		return 0;
	r = read_status(NULL, device, &fill);
	if (r == 0 && fill.is_bad)
		return err_set(err, EIO,
			"%s: the snapshot has overflowed: what was read of it is no copy of the "
			"volume",
			name);
	if (r == 0 || !is_snapshot)
		return 0; /* mapped, but no snapshot; or nobody may ask */
	return r == -EINVAL ? err_set(err, EIO, "%s: is no longer a snapshot", name)
			    : err_sys(err, -r, "%s: device mapper%s%.200s", name,
				      *complaint ? ": " : "", complaint);
}
