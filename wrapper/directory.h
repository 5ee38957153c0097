/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The negotiator's directory: which exports there are, for whom, and what may be said about them
 * without asking the master. It is told by messages (ipc.h) and knows nothing of clients but who
 * they are. An export with its rules appears, changes and goes as a whole.
 */
#ifndef WRAPPER_DIRECTORY_H
#define WRAPPER_DIRECTORY_H

#include "export.h"
#include "ipc.h"
#include "negotiate.h"
#include "peers.h"

struct directory_rules {
	struct peers lists[IPC_RULE_LISTS];
};

struct directory_entry {
	uint32_t id;
	bool is_default, is_snapshot;
	bool keeps; /* `facts` are true until the master says otherwise */
	struct export_facts facts;
	struct directory_rules rules;
	size_t name_len;
	char *name, *description; /* one allocation, at name */
};

struct directory {
	struct directory_entry *entries;
	size_t count, room;
	struct directory_rules common; /* for all exports */
	/* What has not arrived completely. */
	struct directory_entry staged;
	bool staging_common;
	uint32_t rules_left;
};

void directory_done(struct directory *d);

/* Messages of the master. False: it makes no sense, or memory is out; then nothing has changed. */
bool directory_learn(struct directory *d, const void *body, size_t len);
bool directory_learn_rule(struct directory *d, const void *body, size_t len);
bool directory_learn_common(struct directory *d, const void *body, size_t len);
void directory_forget(struct directory *d, uint32_t id);

/* May WHO talk to us at all? */
bool directory_admits(const struct directory *d, const struct peers_id *who);
/* Of what WHO may use; "" is the default one, or the only one whatever snapshots it has. */
uint32_t directory_find(
	const struct directory *d, const struct peers_id *who, const char *name, size_t len);
/* The INDEXth one; name = NULL if not for WHO; false behind the last. */
bool directory_at(
	const struct directory *d, const struct peers_id *who, size_t index, struct neg_item *ret);
struct directory_entry *directory_by_id(const struct directory *d, uint32_t id);
void directory_item(const struct directory_entry *e, struct neg_item *ret);
/* FACTS as they are for WHO. */
struct export_facts directory_facts(const struct directory_entry *e, const struct peers_id *who,
	const struct export_facts *facts);

#endif
