/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What the files of config.h share: one reader for each kind of section, and matches of paths.
 * Readers take NAME, fill their part and tell faults; what is there after a fault is only good to
 * be freed.
 */
#ifndef CONFSYNC_CONFIG_INNER_H
#define CONFSYNC_CONFIG_INNER_H

#include "config.h"

enum { CONFIG_PATH_BYTES = 4000, CONFIG_TEXT_BYTES = 255, CONFIG_COMMAND_BYTES = 4000 };

extern const struct key_set config_general_keys, config_node_keys, config_set_keys;

/* S: NULL = there is no such section. */
void config_read_general(struct conf *f, const struct conf_section *s, struct config *c);
void config_read_node(struct conf *f, const struct conf_section *s, struct config *c, char *name);
void config_read_set(struct conf *f, const struct conf_section *s, struct config *c, char *name);

/* When all nodes are there: two of them, one of which is this host. */
void config_find_self(
	struct conf *f, const char *path, const struct conf_section *s, struct config *c);
/* When all sets and our own files are there: patterns given twice, files of our own. S: the section
 * of SET. */
void config_check_set(struct conf *f, const struct conf_section *s, const struct config *c,
	const struct config_set *set);

void config_free_node(struct config_node *x);
void config_free_set(struct config_set *x);

/* config_match.c. From S->paths. 0 or -ENOMEM. */
int config_match_init(struct config_set *s);
void config_match_done(struct config_set *s);
/* PATH, which is clean, is one of the paths, or in one. Exclusions are not looked at. */
bool config_match(const struct config_set *s, const char *path);
/* Is there exactly this one? */
bool config_match_plain(const struct config_set *s, const char *path);

/* config_own.c: fills C->files and C->patterns. */
int config_find_own(const struct conf *f, struct config *c);
bool config_is_own(const struct config *c, const char *path);

#endif
