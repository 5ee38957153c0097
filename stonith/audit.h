/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The log of all shots: one JSON object a line, each with the SHA-256 of the line before ("prev"),
 * so that nothing can be changed, taken out or put in between without being seen. A line is on
 * disk when audit_append() returns, and only then may success be reported. If there is no room the
 * shot counts all the same, and says that its line is missing.
 *
 *	{"seq":7,"prev":"9f...","time":"2026-11-21T05:10:11.123Z","boot-ms":81234,"host":"n2",...}
 *
 * prev: hash of the last whole line, its newline not counted; of the first line 64 zeros.
 *
 * A crash in the middle of a line leaves a piece of it. It stays where it is, and the next line
 * says so: "torn" is the number of bytes between the last whole line and this one, "torn-sha256"
 * their hash. A piece that no line speaks of is a fault, but at the end of the file: there the
 * next line will speak of it (torn_tail).
 *
 * Beside the log is PATH.head, with number and hash of the last line. With it
 * - a log that was moved away (logrotate, any of its ways) goes on in the next file, whose first
 *   line has the old file's last hash, and "continues";
 * - a log is seen whose end was cut off, or that was replaced by an older one: by verify, and by
 *   the next line, which goes on from what PATH.head says and has "lost", the number of lines.
 *
 * What cannot be seen in the files alone: who may write both can cut off the end and change
 * PATH.head, or compute everything anew. So the hash of each new line is given to the caller, to
 * be sent elsewhere (syslog, another host), and verify can be given one to look for.
 */
#ifndef STONITH_AUDIT_H
#define STONITH_AUDIT_H

#include "err.h"

#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>

enum {
	AUDIT_HASH_ROOM = 65,   /* 64 hexadecimal digits and a zero */
	AUDIT_LINE_MAX = 32768, /* bytes, newline included */
	AUDIT_TEXT_MAX = 1024,  /* bytes of a text in a line; longer ones are cut, with "..." */
	AUDIT_WAIT_MS = 2000,   /* for another process that writes */
};

/* A line's number and hash. */
struct audit_head {
	uint64_t seq; /* from 1; 0 = no line yet */
	char hash[AUDIT_HASH_ROOM];
};

/*
 * Prepares for appending: takes all the memory there is to be used, so that audit_append() needs
 * none. The file is not opened yet, it may be moved away between lines. NULL: out of memory. PATH
 * is copied.
 */
struct audit *audit_new(const char *path);
void audit_free(struct audit *a);

/*
 * Locks the log, adds number, times, host and hash, writes, syncs. Of ENTRY, an object, members of
 * these names are refused (-EINVAL). *ret_head, if not NULL: the new line.
 *
 * -errno with one line; then the file is as it was: ENOSPC, EFBIG, EIO, -EBUSY (another process has
 * had the lock for AUDIT_WAIT_MS), -EMSGSIZE (AUDIT_LINE_MAX), -EUCLEAN (it is no audit log).
 */
int audit_append(
	struct audit *a, const json_t *entry, struct audit_head *ret_head, struct err *err);

struct audit_check {
	uint64_t lines;    /* whole ones that fit, up to the bad one */
	uint64_t torn;     /* pieces that the next line speaks of */
	uint64_t lost;     /* lines that lines say are missing ("lost") */
	bool torn_tail;    /* the last line is a piece; the next line will say so */
	uint64_t bad_line; /* line of the file, the first one that does not fit; 0 = none */
	char why[160];     /* "line 7: ..."; or of a missing end; "" = all fits */
	struct audit_head
		first; /* the first line's number, and its prev: the end of the file before */
	struct audit_head last; /* of a file without a line: AFTER */
	bool known_found;       /* KNOWN is the hash of a line, or the prev of the first */
};

/*
 * Follows the chain from the first line to the last. KNOWN: a hash that was noted elsewhere, NULL =
 * none. AFTER: what the first line has to follow (`last` of the file before), NULL = anything. With
 * HEAD true the end must be what PATH.head says: for the current file, not for older ones.
 *
 * 0: it could be read, and RET tells; good if RET->why is "" and, with KNOWN, known_found. -errno.
 */
int audit_verify(const char *path, const struct audit_head *after, const char *known, bool head,
	struct audit_check *ret, struct err *err);

/* Calls FN with each whole line, in order and without its newline, until it returns false. 0 or
 * -errno. */
int audit_each(const char *path, bool (*fn)(void *arg, const char *line, size_t len), void *arg,
	struct err *err);

#endif
