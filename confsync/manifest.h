/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A set of files at one moment: what each is, not its content but the SHA-256 of it. Pure, but for
 * malloc. Entries are sorted by path (bytes) and unique; folders come before what is in them.
 *
 * As text (manifest_text.c), for disk and network, one line an entry, fields separated by one
 * space, paths, names and values escaped as in line.h:
 *
 *	f MODE OWNER GROUP SIZE SHA256 PATH
 *	d MODE OWNER GROUP PATH
 *	l OWNER GROUP TARGET PATH
 *	x NAME VALUE                    extended attribute of the entry above, sorted by name
 *
 * MODE is four octal digits. OWNER and GROUP are names; a number that has no name on its node is
 * written as the number. The digest of a manifest is the SHA-256 of exactly this text, so equal
 * sets have equal digests.
 */
#ifndef CONFSYNC_MANIFEST_H
#define CONFSYNC_MANIFEST_H

#include "buf.h"
#include "err.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum {
	MANIFEST_ENTRIES_MAX = 100000,
	MANIFEST_TEXT_MAX = 64 * 1024 * 1024,
	MANIFEST_NAME_MAX = 64,  /* bytes of an owner's name, with its zero */
	MANIFEST_ATTRS_MAX = 64, /* of an entry */
	MANIFEST_ATTRS_ALL_MAX = 640000,
	MANIFEST_ATTR_NAME_MAX = 256,
	MANIFEST_ATTR_VALUE_MAX = 65536,
	MANIFEST_HASH = 32,
	MANIFEST_HEX = 65, /* with its zero */
};

enum manifest_type { MANIFEST_FILE = 'f', MANIFEST_FOLDER = 'd', MANIFEST_LINK = 'l' };

struct attr {
	char *name;
	uint8_t *value; /* with a zero byte behind it that does not count */
	size_t len;
};

struct entry {
	char *path;
	enum manifest_type type;
	unsigned mode; /* 07777; 0 of a link */
	char owner[MANIFEST_NAME_MAX], group[MANIFEST_NAME_MAX];
	uint64_t size;               /* of a file */
	uint8_t hash[MANIFEST_HASH]; /* of a file's content */
	char *target;                /* of a link */
	struct attr *attrs;
	size_t attr_count;
};

struct manifest {
	struct entry *entries;
	size_t count, room;
	size_t attr_count; /* of all entries */
};

void manifest_init(struct manifest *m);
void manifest_done(struct manifest *m);
/* Takes what E points to (E->path, target, attrs), also on failure. Any order; then
 * manifest_sort(). 0, -ENOMEM, -E2BIG. */
int manifest_add(struct manifest *m, struct entry *e);
/* -EEXIST: a path is there twice. */
int manifest_sort(struct manifest *m);
/* TO is plain memory, as after a declaration: what it had before is not freed. Empty after -ENOMEM.
 * entry_copy() alike. */
int manifest_copy(struct manifest *to, const struct manifest *from);
const struct entry *manifest_find(const struct manifest *m, const char *path);
uint64_t manifest_bytes(const struct manifest *m); /* of all files */
/* Or links; not folders alone. */
bool manifest_has_files(const struct manifest *m);

void entry_done(struct entry *e);
void entry_drop_attrs(struct entry *e);
int entry_copy(struct entry *to, const struct entry *from);
/* What differs: bits. 0: nothing. */
enum { ENTRY_TYPE = 1, ENTRY_CONTENT = 2, ENTRY_MODE = 4, ENTRY_OWNER = 8, ENTRY_ATTRS = 16 };
unsigned entry_difference(const struct entry *a, const struct entry *b);

/* Text, of a sorted manifest. RET is to be initialised (what it has is freed); after a failure it
 * is empty: -EBADMSG, -E2BIG, -ENOMEM. Everything above is checked: paths clean, sorted, unique,
 * nothing beneath a file or link, limits. ERR names the line. Nothing but what
 * manifest_print() writes is taken. */
void manifest_print(const struct manifest *m, struct buf *out);
int manifest_parse(const char *text, size_t len, struct manifest *ret, struct err *err);
int manifest_digest(const struct manifest *m, uint8_t ret[MANIFEST_HASH]);

void hash_to_hex(const uint8_t hash[MANIFEST_HASH], char ret[MANIFEST_HEX]);
int hash_from_hex(const char *text, size_t len, uint8_t ret[MANIFEST_HASH]);
bool hash_is_zero(const uint8_t hash[MANIFEST_HASH]);

/* Differences of two manifests (manifest_diff.c), in the order of paths. */
enum change_kind { CHANGE_ADD, CHANGE_EDIT, CHANGE_DELETE };
struct change {
	enum change_kind kind;
	const struct entry *old, *new; /* NULL: not there */
	unsigned what;                 /* entry_difference() of CHANGE_EDIT */
};
struct changes {
	struct change *items;
	size_t count;
};
/* What makes NEW of OLD, which both stay. 0 or -ENOMEM. */
int changes_between(const struct manifest *old, const struct manifest *new, struct changes *ret);
void changes_done(struct changes *c);
/* Is each entry of A in B, as it is? */
bool manifest_within(const struct manifest *a, const struct manifest *b);

#endif
