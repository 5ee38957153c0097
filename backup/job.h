/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * One volume in one run: is it due and active here, where does the copy go, is it whole, what may
 * go now. What is about to happen is in the volume's records on disk before it happens.
 */
#ifndef BACKUP_JOB_H
#define BACKUP_JOB_H

#include "config.h"
#include "report.h"

struct stop;

struct job_rules {
	bool force;   /* whether or not it is due */
	bool dry_run; /* changes nothing */
	int hold;     /* of catalog_lock_children(), for those who write */
};

/* RET is overwritten. */
void job_run(const struct config *c, const struct config_volume *v, struct stop *stop,
	const struct job_rules *rules, struct report *ret);

/* Reads the newest good copy of V again; one that is damaged counts no more. */
void job_verify(const struct config *c, const struct config_volume *v, struct stop *stop,
	const struct job_rules *rules, struct report *ret);

#endif
