/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What fence_xnbd does with its parameters. */
#ifndef STONITH_AGENT_RUN_H
#define STONITH_AGENT_RUN_H

#include "agent.h"

/*
 * Its exit status. off, on, reboot: 0 = done and verified, 1 = not certain. status: 0 = on, 2 =
 * every outlet is off, 1 = not known. monitor: 0 = all nodes' outlets can be switched. Others: 0
 * or 1.
 */
int agent_run(const struct agent_params *p);

#endif
