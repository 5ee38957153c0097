/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What front ends for clusters have in common: their streams, and lines that clusters look into. */
#ifndef STONITH_AGENT_LOG_H
#define STONITH_AGENT_LOG_H

#include "log.h"

/*
 * "NAME: error: TEXT" to FD, cut if need be. A fenced that finds "timeout" in what an agent says
 * takes it that the agent ran out of time; with us that word is only ever in names of parameters,
 * so it becomes "time-out". ("timed out" is what the system says of a connection, and true.)
 */
void agent_log_write(int fd, const char *name, enum log_level level, const char *text);

/*
 * First thing in main(): what is opened later does not get the number of a stream that somebody
 * closed, files are ours alone, and who stops reading what we say does not end a shot.
 */
void agent_start(void);

#endif
