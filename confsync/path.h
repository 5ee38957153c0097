/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Names of files in a set, and patterns for them. Pure. A path is absolute and clean: no "." or
 * "..", no empty component, no '/' at its end, no zero byte, components of at most 255 bytes; bytes
 * are not interpreted (no UTF-8 is asked for). "/" itself is none.
 *
 * A pattern is absolute too; each component is matched as by fnmatch(3) with FNM_PERIOD (no '*'
 * takes a leading dot), "**" as a component stands for any number of components without a leading
 * dot, none too. A pattern that ends in '/' means the folder and all that is in it, dot files too.
 * A pattern that names a folder means the same (scan.h finds that out). An exclusion may also be a
 * pattern without any '/': it is then compared with each component of the path, and '*' takes
 * leading dots.
 */
#ifndef CONFSYNC_PATH_H
#define CONFSYNC_PATH_H

#include <stdbool.h>
#include <stddef.h>

enum {
	PATH_BYTES_MAX = 4000, /* leaves room for a temporary name in PATH_MAX */
	PATH_COMPONENT_MAX = 255,
	PATH_DEPTH_MAX = 64,
};

bool path_is_clean(const char *path);
/* NULL: good; else what is wrong with it as a pattern of a set, or as an exclusion. Of others
 * nothing is promised, but that paths that are not clean match nothing. */
const char *path_pattern_fault(const char *pattern);
const char *path_exclusion_fault(const char *pattern);

/* Does PATH itself, or a folder above it, match? */
bool path_matches(const char *pattern, const char *path);
bool path_excluded(const char *exclusion, const char *path);
/* Can something beneath FOLDER ("/" too) match? For those who walk. */
bool path_may_hold(const char *pattern, const char *folder);
/* The part of PATTERN before its first component with a special character: where to begin to walk.
 * False: it does not fit. "/" if it begins with one. */
bool path_fixed_part(const char *pattern, char *out, size_t room);

/* Names that editors and package managers leave beside a file for a while (vi, emacs, nano, dpkg,
 * rpm), backups they make, and our own (apply.h). Looks at the last component. */
bool path_is_temporary(const char *path);
/* Our own only: begins with PATH_OWN_PREFIX. */
bool path_is_ours(const char *path);
#define PATH_OWN_PREFIX ".xnbd-confsync."

/* Printable without spaces, for lines of files: space, '%', control bytes and bytes >= 0x80 become
 * %XX. False: does not fit. And back: false if it is not the escape of anything, or the result does
 * not fit. */
bool path_escape(const char *path, char *out, size_t room);
bool path_unescape(const char *text, size_t len, char *out, size_t room);

#endif
