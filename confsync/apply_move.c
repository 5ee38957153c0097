/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Exchanges of names; see apply.h. Each can be done again after a crash: inodes tell whether it was
 * done. Somebody else may have put another file there at any moment; it then gets the temporary
 * name, as the file before would, and is kept when that is removed (apply_drop.c).
 */
#include "apply_inner.h"
#include "beneath.h"
#include "meta.h"
#include "util.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>

enum { TRIES = 16 };

/* 0 if there is none. */
static uint64_t inode_of(const struct apply_place *p, const char *name)
{
	struct stat st;

	return fstatat(p->parent, name, &st, AT_SYMLINK_NOFOLLOW) < 0 ? 0 : st.st_ino;
}

static int rename_in(const struct apply_place *p, const char *from, const char *to, unsigned how)
{
	return renameat2(p->parent, from, p->parent, to, how) < 0 ? -errno : 0;
}

/* What has the temporary name gets the name; what is there, if anything, the temporary one. */
static int put(const struct apply_place *p)
{
	int r = -EEXIST;

	for (int n = 0; n < TRIES; n++) {
		r = rename_in(p, p->temp, p->name, RENAME_NOREPLACE);
		if (r != -EEXIST)
			return r;
		r = rename_in(p, p->temp, p->name, RENAME_EXCHANGE);
		if (r != -ENOENT)
			return r;
	}
	return r;
}

static int take(const struct apply_place *p)
{
	int r = rename_in(p, p->name, p->temp, RENAME_NOREPLACE);

	return r == -ENOENT ? 0 : r;
}

/* Somebody may have put another folder there, which is not to get this one's owner. */
static bool is_another(int fd, const struct apply_item *i)
{
	struct stat st;

	return fstat(fd, &st) < 0 || st.st_ino != i->old_inode;
}

static int set_folder(
	struct apply *a, const struct apply_item *i, const struct entry *e, struct err *err)
{
	CLEANUP_FD int fd = beneath_open(e->path, O_RDONLY | O_DIRECTORY);
	bool gone = fd < 0 ? apply_place_is_gone(fd) : is_another(fd, i);

	if (gone && a->recovering)
		return 0;
	if (gone)
		return err_set(err, ESTALE, "%s: was changed in the meantime", e->path);
	return fd < 0 ? err_sys(err, -fd, "%s", e->path) : meta_apply(a->names, fd, e, err);
}

static int do_move(const struct apply_item *i, const struct apply_place *p)
{
	uint64_t temp = inode_of(p, p->temp);

	if (i->kind == APPLY_REMOVE)
		return temp ? 0 : take(p);
	return temp && temp == i->new_inode ? put(p) : 0;
}

/* A folder that has vanished since a crash has taken all of its items along. */
static int open_place(struct apply *a, const struct apply_item *i, struct apply_place *p)
{
	int r = apply_place_open(a, i, p);

	return apply_place_is_gone(r) && a->recovering ? 1 : r;
}

static int told(const struct apply_item *i, int r, struct err *err)
{
	return r < 0 ? err_sys(err, -r, "%s: exchanging it with what was prepared", i->path) : 0;
}

int apply_move(struct apply *a, const struct apply_item *i, struct err *err)
{
	struct apply_place p;
	int r;

	if (i->kind == APPLY_FOLDER)
		return set_folder(a, i, i->new, err);
	r = open_place(a, i, &p);
	if (r == 0) {
		r = do_move(i, &p);
		apply_place_close(&p);
	}
	return told(i, r, err);
}

static int do_move_back(const struct apply_item *i, const struct apply_place *p)
{
	uint64_t temp = inode_of(p, p->temp), name = inode_of(p, p->name);

	if (i->kind == APPLY_ADD) {
		if (temp == i->new_inode || !name)
			return 0;
		/* TEMP is then what somebody had put there in the last moment. */
		return temp ? put(p) : take(p);
	}
	if (!temp || (i->new_inode && temp == i->new_inode) || name == i->old_inode)
		return 0;
	return put(p);
}

int apply_move_back(struct apply *a, const struct apply_item *i, struct err *err)
{
	struct apply_place p;
	int r;

	if (i->kind == APPLY_FOLDER)
		return set_folder(a, i, i->old, err);
	r = open_place(a, i, &p);
	if (r == 0) {
		r = do_move_back(i, &p);
		apply_place_close(&p);
	}
	return told(i, r, err);
}
