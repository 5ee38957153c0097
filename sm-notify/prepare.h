/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The root phase: all that is done before the first packet, in the order that no crash and no
 * failure can lose a record or tell a number twice.
 *
 *   prepare_open()     folders opened, owner known
 *   prepare_enter()    alone on this directory, and not yet done in this boot?
 *   (-v is looked up: fails before anything was changed)
 *   prepare_begin()    from here on things change
 *   prepare_records()  sm -> sm.bak, durable; read
 *   prepare_state()    next number, durable; kernel told
 *   prepare_nobody()   if there is no peer: grace period lifted, if that is certain
 *   (sockets; rights dropped; only then guard_set())
 */
#ifndef SM_NOTIFY_PREPARE_H
#define SM_NOTIFY_PREPARE_H

#include "guard.h"
#include "monlist.h"
#include "rights.h"
#include "settings.h"

struct prepared {
	const struct settings *settings;
	struct rights rights;
	struct monlist list;
	struct guard guard;
	int32_t state; /* to be told */
	/*
	 * A run of this boot ended before all were told: only what it left in sm.bak is told, with
	 * its number. Records in sm are of now, their peers have nothing to reclaim.
	 */
	bool resumed;
};

enum prepare_answer {
	PREPARE_GO,
	PREPARE_ALREADY, /* done, or being done, in this boot */
	PREPARE_BUSY,    /* another process is at it, and nothing says that it will succeed */
};

/* S is kept. On failure nothing is left to do but prepare_done(), here and below. */
int prepare_open(struct prepared *p, const struct settings *s, struct err *err);
/* *RET_PID: the other process, 0 = unknown. */
enum prepare_answer prepare_enter(struct prepared *p, pid_t *ret_pid);
void prepare_begin(struct prepared *p);
int prepare_records(struct prepared *p, struct err *err);
/* As prepare_records(), but nothing on disk is changed: --list, --dry-run, --no-consume. */
int prepare_look(struct prepared *p, struct err *err);
int prepare_state(struct prepared *p, struct err *err);
/* There is nobody to tell. 0, or negative: it is not certain that there is nobody. */
int prepare_nobody(struct prepared *p, struct err *err);
void prepare_done(struct prepared *p);

#endif
