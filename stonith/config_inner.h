/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What the files of config.h share: one reader for each kind of section, and checks of values.
 * Readers take NAME, fill their part and tell faults; what is there after a fault is only good to
 * be freed. Sections are read in the order families, PDUs, proxies, callers, nodes, so that each
 * finds what it names.
 */
#ifndef STONITH_CONFIG_INNER_H
#define STONITH_CONFIG_INNER_H

#include "config.h"

#include <netinet/in.h>

enum {
	CONFIG_PATH_BYTES = 4095,
	CONFIG_TEXT_BYTES = 255,
	CONFIG_FAMILY_VALUES = 2 + PROFILE_CANCELS + PROFILE_IDLE + PROFILE_USABLE,
};

/* A profile of the configuration's own. */
struct config_family {
	char *name;
	const char *about, *like, *key_default, *state, *state_on, *state_off, *off, *on;
	const char *outlet_name, *watts, *count;
	struct key_texts systems, cancel, idle, usable;
	uint64_t key_parts;
	struct profile profile;               /* points into all of these */
	char *patterns[CONFIG_FAMILY_VALUES]; /* cut out of "PATTERN=VALUE" */
	size_t pattern_count;
};

extern const struct key_set config_general_keys, config_pdu_keys, config_proxy_keys,
	config_caller_keys, config_node_keys, config_family_keys;

void config_read_general(struct conf *f, const struct conf_section *s, struct config *c);
/* This host among the nodes, which are all there. */
void config_find_self(struct conf *f, const struct conf_section *s, struct config *c);

void config_read_family(struct conf *f, const struct conf_section *s, struct config *c, char *name);
void config_read_pdu(struct conf *f, const struct conf_section *s, struct config *c, char *name);
void config_read_proxy(struct conf *f, const struct conf_section *s, struct config *c, char *name);
void config_read_caller(struct conf *f, const struct conf_section *s, struct config *c, char *name);
void config_read_node(struct conf *f, const struct conf_section *s, struct config *c, char *name);

/* When all sections are read: names of nodes that nodes and callers have, outlets given twice. S:
 * the node's section. */
void config_check_node(struct conf *f, const struct conf_section *s, const struct config *c,
	const struct config_node *n);
void config_check_caller(struct conf *f, const struct conf_section *s, const struct config *c,
	const struct config_caller *caller);

void config_free_family(struct config_family *x);
void config_free_pdu(struct config_pdu *x);
void config_free_proxy(struct config_proxy *x);
void config_free_caller(struct config_caller *x);
void config_free_node(struct config_node *x);

/* Own ones and built-in ones. NULL: none. */
const struct profile *config_find_profile(const struct config *c, const char *name);

/* config_check.c: each tells its fault at KEY; false = there was one. TEXT NULL is good. */
bool config_check_address(
	struct conf *f, const struct conf_section *s, const char *key, const char *text);
/* False: it is no literal address. IPv4 as ::ffff:a.b.c.d, so that each has one form. */
bool config_parse_address(const char *text, struct in6_addr *ret);

/* There is no node NAME. */
void config_no_node(struct conf *f, const struct conf_section *s, const char *key,
	const struct config *c, const char *name);

/* The name most like WORD among those it was shown; "" = none is. */
struct config_guess {
	const char *word;
	const char *best;
	size_t distance;
};
void config_guess(struct config_guess *g, const char *name);
/* "; did you mean X?" or "". */
const char *config_guess_text(const struct config_guess *g, char *out, size_t room);

#endif
