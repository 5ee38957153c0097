/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Exports of xnbd-wrapper and their clients, asked through its control socket (lib/ctl.h), put
 * among the devices: an export stands below the device its image is, a client below its export.
 */
#ifndef LVM_IOSTAT_EXPORTS_H
#define LVM_IOSTAT_EXPORTS_H

#include "err.h"
#include "iostat_item.h"

#include <jansson.h>
#include <regex.h>

#define IOSTAT_CONTROL_DEFAULT "/run/xnbd/wrapper.ctl"

/* Asks the wrapper at CONTROL. The answers of `list` and `stats`; json_decref() both. */
int iostat_exports_ask(const char *control, json_t **ret_list, json_t **ret_stats, struct err *err);

/*
 * Adds what the answers tell to S. Exports of devices that are not in S come last; FILTER, unless
 * NULL, is for those. 0 or -ENOMEM.
 */
int iostat_exports_add(
	struct iostat_sample *s, const json_t *list, const json_t *stats, const regex_t *filter);

#endif
