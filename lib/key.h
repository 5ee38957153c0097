/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Settings of a struct as a table: one row says what a key is called, what it may be, where it is
 * kept and what it means. Configuration files, dumps, comparisons and man pages come from it.
 *
 * A field that has its initial value counts as not given.
 */
#ifndef LIB_KEY_H
#define LIB_KEY_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include "err.h"
#include "peers.h"

enum key_type {
	KEY_TEXT,   /* char *, NULL = not given; valid UTF-8 of at most `max` bytes */
	KEY_PATH,   /* the same, absolute */
	KEY_FLAG,   /* bool; true, false, yes, no, on, off */
	KEY_NUMBER, /* uint64_t in [min, max] */
	KEY_SIZE,   /* the same, with units K M G T */
	KEY_CHOICE, /* int, index into `choices` */
	KEY_TEXTS,  /* struct key_texts: {"a", "b"} */
	KEY_PEERS,  /* struct peers: {"192.0.2.0/24", "unix"} */
};

struct key_texts {
	char **items;
	size_t count;
};

struct key {
	const char *name;
	enum key_type type;
	size_t offset;
	uint64_t min, max;
	uint64_t initial; /* NUMBER, SIZE, CHOICE, FLAG; of TEXTS: most entries, 0 = 1024 */
	const char *const *choices; /* CHOICE; ends in NULL */
	unsigned where;             /* the owner's bits: in which modes, in which sections */
	bool alias;                 /* another name of a field that has a row already */
	const char *help;           /* for the man page: a sentence or two, without the name */
};

struct key_set {
	const struct key *keys;
	size_t count;
};

const struct key *key_find(const struct key_set *set, const char *name);

/* All keys not given. */
void key_init_all(const struct key_set *set, void *object);
void key_free_all(const struct key_set *set, void *object);
/* Back to what it is when it is not given. */
void key_clear(const struct key *k, void *object);
/* TO, which is overwritten, gets copies of everything. 0 or -ENOMEM, then TO is not given. */
int key_copy_all(const struct key_set *set, void *to, const void *from);

/* The one key: TO gets a copy of what FROM has, or nothing changes. 0 or -ENOMEM. */
int key_copy(const struct key *k, void *to, const void *from);

/*
 * Sets a key from COUNT texts (one, but for lists); what was there is replaced. 0, -ENOMEM, or
 * -EINVAL and what would be right; then nothing has changed.
 */
int key_set(
	const struct key *k, void *object, const char *const *texts, size_t count, struct err *err);

/* For a given value that did not come by key_set(): would that take it? 0 or -errno as there. */
int key_check(const struct key *k, const void *object, struct err *err);

bool key_is_given(const struct key *k, const void *object);
bool key_equal(const struct key *k, const void *a, const void *b);
/* The first key in which they differ, or NULL. */
const struct key *key_difference(const struct key_set *set, const void *a, const void *b);

/* The texts key_set() would make the same value of; key_free_texts() them. 0 or -ENOMEM. */
int key_get(const struct key *k, const void *object, struct key_texts *ret);
void key_free_texts(struct key_texts *texts);

/* The value as a configuration file may have it: 64K, {'a', 'b'}. */
void key_print(const struct key *k, const void *object, FILE *out);
/* TEXT in quotes, so that it reads as it is. */
void key_quote(const char *text, FILE *out);

#endif
