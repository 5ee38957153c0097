/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Parameters that name a PDU themselves (`ip`), as a configuration: written as one, into memory
 * that only we have, so that it is judged by the same rules, with the same words.
 */
#ifndef STONITH_AGENT_DIRECT_H
#define STONITH_AGENT_DIRECT_H

#include "agent.h"
#include "config.h"
#include "reactor.h"

/*
 * One node with all outlets of P->plug, or with the PDU's first outlet if there is no plug: good
 * for questions about the PDU, the caller must not switch it. It is called after address and
 * outlets, so that shots at others have other locks, and the audit log says what was switched.
 * Without P->profile the PDU is asked; see agent_detect.h. 0, or -errno with *ret empty, and
 * FILES->faults as of config_read().
 */
int agent_direct(const struct agent_params *p, struct reactor *r, struct config *ret,
	struct conf *files, struct err *err);

#endif
