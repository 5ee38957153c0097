/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What the files of monlist share; see monlist.h. FOLDER is l->sm or l->bak everywhere. */
#ifndef SM_NOTIFY_MONLIST_INNER_H
#define SM_NOTIFY_MONLIST_INNER_H

#include "monlist.h"

#include "record.h"

#include <sys/stat.h>

/* In sm.bak, all hidden: */
#define MONLIST_TEMP   ".sm-notify.tmp" /* a file about to be complete */
#define MONLIST_ASIDE  ".rejected"      /* folder of what is kept aside */
#define MONLIST_SECOND ".+"             /* .+NAME: out of sm, not yet joined with NAME */

enum { MONLIST_SECOND_ROOM = sizeof(MONLIST_SECOND) + RECORD_NAME_MAX };

/* Negative ends the walk with that result. */
typedef int monlist_entry_fn(struct monlist *l, int folder, const char *name, void *ctx);
/*
 * Calls FN for every name in FOLDER but "." and "..". FN may remove and rename. 0, FN's result, or
 * -errno with a line that names the folder.
 */
int monlist_each(struct monlist *l, int folder, monlist_entry_fn *fn, void *ctx, struct err *err);

/* Of .+NAME: NAME, if that can be a peer's; else NULL. */
const char *monlist_second_of(const char *name);

/* One line in the log about NAME; the list is incomplete from now on. */
void monlist_say(struct monlist *l, int folder, const char *name, const char *fmt, ...)
	__attribute__((format(printf, 4, 5)));

/*
 * Is NAME a regular file of our owner? 0; -ENOENT: it is gone; other: it is in the way, and that
 * was said.
 */
int monlist_look(struct monlist *l, int folder, const char *name, struct stat *ret);
/*
 * The same, and opens it for reading: the descriptor. Nothing but a regular file is ever opened.
 * -EFBIG: it was set aside, as records are never that large.
 */
int monlist_open_file(struct monlist *l, int folder, const char *name, struct stat *ret);

/*
 * 0: NAME can be a peer's. Else it was kept aside and said why, or, in place, only that; -EBUSY: it
 * was left to rpc.statd, which is just writing it.
 */
int monlist_check_name(struct monlist *l, int folder, const char *name);

/*
 * monlist_leftover.c: is NAME a version of PEER (RET) that rpc.statd had no time to put in its
 * place, by its name or because there is a PEER beside it?
 */
bool monlist_leftover_of(struct monlist *l, const char *name, char ret[RECORD_NAME_MAX + 1]);
/* Was it written completely? Then its rename may have been done too, and only been lost. */
bool monlist_is_whole(struct monlist *l, int folder, const char *name);
/* In sm, and so young that rpc.statd is about to rename it. */
bool monlist_is_in_use(const struct monlist *l, int folder, const char *name);
/*
 * Makes every whole leftover of PEER, in both folders, .+PEER, if there is none already.
 * *RET_MOVED: how many.
 */
int monlist_adopt(struct monlist *l, uint32_t *ret_moved, struct err *err);

/*
 * Moves NAME (of any kind) to MONLIST_ASIDE, where it keeps its name, or gets "~1" ... behind it;
 * says WHY. 0, or -errno: it is still there.
 */
int monlist_set_aside(struct monlist *l, int folder, const char *name, const char *why);

/* Path of FOLDER for messages: "sm" or "sm.bak". */
const char *monlist_folder_name(const struct monlist *l, int folder);

/* renameat2(2) without replacing, also where the file system does not have it. 0 or -errno. */
int monlist_move(int from, const char *name, int to, const char *as);

#endif
