/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What people and programs are told of a copy: its progress, its result. */
#ifndef LVM_COPY_REPORT_H
#define LVM_COPY_REPORT_H

#include "copy.h"

enum { COPY_REPORT_LINE = 160 };

/* The line of the progress bar for a terminal of WIDTH columns. Pure. */
void copy_report_bar(const struct copy_progress *p, unsigned width, char out[COPY_REPORT_LINE]);

/* Shows it on stderr, over the line before. */
void copy_report_progress(const struct copy_progress *p);
/* An empty line instead of the bar, so that others may write. */
void copy_report_clear(void);

/* On stdout: a line for people. */
void copy_report_text(const struct copy_job *job, const struct copy_result *r);
/* The same as one JSON object; ERR is NULL after a success. */
void copy_report_json(
	const struct copy_job *job, const struct copy_result *r, const struct err *err);

/* A copy with this head was compared with its manifest. */
void copy_report_check_text(const struct spec *copy, const struct manifest_head *h);
/* HEAD may be NULL if there is ERR, which is NULL after a success. */
void copy_report_check_json(const struct manifest_head *h, const struct err *err);

#endif
