/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The state number: odd while this host is up, larger after each boot; peers take a notification
 * for a reboot only if its number differs from the last one they saw. It is the file `state`:
 * 4 bytes, an int of this machine.
 */
#ifndef SM_NOTIFY_NSM_STATE_H
#define SM_NOTIFY_NSM_STATE_H

#include "err.h"

#include <stdbool.h>
#include <stdint.h>

/*
 * Pure: the next odd number, larger by at least 2. Where there is none it begins again with 1, so
 * that it differs.
 */
int32_t nsm_state_next(int32_t state);

/*
 * The number in `state` of FOLDER: 1 and *ret, 0 if there is none (no file, or less than 4 bytes),
 * or negative: it is there and cannot be read.
 */
int nsm_state_read(int folder, int32_t *ret, struct err *err);

/* On disk when it returns, the folder too. */
int nsm_state_write(int folder, int32_t state, struct err *err);

/*
 * The number of this boot. UPDATE: the next one, written. Else the one that is there, made odd; it
 * is written only if there was none. Only after success may it be told to anybody.
 */
int nsm_state_take(int folder, bool update, int32_t *ret, struct err *err);

#endif
