/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What is remembered of a volume: the copies that were made and are still there, and how the last
 * attempt ended. Its form on disk is JSON; files are catalog.h's. Pure but for memory.
 */
#ifndef BACKUP_RECORD_H
#define BACKUP_RECORD_H

#include "err.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { RECORDS_MAX = 10000, RECORD_DIGEST_ROOM = 65 };

enum record_state {
	RECORD_WRITING, /* begun; if nobody is at it any more, it was cut off */
	RECORD_GOOD,    /* whole, and verified if that was wanted */
	RECORD_BAD,     /* whole once, but its verification failed; or about to be overwritten */
};

struct record {
	uint64_t number; /* rises from copy to copy; times may jump */
	uint64_t time;   /* when it was begun, seconds since 1970 */
	enum record_state state;
	bool verified;
	unsigned slot;                   /* of %n; 0 = none */
	uint64_t bytes;                  /* of the source */
	uint64_t stored;                 /* of the copy */
	uint64_t ms;                     /* that it took */
	char *target;                    /* as lvm_copy takes it */
	char digest[RECORD_DIGEST_ROOM]; /* of its manifest, in hexadecimal digits; "" = not known
					  */
};

struct records {
	struct record *items; /* in the order of their numbers */
	size_t count;
	uint64_t last_number;
	uint64_t last_try; /* seconds since 1970; 0 = none */
	char *last_error;  /* of that; NULL = it went well */
	char *snapshot;    /* file that the wrapper is asked to make; NULL = none */
	char *snapshot_of; /* the export */
};

void records_done(struct records *r);

/* A new one of TARGET in state WRITING, with the next number; NULL: no memory, or too many. */
struct record *records_add(struct records *r, const char *target, unsigned slot, uint64_t time);
/* Forgets the one at INDEX. */
void records_drop(struct records *r, size_t index);
/* The newest in state GOOD; NULL = none. */
const struct record *records_newest(const struct records *r);
/* The newest one at TARGET; NULL = none. */
struct record *records_at(const struct records *r, const char *target);

/* Replaces a text of R. 0 or -ENOMEM. VALUE may be NULL. */
int records_set_text(char **text, const char *value);

/* malloc'd; NULL: no memory. */
char *records_print(const struct records *r);
/* RET: records_done() it, in any case. -EBADMSG: what is wrong. */
int records_parse(const char *text, struct records *ret, struct err *err);

#endif
