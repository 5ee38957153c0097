/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Finding out the facts of an image in a short-lived child, because opening a file on a dead file
 * server or a broken device can take for ever, and the master must not.
 */
#ifndef WRAPPER_PROBE_H
#define WRAPPER_PROBE_H

#include "export.h"
#include "reactor.h"

enum { PROBE_DEADLINE_MS = 5000, PROBES_MAX = 256 /* at once */ };

struct probe_result {
	int code; /* 0 = facts are valid, else errno and text */
	struct export_facts facts;
	char text[ERR_TEXT_MAX];
};

typedef void probe_fn(void *arg, const struct probe_result *result);

struct probe;

/* The probes under way. */
struct probe_list {
	struct reactor *reactor;
	struct probe *first;
	unsigned count;
};

/*
 * FN(ARG, result) is called exactly once, from the reactor or from probe_end_all(), unless
 * probe_cancel() comes first. NULL: too many at once, no process or no memory; FN is not called.
 */
struct probe *probe_start(
	struct probe_list *list, const char *image, bool readonly, probe_fn *fn, void *arg);
void probe_cancel(struct probe *p);

/* Each one still under way gets ECANCELED. */
void probe_end_all(struct probe_list *list);

#endif
