/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A look at /proc/diskstats with names of sysfs; see iostat_sample.h. A number such as dm-3 may
 * mean another device a second later, so an item's identity has the mapped device's uuid and the
 * kernel's number of the disk (diskseq), which never comes twice in a boot.
 */
#include "iostat_sample.h"

#include "clock.h"
#include "iostat_disk.h"
#include "iostat_mapped.h"
#include "util.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

enum { DISKSTATS_MAX = 16 * 1024 * 1024 };

int iostat_filter_compile(const char *text, regex_t *ret, struct err *err)
{
	int r = regcomp(ret, text, REG_EXTENDED | REG_NOSUB);
	char why[128];

	if (r == 0)
		return 0;
	regerror(r, ret, why, sizeof(why));
	return err_set(err, EINVAL, "'%.200s': no regular expression: %s", text, why);
}

/* All of a file of /proc, whose size is not known before. */
static int read_all(const char *path, char **ret)
{
	CLEANUP_FD int fd = open(path, O_RDONLY | O_CLOEXEC);
	size_t used = 0, room = 64 * 1024;
	char *text = fd < 0 ? NULL : malloc(room);
	ssize_t n = fd < 0 ? -errno : text ? 1 : -ENOMEM;

	while (n > 0) {
		if (used + 1 == room) {
			char *more = room < DISKSTATS_MAX ? realloc(text, room * 2) : NULL;

			if (!more) {
				n = -ENOMEM;
				break;
			}
			text = more;
			room *= 2;
		}
		n = read(fd, text + used, room - used - 1);
		used += n > 0 ? (size_t)n : 0;
		n = n < 0 ? -errno : n;
	}
	if (n < 0) {
		free(text);
		return (int)n;
	}
	text[used] = 0;
	*ret = text;
	return 0;
}

/* The file of DEVICE in SYS/block; a '/' in a device's name is a '!' there. */
static void block_path(char out[PATH_MAX], const char *sys, const char *device, const char *file)
{
	int n = snprintf(out, PATH_MAX, "%s/block/", sys);

	snprintf(out + n, PATH_MAX - (size_t)n, "%s/%s", device, file);
	for (char *p = out + n; p < out + n + strlen(device); p++)
		*p = (char)(*p == '/' ? '!' : *p);
}

static void set_identity(const char *sys, const char *uuid, struct iostat_item *item)
{
	char path[PATH_MAX], seq[32] = "";
	FILE *in;

	block_path(path, sys, item->device, "diskseq");
	in = fopen(path, "re");
	if (in) {
		if (!fgets(seq, sizeof(seq), in))
			*seq = 0;
		fclose(in);
	}
	seq[strcspn(seq, "\n")] = 0;
	snprintf(item->identity, sizeof(item->identity), "device %.63s %.120s %.30s", item->device,
		uuid, seq);
}

static bool is_wanted(const struct iostat_source *s, const struct iostat_item *item, bool hidden)
{
	char path[PATH_MAX];

	block_path(path, s->sys, item->device, "");
	if (!s->all && (hidden || access(path, F_OK) < 0))
		return false;
	return !s->filter || regexec(s->filter, item->device, 0, NULL, 0) == 0 ||
		regexec(s->filter, item->name, 0, NULL, 0) == 0;
}

/* Disks by number, then mapped devices by name. */
static int compare(const void *a, const void *b)
{
	const struct iostat_item *x = a, *y = b;
	bool x_mapped = strncmp(x->device, "dm-", 3) == 0;
	bool y_mapped = strncmp(y->device, "dm-", 3) == 0;

	if (x_mapped != y_mapped)
		return x_mapped - y_mapped;
	if (x_mapped)
		return strcmp(x->name, y->name);
	if (x->major != y->major)
		return x->major < y->major ? -1 : 1;
	return (x->minor > y->minor) - (x->minor < y->minor);
}

static int add(const struct iostat_source *source, const struct iostat_mapping *mapping,
	const struct iostat_disk *d, struct iostat_sample *ret)
{
	const struct iostat_mapped *mapped = iostat_mapping_find(mapping, d->device);
	struct iostat_item item = {.kind = IOSTAT_DEVICE,
		.major = d->major,
		.minor = d->minor,
		.counts = d->counts,
		.has_queue_ms = true};
	struct iostat_item *place;

	strcpy(item.device, d->device);
	snprintf(item.name, sizeof(item.name), "%s", mapped ? mapped->name : d->device);
	if (!is_wanted(source, &item, mapped && mapped->is_hidden))
		return 0;
	if (mapped)
		iostat_mapping_relation(mapping, mapped, item.relation);
	set_identity(source->sys, mapped ? mapped->uuid : "", &item);
	place = iostat_insert(ret, ret->count);
	if (!place)
		return -ENOMEM;
	*place = item;
	return 0;
}

int iostat_sample_take(
	const struct iostat_source *source, struct iostat_sample *ret, struct err *err)
{
	struct iostat_sample s = {.ns = clock_ns(), .seconds = (uint64_t)time(NULL)};
	struct iostat_mapping mapping = {0};
	CLEANUP_FREE char *text = NULL;
	char path[PATH_MAX];
	struct iostat_disk d;
	int r;

	snprintf(path, sizeof(path), "%s/diskstats", source->proc);
	r = read_all(path, &text);
	if (r < 0)
		return err_sys(err, -r, "%s", path);
	r = iostat_mapping_read(source->sys, &mapping);
	if (r < 0)
		return err_sys(err, -r, "%s/block", source->sys);
	for (const char *at = text; r == 0 && *at;) {
		if (iostat_disk_parse(&at, &d))
			r = add(source, &mapping, &d, &s);
	}
	iostat_mapping_done(&mapping);
	if (r < 0) {
		iostat_sample_done(&s);
		return err_sys(err, -r, "the list of devices");
	}
	if (s.count > 0)
		qsort(s.items, s.count, sizeof(*s.items), compare);
	*ret = s;
	return 0;
}
