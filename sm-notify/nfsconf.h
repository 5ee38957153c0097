/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * nfs.conf(5): sections of "name = value". nfsconf_text() is the pure part; nfsconf_read() reads
 * the file, then those of FILE.d that end in ".conf", in alphabetical order, and what they include.
 *
 * Names of sections and keys have no case; a later value replaces an earlier one. Lines that begin
 * with '#' or ';' are comments. A value may stand in quotes; an empty one is no assignment; $NAME
 * is a variable of section [environment], else of the process. `include = FILE` puts that file in
 * this place, one relative to the folder of the including; `include = -FILE` may be absent.
 */
#ifndef SM_NOTIFY_NFSCONF_H
#define SM_NOTIFY_NFSCONF_H

#include <stdbool.h>
#include <stddef.h>

enum {
	NFSCONF_FILE_MAX = 1024 * 1024, /* bytes of a file */
	NFSCONF_DEPTH_MAX = 8,          /* of includes */
	NFSCONF_ENTRIES_MAX = 10000,
	NFSCONF_SECTION_ROOM = 128,
};

/* What lines of a text are. Texts are valid during the call. */
struct nfsconf_ops {
	void (*value)(void *ctx, const char *section, const char *key, const char *value);
	/* May call nfsconf_text() with the same SECTION: the file's last one stays in force. */
	void (*include)(void *ctx, char *section, const char *path, bool may_be_absent);
	void (*fault)(void *ctx, unsigned line, const char *what);
};

/*
 * Pure. TEXT ends in a zero byte at LEN and is written to. SECTION: that of the first line, "" =
 * none; becomes that of the last.
 */
void nfsconf_text(char *text, size_t len, char section[NFSCONF_SECTION_ROOM],
	const struct nfsconf_ops *ops, void *ctx);

struct nfsconf_entry {
	char *section, *key, *value;
};

struct nfsconf {
	struct nfsconf_entry *entries;
	size_t count, room;
};

void nfsconf_init(struct nfsconf *c);
void nfsconf_done(struct nfsconf *c);

/*
 * Adds what PATH and PATH.d say; both may be absent. Lines that are none and files that cannot be
 * read are logged, never fatal.
 */
void nfsconf_read(struct nfsconf *c, const char *path);

/* NULL = not set. A variable is replaced already; one that does not exist sets nothing. */
const char *nfsconf_get(const struct nfsconf *c, const char *section, const char *key);

#endif
