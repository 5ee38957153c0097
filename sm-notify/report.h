/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What people and scripts are told: a line in the log for each peer that could not be reached, the
 * summary, and the lists of --list and --dry-run. As text, or as JSON (--json).
 */
#ifndef SM_NOTIFY_REPORT_H
#define SM_NOTIFY_REPORT_H

#include "campaign.h"
#include "monlist.h"
#include "self.h"
#include "settings.h"

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

/* One line in the log for each peer not told, and one for all. */
void report_log(const struct campaign_job *job, const struct campaign_result *r);

/* The summary of --json, one object on one line. */
void report_json(FILE *out, const struct campaign_job *job, const struct campaign_result *r);

/* --list: what is in the records. */
void report_list(FILE *out, const struct monlist *l, bool json);

/*
 * --dry-run: who would be told, at which addresses and under which names. Names are looked up, all
 * at once, for at most REPORT_LOOKUP_MS; needs no net and no reactor. 0 or -errno.
 */
enum { REPORT_LOOKUP_MS = 15 * 1000 };
int report_dry_run(FILE *out, const struct campaign_job *job, struct err *err);

#endif
