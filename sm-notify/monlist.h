/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Who monitors us: the folders `sm` and `sm.bak` of a state directory, and the list read from them.
 *
 * A file is a peer, its name is the peer's; a line of it is a record (record.h). Files are reached
 * by the folders' descriptors only, never through a symbolic link, and only regular ones that
 * belong to the owner of `sm` are read. Names that begin with '.' are never peers.
 *
 * What stands in the way stops nobody else. Foreign things (links, pipes, folders, files of another
 * owner) stay where they are; names that cannot be a host's, and files without one good line, are
 * moved to sm.bak/.rejected. Each costs a line in the log and makes the list incomplete.
 *
 * Life of a list: monlist_init(), monlist_open(), monlist_retire() and monlist_load() (or
 * monlist_load_in_place() alone), notify.c's work with monlist_drop(), monlist_flush() now and then
 * and at the end, monlist_close(). All calls by one thread, with the rights of the owner
 * (rights.h).
 */
#ifndef SM_NOTIFY_MONLIST_H
#define SM_NOTIFY_MONLIST_H

#include "err.h"
#include "strtab.h"

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

enum {
	MONLIST_RECORDS_MAX = 1000000,        /* more are refused: the list is incomplete */
	MONLIST_FILE_MAX = 16 * 1024 * 1024,  /* bytes of a file */
	MONLIST_TEXT_MAX = 256 * 1024 * 1024, /* bytes of all names */
};

/* One for each distinct (file, mon_name, my_name). */
struct monlist_record {
	uint32_t mon;      /* what our lockd called the peer: an address, or a name (offset) */
	uint32_t my : 31;  /* what we were called then (offset): equal numbers are equal texts */
	uint32_t done : 1; /* acknowledged: monlist_drop() */
};

struct monlist_peer {
	int64_t mtime;      /* ns; peers are in this order, newest first */
	uint32_t name;      /* offset */
	uint32_t first;     /* of its records in `records` */
	uint32_t count;     /* of these; at least 1 */
	uint32_t left : 30; /* of these not yet done */
	uint32_t dirty : 1; /* some are done, and its file is as before */
	uint32_t said : 1;  /* what is in the way of it was said before */
};

struct monlist {
	char *path;          /* of the state directory, without links */
	int parent, sm, bak; /* folders, -1 = not open */
	uid_t owner;         /* of sm */
	gid_t group;
	struct strtab texts;
	struct monlist_peer *peers;
	struct monlist_record *records;
	uint32_t peer_count, peer_room, record_count, record_room;
	bool in_place; /* monlist_load_in_place(): nothing on disk is changed */
	/*
	 * Everything there was in both folders is in this list: nothing unreadable, refused or kept
	 * aside, nothing left in sm. Only then "no peers" means that there are none.
	 */
	bool complete;
	uint32_t stuck;    /* records that could not be moved out of sm */
	uint32_t partial;  /* peers whose file is to be rewritten (dirty) */
	uint32_t reported; /* lines logged of things in the way */
	bool quiet;        /* things in the way were said before */
	bool unsynced;     /* something was changed in sm.bak since it was last synced */
};

void monlist_init(struct monlist *l);

/*
 * Opens PATH, PATH/sm and PATH/sm.bak. The folders may not be symbolic links (PATH may), and sm.bak
 * has to belong to the owner of sm, or to root. Reads nothing yet.
 */
int monlist_open(struct monlist *l, const char *path, struct err *err);
/* Syncs nothing. */
void monlist_close(struct monlist *l);

/*
 * Moves what is in sm to sm.bak, where records of the same name are joined: none is lost. When it
 * returns, all of it is on disk. 0 even if single files could not be moved (stuck, not complete);
 * negative if a folder could not be read.
 */
int monlist_retire(struct monlist *l, struct err *err);

/* Reads sm.bak. 0 even if single files were refused; negative if the folder could not be read. */
int monlist_load(struct monlist *l, struct err *err);

/* Instead of the two above: reads sm and sm.bak as they are; monlist_drop() will change no file. */
int monlist_load_in_place(struct monlist *l, struct err *err);

static inline const char *monlist_peer_name(const struct monlist *l, const struct monlist_peer *p)
{
	return strtab_text(&l->texts, p->name);
}

static inline const char *monlist_record_mon(
	const struct monlist *l, const struct monlist_record *r)
{
	return strtab_text(&l->texts, r->mon);
}

static inline const char *monlist_record_my(const struct monlist *l, const struct monlist_record *r)
{
	return strtab_text(&l->texts, r->my);
}

/* Record number I of P, 0 <= I < P->count. */
static inline struct monlist_record *monlist_record_at(
	const struct monlist *l, const struct monlist_peer *p, uint32_t i)
{
	return &l->records[p->first + i];
}

/*
 * R of P is acknowledged under every name: its lines have to go. With the last record of a peer its
 * file goes at once; else the file is rewritten by the next monlist_flush(), so that a peer with
 * many records costs one sync. A second drop does nothing. On failure the lines stay on disk, which
 * costs a superfluous notification at the next boot.
 */
int monlist_drop(
	struct monlist *l, struct monlist_peer *p, struct monlist_record *r, struct err *err);

/*
 * Rewrites the files of peers with some records done, and syncs the folder. To be called at the
 * end, and about every second while there is something to do (monlist_is_dirty()). On failure there
 * still is, ERR says what was first in the way, and the next call tries all of it again.
 */
int monlist_flush(struct monlist *l, struct err *err);

static inline bool monlist_is_dirty(const struct monlist *l)
{
	return l->partial > 0 || l->unsynced;
}

#endif
