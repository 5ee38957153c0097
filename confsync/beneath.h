/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Files by their path from the root on, without ever following a symbolic link or a magic link
 * (openat2(2) with RESOLVE_BENEATH | RESOLVE_NO_SYMLINKS | RESOLVE_NO_MAGICLINKS on a descriptor of
 * the root). Whoever may write somewhere in a set's folders can not lead us out of them. All return
 * -errno: -ELOOP is a link on the way. `/etc` that is itself a link on this host is a fault that
 * the user is told. -EINVAL: not a clean path (path.h).
 */
#ifndef CONFSYNC_BENEATH_H
#define CONFSYNC_BENEATH_H

#include <stddef.h>
#include <sys/stat.h>

/* The folder PATH lies in, O_PATH|O_DIRECTORY, and *name: its last component, within PATH. Close
 * the descriptor. */
int beneath_parent(const char *path, const char **name);
/* PATH itself ("/" too) with FLAGS (O_CLOEXEC|O_NOFOLLOW are added; a new file has mode 0600). A
 * link is -ELOOP. Never blocks on a FIFO (O_NONBLOCK is added). */
int beneath_open(const char *path, int flags);
/* The same from the descriptor of a folder on, with a relative NAME. */
int beneath_openat(int folder, const char *name, int flags);
/* lstat. */
int beneath_stat(const char *path, struct stat *ret);
/* Makes the folders above PATH that are not there, 0755 less umask, durable; *made = how many,
 * counted from the deepest. After a failure none of them is there. */
int beneath_make_parents(const char *path, unsigned *made);

#endif
