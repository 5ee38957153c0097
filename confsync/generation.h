/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A generation of a set: a manifest that was agreed on, its number, and where it comes from. Pure,
 * but for malloc. As text (disk and network), in this order, fields as in line.h:
 *
 *	xnbd-confsync 1
 *	set NAME
 *	number N                          0: was never agreed on (live files, for `show`)
 *	vector [NODE COUNT [NODE COUNT]]  how many changes of each node are in it; sorted by node
 *	parent DIGEST                     of the manifest it was made from; 0...0 = none
 *	digest DIGEST                     of the manifest that follows
 *	transaction ID                    16 hex digits; how it got into force; "-" = not yet
 *	origin NODE                       "-" = none
 *	time SECONDS                      wall clock of the origin, from 1970 on: for people,
 *	                                  nothing is decided by it
 *	reason TEXT                       "push", "rollback 3" ...: printable; "-" = ""
 *	files COUNT
 *	(lines of manifest.h)
 *	end
 *
 * Vectors tell who is ahead: A dominates B if no count of it is less. If neither dominates, both
 * nodes changed the set without knowing of each other.
 */
#ifndef CONFSYNC_GENERATION_H
#define CONFSYNC_GENERATION_H

#include "manifest.h"

enum {
	/* Of nodes and sets, with the zero: letters, digits, '.', '_', '-'; not '.' or '-' first,
	 * as they are names of folders and arguments of commands. */
	GENERATION_NAME_MAX = 64,
	GENERATION_REASON_MAX = 256,
	GENERATION_ID_MAX = 17, /* with its zero */
};
#define VECTOR_COUNT_MAX ((uint64_t)INT64_MAX) /* of numbers too; JSON has no larger ones */

struct vector_count {
	char node[GENERATION_NAME_MAX];
	uint64_t count;
};
struct vector {
	struct vector_count at[2]; /* of the pair, sorted by node; "" = not there yet */
};

enum vector_order { VECTOR_EQUAL, VECTOR_AHEAD, VECTOR_BEHIND, VECTOR_APART };
enum vector_order vector_compare(const struct vector *a, const struct vector *b);
/* One more change of NODE. -E2BIG: there are two other nodes in it, or it is no name. */
int vector_bump(struct vector *v, const char *node);
/* The larger counts of both. -E2BIG as above. */
int vector_join(struct vector *v, const struct vector *other);

struct generation {
	char set[GENERATION_NAME_MAX];
	uint64_t number; /* 0: there is none yet */
	struct vector vector;
	uint8_t parent[MANIFEST_HASH], digest[MANIFEST_HASH];
	char transaction[GENERATION_ID_MAX];
	char origin[GENERATION_NAME_MAX];
	int64_t time;
	char reason[GENERATION_REASON_MAX];
	struct manifest files;
};

void generation_init(struct generation *g);
void generation_done(struct generation *g);
/* TO is plain memory, as after a declaration: what it had before is not freed. Empty after -ENOMEM.
 */
int generation_copy(struct generation *to, const struct generation *from);
/* Characters of the reason that are not printable become \xNN. */
void generation_print(const struct generation *g, struct buf *out);
/* Checks everything, the digest too. RET is to be initialised (what it has is freed); empty after a
 * failure: -EBADMSG, -E2BIG, -ENOMEM. */
int generation_parse(const char *text, size_t len, struct generation *ret, struct err *err);
bool generation_name_ok(const char *name);
bool generation_id_ok(const char *id);

#endif
