/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A list for `rsync --files-from` as a section `set` of confsync.conf: `xnbd-confsync import-list`.
 * Lines are read as rsync does: empty ones and those that begin with '#' or ';' are passed over
 * (with zero bytes between names, too), a carriage return ends a name as a newline does, blanks
 * belong to the name; a name is relative to the source folder of rsync, whether or not it begins
 * with '/'. "." as a component says nothing. Characters that are special in a pattern are escaped.
 *
 * A name in the list is not what is in it: rsync without -r makes the folder, or copies what is
 * directly in it if the name ends in '/'. In a set a folder always means all that is in it. So who
 * imports has to say which it is. What is a folder is found out by looking; a name that is not
 * there is a file, unless it ends in '/'.
 */
#ifndef CONFSYNC_IMPORT_H
#define CONFSYNC_IMPORT_H

#include "err.h"

#include <stdbool.h>
#include <stdio.h>

enum import_folders {
	IMPORT_ASK,   /* a folder is a fault */
	IMPORT_TREES, /* rsync was called with -r or -a: all that is in them */
	IMPORT_SKIP,  /* without: folders are left out, with a comment */
};
enum { IMPORT_NAMES_MAX = 100000 };

struct import {
	const char *set;  /* the set's name */
	const char *root; /* source folder of rsync, absolute; NULL = "/" */
	bool from0;       /* names are separated by zero bytes, as with --from0 */
	enum import_folders folders;
};

/* IN is named NAME in errors. Nothing is written to OUT if the list has a fault: -EINVAL and the
 * first one with its line, and how many more there are. -errno: reading, memory. */
int import_list(const struct import *o, FILE *in, const char *name, FILE *out, struct err *err);

#endif
