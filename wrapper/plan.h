/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What a reload would do: the difference between what is served and what a newly read configuration
 * says, row by row. It changes nothing, and has no fd, clock or log; reload.h carries it out.
 *
 * The file decides about its own exports only. A key counts as changed if the file changed it since
 * it was last read, and the export does not have that value yet: what was changed at run time (a
 * proxy switched, or given another origin) stays until the file has something else to say.
 */
#ifndef WRAPPER_PLAN_H
#define WRAPPER_PLAN_H

#include <jansson.h>

#include "config.h"
#include "exports.h"
#include "options.h"

enum { PLAN_KEYS_MAX = 40, PLAN_LINE_MAX = 4 * ERR_TEXT_MAX };

enum plan_change { PLAN_ADDED, PLAN_REMOVED, PLAN_CHANGED, PLAN_RESIZED, PLAN_UNCHANGED };

enum plan_way {
	PLAN_REFUSE, /* who uses what goes or must be restarted is in the way */
	PLAN_FORCE,  /* they are ended */
	PLAN_WAIT,   /* it is hidden, and goes when they have gone */
};

struct plan_row {
	enum plan_change change;
	char *name;
	uint32_t id; /* 0 = is not there yet */
	enum export_source source;
	const struct export_config *to; /* of the new configuration; NULL = has nothing to say */
	const struct key *keys[PLAN_KEYS_MAX]; /* that differ, of exports and of the wrapper */
	size_t key_count;
	bool restart;  /* a server that runs cannot take that over */
	bool waiting;  /* it drains already, for just this */
	bool revived;  /* it drained, and is to stay as it is, or with other changes */
	bool takes;    /* changed: it was the state file's, where it stays, not served */
	bool hides;    /* added: the state file has something of this name, not served */
	bool uncovers; /* removed: the one that the state file has of this name takes its place */
	/* By plan_set_use(). */
	unsigned clients;
	uint64_t old_size, size; /* bytes; the same = not resized */
};

struct plan {
	struct plan_row *rows; /* what there is in the order of its ids, then what is added */
	size_t count;
	const struct key *wrapper_keys[PLAN_KEYS_MAX]; /* that differ */
	size_t wrapper_key_count;
	char **conflicts; /* lines; with any of them nothing may be done */
	size_t conflict_count;
};

/* What is served with which options, or shall be. */
struct plan_side {
	const struct wrapper_options *options;
	const struct config *config; /* of the file */
};

/* RET borrows from AFTER and is to be given to plan_done(). 0 or -ENOMEM. */
int plan_make(const struct exports *table, const struct plan_side *before,
	const struct plan_side *after, struct plan *ret);
void plan_done(struct plan *p);

/* What LIVE becomes by a row; export_config_free() it. 0 or -ENOMEM. */
int plan_merge(
	const struct plan_row *row, const struct export_config *live, struct export_config *ret);

/* How a row's export is used, and its size now and by its image (0: not known). */
void plan_set_use(struct plan_row *row, unsigned clients, uint64_t old_size, uint64_t size);

/* Does it end clients, or wait for them? */
bool plan_is_blocked(const struct plan_row *row);
/* A conflict, or one that is blocked with PLAN_REFUSE: -EINVAL, -EBUSY and a line that says which.
 */
int plan_check(const struct plan *p, enum plan_way way, struct err *err);
bool plan_is_empty(const struct plan *p);
size_t plan_count(const struct plan *p, enum plan_change change);

/* "changed vm1: threads; its server is started again (3 clients are ended)" */
void plan_describe_row(const struct plan_row *row, enum plan_way way, char out[PLAN_LINE_MAX]);
/* "wrapper: max-clients" */
void plan_describe_key(const struct key *key, char out[PLAN_LINE_MAX]);
/* {"exports": [...], "wrapper": [...], "unchanged": N}; each with its line. */
json_t *plan_describe(const struct plan *p, enum plan_way way);
/* A line for all that changes, for a log. */
void plan_each_line(const struct plan *p, enum plan_way way,
	void (*fn)(void *arg, const char *line), void *arg);

const char *plan_change_name(enum plan_change change);

#endif
