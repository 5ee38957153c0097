/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Command line options as a table: one row is parsed, printed by --help and compared with the man
 * page by a test. getopt_long(3) rules: GNU permutation, unambiguous abbreviations.
 */
#ifndef LIB_OPT_H
#define LIB_OPT_H

#include <stddef.h>
#include <stdint.h>

#include "err.h"

enum opt_kind {
	OPT_FLAG,   /* bool field, set to true */
	OPT_TEXT,   /* const char * field, points into argv */
	OPT_LIST,   /* struct opt_list field, repeatable */
	OPT_NUMBER, /* uint64_t field, in [min, max] */
	OPT_SIZE,   /* uint64_t field, with units K M G T */
	OPT_SET,    /* int field, set to `min`; a second row on the same field is refused */
	OPT_LATER,  /* known, not built yet: parsing stops with -ENOSYS and one clear line */
};

enum { OPT_LIST_MAX = 64 };

struct opt_list {
	size_t count;
	const char *items[OPT_LIST_MAX];
};

struct opt {
	const char *name; /* long name */
	char letter;      /* short name, 0 = none */
	enum opt_kind kind;
	size_t offset;     /* of the field in the target struct */
	const char *arg;   /* name of the argument in --help, NULL = none */
	uint64_t min, max; /* OPT_NUMBER, OPT_SIZE */
	const char *help;  /* NULL hides the row from --help: internal */
};

struct opt_set {
	const char *usage; /* lines behind "Usage: " */
	const char *about; /* one or two sentences */
	const struct opt *rows;
	size_t count;
};

/*
 * Fills TARGET. On success *ret_rest is the index in ARGV of the first operand (ARGV is permuted).
 * -EINVAL with a line for the user, -ENOSYS for OPT_LATER; both mean exit status 2.
 */
int opt_parse(const struct opt_set *set, int argc, char **argv, void *target, int *ret_rest,
	struct err *err);

void opt_help(const struct opt_set *set);

/*
 * What main() returns at its end: STATUS. If that is 0, but the answer on stdout could not be
 * written, it is FAILED, and the log says so: who reads it from a file must not take half of it for
 * all. Who stops reading (EPIPE) knows that.
 */
int opt_answered(int status, int failed);

/*
 * Index of the command TEXT in a table of COUNT rows of STRIDE bytes, each of which begins with the
 * name (const char *); else -EINVAL with a line for the user.
 */
int opt_command(const void *table, size_t stride, size_t count, const char *text, struct err *err);

#endif
