/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Two nodes, "n1" and "n2", on one machine without SSH: each is a process with a mount namespace of
 * its own, in which FOLDER/files is the node's real folder FOLDER/n1 or n2; so paths are the same
 * on both. A conversation is two such processes and a relay between them that can cut the
 * connection after any frame. The set is "t": FOLDER/files/etc/. Needs root. What fails here ends
 * the process.
 */
#ifndef TESTS_LIB_CONFSYNC_DUO_H
#define TESTS_LIB_CONFSYNC_DUO_H

#include "sync.h"
#include "temp.h"

enum { DUO_NEVER = -1, DUO_KEYS_MAX = 1024 };

struct duo {
	struct temp temp;
	char keys[2][DUO_KEYS_MAX]; /* of the set, by node */
	int frames;                 /* that passed in the last conversation, both ways */
};

/* KEYS: of the set on both nodes, besides its paths. */
void duo_init(struct duo *d, const char *keys);
void duo_done(struct duo *d);
void duo_keys(struct duo *d, int node, const char *keys);

/* A command of the shell in etc/ of NODE (1, 2): its exit status. $D is FOLDER. */
int duo_shell(struct duo *d, int node, const char *fmt, ...) __attribute__((format(printf, 3, 4)));
/* Are both folders alike: contents, modes? */
bool duo_alike(struct duo *d);

/* NODE calls the other one. CUT: frames after which the connection is cut. */
struct sync_result duo_sync(struct duo *d, int node, const struct sync_order *o, int cut);
/* The other one cannot be reached. */
struct sync_result duo_alone(struct duo *d, int node, const struct sync_order *o);
/* FN speaks with the responder that NODE is; it is NODE's peer by name. What it returns. */
int duo_against(struct duo *d, int node, int (*fn)(struct duo *d, struct talk *t));
/* What NODE keeps as its trouble. */
bool duo_trouble(struct duo *d, int node, struct state_trouble *ret);
/* Generations in NODE's history. */
size_t duo_history(struct duo *d, int node);

#endif
