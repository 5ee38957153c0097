/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Negotiators of before an upgrade. Another one listens; they go on with the clients they have, and
 * end with the last of them. They speak the same ipc.h and know the same exports by the same ids,
 * so all that the negotiator is told goes to them too: clients have numbers that differ between all
 * of them, an answer for a client somebody else has is nothing.
 */
#ifndef WRAPPER_RETIRED_H
#define WRAPPER_RETIRED_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

struct master;
struct retired;

/* Takes FD, the channel of the negotiator PID, a child of ours. 0 or -errno. */
int retired_add(struct master *m, pid_t pid, int fd);
/* From the ipc.h. */
void retired_tell(struct master *m, uint32_t type, const void *body, size_t len);
void retired_each(const struct master *m, void (*fn)(void *arg, pid_t pid, int fd), void *arg);
/* From SIGCHLD: true if PID was one of them. */
bool retired_reaped(struct master *m, pid_t pid);
/* At the end of the master: they end with their channels. */
void retired_end_all(struct master *m);

#endif
