/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Of which family is a PDU that a command line names without a profile? It is asked for its
 * sysObjectID. That is no guess: a profile counts only if the PDU's number is one of its own, and
 * the shot checks it once more. Of several, the one that has the number as its first (APC's second
 * generation answers as the first one, too); if that leaves more than one, the user has to choose.
 */
#ifndef STONITH_AGENT_DETECT_H
#define STONITH_AGENT_DETECT_H

#include "config.h"
#include "reactor.h"

/* For SYSTEM. NULL and -EINVAL in ERR: none, or several. Pure. */
const struct profile *agent_profile_for(const struct oid *system, struct err *err);

/* Asks PDU (whatever its own profile is) up to three times. 0, -EINVAL, or -EIO: no answer. */
int agent_detect(const struct config_pdu *pdu, struct reactor *r, const struct profile **ret,
	struct err *err);

#endif
