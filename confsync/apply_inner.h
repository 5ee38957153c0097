/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What the files apply_*.c share; see apply.h. */
#ifndef CONFSYNC_APPLY_INNER_H
#define CONFSYNC_APPLY_INNER_H

#include "apply.h"
#include "path.h"

#include <sys/stat.h>

/* ADD: nothing is there. SWAP: something else is. REMOVE: nothing will be. FOLDER: stays, but with
 * another mode, owner or attributes. */
enum apply_kind { APPLY_ADD, APPLY_SWAP, APPLY_REMOVE, APPLY_FOLDER };

/* One exchange of names. Old and new may be folders: then with all in them. */
struct apply_item {
	enum apply_kind kind;
	char *path;
	/* Of live and next; NEW is NULL of a folder that is only needed on the way. */
	const struct entry *old, *new;
	uint64_t old_inode, new_inode; /* written to `made` */
};

/* What a thing looked like. */
struct apply_seen {
	uint64_t inode, size;
	struct timespec modified, changed;
	uint32_t mode, uid, gid;
};

enum { APPLY_NAME_MAX = 64 };

/* apply_items.c: the items, from LIVE and NEXT. */
int apply_items_make(struct apply *a, struct err *err);
int apply_items_add(struct apply *a, enum apply_kind kind, const char *path, struct err *err);
/* Entries of M beneath FOLDER: the first one's place. */
size_t apply_beneath(const struct manifest *m, const char *folder, size_t *count);

/* apply_journal.c */
int apply_journal_begin(struct apply *a, struct err *err);
int apply_journal_made(struct apply *a, struct err *err);
int apply_journal_phase(struct apply *a, enum apply_phase p, struct err *err);
int apply_journal_end(struct apply *a, struct err *err);
/* apply_journal_read.c. -ENOENT: there is none. Fills A up to the phase. */
int apply_journal_read(struct apply *a, struct err *err);
/* Reads of it only what can be read without a lock. */
enum apply_phase apply_journal_peek(
	const char *txn, char transaction[GENERATION_ID_MAX], enum apply_role *role);
char *apply_file(const struct state *s, const char *name);
bool apply_phase_parse(const char *word, size_t len, enum apply_phase *ret);

/* apply_place.c: places of items, and their names. */
void apply_temp_name(const struct apply *a, const struct apply_item *i, char ret[APPLY_NAME_MAX]);
struct apply_place {
	int parent; /* O_PATH */
	const char *name;
	char temp[APPLY_NAME_MAX];
};
int apply_place_open(const struct apply *a, const struct apply_item *i, struct apply_place *ret);
/* Is this what opening says when somebody has removed the folder, or put something else there? */
bool apply_place_is_gone(int r);
void apply_place_close(struct apply_place *p);
/* Can names be changed here? Asked once for each folder and file system. */
struct apply_ground {
	char folder[PATH_BYTES_MAX + 1]; /* the last one that was good */
	dev_t devices[16];
	size_t device_count;
};
int apply_ground_check(const struct apply *a, const struct apply_item *i,
	const struct apply_place *p, struct apply_ground *g, struct err *err);
/* Makes the names in all items' folders durable. */
int apply_sync_folders(const struct apply *a, struct err *err);
/* So many files, or folders, are synced one by one; more as a whole file system. */
enum { APPLY_SYNC_SINGLE_MAX = 48 };
/* All that was written to the file systems of the items. */
int apply_sync_all(const struct apply *a, struct err *err);

/* apply_make.c: what is new, under the temporary name. EAGERLY: each file is synced at once. */
int apply_make(struct apply *a, struct apply_item *i, const struct apply_place *p, bool eagerly,
	struct err *err);
/* How many files and folders all items have. */
size_t apply_make_count(const struct apply *a);

/* apply_look.c */
void apply_seen_fill(struct apply_seen *s, const struct stat *st);
/* Content and all: is what is there what LIVE says? -ESTALE else. Remembers how it looks. */
int apply_look(struct apply *a, struct apply_item *i, const struct apply_place *p, struct err *err);
/* Does it still look like that? */
int apply_look_again(
	struct apply *a, const struct apply_item *i, const struct apply_place *p, struct err *err);
/* Contents of all live files into the store, all that NEXT needs is there. */
int apply_keep_contents(struct apply *a, struct err *err);
/* Fills E (plain memory) from the file or link NAME, with content's hash and target. */
int apply_read_entry(struct apply *a, int parent, const char *name, const char *path,
	struct entry *e, struct stat *st, struct err *err);

/* apply_move.c: the exchange of an item, forth and back; both may have been done already. */
int apply_move(struct apply *a, const struct apply_item *i, struct err *err);
int apply_move_back(struct apply *a, const struct apply_item *i, struct err *err);

/* apply_drop.c: removes what has the temporary names; SIDE: what that was when it was displaced. */
int apply_drop(struct apply *a, const struct manifest *side, const struct apply_seen *seen,
	const struct generation *base, struct err *err);
/* Without a look at what it is: nobody has seen it yet. */
int apply_drop_unseen(struct apply *a, struct err *err);

#endif
