/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Between reload.c and reload_apply.c only. */
#ifndef WRAPPER_RELOAD_INNER_H
#define WRAPPER_RELOAD_INNER_H

#include "master.h"
#include "reload.h"

struct relay;

/* What a server says of the size of its image. */
struct reload_look {
	struct reload *reload;
	struct relay *relay; /* NULL = none under way */
	uint32_t export_id;
	uint64_t old_size, size; /* bytes, 0 = not known */
};

struct reload {
	struct master *master;
	struct ctl_conn *conn; /* NULL: nobody is answered */
	struct reload_wish wish;
	struct settings *fresh; /* what was read */
	struct reactor_timer begin;
	struct reload_look *looks; /* one for each server; later for its new size */
	size_t look_count;
	unsigned waiting; /* for so many answers */
	struct plan plan;
	struct await *await; /* for servers that end */
	json_t *problems;    /* lines: what did not work */
};

/* Carries out the plan; calls reload_done() then, or later. */
void reload_apply(struct reload *r);
void reload_done(struct reload *r);

#endif
