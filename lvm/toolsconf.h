/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * lvm_tools.conf: lines KEY=VALUE, as a shell would read them: '#' begins a comment, a value with
 * blanks stands in quotes. Nothing is executed or replaced in values.
 */
#ifndef LVM_TOOLSCONF_H
#define LVM_TOOLSCONF_H

#include "key.h"

#include <stdint.h>

#define TOOLSCONF_DEFAULT "/etc/lvm/lvm_tools.conf"

enum { TOOLSCONF_FILE_MAX = 64 * 1024, TOOLSCONF_FAULTS_MAX = 20 };

struct toolsconf {
	char *snap_suffix;  /* NULL = TOOLSCONF_SUFFIX */
	uint64_t space_sm;  /* % of volumes below SNAP_SIZE_XL */
	uint64_t space_xl;  /* % of others */
	uint64_t chunk;     /* bytes, 0 = chosen by size */
	uint64_t extend_at; /* %, 0 = never */
	uint64_t extend_by; /* % of its size */
	uint64_t reserve;   /* bytes of the volume group that are not used for it */
	uint64_t verify;    /* ENABLE_MD5: 1 = copies are read again */
	uint64_t direct;    /* ENABLE_RAW: 1 = O_DIRECT */
	uint64_t min_rate;  /* MB/s, 0 = any */
};

#define TOOLSCONF_SUFFIX "snap"

extern const struct key_set toolsconf_keys;

/* One line for each fault: "FILE:LINE: what is wrong". */
struct toolsconf_faults {
	char *lines[TOOLSCONF_FAULTS_MAX];
	size_t count;
};

/* Reads TEXT, which came from PATH. C: all keys not given are initial. -EINVAL with F filled. */
int toolsconf_parse(
	const char *path, const char *text, struct toolsconf *c, struct toolsconf_faults *f);

/*
 * Reads PATH; NULL is TOOLSCONF_DEFAULT, which need not be there. C is to be given to
 * toolsconf_free() in any case. The error has the first fault; all of them with F, unless NULL.
 */
int toolsconf_read(
	const char *path, struct toolsconf *c, struct toolsconf_faults *f, struct err *err);

/* The same for a program: each fault is a line of its log. */
int toolsconf_load(const char *path, struct toolsconf *c);

void toolsconf_free(struct toolsconf *c);
void toolsconf_forget(struct toolsconf_faults *f);

#endif
