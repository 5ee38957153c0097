/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What rpc.statd leaves when it is cut off. It adds a line to a record by writing the next version
 * beside it, PEER.new or .PEER.new, and renaming that; it does not sync the folder. So after a
 * power cut a line that it had vouched for may be in the next version only. One that is whole is
 * joined with the record; one that is not was never vouched for. Neither is a peer of that name.
 */
#include "monlist_inner.h"

#include "lines.h"
#include "log.h"
#include "util.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

enum { IN_USE_S = 5 }; /* it takes a moment, and a boot takes longer */

static bool is_there(int folder, const char *name)
{
	return faccessat(folder, name, F_OK, AT_SYMLINK_NOFOLLOW) == 0;
}

bool monlist_leftover_of(struct monlist *l, const char *name, char ret[RECORD_NAME_MAX + 1])
{
	if (monlist_second_of(name) || !record_temporary_of(name, ret))
		return false;
	return record_looks_temporary(name) || is_there(l->sm, ret) || is_there(l->bak, ret);
}

/* Nothing but records, the last one with its end. */
static bool has_whole_lines(int fd)
{
	struct lines lines;
	struct lines_piece piece;
	struct record line;
	bool any = false;
	int r;

	lines_init(&lines, fd, MONLIST_FILE_MAX);
	while ((r = lines_next(&lines, &piece)) > 0) {
		if (!piece.whole || !piece.newline ||
			record_parse(piece.text, piece.len, &line, NULL) < 0)
			return false;
		any = true;
	}
	return any && r == 0;
}

bool monlist_is_whole(struct monlist *l, int folder, const char *name)
{
	struct stat st;
	CLEANUP_FD int fd = monlist_open_file(l, folder, name, &st);

	return fd >= 0 && has_whole_lines(fd);
}

bool monlist_is_in_use(const struct monlist *l, int folder, const char *name)
{
	struct timespec now;
	struct stat st;

	if (folder != l->sm || fstatat(folder, name, &st, AT_SYMLINK_NOFOLLOW) < 0)
		return false;
	clock_gettime(CLOCK_REALTIME, &now);
	return st.st_mtim.tv_sec <= now.tv_sec && now.tv_sec - st.st_mtim.tv_sec < IN_USE_S;
}

static int adopt(struct monlist *l, int folder, const char *name, void *ctx)
{
	char base[RECORD_NAME_MAX + 1], second[MONLIST_SECOND_ROOM];
	uint32_t *moved = ctx;
	int r;

	if (!monlist_leftover_of(l, name, base) || monlist_is_in_use(l, folder, name) ||
		!monlist_is_whole(l, folder, name))
		return 0;
	snprintf(second, sizeof(second), MONLIST_SECOND "%s", base);
	r = monlist_move(folder, name, l->bak, second);
	if (r == 0) {
		++*moved;
		log_info("%.200s/%s/%s: left by a crash; its lines are joined with those of %s",
			l->path, monlist_folder_name(l, folder), name, base);
	} else if (r != -EEXIST && r != -ENOENT) {
		l->stuck++;
		monlist_say(l, folder, name, "not joined with %s: %s", base, strerror(-r));
	}
	return 0;
}

int monlist_adopt(struct monlist *l, uint32_t *ret_moved, struct err *err)
{
	int r;

	*ret_moved = 0;
	r = monlist_each(l, l->bak, adopt, ret_moved, err);
	return r < 0 ? r : monlist_each(l, l->sm, adopt, ret_moved, err);
}
