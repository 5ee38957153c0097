/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Out of sm, into sm.bak. A file leaves sm by one rename: rpc.statd may be adding to it or
 * replacing it right now, and whatever it is at that moment is what we have. If there is one of its
 * name in sm.bak already, it becomes .+NAME there and is joined with it: the union of both is
 * written to a temporary file, synced, renamed to NAME, the folder synced, and only then .+NAME
 * removed. After a crash at any place .+NAME is there still, and is joined again by the next run.
 * What rpc.statd itself had no time to put in its place goes the same way, before all else.
 */
#include "monlist_inner.h"

#include "draft.h"
#include "lines.h"
#include "util.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>

enum { PASSES_MAX = 10 };

struct retiring {
	uint32_t moved, stuck; /* in this pass */
	struct strtab joined;  /* NAMEs that have all of their .+NAME */
	struct strtab failed;  /* NAMEs that could not be joined: said once */
};

/* "mon_name my_name": what makes two lines the same for us; cookies change from boot to boot. */
static int put_pair(struct strtab *t, const struct record *line)
{
	char pair[2 * RECORD_TEXT_MAX + 2];
	uint32_t ignored;
	int n = snprintf(pair, sizeof(pair), "%.*s %.*s", (int)line->mon_len, line->mon,
		(int)line->my_len, line->my);

	return strtab_put(t, pair, (size_t)n, &ignored);
}

static bool has_pair(const struct strtab *t, const struct record *line)
{
	char pair[2 * RECORD_TEXT_MAX + 2];
	int n = snprintf(pair, sizeof(pair), "%.*s %.*s", (int)line->mon_len, line->mon,
		(int)line->my_len, line->my);

	return strtab_find(t, pair, (size_t)n) != 0;
}

/* Does PIECE of the old file have to stand in the union? */
static bool is_wanted(const struct strtab *pairs, const struct lines_piece *piece)
{
	struct record line;

	if (!piece->whole)
		return true;
	if (record_is_blank(piece->text, piece->len))
		return false;
	return record_parse(piece->text, piece->len, &line, NULL) < 0 || !has_pair(pairs, &line);
}

static void copy_piece(struct draft *d, const struct lines_piece *piece)
{
	draft_put(d, piece->text, piece->len);
	if (piece->last)
		draft_put(d, "\n", 1);
}

/* All of FD goes to D (if there is one) and its pairs to PAIRS. */
static int take_new(int fd, struct strtab *pairs, struct draft *d)
{
	struct lines lines;
	struct lines_piece piece;
	struct record line;
	int r;

	lines_init(&lines, fd, MONLIST_FILE_MAX);
	while ((r = lines_next(&lines, &piece)) > 0) {
		if (d)
			copy_piece(d, &piece);
		if (pairs && piece.whole && record_parse(piece.text, piece.len, &line, NULL) == 0)
			r = put_pair(pairs, &line);
		if (r < 0)
			return r;
	}
	return r;
}

/* What of FD is not in PAIRS goes to D, or without one is counted in *RET_WANTED. */
static int take_old(int fd, const struct strtab *pairs, struct draft *d, uint64_t *ret_wanted)
{
	struct lines lines;
	struct lines_piece piece;
	int r;

	lines_init(&lines, fd, MONLIST_FILE_MAX);
	while ((r = lines_next(&lines, &piece)) > 0) {
		if (!is_wanted(pairs, &piece))
			continue;
		if (d)
			copy_piece(d, &piece);
		else
			++*ret_wanted;
	}
	return r;
}

/* Makes NAME the union of both: NEW first, then what OLD has beyond it. */
static int write_union(struct monlist *l, const char *name, int new, int old,
	const struct strtab *pairs, const struct stat *like)
{
	struct draft d;
	int r = draft_begin(&d, l->bak, MONLIST_TEMP);

	if (r < 0)
		return r;
	if (lseek(new, 0, SEEK_SET) < 0 || lseek(old, 0, SEEK_SET) < 0)
		r = -errno;
	if (r == 0)
		r = take_new(new, NULL, &d);
	if (r == 0)
		r = take_old(old, pairs, &d, NULL);
	if (r < 0) {
		draft_abandon(&d);
		return r;
	}
	draft_like(&d, like);
	draft_mtime(&d, like->st_mtim);
	return draft_commit(&d, l->bak, name);
}

/* Both are there. Returns 1 if SECOND itself has become NAME, 0 if it has to go, or -errno. */
static int join_files(struct monlist *l, const char *name, const char *second, int new, int old,
	const struct stat *like)
{
	struct strtab pairs;
	uint64_t wanted = 0;
	int r;

	strtab_init(&pairs, MONLIST_TEXT_MAX);
	r = take_new(new, &pairs, NULL);
	if (r == 0)
		r = take_old(old, &pairs, NULL, &wanted);
	if (r == 0 && wanted == 0)
		r = renameat(l->bak, second, l->bak, name) < 0 ? -errno : 1;
	else if (r == 0)
		r = write_union(l, name, new, old, &pairs, like);
	strtab_done(&pairs);
	return r;
}

/* 1: SECOND is NAME now; 0: all of it is there and it has to go; or -errno. */
static int join(struct monlist *l, const char *name, const char *second)
{
	struct stat new_st, old_st;
	CLEANUP_FD int new = monlist_open_file(l, l->bak, second, &new_st);
	CLEANUP_FD int old = -1;
	int r;

	if (new < 0)
		return new;
	old = monlist_open_file(l, l->bak, name, &old_st);
	if (old >= 0)
		return join_files(l, name, second, new, old, &new_st);
	r = old;
	if (r == -EINVAL || r == -EPERM) /* no record, but it has the place of one */
		r = monlist_set_aside(l, l->bak, name, "in the way of a record");
	if (r == 0 || r == -ENOENT || r == -EFBIG)
		r = monlist_move(l->bak, second, l->bak, name);
	return r < 0 ? r : 1;
}

