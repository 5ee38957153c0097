/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Files that must survive a power cut, and reading and writing to the end. */
#ifndef LIB_FSUTIL_H
#define LIB_FSUTIL_H

#include <stddef.h>
#include <sys/types.h>

#include "err.h"

/*
 * Replaces PATH by LEN bytes: written beside it, fsynced, renamed, folder fsynced. After a crash
 * the old or the new content is there, whole. A missing folder is made (one level, 0755).
 * A symbolic link is followed, so that the link stays.
 */
int fs_replace(const char *path, const void *bytes, size_t len, mode_t mode, struct err *err);

/* Reads a regular file of at most MAX bytes. *ret ends in a zero byte not counted; free() it. */
int fs_read(const char *path, size_t max, char **ret, size_t *ret_len, struct err *err);

/* All of it, however many calls that takes. 0 or -errno: a part of it may be written. */
int fs_write_all(int fd, const void *bytes, size_t len);
/* Fills ROOM bytes from AT on, or less at the end of the file: how many, or -errno. */
ssize_t fs_read_at(int fd, void *bytes, size_t room, off_t at);

/* Makes the folder PATH lies in (one level). 0 also if it is there. */
int fs_make_folder_of(const char *path, mode_t mode, struct err *err);

/*
 * PATH from the root on, so that it means the same in any working directory; symbolic links stay
 * what they are. "" gives NULL. malloc'd.
 */
char *fs_absolute(const char *path);

/*
 * PATH without symbolic links, and without "." and "..", as far as it exists; what does not exist
 * (or cannot be seen) follows as it is named. NULL: no memory, or "". malloc'd.
 */
char *fs_real(const char *path);

/* Makes *PATH absolute, NULL stays NULL. Never freed: for options, which live as long as we do. */
void fs_settle(const char **path);

#endif
