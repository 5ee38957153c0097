/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Files that people edited here and that become part of a generation as they are. Nobody may have
 * synced them; but once a generation is in force, a power cut must not leave other files than it
 * says: they would be taken for a newer edit, empty as they may be, and sent to the peer.
 */
#include "apply_inner.h"
#include "beneath.h"
#include "util.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

enum { DEVICES_MAX = 16 };

struct synced {
	char folder[PATH_BYTES_MAX + 1]; /* the last one */
	dev_t devices[DEVICES_MAX];
	size_t device_count;
};

/* What has gone since it was scanned has nothing that could be lost. */
static int sync_path(const char *path, int (*how)(int fd), struct err *err)
{
	CLEANUP_FD int fd = beneath_open(path, O_RDONLY);

	if (apply_place_is_gone(fd))
		return 0;
	if (fd < 0)
		return err_sys(err, -fd, "%s", path);
	if (how(fd) < 0 && errno != EINVAL)
		return err_sys(err, errno, "%s: could not be made durable", path);
	return 0;
}

static bool is_new_device(struct synced *s, const char *folder)
{
	struct stat st;

	if (beneath_stat(folder, &st) < 0)
		return false;
	for (size_t n = 0; n < s->device_count; n++) {
		if (s->devices[n] == st.st_dev)
			return false;
	}
	if (s->device_count < DEVICES_MAX)
		s->devices[s->device_count++] = st.st_dev;
	return true;
}

/* Changes are sorted, so mostly it is that of the one before. False: it was synced just now. */
static bool next_folder(struct synced *s, const char *path)
{
	size_t len = MAX_OF((size_t)(strrchr(path, '/') - path), (size_t)1);

	if (strncmp(s->folder, path, len) == 0 && !s->folder[len])
		return false;
	memcpy(s->folder, path, len);
	s->folder[len] = 0;
	return true;
}

static int sync_change(struct synced *s, const struct change *c, bool whole, struct err *err)
{
	const char *path = c->new ? c->new->path : c->old->path;
	bool is_other_folder = next_folder(s, path);
	int r = 0;

	if (whole)
		return is_other_folder && is_new_device(s, s->folder)
			? sync_path(s->folder, syncfs, err)
			: 0;
	if (c->new && c->new->type != MANIFEST_LINK)
		r = sync_path(path, fsync, err);
	return r == 0 && is_other_folder ? sync_path(s->folder, fsync, err) : r;
}

int apply_sync_live(const struct manifest *before, const struct manifest *live, struct err *err)
{
	struct synced s = {0};
	struct changes c;
	int r = changes_between(before, live, &c);

	if (r < 0)
		return err_sys(err, -r, "changes");
	for (size_t i = 0; i < c.count && r == 0; i++)
		r = sync_change(&s, &c.items[i], c.count > APPLY_SYNC_SINGLE_MAX, err);
	changes_done(&c);
	return r;
}
