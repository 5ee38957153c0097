/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What ssh says on its standard error. It is passed on to ours; but the last line before the other
 * side has answered is kept back, as it is the reason if that never does.
 */
#ifndef LVM_LINK_EAR_H
#define LVM_LINK_EAR_H

#include "err.h"

#include <pthread.h>
#include <stdbool.h>
#include <stddef.h>

enum { LINK_EAR_LINE = 256 };

struct link_ear {
	int in, wake; /* ssh's lines; an eventfd that ends the thread. -1 = none */
	bool runs;
	pthread_t thread;
	pthread_mutex_t lock; /* of what follows */
	bool passes;          /* nothing is kept back any more */
	char line[LINK_EAR_LINE], last[LINK_EAR_LINE];
	size_t used; /* of `line`, which has not ended yet */
};

void link_ear_init(struct link_ear *e);
/* *RET_FD is for ssh. To be ended also after an error. */
int link_ear_begin(struct link_ear *e, int *ret_fd, struct err *err);
/* The other side has answered. */
void link_ear_pass(struct link_ear *e);
/* What was said is passed on, and the thread ended; the line that was kept back comes in LAST,
 * which may be NULL. */
void link_ear_end(struct link_ear *e, char last[LINK_EAR_LINE]);

#endif
