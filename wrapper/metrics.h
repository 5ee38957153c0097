/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Figures as Prometheus reads them: its text format, version 0.0.4. Pure.
 * https://prometheus.io/docs/instrumenting/exposition_formats/
 */
#ifndef WRAPPER_METRICS_H
#define WRAPPER_METRICS_H

#include <jansson.h>

#define METRICS_CONTENT_TYPE "text/plain; version=0.0.4; charset=utf-8"

/*
 * FIGURES as of figures.h. Of an export that has two servers, one on its way out, only the other
 * one counts. The text is the caller's to free; NULL without memory.
 */
char *metrics_text(json_t *figures);

#endif