static void join_failed(
	struct monlist *l, struct retiring *retiring, int folder, const char *second, int error)
{
	const char *name = monlist_second_of(second);
	uint32_t ignored;

	l->stuck++;
	strtab_put(&retiring->failed, name, strlen(name), &ignored);
	monlist_say(l, folder, second, "not joined with %s: %s", name, strerror(-error));
}

static int join_one(struct monlist *l, int folder, const char *second, void *ctx)
{
	struct retiring *retiring = ctx;
	const char *name = monlist_second_of(second);
	uint32_t ignored;
	int r;

	if (!name || strtab_find(&retiring->failed, name, strlen(name)))
		return 0;
	r = join(l, name, second);
	l->unsynced = true;
	if (r == 0)
		r = strtab_put(&retiring->joined, name, strlen(name), &ignored);
	if (r < 0 && r != -ENOENT && r != -EFBIG)
		join_failed(l, retiring, folder, second, r);
	return 0;
}

/* The unions are on disk. What cannot be removed is joined again by the next run. */
static int remove_joined(struct monlist *l, int folder, const char *second, void *ctx)
{
	struct retiring *retiring = ctx;
	const char *name = monlist_second_of(second);

	if (name && strtab_find(&retiring->joined, name, strlen(name)))
		l->unsynced |= unlinkat(folder, second, 0) == 0;
	return 0;
}

static int sync_folder(struct monlist *l, int folder, struct err *err)
{
	int r = draft_sync_folder(folder);

	return r < 0 ? err_sys(err, -r, "%.300s/%s: sync", l->path, monlist_folder_name(l, folder))
		     : 0;
}

static int join_all(struct monlist *l, struct retiring *retiring, struct err *err)
{
	int r = monlist_each(l, l->bak, join_one, retiring, err);

	if (r == 0 && l->unsynced)
		r = sync_folder(l, l->bak, err);
	if (r == 0 && retiring->joined.count > 0)
		r = monlist_each(l, l->bak, remove_joined, retiring, err);
	strtab_done(&retiring->joined);
	strtab_init(&retiring->joined, MONLIST_TEXT_MAX);
	return r;
}

/* Of our last run, and then of rpc.statd, which may have left one in each folder. */
static int join_leftovers(struct monlist *l, struct retiring *retiring, struct err *err)
{
	uint32_t moved = 1;
	int r = join_all(l, retiring, err);

	for (unsigned i = 0; r == 0 && moved > 0 && i < PASSES_MAX; i++) {
		r = monlist_adopt(l, &moved, err);
		l->unsynced |= moved > 0;
		if (r == 0 && moved > 0)
			r = join_all(l, retiring, err);
	}
	return r;
}

/* To NAME, or to .+NAME if there is one already. */
static int move_out(struct monlist *l, const char *name)
{
	char second[MONLIST_SECOND_ROOM];
	int r = monlist_move(l->sm, name, l->bak, name);

	if (r != -EEXIST)
		return r;
	snprintf(second, sizeof(second), MONLIST_SECOND "%s", name);
	return monlist_move(l->sm, name, l->bak, second);
}

static int retire_one(struct monlist *l, int folder, const char *name, void *ctx)
{
	struct retiring *retiring = ctx;
	struct stat st;
	int r;

	if (*name == '.' || monlist_look(l, folder, name, &st) < 0 ||
		monlist_check_name(l, folder, name) < 0)
		return 0;
	r = move_out(l, name);
	if (r == 0)
		retiring->moved++;
	if (r < 0 && r != -ENOENT) {
		retiring->stuck++;
		monlist_say(l, folder, name, "not moved to sm.bak: %s", strerror(-r));
	}
	return 0;
}

/*
 * Again and again, until a pass finds nothing to move: POSIX does not promise that a walk through a
 * folder that changes sees everything.
 */
static int move_all(struct monlist *l, struct retiring *retiring, struct err *err)
{
	int r = 0;

	retiring->moved = 1;
	for (unsigned i = 0; r == 0 && retiring->moved > 0 && i < PASSES_MAX; i++) {
		retiring->moved = retiring->stuck = 0;
		r = monlist_each(l, l->sm, retire_one, retiring, err);
		l->quiet = true;
		l->unsynced |= retiring->moved > 0;
	}
	l->quiet = false;
	l->stuck += retiring->stuck;
	return r;
}

int monlist_retire(struct monlist *l, struct err *err)
{
	struct retiring retiring = {0};
	int r;

	strtab_init(&retiring.joined, MONLIST_TEXT_MAX);
	strtab_init(&retiring.failed, MONLIST_TEXT_MAX);
	r = join_leftovers(l, &retiring, err); /* what a crash left */
	if (r == 0)
		r = move_all(l, &retiring, err);
	if (r == 0)
		r = join_all(l, &retiring, err);
	if (r == 0 && l->unsynced)
		r = sync_folder(l, l->bak, err);
	if (r == 0 && l->unsynced)
		r = sync_folder(l, l->sm, err);
	l->unsynced &= r < 0;
	l->complete &= r == 0;
	strtab_done(&retiring.joined);
	strtab_done(&retiring.failed);
	return r;
}
