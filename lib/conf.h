/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Configuration files in libconfuse's syntax, made of sections whose keys are tables (key.h):
 *
 *	include("vm?.conf")     relative to the folder of this file; outside of sections
 *	wrapper { log-level = "warn" }
 *	export "vm1" { image = "/srv/vm1.img" allow = {"192.0.2.0/24", "unix"} }
 *
 * All faults of all files are found in one go, each as "file:line: what is wrong, what would be
 * right". A file is a whole: a section left open in one is not continued in the next. A key given
 * twice, an untitled section given twice, two sections of one title, a file read twice: faults.
 * A file named must be there, of a pattern there may be none.
 */
#ifndef LIB_CONF_H
#define LIB_CONF_H

#include <stdbool.h>
#include <stddef.h>

#include "err.h"
#include "key.h"

enum { CONF_FILE_MAX = 64 * 1024 * 1024, CONF_FAULTS_MAX = 100, CONF_DEPTH_MAX = 8 };

/* A kind of section. */
struct conf_kind {
	const char *name;
	bool titled;                /* has a title, and may be there many times */
	const struct key_set *keys; /* those whose `where` has a bit of */
	unsigned where;
};

struct conf_value {
	const struct key *key;
	char **texts;
	size_t count;
	unsigned line;
};

struct conf_section {
	const struct conf_kind *kind;
	char *title; /* NULL = of a kind without */
	char *file;
	unsigned line;             /* where it begins */
	struct conf_value *values; /* in the order of the table */
	size_t count;
	bool torn; /* faults were found in it, so what is missing may have been one of them */
};

struct conf {
	struct conf_section *sections; /* in the order of the files */
	size_t count;
	/* Lines for the user; the last one possible says that there are more. */
	const char *faults[CONF_FAULTS_MAX + 1];
	size_t fault_count;
	/* PATH and all that was included, as they were opened; patterns (glob(7)) of includes,
	 * whether or not a file was there. */
	struct key_texts files, patterns;
};

/*
 * Reads PATH and what it includes. 0, or -EINVAL with RET->faults and those sections that could be
 * read. RET is to be given to conf_done() in any case. One call at a time in a process.
 */
int conf_read(const char *path, const struct conf_kind *kinds, size_t kind_count, struct conf *ret);
void conf_done(struct conf *c);

/* For conf_parse.c: a new section, or NULL. */
struct conf_section *conf_add_section(struct conf *c);

/* Sets the keys of S in OBJECT; what cannot be set is a fault. */
void conf_apply(struct conf *c, const struct conf_section *s, void *object);

/* NULL if KEY is not given. */
const struct conf_value *conf_value(const struct conf_section *s, const char *key);

/* A fault at KEY of S, or at the section if KEY is NULL or not there. */
void conf_fault(struct conf *c, const struct conf_section *s, const char *key, const char *fmt, ...)
	__attribute__((format(printf, 4, 5)));
/* A fault at a place. LINE 0: of the whole file. */
void conf_fault_at(struct conf *c, const char *file, unsigned line, const char *fmt, ...)
	__attribute__((format(printf, 4, 5)));

#endif
