/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Folders with all that is in them, by descriptors, without following links. */
#ifndef CONFSYNC_TREE_H
#define CONFSYNC_TREE_H

/* Removes NAME of PARENT, whatever it is; 0 also if it is not there. Goes on after a failure and
 * returns the first one. */
int tree_remove(int parent, const char *name);

/* Calls FN for each name in the folder FD (which is not closed), in any order, until it returns
 * another value than 0, which is returned. The names are read first, so FN may remove them. */
int tree_names(int fd, int (*fn)(void *arg, const char *name), void *arg);

#endif
